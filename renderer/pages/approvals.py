"""Approvals: those that wait for the person, that they decided or asked for; deciding one or many, returning, handing on, taking back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from engine.context import Context
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound, Refusal
from engine.messages import told_together
from engine.records import asks, asks_deciding
from engine.records.ruling_press import parameter_fields, parameters_from
from renderer.bound_action import ParameterBinder, typed_of
from renderer.bound_ask import BoundAsk, bound_ask
from renderer.bound_record import Desk
from renderer.pages.fields import ASK_PERSON
from renderer.requests import Routes, Visit
from renderer.translations import _

routes = Routes()
PAGE = 20
VIEWS = ("open", "done", "asked")
OPINION_AT_MOST = 4000


@routes.get("/w/{ws}/approvals")
def approvals(visit: Visit) -> Response:
    """A page of the person's approvals, newest first."""
    given = visit.request.query_params
    view, before = given.get("state", "open"), given.get("before", "")
    view = view if view in VIEWS else "open"
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None
    with visit.ctx.snapshot() as ctx:
        found = asks.mine(ctx, state=view, before=number, limit=PAGE + 1)
        desk = Desk(ctx, visit.site.pages, visit.base)
        cards = [bound_ask(desk, one) for one in found[:PAGE]]
        waiting = asks.waiting_for(ctx)
    more = found[PAGE - 1].id if len(found) > PAGE else 0
    return visit.page("approvals.html", cards=cards, view=view, waiting=waiting, more=more, quick=any(card.quick for card in cards))


@routes.get("/w/{ws}/approvals/{id:int}")
def approval(visit: Visit) -> Response:
    """One approval by itself."""
    return visit.page("approval.html", card=_card(visit, visit.number("id")))


@routes.post("/w/{ws}/approvals/{id:int}/decide")
def decide(visit: Visit) -> Response:
    """Approve or refuse."""
    number, approve, opinion = visit.number("id"), visit.text("approve") == "true", _opinion(visit)
    raw = _values(visit, number)
    going_on = replace(visit.ctx, confirmed=frozenset(code for code in visit.text("confirm:").split(",") if code))
    done = _("Approved") if approve else _("Refused")
    return _answer(visit, lambda: asks_deciding.decide(going_on, number, approve, opinion=opinion, values=raw if approve else None), done, raw)


@routes.post("/w/{ws}/approvals/{id:int}/return")
def give_back(visit: Visit) -> Response:
    """Return it to whoever asked, saying why."""
    return _answer(visit, lambda: asks_deciding.give_back(visit.ctx, visit.number("id"), _opinion(visit)), _("Returned"))


@routes.get("/w/{ws}/approvals/{id:int}/hand")
def hand(visit: Visit) -> Response:
    """To whom to hand it on, or whom to ask, too."""
    return _hand(visit)


def _hand(visit: Visit, refusal: Refusal | None = None) -> Response:
    """The form that asks for a person; refused: with who was chosen and what is wrong."""
    number, raw = visit.number("id"), None if refusal is None else {"person": visit.text("person:")}
    with visit.ctx.snapshot() as ctx:
        asks.asked(ctx, number)
        document = {"person": {"type": "person", "required": True, "title": {"zh": "人员", "en": "Person"}}}
        given = parameters_from(ctx.workspace, "", document)
        form = ParameterBinder(ctx, given, ASK_PERSON, "", visit.base, raw=raw, prefix="h").bind(refusal)
    words = {"person": replace(form.fields[0], name="person:"), "errors": form.errors, "at": f"{visit.base}/approvals/{number}"}
    if not visit.wants_part:
        return visit.page("hand.html", status=200 if refusal is None else 422, **words)
    return visit.part("_hand.html", **words) if refusal is None else visit.part("_hand_form.html", status=422, **words)


@routes.post("/w/{ws}/approvals/{id:int}/again")
def send_again(visit: Visit) -> Response:
    """Send a returned one again."""
    return _answer(visit, lambda: asks_deciding.send_again(visit.ctx, visit.number("id")), _("Sent again"))


@routes.post("/w/{ws}/approvals/{id:int}/delegate")
def delegate(visit: Visit) -> Response:
    """Hand one's turn to somebody else."""
    return _handed(visit, asks_deciding.delegate, _("Handed on"))


