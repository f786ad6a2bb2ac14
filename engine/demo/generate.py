"""Demo data for a workspace: people first, then blocks of records, all through the loader of the one writer. Same seed and clock, same data."""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from engine.demo.blocks import Sink, Walk, read_block
from engine.demo.deeds import Doer
from engine.demo.kitchen import Sample, Store, World
from engine.demo.times import Profile, Window
from engine.demo.words import Names, Numbers
from engine.errors import Fault, Invalid

SCALES = ("S", "M", "L")
_DEFAULT_FACTORS = {"S": 0.01, "M": 0.1, "L": 1.0}


def description_of(preset: str) -> Mapping[str, Any] | None:
    """The description ``samples/demo.json`` of an installed preset, with the blocks of the files it is continued in; None when it has none."""
    spec = find_spec("presets")
    places = spec.submodule_search_locations or () if spec is not None else ()
    for place in places:
        file = Path(place) / preset / "samples" / "demo.json"
        if file.is_file():
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            parts = [json.loads(file.with_name(name).read_text(encoding="utf-8")) for name in found.pop("continued_in", ())]
            return {**found, "blocks": [*found.get("blocks", ()), *(block for part in parts for block in part["blocks"])]}
    return None


class Generator:
    """A description made ready for one workspace's clock, scale and seed."""

    def __init__(self, description: Mapping[str, Any], *, scale: str, seed: int | None, now: datetime, zone: ZoneInfo, sample: Sample) -> None:
        if scale not in SCALES:
            raise Invalid("demo_description", faults=[Fault("/scales", "demo_scale", {"found": scale, "known": ", ".join(SCALES)})])
        self.description, self.scale = description, scale
        self.seed = int(seed if seed is not None else description.get("seed", 1))
        size = description.get("scales", {}).get(scale, {})
        self.factor = float(size.get("factor", _DEFAULT_FACTORS[scale]))
        self.window = Window(_months_before(now, zone, int(size.get("months", 12))), now, zone)
        self.sample = sample

    def teams(self) -> Sequence[Mapping[str, Any]]:
        """Teams of this scale: key, name, parent (a key), lead (a login), and further fields under ``more``."""
        return [item for item in self.description.get("teams", ()) if self.scale in item.get("only", SCALES)]

    def people(self) -> Sequence[Mapping[str, Any]]:
        """People of this scale: login, name, roles, team (a key), and further fields under ``more``."""
        return [item for item in self.description.get("people", ()) if self.scale in item.get("only", SCALES)]

    def run(
        self,
        people: Mapping[str, Sequence[int]],
        sink: Sink,
        told: Callable[[Mapping[str, int]], None] = lambda made: None,
        *,
        logins: Mapping[str, int] | None = None,
        doer: Doer | None = None,
        store: Store | None = None,
    ) -> Mapping[str, int]:
        """Makes all blocks; ``people``: ids by role, the order of the description. Gives the number of rows by entity.

        ``doer`` does what people do (without one, blocks with an act make nothing); ``store``: what stands in the workspace meanwhile.
        """
        world = self._world(people)
        world.logins, world.store = logins or {}, store
        blocks = []
        for number, doc in enumerate(self.description.get("blocks", ())):
            block = read_block(doc, world, str(self.seed), f"/blocks/{number}", factor=self.factor, scale=self.scale)
            if block is not None:
                blocks.append(block)
        walk = Walk(world, sink, told, doer)
        for block in blocks:
            walk.root(block)
        return walk.made

    def person_fields(self, item: Mapping[str, Any], numbers: Numbers, random: Random) -> dict[str, Any]:
        """The further fields of one person: constants, and ``{"number": true}`` for an invented number."""
        return {name: numbers.draw() if isinstance(value, Mapping) and "number" in value else value for name, value in item.get("more", {}).items()}

    def _world(self, people: Mapping[str, Sequence[int]]) -> World:
        words = self.description
        profiles = {key: Profile(item, self.window) for key, item in (words.get("profiles") or {"day": {}}).items()}
        return World(
            window=self.window,
            profiles=profiles,
            names=Names(words.get("names", {})),
            numbers=self.numbers(0),
            phrases=words.get("phrases", {}),
            people=people,
            sample=self.sample,
        )

    def numbers(self, part: int) -> Numbers:
        """A source of distinct numbers; two parts of one run never meet."""
        return Numbers(self.description.get("prefixes", ("10",)), self.seed * 2 + part)


def _months_before(now: datetime, zone: ZoneInfo, months: int) -> datetime:
    local = now.astimezone(zone)
    total = local.year * 12 + local.month - 1 - months
    year, month = total // 12, total % 12 + 1
    return local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]), hour=0, minute=0, second=0, microsecond=0)
