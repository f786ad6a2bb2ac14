"""From definitions to a published version: plan in words, publish, roll back, make and clone workspaces. Tables change here and nowhere else.

What the steps are is engine/schema's business, merging folders publishing_folders.py's, filling values publishing_fill.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.access import rights
from engine.actors import system_actor
from engine.clock import State, read_state
from engine.context import Cause, Context
from engine.database import Database
from engine.drafts import forget
from engine.errors import Conflict, Denied, Fault, Invalid, Refusal, Unavailable
from engine.provenance import Origin, Place, Version, carried, from_preset, last_number, load_bundle, origins, preparing, store_version, version_of
from engine.publishing_fill import fill
from engine.publishing_folders import Source, with_base
from engine.publishing_plan import Plan, plan_drafts, plan_folder, plan_publish, schema_of
from engine.publishing_rows import index_conditions
from engine.publishing_start import begin_with
from engine.schema.apply import analyze, apply_tables, create_index, drop_indexes
from engine.schema.indexes import needed
from engine.schema.ledger import lay_out, note_layout, read_ledger
from engine.schema.plan import SchemaPlan, Step, entity_of
from engine.system_tables import draft, version, workspace_state
from engine.workspace import Workspace
from engine.workspace_load import remember_published, shapes_of
from metadata.bundle import Bundle

if TYPE_CHECKING:
    from engine.home import Home

__all__ = [
    "Plan",
    "Published",
    "clone_workspace",
    "create_workspace",
    "finish_preparing",
    "give_up_preparing",
    "operator",
    "plan_drafts",
    "plan_folder",
    "plan_publish",
    "publish",
    "refuse",
    "rollback",
]

LOCK_TIMEOUT = "500ms"
#: Waits before trying again to lock tables on PostgreSQL, in seconds.
LOCK_WAITS = (0.1, 0.3, 0.8, 1.5, 3.0)


@dataclass(frozen=True, slots=True)
class Published:
    """A version that was made. ``state``: live, or preparing while a job builds what is slow."""

    number: int
    state: str
    plan: Plan


# --- publishing ----------------------------------------------------------------------------------------------------------------------------

Within = Callable[[sa.Connection, int], None]


def alone(connection: sa.Connection, number: int) -> None:
    """Nothing else."""


def publish(
    ctx: Context,
    plan: Plan,
    *,
    note: str = "",
    unproven: str = "",
    expect_digest: str | None = None,
    restores: int | None = None,
    wait: bool = True,
    within: Within = alone,
) -> Published:
    """Make a plan's definitions the next version, all or nothing. Raises Denied, Invalid (problems), Conflict (someone was faster, other digest, data).

    ``unproven``: why its scenarios were left out. ``expect_digest``: the one that was shown and confirmed. ``wait``: build slow steps now; otherwise the version stays *preparing* for a job.
    ``within``: what else stands or falls with the publishing transaction, given the new version's number.
    """
    if not rights(ctx, "publish"):
        raise Denied("publish_denied")
    refuse(plan, expect_digest)
    database = ctx.workspace.database
    for pause in (*LOCK_WAITS, None):
        try:
            with database.write(direct=True) as connection:
                published = _publish(ctx, connection, plan, note, unproven, restores)
                within(connection, published.number)
            break
        except Unavailable as error:
            if database.dialect != "postgresql" or error.code != "database_busy":
                raise
            if pause is None:
                raise Unavailable("publish_locked") from error
            sleep(pause)
    if published.state == "live" and plan.candidate is not None:
        remember_published(ctx.workspace, plan.candidate, published.number)
    ctx.home.look_again(ctx.workspace.name)
    if published.state == "preparing" and wait:
        finish_preparing(ctx.home, ctx.workspace.name, published.number)
        published = replace(published, state="live")
    return published


def refuse(plan: Plan, expect_digest: str | None) -> None:
    """Raises Conflict for another digest than the confirmed one, Invalid or Conflict for what stands against the plan."""
    if expect_digest is not None and plan.digest != expect_digest:
        raise Conflict("publish_other_digest")
    if plan.errors:
        raise Invalid(
            "publish_problems",
            count=len(plan.errors),
            problems=plan.errors,
            faults=[Fault(f"/{problem.file}{problem.pointer}", problem.code, problem.params) for problem in plan.errors],
        )
    if plan.conflicts:
        places = [(f"{kind}/{key}", pointer) for (kind, key), pointers in plan.conflicts.items() for pointer in pointers]
        raise Conflict("publish_conflicts", count=len(places), faults=[Fault(f"/{file}{pointer}", "publish_merge_place") for file, pointer in places])
    if plan.schema is not None and plan.schema.blocked:
        raise Conflict("publish_violations", steps=plan.schema.blocked)


def _publish(ctx: Context, connection: sa.Connection, plan: Plan, note: str, unproven: str, restores: int | None) -> Published:
    """The publishing transaction: schema, values, version row, all or nothing."""
    database = ctx.workspace.database
    if database.dialect == "postgresql":
        connection.execute(sa.select(sa.func.set_config("lock_timeout", LOCK_TIMEOUT, True)))
    state = read_state(connection, lock=True)
    if state.version != plan.base_version:
        raise Conflict("publish_stale", version=state.version)
    if running := preparing(connection):
        raise Conflict("publish_running", version=running.number)
    schema, candidate = plan.schema, plan.candidate
    assert schema is not None and candidate is not None
    number, slow = last_number(connection) + 1, schema.slow
    if number != candidate.version:
        raise Conflict("publish_stale", version=state.version)
    apply_tables(connection, schema, database.schema)
    note_layout(connection, schema.layout, number)
    if not slow:
        _complete(ctx, connection, candidate, schema, state)
    sources = carried(plan.bundle, origins(connection, state.version), plan.taken)
    made = Version(number, state.now, ctx.actor.person_id, ctx.actor.name, note, plan.digest, "preparing" if slow else "live", restores, unproven)
    store_version(connection, made, plan.bundle, sources, plan.base_texts)
    _take_drafts(connection, plan)
    if not slow:
        _go_live(connection, number, plan)
    return Published(number, made.state, plan)


def _complete(ctx: Context, connection: sa.Connection, candidate: Workspace, schema: SchemaPlan, state: State) -> None:
    """Fill values, then indexes, then tell the planner: the quick way, inside the publishing transaction."""
    target = candidate.database.schema
    drop_indexes(connection, schema.of("drop_index"), target)
    fill(ctx.home, connection, ctx.workspace, candidate, schema, state)
    steps = [step for step in schema.of("create_index", "create_unique") if step.index is not None]
    conditions = index_conditions(candidate, [step.index for step in steps if step.index is not None])
    for step in steps:
        assert step.index is not None
        try:
            create_index(connection, step.index, conditions.get(step.index.name), target)
        except sa.exc.IntegrityError as error:
            raise Conflict("publish_violations", steps=(step,)) from error
    analyze(connection, [step.entity for step in steps if step.rows], target)


def _take_drafts(connection: sa.Connection, plan: Plan) -> None:
    """Drafts shown in the plan are published now; one changed since is another digest and was refused before."""
    for change in plan.drafts:
        number = connection.execute(sa.select(draft.c.number).where(draft.c.kind == change.kind, draft.c.key == change.key)).scalar()
        if number != change.number:
            raise Conflict("publish_other_digest")
    forget(connection, [(change.kind, change.key) for change in plan.drafts])


def _go_live(connection: sa.Connection, number: int, plan: Plan) -> None:
    values: dict[str, object] = {"version": number, "permission_version": workspace_state.c.permission_version + 1}
    if plan.taken:
        values |= {"preset": plan.bundle.preset.key, "preset_version": plan.bundle.preset.version}
    connection.execute(workspace_state.update().values(**values))


def rollback(ctx: Context, number: int, *, note: str = "", wait: bool = True) -> Published:
    """Publish the definitions of an earlier version again as the newest. What was entered since stays and comes back with its fields."""
    with ctx.snapshot() as reading:
        version_of(reading.open, number)
        bundle = load_bundle(reading.open, number)
    plan = plan_publish(ctx, bundle)
    return publish(ctx, plan, note=note, restores=number, wait=wait)


# --- slow versions -------------------------------------------------------------------------------------------------------------------------


def finish_preparing(home: Home, name: str, number: int) -> None:
    """Build what a preparing version needs beside the running one, then switch to it. May be called again after having been interrupted.

    Raises Conflict when existing rows break a uniqueness after all: the version is then marked refused and the old one stays.
    """
    database = home.database_of(name)
    workspace, state = home.look(name)
    with database.read() as connection:
        if version_of(connection, number).state != "preparing":
            return
        bundle = load_bundle(connection, number)
    with database.write(direct=True) as connection:
        schema, candidate, _ = schema_of(connection, workspace, bundle, number)
        since = read_state(connection).now
    try:
        if schema.blocked:
            raise Conflict("publish_violations", steps=schema.blocked)
        fill(home, None, workspace, candidate, schema, state)
        _build_beside(database, candidate, schema)
    except Refusal:
        with database.write(direct=True) as connection:
            _withdraw(connection, workspace, number)
        raise
    with database.write(direct=True) as connection:
        current = read_state(connection, lock=True)
        fill(home, connection, workspace, candidate, schema, current, since=since)
        drop_indexes(connection, schema.of("drop_index"), database.schema)
        connection.execute(version.update().where(version.c.number == number).values(state="live"))
        connection.execute(workspace_state.update().values(version=number, permission_version=workspace_state.c.permission_version + 1))
    home.look_again(name)


def give_up_preparing(ctx: Context, number: int) -> None:
    """Give up a version that is being prepared and cannot be finished; the running one stays, its definitions can be published again by number."""
    if not rights(ctx, "publish"):
        raise Denied("publish_denied")
    with ctx.workspace.database.write(direct=True) as connection:
        if version_of(connection, number).state != "preparing":
            raise Conflict("publish_not_preparing", version=number)
        _withdraw(connection, ctx.workspace, number)


def _withdraw(connection: sa.Connection, running: Workspace, number: int) -> None:
    """Mark a version refused and take away the indexes built for it, so that no uniqueness outlives it; new columns stay, empty and unseen."""
    connection.execute(version.update().where(version.c.number == number).values(state="refused"))
    database = running.database
    ledger = read_ledger(connection, database.schema)
    wanted = needed(running.bundle, lay_out(shapes_of(running), ledger, running.version).stored, database.dialect)
    idle = sorted((ledger.indexes - wanted.keys()) | ledger.broken)
    drop_indexes(connection, [Step("drop_index", "widens", entity_of(name), "", name=name) for name in idle], database.schema)


def _build_beside(database: Database, candidate: Workspace, schema: SchemaPlan) -> None:
    """Indexes without stopping anybody: CONCURRENTLY on PostgreSQL, in one transaction on SQLite."""
    steps = [step for step in schema.of("create_index", "create_unique") if step.index is not None]
    conditions = index_conditions(candidate, [step.index for step in steps if step.index is not None])
    beside = database.dialect == "postgresql"
    with database.outside() if beside else database.write() as connection:
        broken = read_ledger(connection, database.schema).broken
        drop_indexes(connection, [step for step in schema.of("drop_index") if step.name in broken], database.schema)
        for step in steps:
            assert step.index is not None
            try:
                create_index(connection, step.index, conditions.get(step.index.name), database.schema, beside=beside)
            except sa.exc.IntegrityError as error:
                raise Conflict("publish_violations", steps=(step,)) from error
        analyze(connection, [step.entity for step in steps], database.schema)


# --- workspaces ----------------------------------------------------------------------------------------------------------------------------


def create_workspace(
    home: Home,
    name: str,
    bundle: Bundle,
    *,
    title: str = "",
    sandbox: bool = False,
    demo: bool = False,
    now: datetime | None = None,
    timezone: str = "Asia/Shanghai",
    sources: Mapping[Place, Origin] | None = None,
    base_texts: Sequence[str] = (),
    then: Callable[[], object] | None = None,
) -> Workspace:
    """A new workspace with a preset's definitions as version 1, each noted as taken from that preset; no data but what ``bundle`` says.

    Gone without a trace when the definitions are wrong (Invalid with all problems) or anything else fails. ``then``: what else belongs to
    making it (demo data); the workspace appears to others only after it.
    """
    taken = from_preset(bundle) if sources is None else sources
    with home.creating(name, title, sandbox=sandbox, demo=demo, now=now, timezone=timezone):
        ctx = operator(home, name)
        publish(ctx, plan_publish(ctx, with_base(bundle), taken=taken, base_texts=base_texts))
        begin_with(operator(home, name))
        if then is not None:
            then()
    return home.workspace(name)


def clone_workspace(
    home: Home, source: str, name: str, *, title: str = "", sandbox: bool = False, demo: bool = False, now: datetime | None = None
) -> Workspace:
    """A new workspace with the definitions of another and where each came from, never its data or people."""
    ctx = operator(home, source)
    with ctx.snapshot() as ctx:
        state = read_state(ctx.open)
        known = origins(ctx.open, ctx.workspace.version)
        texts = Source.base_texts_of(ctx.open, known)
    return create_workspace(
        home, name, ctx.workspace.bundle, title=title, sandbox=sandbox, demo=demo, now=now, timezone=str(state.timezone), sources=known, base_texts=texts
    )


def operator(home: Home, name: str) -> Context:
    """A context of the command line: every right, named in history."""
    workspace, state = home.look(name)
    return Context(home=home, workspace=workspace, actor=system_actor("operator"), now=state.now, cause=Cause("publish"))
