"""Views of lists that people keep: filters, order and columns under a name, for themselves or for everybody who may open the list. Reads no records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.database_ready import Ready
from engine.errors import Denied, Fault, Invalid, NotFound
from engine.system_tables import saved_view

if TYPE_CHECKING:
    from engine.context import Context

SHARE_RIGHT = "design"
TITLE_LENGTH = 40
MOST_VIEWS = 50
_asked_list, _asked_person = sa.bindparam("list", type_=sa.String, required=True), sa.bindparam("person", type_=sa.BigInteger, required=True)
_views = Ready(
    sa.select(saved_view)
    .where(saved_view.c.list == _asked_list, sa.or_(saved_view.c.owner.is_(None), saved_view.c.owner == _asked_person))
    .order_by(saved_view.c.owner.is_not(None), saved_view.c.id)
    .limit(2 * MOST_VIEWS)
)
_NAMES = tuple(saved_view.c.keys())


@dataclass(frozen=True, slots=True)
class SavedView:
    """One kept view. ``shared``: everybody's; ``own``: the reader may change and remove it. ``body`` is what the screen needs to show it again."""

    id: int
    list: str
    entity: str
    title: str
    shared: bool
    own: bool
    body: Mapping[str, Any]
    version: int


def views_of(ctx: Context, list_key: str) -> list[SavedView]:
    """The reader's own views of a list and the shared ones, shared first, oldest first."""
    person = ctx.actor.person_id

    def ask(connection: sa.Connection) -> list[dict[str, Any]]:
        return [dict(zip(_NAMES, row, strict=True)) for row in _views.rows(connection, {"list": list_key, "person": person})]

    rows = ask(ctx.open) if ctx.connection is not None else ctx.workspace.database.kept(("views", list_key, person), ask)
    return [_view(ctx, row) for row in rows]


def get_view(ctx: Context, list_key: str, view_id: int) -> SavedView:
    """One view. Raises NotFound when it is not there or another person's."""
    found = next((view for view in views_of(ctx, list_key) if view.id == view_id), None)
    if found is None:
        raise NotFound("unknown_view")
    return found


def save_view(ctx: Context, list_key: str, entity: str, title: str, body: Mapping[str, Any], *, shared: bool = False) -> int:
    """Keep a view and give its id. Raises Invalid without a title, Denied when sharing is not this person's right."""
    title = " ".join(title.split())[:TITLE_LENGTH]
    if not title:
        raise Invalid("view_title_missing", faults=[Fault("/title", "view_title_missing")])
    if shared and not may_share(ctx):
        raise Denied("right_missing", right=SHARE_RIGHT)
    with ctx.writing() as ctx:
        known = ctx.open.execute(
            sa.select(sa.func.count()).select_from(saved_view).where(saved_view.c.list == list_key, saved_view.c.by == ctx.actor.person_id)
        )
        if int(known.scalar_one()) >= MOST_VIEWS:
            raise Invalid("too_many_views", limit=MOST_VIEWS)
        return int(
            ctx.open.execute(
                saved_view.insert()
                .returning(saved_view.c.id)
                .values(
                    list=list_key,
                    entity=entity,
                    title=title,
                    owner=None if shared else ctx.actor.person_id,
                    body=dict(body),
                    version=1,
                    at=ctx.now,
                    by=ctx.actor.person_id,
                )
            ).scalar_one()
        )


def remove_view(ctx: Context, list_key: str, view_id: int) -> None:
    """Remove an own view, or a shared one by who may share. Raises NotFound, Denied."""
    view = get_view(ctx, list_key, view_id)
    if not view.own:
        raise Denied("right_missing", right=SHARE_RIGHT)
    with ctx.writing() as ctx:
        ctx.open.execute(saved_view.delete().where(saved_view.c.id == view_id))


def may_share(ctx: Context) -> bool:
    """Whether the person's views may be everybody's."""
    return ctx.actor.kind == "system" or bool({SHARE_RIGHT, "people"} & ctx.actor.rights)


def _view(ctx: Context, row: Mapping[str, Any]) -> SavedView:
    mine = row["owner"] == ctx.actor.person_id if row["owner"] is not None else row["by"] == ctx.actor.person_id or may_share(ctx)
    return SavedView(row["id"], row["list"], row["entity"], row["title"], row["owner"] is None, mine, row["body"] or {}, row["version"])
