"""Fills a workspace with demo data: teams, people with accounts, then the blocks of the description, through the one writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from engine.accounts import ensure_account
from engine.actors import enter_as, find_person, find_team
from engine.context import Context
from engine.demo.blocks import Made
from engine.demo.generate import Generator, description_of
from engine.demo.living import Doing, Stored
from engine.demo.plain import plain_description
from engine.errors import Invalid, Refusal
from engine.home import Home
from engine.records import loading
from engine.records.record import ANY, RowResult
from engine.records.service import load, update

Told = Callable[[Mapping[str, int]], None]


@dataclass(slots=True)
class Filled:
    """What was made, by entity, and what the definitions refused (normally nothing), with the first refusal of each entity in words of code."""

    made: Mapping[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def refuse(self, what: str, refused: Refusal | RowResult) -> None:
        """Note a row of an entity, or something a person of the description did, that was refused."""
        self.refused[what] = self.refused.get(what, 0) + 1
        self.reasons.setdefault(what, _reason(refused))


def fill(
    home: Home, workspace: str, scale: str = "S", seed: int | None = None, *, description: Mapping[str, Any] | None = None, told: Told = lambda made: None
) -> Filled:
    """Make demo data up to the workspace's now. Same clock, scale and seed, same data; raises Invalid for a description that cannot be read.

    ``description``: that of the preset the workspace was made from unless given; a preset without one gets samples of every field.
    """
    ctx = enter_as(home, workspace, "demo")
    bundle = ctx.workspace.bundle
    given = description or (description_of(bundle.preset.key) if bundle.preset is not None else None) or plain_description(bundle)
    generator = Generator(given, scale=scale, seed=seed, now=ctx.now, zone=ctx.workspace.timezone, sample=_sampler(ctx))
    filled = Filled()
    people, logins = _people(home, ctx, generator)
    doing = Doing(home, workspace, filled.refuse)
    made = generator.run(people, _Sink(home, workspace, filled), told, logins=logins, doer=doing, store=Stored(home, workspace))
    filled.made = {**_counts(generator), **made}
    return filled


def _counts(generator: Generator) -> dict[str, int]:
    return {"team": len(generator.teams()), "person": len(generator.people())}


def _sampler(ctx: Context) -> Callable[[str, str, Random], Any]:
    def sample(entity: str, name: str, random: Random) -> Any:
        item = ctx.workspace.entities[entity].fields[name]
        return item.type.sample(random, item.definition, ctx.workspace.scope.of(entity))

    return sample


class _Sink:
    """Hands rows to the loader, each chunk in its own transaction, and keeps count of what is refused."""

    def __init__(self, home: Home, workspace: str, filled: Filled) -> None:
        self._home, self._workspace, self._filled = home, workspace, filled

    def __call__(self, entity: str, rows: Sequence[dict[str, Any]], made: Sequence[Made]) -> Sequence[int | None]:
        ctx = enter_as(self._home, self._workspace, "demo")
        results = load(ctx, entity, rows, trusted=True, made=[None if at is None else loading.Made(min(at, ctx.now), by) for at, by in made])
        for result in results:
            if result.id is None:
                self._filled.refuse(entity, result)
        return [result.id for result in results]


def _reason(refused: Refusal | RowResult) -> str:
    return "; ".join([refused.code or "", *(f"{fault.pointer}: {fault.code}" for fault in refused.faults)])


def _people(home: Home, ctx: Context, generator: Generator) -> tuple[Mapping[str, list[int]], Mapping[str, int]]:
    """Teams and people of the description, those already there left as they are; ids by role in the order written, and by login."""
    teams = _teams(ctx, generator)
    numbers, random = generator.numbers(1), Random(generator.seed)
    by_login: dict[str, int] = {}
    by_role: dict[str, list[int]] = {}
    for item in generator.people():
        with ctx.reading() as inner:
            known = find_person(inner.open, inner.workspace, item["login"])
        more = generator.person_fields(item, numbers, random)
        person = (
            known
            if known is not None
            else _one(
                ctx, "person", {"name": item["name"], "login": item["login"], "roles": list(item["roles"]), "team": teams.get(item.get("team", "")), **more}
            )
        )
        ensure_account(home, item["login"], item["name"])
        by_login[item["login"]] = person
        for role in item["roles"]:
            by_role.setdefault(role, []).append(person)
    for item in generator.teams():
        if item.get("lead") in by_login:
            update(ctx, "team", teams[item["key"]], {"lead": by_login[item["lead"]]}, ANY)
    return by_role, by_login


def _teams(ctx: Context, generator: Generator) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in generator.teams():
        with ctx.reading() as inner:
            known = find_team(inner.open, inner.workspace, item["name"])
        found[item["key"]] = (
            known if known is not None else _one(ctx, "team", {"name": item["name"], "parent": found.get(item.get("parent", "")), **item.get("more", {})})
        )
    return found


def _one(ctx: Context, entity: str, row: Mapping[str, Any]) -> int:
    [result] = load(ctx, entity, [{name: value for name, value in row.items() if value is not None}], trusted=True)
    if result.id is None:
        raise Invalid("demo_person_refused", faults=result.faults, entity=entity, reason=_reason(result))
    return result.id
