"""Scenarios run: what a set of definitions promises, played through in throw-away sandboxes; what does not come true is a problem with its place and words.

A sandbox is a SQLite home in a temporary folder, made once for the definitions and laid anew under the same home for each scenario. What a step does is scenario_steps.py's.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
from metadata.scenario_base import shared, steps
from metadata.text import Label
from metadata.vocabulary import Problem

if TYPE_CHECKING:
    from engine.workspace import Workspace

#: Where a scenario's clock stands when it does not say.
BEGIN = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
_TEMPLATE = "scenario"


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


def run_scenarios(registry: Registry, bundle: Bundle, keys: Collection[str] | None = None, *, timezone: str = "Asia/Shanghai") -> Iterator[Result]:
    """Run the scenarios of sound definitions (or some of them) one after the other, each in a sandbox of its own. Raises Invalid for definitions with errors."""
    documents = scenarios_of(bundle)
    chosen = [key for key in documents if keys is None or key in keys]
    if not chosen:
        return
    with TemporaryDirectory(prefix="scenarios-") as folder:
        template, stage = Path(folder) / "template", Path(folder) / "stage"
        home = _open(stage, token_hex(32), registry)
        try:
            create_workspace(home, _TEMPLATE, bundle, sandbox=True, now=min(_begin(shared(documents, key)) for key in chosen), timezone=timezone)
            home.refill(lambda: _lay(stage, template))
            for key in chosen:
                home.refill(lambda: _lay(template, stage))
                yield run_scenario(home, home.workspace(_TEMPLATE), key, bundle)
        finally:
            home.close()


def _lay(source: Path, target: Path) -> None:
    """Put a copy of an installation's folder in another's place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def run_scenario(home: Home, workspace: Workspace, key: str, bundle: Bundle | None = None) -> Result:
    """Run one scenario in an empty sandbox of its definitions, whose clock is not ahead of the scenario's. ``bundle``: the definitions as read from files,
    so that lines are known. Stops where something given or done fails; every expectation of ``then`` is looked at."""
    begin, documents = perf_counter(), scenarios_of(workspace.bundle)
    document = shared(documents, key)
    rehearsal, problems, played, of = Rehearsal(home, workspace.name, document), [], 0, key

    def note(unmet: Unmet) -> None:
        problems.append(_problem(bundle or workspace.bundle, of, unmet))

    try:
        home.move_clock(workspace.name, max(_begin(document), rehearsal.now))
        rehearsal.people()
        for step in steps(documents, key):
            played, of = played + 1, step.scenario
            try:
                rehearsal.play(step)
            except Unmet as unmet:
                if step.part != "then":
                    raise
                note(unmet)
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
