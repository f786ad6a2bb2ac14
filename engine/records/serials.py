"""Serial numbers: drawn in the saving transaction from a counter row, so their order is that of the commits; gaps are allowed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine import system_tables as tables
from engine.access import remember
from engine.database_ready import Ready
from engine.fields.serial import Serial, SerialTemplate

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, Workspace


def serial_fields(workspace: Workspace, entity: CompiledEntity) -> tuple[tuple[str, SerialTemplate], ...]:
    """The serial fields of an entity with their templates."""
    return remember(
        workspace,
        ("serials", entity.key),
        lambda: tuple((name, item.type.template(item.definition)) for name, item in entity.fields.items() if isinstance(item.type, Serial)),
    )


def draw(ctx: Context, entity: CompiledEntity, field: str, template: SerialTemplate, many: int = 1) -> list[str]:
    """The next numbers of a series, ``many`` of them. A series begins anew with each period of its template."""
    day = ctx.now.astimezone(ctx.workspace.timezone).date()
    name = f"{entity.key}.{field}:{template.period(day)}"
    drawn = _drawing(ctx.workspace.database.dialect).first(ctx.open, {"p_name": name, "p_many": many})
    last = int(drawn[0]) if drawn is not None else many
    return [template.write(day, number) for number in range(last - many + 1, last + 1)]


@cache
def _drawing(dialect: str) -> Ready:
    """The statement that raises a counter by ``p_many`` and gives what it then is."""
    counter = tables.counter
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(counter)
    name, many = sa.bindparam("p_name", type_=counter.c.name.type), sa.bindparam("p_many", type_=counter.c.value.type)
    raised = insert.values(name=name, value=many).on_conflict_do_update(index_elements=[counter.c.name], set_={"value": counter.c.value + many})
    return Ready(raised.returning(counter.c.value))
