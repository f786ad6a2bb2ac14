"""What publishing definitions would do: problems, differences in words, schema steps with rows, rights. Reads only; publishing.py does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from engine.access import rights
from engine.context import Context
from engine.drafts import DraftChange, preview
from engine.errors import Denied
from engine.provenance import Origin, Place, last_number
from engine.publishing_fill import dirty_fields
from engine.publishing_folders import read_source
from engine.publishing_rights import RightChange, people_by_role, right_changes
from engine.publishing_rows import DataRows
from engine.rules.analysis import analyse
from engine.schema.ledger import SEARCH_TYPE, Ledger, read_ledger
from engine.schema.plan import SchemaPlan, Step, plan_schema
from engine.schema.tables import SYSTEM_COLUMNS, table_name
from engine.workspace import Workspace
from engine.workspace_load import compile_candidate, shapes_of
from metadata.bundle import Bundle
from metadata.check import check
from metadata.compare import Difference, compare
from metadata.vocabulary import Problem


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing ``bundle`` over version ``base_version`` would do. ``digest`` is confirmed with the publish.

    ``problems`` (errors among them stop it), ``standing``: what is noticed about the version in force as well, ``differences`` in the words of definitions, ``schema`` in steps (None while definitions are wrong),
    ``rights``: who may see or do more or less. ``conflicts``: pointers by definition that were changed on both sides of a merge.
    """

    base_version: int
    bundle: Bundle
    digest: str
    problems: tuple[Problem, ...]
    differences: tuple[Difference, ...]
    schema: SchemaPlan | None
    rights: tuple[RightChange, ...] = ()
    drafts: tuple[DraftChange, ...] = ()
    conflicts: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    taken: Mapping[Place, Origin] = field(default_factory=dict)
    base_texts: tuple[str, ...] = ()
    candidate: Workspace | None = field(default=None, repr=False, compare=False)
    standing: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that stop a publish."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def steps(self) -> tuple[Step, ...]:
        """Schema steps, () while definitions are wrong."""
        return self.schema.steps if self.schema else ()

    @property
    def ready(self) -> bool:
        """True when nothing stands against it."""
        return not self.errors and not self.conflicts and self.schema is not None and not self.schema.blocked

    def sentences(self, locale: str = "zh") -> list[str]:
        """Differences, steps and rights, one sentence each."""
        return [
            *(item.sentence(locale) for item in self.differences),
            *(step.sentence(locale) for step in self.steps),
            *(right.sentence(locale) for right in self.rights),
        ]


def plan_publish(ctx: Context, bundle: Bundle, *, taken: Mapping[Place, Origin] | None = None, base_texts: Sequence[str] = ()) -> Plan:
    """What publishing exactly these definitions would do; reads only. Raises Denied without the right to design or publish."""
    _may_plan(ctx)
    with ctx.snapshot(long=True) as ctx:
        return _plan(ctx, bundle, taken or {}, tuple(base_texts))


def _may_plan(ctx: Context) -> None:
    if not (rights(ctx, "publish") or rights(ctx, "design")):
        raise Denied("publish_denied")


def _plan(ctx: Context, bundle: Bundle, taken: Mapping[Place, Origin], base_texts: tuple[str, ...]) -> Plan:
    old = ctx.workspace
    problems = tuple(check(bundle, old.registry.vocabulary()))
    plan = Plan(old.version, bundle, bundle.digest, problems, (), None, taken=taken, base_texts=base_texts)
    if plan.errors:
        return plan
    schema, candidate, more = schema_of(ctx.open, old, bundle, last_number(ctx.open) + 1)
    people = people_by_role(ctx.open) if old.version else {}
    known = {_told(problem) for problem in _noticed_before(old, problems)} if old.version else set()
    noticed = (*problems, *analyse(candidate))
    return replace(
        plan,
        differences=tuple(compare(old.bundle, bundle)),
        schema=schema,
        candidate=candidate,
        problems=(*(problem for problem in noticed if _told(problem) not in known), *more),
        standing=tuple(problem for problem in noticed if _told(problem) in known),
        rights=tuple(right_changes(old.bundle, bundle, people)),
    )


def _noticed_before(old: Workspace, now: Sequence[Problem]) -> list[Problem]:
    """What is noticed about the version in force; it is checked (a second for a large preset) only where a check of the new one notices anything."""
    return [*(check(old.bundle, old.registry.vocabulary()) if now else ()), *analyse(old)]


def _told(problem: Problem) -> tuple[str, str, str, str]:
    """What a problem says, wherever in its file it stands by now."""
    return problem.code, problem.file, problem.pointer, repr(problem.params)


def schema_of(connection: sa.Connection, old: Workspace, bundle: Bundle, number: int) -> tuple[SchemaPlan, Workspace, list[Problem]]:
    """Steps, the compiled candidate, and keys used again for something else."""
    database = old.database
    ledger = read_ledger(connection, database.schema)
    candidate = compile_candidate(old, bundle, number, ledger)
    there = _physical(ledger)
    rows = DataRows(connection, candidate, there)
    plan = plan_schema(
        old.bundle if old.version else Bundle(), bundle, shapes_of(candidate), ledger, rows, database.dialect, number, dirty_fields(old, candidate)
    )
    return plan, candidate, _reused_keys(plan, ledger, old, bundle)


def _physical(ledger: Ledger) -> dict[str, frozenset[str]]:
    """Physical columns per entity the database has, companions included."""
    found: dict[str, set[str]] = {}
    for item in ledger.columns:
        if item.type != SEARCH_TYPE and table_name(item.entity) in ledger.tables:
            found.setdefault(item.entity, set(SYSTEM_COLUMNS)).update((item.column, f"{item.column}__bi", f"{item.column}__bi4"))
    return {entity: frozenset(columns) for entity, columns in found.items()}


def _reused_keys(plan: SchemaPlan, ledger: Ledger, old: Workspace, bundle: Bundle) -> list[Problem]:
    """A retired key is never used for another meaning: a new column whose key had others, none of them live, is refused."""
    found = []
    for stored in plan.layout.new:
        known = [item for item in ledger.of(stored.entity) if item.field == stored.key and item.type != SEARCH_TYPE]
        before = old.bundle.entities.get(stored.entity)
        was = before.fields.get(stored.key) if before else None
        if known and (was is None or was.retired) and not stored.carried:
            found.append(Problem("key_of_retired", f"entities/{stored.entity}.json", f"/fields/{stored.key}", {"entity": stored.entity, "field": stored.key}))
    return found


def plan_drafts(ctx: Context) -> Plan:
    """What publishing all drafts would do, naming who changed what."""
    _may_plan(ctx)
    with ctx.snapshot(long=True) as ctx:
        found = preview(ctx)
        return replace(_plan(ctx, found.bundle, {}, ()), drafts=found.changes, conflicts=found.conflicts)


def plan_folder(ctx: Context, path: Path | str) -> Plan:
    """What publishing a folder (or an exported archive) would do, merged with what changed in the workspace since its base."""
    _may_plan(ctx)
    with ctx.snapshot(long=True) as ctx:
        source = read_source(ctx, path)
        if any(problem.severity == "error" for problem in source.problems):
            return Plan(ctx.workspace.version, source.bundle, source.bundle.digest, source.problems, (), None)
        plan = _plan(ctx, source.bundle, source.taken, source.base_texts)
        return replace(plan, problems=(*source.problems, *plan.problems), conflicts=source.conflicts)
