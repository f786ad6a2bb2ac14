"""Scenarios run: what a set of definitions promises, played through in throw-away sandboxes; what does not come true is a problem with its place and words.

A sandbox is a SQLite home in a temporary folder, made once for the definitions and laid anew under the same home for each scenario. What a step does is scenario_steps.py's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from engine.home import Home
from engine.publishing import create_workspace
from engine.registry import Registry
from engine.scenario_steps import Rehearsal, Unmet
from engine.settings import Settings
from metadata.bundle import Bundle, file_of
from metadata.scenario_base import chain, shared, steps
from metadata.text import Label
from metadata.vocabulary import Problem

if TYPE_CHECKING:
    from engine.workspace import Workspace

#: Where a scenario's clock stands when it does not say.
BEGIN = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
_WORKSPACE, _PUBLISHED = "scenario", "published"
#: The contents a stage's home itself has.
OWN = "own"


@dataclass(frozen=True, slots=True)
class Result:
    """How a scenario ended: what did not come true (none: it holds), how many steps were played and how long it took, in seconds."""

    key: str
    title: Label
    problems: tuple[Problem, ...]
    steps: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything came true."""
        return not self.problems


def scenarios_of(bundle: Bundle) -> dict[str, Mapping[str, Any]]:
    """The scenarios of definitions by key."""
    return {key: document for (kind, key), document in sorted(bundle.documents.items()) if kind == "scenario"}


#: Told how many scenarios have been played, of how many, and how the last one ended.
Told = Callable[[int, int, Result], None]


def quiet(done: int, total: int, result: Result) -> None:
    """For those who wait for the end."""


def promised(bundle: Bundle) -> list[str]:
    """The scenarios to be played: those of modules that are off promise nothing."""
    modules = bundle.preset.modules if bundle.preset is not None else {}
    off = {key for key, module in modules.items() if not module.get("default", True)}
    return [key for key, document in scenarios_of(bundle).items() if document.get("module") not in off]


def run_scenarios(registry: Registry, bundle: Bundle, keys: Collection[str] | None = None, *, timezone: str = "Asia/Shanghai") -> Iterator[Result]:
    """Run the scenarios of sound definitions (or some of them) one after the other, each in a sandbox of its own. Raises Invalid for definitions with errors."""
    documents = scenarios_of(bundle)
    chosen = [key for key in promised(bundle) if keys is None or key in keys]
    if not chosen:
        return
    with TemporaryDirectory(prefix="scenarios-") as folder:
        home = _open(Path(folder) / OWN, token_hex(32), registry)
        try:
            create_workspace(home, _WORKSPACE, bundle, sandbox=True, now=min(_begin(shared(documents, key)) for key in chosen), timezone=timezone)
            stage = Stage(home, _WORKSPACE, lambda source, target: lay_folder(Path(folder) / source, Path(folder) / target))
            for key in chosen:
                yield stage.run(key, bundle)
        finally:
            home.close()


def play_scenarios(
    registry: Registry, bundle: Bundle, keys: Collection[str] | None = None, *, timezone: str = "Asia/Shanghai", told: Told = quiet
) -> tuple[Result, ...]:
    """Run them all as ``run_scenarios`` does, telling of each."""
    total, found = len(promised(bundle) if keys is None else keys), list[Result]()
    for result in run_scenarios(registry, bundle, keys, timezone=timezone):
        found.append(result)
        told(len(found), total, result)
    return tuple(found)


