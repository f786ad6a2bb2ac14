"""The inbox: a person's messages, unread first, each with the way to its record; and the bell in every page's top bar."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from engine import notices
from engine.context import Context
from engine.notices import Notice
from engine.records import asks
from engine.rules.compile import rule_book
from metadata.text import label_text
from renderer import formats
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
#: Asked again and again by open pages: no sign that somebody is there.
POLL = Permission("member", quiet=True)
SHOWN = ("all", "unread", "read")


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A message as the page shows it."""

    id: int
    text: str
    when: str
    exact: str
    read: bool
    label: str
    icon: str
    rule: str


@routes.get("/w/{ws}/inbox")
def inbox(visit: Visit) -> Response:
    """The messages; the next page of them as a fragment."""
    show = visit.request.query_params.get("show", "all")
    show = show if show in SHOWN else "all"
    found = notices.inbox(visit.ctx, show=show, cursor=visit.request.query_params.get("cursor", ""))
    words = {"rows": [_row(visit.ctx, item) for item in found.items], "following": found.next or "", "show": show}
    if visit.wants_part and visit.target == "more-notices":
        return visit.part("_notices.html", **words)
    return visit.page("inbox.html", unread=notices.unread(visit.ctx), most=notices.MOST_COUNTED, waiting=asks.waiting_for(visit.ctx), **words)


def _row(ctx: Context, item: Notice) -> NoticeRow:
    entity = ctx.workspace.entities.get(item.entity or "")
    rule = rule_book(ctx.workspace).rules.get(item.rule or "")
    local = ctx.now.astimezone(ctx.workspace.timezone)
    return NoticeRow(
        item.id,
        item.text,
        formats.short_instant(item.at, ctx.workspace.timezone, local.date()),
        f"{item.at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M:%S}",
        item.read,
        _("Approval") if item.kind == notices.ASK else item.label or "",
        "checklist" if item.kind == notices.ASK else (entity.definition.icon or "file-text") if entity is not None else "message",
        label_text(rule.title, ctx.locale) if rule is not None else "",
    )


@routes.get("/w/{ws}/inbox/bell", POLL)
def bell(visit: Visit) -> Response:
    """The bell when its number has changed, else nothing."""
    count = notices.unread(visit.ctx)
    if visit.request.query_params.get("seen") == str(count):
        return visit.nothing()
    return visit.part("_bell.html", base=visit.base, count=count)


@routes.post("/w/{ws}/inbox/read")
def read_all(visit: Visit) -> Response:
    """Mark everything read."""
    count = notices.mark(visit.ctx)
    return visit.redirect(f"{visit.base}/inbox", toast=_("%(count)s messages marked as read", count=count) if count else "")


@routes.post("/w/{ws}/inbox/{id:int}/mark")
def mark(visit: Visit) -> Response:
    """Mark one read, or unread again; its row and the bell as they now are."""
    number, read = visit.number("id"), visit.text("read") != "false"
    notices.about(visit.ctx, number)
    notices.mark(visit.ctx, [number], read=read)
    if not visit.wants_part:
        return visit.redirect(f"{visit.base}/inbox")
    return visit.part("_notice.html", row=_row(visit.ctx, notices.find_notice(visit.ctx, number)), count=notices.unread(visit.ctx))


@routes.post("/w/{ws}/inbox/{id:int}/open")
def open_record(visit: Visit) -> Response:
    """Mark one read and go to what it is about."""
    number = visit.number("id")
    entity, record = notices.about(visit.ctx, number)
    notices.mark(visit.ctx, [number])
    if entity == notices.ASK and record:
        return visit.redirect(f"{visit.base}/approvals/{record}")
    return visit.redirect(f"{visit.base}/r/{entity}/{record}" if entity and record else f"{visit.base}/inbox")