@routes.post("/w/{ws}/approvals/{id:int}/signer")
def add_signer(visit: Visit) -> Response:
    """Ask one more person, too."""
    return _handed(visit, asks_deciding.add_signer, _("One more person is asked"))


@routes.post("/w/{ws}/approvals/{id:int}/withdraw")
def withdraw(visit: Visit) -> Response:
    """Take it back."""
    return _answer(visit, lambda: asks_deciding.withdraw(visit.ctx, visit.number("id")), _("Withdrawn"))


@routes.post("/w/{ws}/approvals/decide")
def decide_many(visit: Visit) -> Response:
    """Approve or refuse the chosen ones, each by itself; those refused by a rule or decided meanwhile stay and are told."""
    approve, opinion = visit.text("approve") == "true", _opinion(visit)
    numbers = [int(text) for text in dict.fromkeys(visit.texts("ids")) if text.isascii() and text.isdigit() and len(text) < 18][:PAGE]
    if not numbers:
        raise Invalid("nothing_chosen")
    done, told = 0, []
    for number in numbers:
        try:
            asks_deciding.decide(visit.ctx, number, approve, opinion=opinion)
            done += 1
        except (Invalid, Conflict, Denied, NotFound) as refusal:
            told.append(told_together(refusal, visit.locale))
    text = _("%(count)s decided", count=done)
    if told:
        text = f"{text}{'；' if visit.locale == 'zh' else '; '}" + _("%(count)s not: %(why)s", count=len(told), why=" ".join(dict.fromkeys(told)))
    return visit.redirect(f"{visit.base}/approvals", toast=text, kind="error" if told else "ok")


def _answer(visit: Visit, do: Callable[[], object], done: str, raw: dict[str, Any] | None = None) -> Response:
    """Do it, then show the card as it is now; refused: the card with everything typed and every reason."""
    number = visit.number("id")
    try:
        do()
    except (Invalid, Conflict) as refusal:
        card = _card(visit, number, raw=raw, refusal=refusal)
        if visit.wants_part:
            return visit.part("_approval.html", status=422, card=card, alone=not _on_list(visit))
        return visit.page("approval.html", status=422, card=card)
    if visit.wants_part:
        return visit.part("_approval.html", toast=done, card=_card(visit, number), alone=not _on_list(visit), count=asks.waiting_for(visit.ctx))
    return visit.redirect(f"{visit.base}/approvals/{number}", toast=done)


def _handed(visit: Visit, do: Callable[[Context, int, int], None], done: str) -> Response:
    """Give it to a person; one who is missing or may not decide it is told where they are asked for."""
    number = visit.number("id")
    try:
        do(visit.ctx, number, _person(visit))
    except (Invalid, Conflict) as refusal:
        return _hand(visit, refusal)
    return visit.redirect(f"{visit.base}/approvals/{number}", toast=done)


def _on_list(visit: Visit) -> bool:
    """Whether the card stands among others, on the page that counts them."""
    return urlsplit(visit.request.headers.get("hx-current-url", "")).path == f"{visit.base}/approvals"


def _card(visit: Visit, number: int, *, raw: dict[str, Any] | None = None, refusal: Refusal | None = None) -> BoundAsk:
    with visit.ctx.snapshot() as ctx:
        desk = Desk(ctx, visit.site.pages, visit.base)
        return bound_ask(desk, asks.asked(ctx, number), raw=raw, refusal=refusal, confirmed=visit.text("confirm:"), typed=visit.text("opinion:"))


def _opinion(visit: Visit) -> str:
    opinion = visit.text("opinion:").strip()
    if len(opinion) > OPINION_AT_MOST:
        raise Invalid("invalid", faults=[Fault("/opinion", "text_too_long", {"maximum": OPINION_AT_MOST, "length": len(opinion)})])
    return opinion


def _values(visit: Visit, number: int) -> dict[str, Any]:
    with visit.ctx.snapshot() as ctx:
        found = asks.asked(ctx, number)
    return typed_of(parameter_fields(parameters_from(visit.ctx.workspace, found.entity or "", found.fields)), visit.raw())


def _person(visit: Visit) -> int:
    given = visit.text("person:")
    if not (given.isascii() and given.isdigit() and 0 < len(given) < 18):
        raise Invalid("invalid", faults=[Fault("/person", "required")])
    return int(given)