def lay_folder(source: Path, target: Path) -> None:
    """Put a copy of an installation's folder in another's place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


class Stage:
    """One open home whose contents are laid anew for each scenario: its sandbox as it was published, or as a base that several scenarios share leaves it.

    ``lay(source, target)`` copies contents by name; OWN are the home's. The sandbox's clock must not be ahead of any scenario's.
    """

    def __init__(self, home: Home, workspace: str, lay: Callable[[str, str], None]) -> None:
        self.home = home
        self._workspace, self._lay = workspace, lay
        self._bases: dict[str, Rehearsal] = {}
        self.keep(_PUBLISHED)

    def fresh(self, name: str = _PUBLISHED) -> Home:
        """The home as it was published, or as it was when it was kept under a name."""
        self.home.refill(lambda: self._lay(name, OWN))
        return self.home

    def keep(self, name: str) -> None:
        """Keep what the home holds now under a name."""
        self.home.refill(lambda: self._lay(OWN, name))

    def run(self, key: str, bundle: Bundle | None = None) -> Result:
        """Run one scenario, as ``run_scenario``."""
        documents = scenarios_of(self.home.workspace(self._workspace).bundle)
        document, bases = shared(documents, key), chain(documents, key)[:-1]
        same = [of for of in bases if shared(documents, of) == document]  # one with other people or another clock is played anew
        known = next((of for of in reversed(same) if of in self._bases), None)
        keep = partial(self._keep_base, same)
        if known is None:
            self.fresh()
            return _play(Rehearsal(self.home, self._workspace, document), key, bundle, (), keep)
        self.fresh(known)
        behind = bases[: bases.index(known) + 1]
        return _play(self._bases[known].again(), key, bundle, behind, keep)

    def _keep_base(self, same: Collection[str], of: str, rehearsal: Rehearsal) -> None:
        if of in same:
            self.keep(of)
            self._bases[of] = rehearsal.again()


def run_scenario(home: Home, workspace: Workspace, key: str, bundle: Bundle | None = None) -> Result:
    """Run one scenario in an empty sandbox of its definitions, whose clock is not ahead of the scenario's. ``bundle``: the definitions as read from files,
    so that lines are known. Stops where something given or done fails; every expectation of ``then`` is looked at."""
    return _play(Rehearsal(home, workspace.name, shared(scenarios_of(workspace.bundle), key)), key, bundle)


def _play(
    rehearsal: Rehearsal,
    key: str,
    bundle: Bundle | None,
    behind: Collection[str] = (),
    after_base: Callable[[str, Rehearsal], None] = lambda of, rehearsal: None,
) -> Result:
    """Play what is not ``behind`` already (bases, their people included); ``after_base`` is called where one of the bases ends."""
    begin, own, problems, of = perf_counter(), rehearsal.home.workspace(rehearsal.workspace).bundle, list[Problem](), key
    documents = scenarios_of(own)
    everything = list(steps(documents, key))

    def note(unmet: Unmet) -> None:
        problems.append(_problem(bundle or own, of, unmet))

    played = sum(step.scenario in behind for step in everything)
    try:
        if not behind:
            rehearsal.home.move_clock(rehearsal.workspace, max(_begin(rehearsal.document), rehearsal.now))
            rehearsal.people()
        for of in [one for one in chain(documents, key) if one not in behind]:
            for step in (step for step in everything if step.scenario == of):
                played += 1
                try:
                    rehearsal.play(step)
                except Unmet as unmet:
                    if step.part != "then":
                        raise
                    note(unmet)
            if of != key:
                after_base(of, rehearsal)
    except Unmet as unmet:
        note(unmet)
    return Result(key, documents[key].get("title", key), tuple(problems), played, perf_counter() - begin)


def _open(folder: Path, secret: str, registry: Registry) -> Home:
    folder.mkdir(exist_ok=True)
    words = {"TANGRAM_HOME": str(folder), "TANGRAM_SECRET_KEY": secret, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
    return Home.open(Settings.from_environment(words), registry, migrate=True)


def _begin(document: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(document["now"]) if "now" in document else BEGIN


def _problem(bundle: Bundle, key: str, unmet: Unmet) -> Problem:
    positions = bundle.positions.get(("scenario", key))
    line, column = positions.place(unmet.pointer) if positions else (0, 0)
    return Problem(unmet.code, file_of("scenario", key), unmet.pointer, unmet.params, line, column)
