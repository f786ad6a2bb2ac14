"""Whether what is stored of derived values is what a computation from scratch gives, in a whole workspace."""

from engine.actors import enter_as
from engine.home import Home
from engine.records.derived import own_value
from engine.records.derived_rollups import gather
from engine.records.row_statements import whole_columns, whole_row
from engine.records.work import Row, Work
from engine.scope import engine_select
from engine.workspace import CompiledEntity


def untrue(home: Home, workspace: str) -> list[str]:
    """Each stored roll-up, lookup and formula of a standing record that is not what the records it rests on say."""
    with enter_as(home, workspace, "operator").writing() as ctx:
        work = Work(ctx)
        return [line for entity in ctx.workspace.entities.values() for line in _of_entity(work, entity)]


def _of_entity(work: Work, entity: CompiledEntity) -> list[str]:
    rollups = {name for name, item in entity.fields.items() if item.rollup is not None and item.column is not None}
    if not rollups and not entity.derived_order:
        return []
    found = work.connection.execute(engine_select(entity, *whole_columns(work.workspace, entity)))
    rows: dict[int, Row] = {row["id"]: row for row in (whole_row(work.workspace, entity, tuple(one)) for one in found)}
    gathered = gather(work, entity, dict.fromkeys(rows, rollups)) if rows and rollups else {}
    lines = []
    for one, row in rows.items():
        own = {name: own_value(work, entity, name, row) for name in entity.derived_order if entity.fields[name].rollup is None}
        for name, value in {**gathered.get(one, {}), **own}.items():
            if row[name] != value:
                lines.append(f"{entity.key} {one}: {name} is stored as {row[name]!r}, and {value!r} is true")
    return lines
