"""Approvals over JSON: those that wait for the caller, that they decided or asked for; deciding, returning, handing on, taking back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from engine.context import Context
from engine.errors import Fault, Invalid
from engine.records import asks, asks_deciding
from engine.records.asks import Asked
from engine.records.jsonshape import instant_json
from engine.records.query_labels import labels
from engine.records.record import is_id
from renderer.api.actions import result_json
from renderer.api.route import OneHop
from renderer.api.shapes import AskId, Body, answer, confirmed, json_object, whole
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)
#: Which approvals: open ones that wait for the caller, those they decided, those they asked for.
STATES = ("open", "done", "asked")
OPINION_AT_MOST = 4000
Given = dict[str, Any]


@router.get("/asks", **guarded("read"))
def list_asks(ctx: ApiContext, request: Request) -> Response:
    """A page of the caller's approvals, newest first; ``before`` goes on where a page ended."""
    given = request.query_params
    state = given.get("state", "open")
    if state not in STATES:
        raise Invalid("invalid", faults=[Fault("/state", "choice_unknown", {"value": state[:40]})])
    limit, before = whole(given, "limit", 50, 1, 200), whole(given, "before", 0, 0, 2**53)
    with ctx.snapshot() as ctx:
        found = asks.mine(ctx, state=state, before=before or None, limit=limit + 1)
        items = [ask_json(ctx, one) for one in found[:limit]]
    return answer({"items": items, "next": found[limit - 1].id if len(found) > limit else None})


@router.get("/asks/{ask}", **guarded("read"))
def get_ask(ctx: ApiContext, ask: AskId) -> Response:
    """One approval, for those it concerns."""
    return _told(ctx, ask)


@router.post("/asks/{ask}/decide", **guarded("read"))
def decide(ctx: ApiContext, request: Request, ask: AskId, body: Body) -> Response:
    """Approve or refuse, with an opinion and the values to fill in."""
    given = _given(body, {"approve": bool, "opinion": str, "values": dict}, required=("approve",))
    going_on = replace(ctx, confirmed=frozenset(confirmed(request)))
    asks_deciding.decide(going_on, ask, given["approve"], opinion=given.get("opinion", ""), values=given.get("values"), json=True)
    return _told(ctx, ask)


@router.post("/asks/{ask}/return", **guarded("read"))
def give_back(ctx: ApiContext, ask: AskId, body: Body) -> Response:
    """Return it to whoever asked, saying why."""
    return _done(ctx, ask, lambda given: asks_deciding.give_back(ctx, ask, given["opinion"]), _given(body, {"opinion": str}, required=("opinion",)))


@router.post("/asks/{ask}/again", **guarded("read"))
def send_again(ctx: ApiContext, ask: AskId, body: Body) -> Response:
    """Send a returned one again."""
    return _done(ctx, ask, lambda given: asks_deciding.send_again(ctx, ask), _given(body, {}))


@router.post("/asks/{ask}/delegate", **guarded("read"))
def delegate(ctx: ApiContext, ask: AskId, body: Body) -> Response:
    """Hand one's turn to somebody else."""
    return _done(ctx, ask, lambda given: asks_deciding.delegate(ctx, ask, given["person"]), _given(body, {"person": int}, required=("person",)))


@router.post("/asks/{ask}/signer", **guarded("read"))
def add_signer(ctx: ApiContext, ask: AskId, body: Body) -> Response:
    """Ask one more person, too."""
    return _done(ctx, ask, lambda given: asks_deciding.add_signer(ctx, ask, given["person"]), _given(body, {"person": int}, required=("person",)))


@router.post("/asks/{ask}/withdraw", **guarded("read"))
def withdraw(ctx: ApiContext, ask: AskId, body: Body) -> Response:
    """Take it back."""
    return _done(ctx, ask, lambda given: asks_deciding.withdraw(ctx, ask), _given(body, {}))


def _done(ctx: Context, number: int, do: Callable[[Given], None], given: Given) -> Response:
    do(given)
    return _told(ctx, number)


def _told(ctx: Context, number: int) -> Response:
    """The approval as it now is, for somebody it concerns."""
    with ctx.snapshot() as ctx:
        return answer(ask_json(ctx, asks.asked(ctx, number)))


def _given(body: bytes, kinds: Mapping[str, type], required: tuple[str, ...] = ()) -> Given:
    """The body with exactly these words. Raises Invalid with every fault."""
    given = json_object(body)
    faults = [Fault(f"/{name}", "unknown_param", {"name": name}) for name in given if name not in kinds]
    faults += [Fault(f"/{name}", "required") for name in required if name not in given]
    for name, kind in kinds.items():
        if name in given and not (is_id(given[name]) if kind is int else isinstance(given[name], kind)):
            faults.append(Fault(f"/{name}", "wrong_kind"))
    opinion = given.get("opinion")
    if isinstance(opinion, str) and len(opinion) > OPINION_AT_MOST:
        faults.append(Fault("/opinion", "text_too_long", {"maximum": OPINION_AT_MOST, "length": len(opinion)}))
    if faults:
        raise Invalid("invalid", faults=faults)
    return given


def ask_json(ctx: Context, one: Asked) -> dict[str, Any]:
    """An approval as JSON. The record it is about is named only to who may read it. Needs an open connection."""
    at = {
        name: None if value is None else instant_json(ctx.workspace, value) for name, value in (("expires_at", one.expires_at), ("decided_at", one.decided_at))
    }
    return {
        "id": one.id,
        "name": one.name,
        "rule": one.rule,
        "title": one.title,
        "state": one.state,
        "applicant": None if one.person is None else {"id": one.person, "label": one.applicant},
        "about": _about(ctx, one),
        "opinion": one.opinion,
        "need": one.need,
        "fields": list(one.fields),
        "answers": {name: result_json(ctx, value) for name, value in asks.answers_of(one).items()},
        "at": instant_json(ctx.workspace, one.at),
        **at,
        "people": [
            {
                "person": {"id": person, "label": label},
                "state": state,
                "opinion": opinion,
                "decided_at": None if decided is None else instant_json(ctx.workspace, decided),
            }
            for person, label, state, opinion, decided in one.people
        ],
    }


def _about(ctx: Context, one: Asked) -> dict[str, Any] | None:
    entity, record = (one.about_entity, one.about) if one.about is not None else (one.entity, one.record)
    if entity is None or record is None or entity not in ctx.workspace.entities:
        return None
    label = labels(ctx, entity, {record}).get(record)
    return None if label is None else {"entity": entity, "id": record, "label": label}
