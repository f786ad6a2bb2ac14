"""The outbox for administrators: what left, waits, is held, was captured or given up on, as it was said; releasing and sending again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from starlette.responses import Response

from engine import outbox, outbox_reading
from engine.connections import connections
from engine.context import Context
from engine.errors import Invalid
from engine.messages import sentence
from engine.outbox_reading import OutgoingView
from engine.records.query_labels import labels
from engine.rules.compile import rule_book
from metadata.text import label_text
from renderer import formats
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")
#: State -> colour of its dot.
COLOURS: Mapping[str, str] = {"waiting": "blue", "held": "amber", "dead": "red", "sent": "green", "captured": "violet"}
LONGEST = 160


@dataclass(frozen=True, slots=True)
class OutgoingRow:
    """A message as the page shows it. ``record``: the label of what it is about, '' when that is not theirs to see."""

    id: int
    when: str
    exact: str
    connector: str
    to: str
    title: str
    text: str
    payload: str
    template: str
    state: str
    state_text: str
    colour: str
    tries: int
    problem: str
    sent: str
    key: str
    rule: str
    run: int | None
    href: str
    record: str

    @property
    def dead(self) -> bool:
        """Whether it can be sent again."""
        return self.state == outbox.DEAD


def state_text(state: str) -> str:
    """A state in words."""
    words = {"waiting": _("Waiting"), "held": _("Held"), "dead": _("Not sent"), "sent": _("Sent"), "captured": _("Captured")}
    return words.get(state, state)


def _rows(ctx: Context, base: str, items: list[OutgoingView]) -> list[OutgoingRow]:
    about: dict[str, set[int]] = {}
    for item in items:
        if item.entity and item.record:
            about.setdefault(item.entity, set()).add(item.record)
    with ctx.reading() as ctx:
        people = labels(ctx, "person", {item.person for item in items if item.person is not None})
        names = {entity: labels(ctx, entity, ids) for entity, ids in about.items()}
    rules = rule_book(ctx.workspace).rules
    return [_row(ctx, base, item, people, names, label_text(rules[item.rule].title, ctx.locale) if item.rule in rules else item.rule or "") for item in items]


def _row(ctx: Context, base: str, item: OutgoingView, people: Mapping[int, str], names: Mapping[str, Mapping[int, str]], rule: str) -> OutgoingRow:
    zone, record = ctx.workspace.timezone, names.get(item.entity or "", {}).get(item.record or 0, "")
    person = people.get(item.person, "") if item.person is not None else ""
    return OutgoingRow(
        item.id,
        formats.short_instant(item.at, zone, ctx.now.astimezone(zone).date()),
        f"{item.at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        item.connector,
        " · ".join(part for part in (person, item.address) if part),
        item.title,
        item.text,
        orjson.dumps(dict(item.payload), option=orjson.OPT_INDENT_2, default=str).decode() if item.payload else "",
        item.template,
        item.state,
        state_text(item.state),
        COLOURS.get(item.state, ""),
        item.tries,
        sentence(*item.problem, ctx.locale) if item.problem is not None else "",
        f"{item.sent_at.astimezone(zone):%Y-%m-%d %H:%M:%S}" if item.sent_at is not None else "",
        item.key,
        rule,
        item.run,
        f"{base}/r/{item.entity}/{item.record}" if record else "",
        record,
    )


def _number(text: str) -> int:
    """An id people send; 0 for what cannot be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@routes.get("/w/{ws}/outbox", SETTINGS)
def show(visit: Visit) -> Response:
    """The messages of a state and a connection, newest first."""
    ctx, given = visit.ctx, visit.request.query_params
    state = given.get("state", "") if given.get("state", "") in outbox.STATES else ""
    cursor, connector = given.get("cursor", ""), given.get("connector", "")[:40]
    items, following = outbox_reading.outbox(ctx, state=state, connector=connector, cursor=_number(cursor))
    counts = outbox_reading.counts(ctx)
    return visit.page(
        "outbox.html",
        rows=_rows(ctx, visit.base, items),
        following=following,
        state=state,
        connector=connector,
        names=sorted({*(one.name for one in connections(ctx)), *(item.connector for item in items)} | ({connector} if connector else set())),
        states=[(one, state_text(one), counts[one]) for one in outbox.STATES if one in counts],
        total=sum(counts.values()),
        holding=outbox.holding(ctx),
        held=counts.get(outbox.HELD, 0),
        sandbox=ctx.workspace.sandbox,
    )


@routes.get("/w/{ws}/outbox/{id:int}", SETTINGS)
def one(visit: Visit) -> Response:
    """One message with all that is known of it."""
    return visit.page("outgoing.html", row=_rows(visit.ctx, visit.base, [outbox_reading.find_outgoing(visit.ctx, visit.number("id"))])[0])


@routes.post("/w/{ws}/outbox/again", SETTINGS)
def again(visit: Visit) -> Response:
    """Send failed messages again, each with its own key."""
    ids = [number for one in visit.texts("ids") if (number := _number(one))]
    if not ids:
        raise Invalid("outgoing_none_chosen")
    count = outbox.send_again(visit.ctx, ids)
    return visit.redirect(f"{visit.base}/outbox", toast=_("%(count)s messages are sent again", count=count))


@routes.post("/w/{ws}/outbox/release", SETTINGS)
def release(visit: Visit) -> Response:
    """Let what is held go, and new messages leave at once."""
    count = outbox.release(visit.ctx)
    return visit.redirect(f"{visit.base}/outbox", toast=_("%(count)s messages are released", count=count))
