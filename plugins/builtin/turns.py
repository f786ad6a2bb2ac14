"""Fairness: whose turn it is, who carries the least, a draw that can be repeated. Pure; who is served is for the calling rule to write down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.api import ActionContext, Handle, Value, action, option

_WHO: Mapping[str, object] = {"type": ["integer", "string"]}
_STATES: Mapping[str, object] = {"type": "array", "maxItems": 100, "items": {"type": "string"}}
#: Who is owed a turn: the person, or a row of whom it is.
_OWED: Mapping[str, object] = {"type": ["integer", "string", "object"], "properties": {"who": _WHO}, "required": ["who"]}
_PEOPLE: Mapping[str, object] = {"type": "array", "items": _WHO}


def _who(item: Value) -> Value:
    """Whose a row is; a plain value is that itself."""
    return item["who"] if isinstance(item, Mapping) else item


@action(
    "turn.next",
    title={"zh": "轮到谁", "en": "Whose turn"},
    help={
        "zh": "先还欠的一次，光标不动；否则光标之后第一个就绪的人。在 lock 之后调用",
        "en": "Who is owed a turn first, the cursor unmoved; else the first ready one after it. Call it under lock",
    },
    params={
        "queue": option(
            {
                "type": "array",
                "format": "list",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "properties": {"who": option(_WHO, ("谁", "Who")), "state": option({"type": ["string", "null"]}, ("状态", "State"))},
                    "required": ["who"],
                },
            },
            ("队列", "Queue"),
            ("按轮次排列", "In the order of turns"),
        ),
        "cursor": option({"type": ["integer", "string", "null"]}, ("光标", "Cursor"), ("上一个轮到的人", "Who had the turn last")),
        "owed": option({"type": "array", "format": "list", "maxItems": 1000, "items": _OWED}, ("欠轮", "Owed"), ("最早的在前", "Oldest first")),
        "ready": option(_STATES, ("就绪状态", "Ready states")),
        "owe": option(_STATES, ("错过要补的状态", "States owed a turn when passed over")),
    },
    required=("queue", "ready"),
    result=option(
        {
            "type": "object",
            "properties": {
                "who": {"type": ["integer", "string", "null"]},
                "how": {"enum": ["owed", "turn", "none"]},
                "cursor": {"type": ["integer", "string", "null"]},
                "newly_owed": _PEOPLE,
                "skipped": _PEOPLE,
                "owed_row": {},
            },
            "required": ["who", "how", "cursor", "newly_owed", "skipped", "owed_row"],
        },
        ("谁、怎么轮到的、光标", "who, how, cursor"),
    ),
    pure=True,
    examples=(
        {
            "queue": [{"who": 1, "state": "on"}, {"who": 2, "state": "busy"}, {"who": 3, "state": "on"}],
            "cursor": 1,
            "owed": [{"who": 2}],
            "ready": ["on"],
            "owe": ["busy", "out"],
        },
        {"queue": [], "ready": ["on"]},
    ),
)
def turn_next(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """``owed_row`` is the entry of ``owed`` that was served, as it was given; ``newly_owed`` are to be added to it, each once."""
    queue: Sequence[Mapping[str, Any]] = params["queue"]
    cursor, owed, ready, owe = params.get("cursor"), params.get("owed", ()), set(params["ready"]), set(params.get("owe", ()))
    states = {row["who"]: row.get("state") for row in queue}
    nobody = {"who": None, "how": "none", "cursor": cursor, "newly_owed": [], "skipped": [], "owed_row": None}
    for entry in owed:
        if states.get(_who(entry)) in ready:
            return {**nobody, "who": _who(entry), "how": "owed", "owed_row": entry}
    start = next((place + 1 for place, row in enumerate(queue) if row["who"] == cursor), 0)
    circle = [*queue[start:], *queue[:start]]
    taker = next((place for place, row in enumerate(circle) if row.get("state") in ready), None)
    if taker is None:
        return nobody
    already = {_who(entry) for entry in owed}
    skipped = [row["who"] for row in circle[:taker]]
    newly = [row["who"] for row in circle[:taker] if row.get("state") in owe and row["who"] not in already]
    return {**nobody, "who": circle[taker]["who"], "how": "turn", "cursor": circle[taker]["who"], "newly_owed": newly, "skipped": skipped}


@action(
    "least",
    title={"zh": "负担最轻的人", "en": "Who carries the least"},
    help={
        "zh": "负担与权重之比最小、未到上限的人；相同时先列的优先",
        "en": "The least load for its weight among those below their cap; of equal ones the earlier",
    },
    params={
        "candidates": option(
            {
                "type": "array",
                "format": "list",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "properties": {
                        "who": option(_WHO, ("谁", "Who")),
                        "load": option({"type": ["integer", "null"], "minimum": 0}, ("负担", "Load")),
                        "weight": option({"type": ["integer", "null"], "minimum": 0, "default": 1}, ("权重", "Weight"), ("0 为不分配", "0: none for them")),
                        "cap": option({"type": ["integer", "null"], "minimum": 0}, ("上限", "Cap"), ("空为不限", "Empty: none")),
                    },
                    "required": ["who"],
                },
            },
            ("候选人", "Candidates"),
            ("相同时先列的优先", "Of equal ones the earlier"),
        )
    },
    required=("candidates",),
    result=option(
        {"type": "object", "properties": {"who": {"type": ["integer", "string", "null"]}, "row": {}, "full": _PEOPLE}, "required": ["who", "row", "full"]},
        ("谁、他的那一行", "who, and their row"),
    ),
    pure=True,
    examples=({"candidates": [{"who": 1, "load": 3, "weight": 2}, {"who": 2, "load": 1, "cap": 1}, {"who": 3, "load": 2}]}, {"candidates": []}),
)
def least(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """``full``: those who are at their cap. Nobody left: ``who`` is empty."""
    best: tuple[int, int, Mapping[str, Any]] | None = None
    full = []
    for row in params["candidates"]:
        load, weight, cap = row.get("load") or 0, row.get("weight"), row.get("cap")
        weight = 1 if weight is None else weight
        if cap is not None and load >= cap:
            full.append(row["who"])
        elif weight and (best is None or load * best[1] < best[0] * weight):
            best = (load, weight, row)
    return {"who": best[2]["who"] if best else None, "row": best[2] if best else None, "full": full}


@action(
    "sample",
    title={"zh": "抽样", "en": "Draw a sample"},
    help={"zh": "同一种子抽出同一批，与先后无关", "en": "The same seed draws the same ones, in whatever order they are given"},
    params={
        "from": option({"type": "array", "format": "list", "maxItems": 100_000}, ("从", "From")),
        "n": option({"type": "integer", "minimum": 0}, ("几个", "How many")),
        "seed": option({"type": ["string", "integer"]}, ("种子", "Seed"), ("例如月份", "The month, for example")),
    },
    required=("from", "n", "seed"),
    result=option({"type": "array"}, ("抽出的", "those drawn")),
    pure=True,
    examples=({"from": [1, 2, 3, 4, 5], "n": 2, "seed": "2026-03"}, {"from": [], "n": 3, "seed": 1}),
)
def sample(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Value:
    """At most ``n`` of the list, in the order of the draw: a larger ``n`` begins with the same ones."""
    seen: dict[str, int] = {}
    drawn = []
    for item in params["from"]:
        name = _name(item)
        seen[name] = again = seen.get(name, 0) + 1
        drawn.append((hashlib.sha256(f"{params['seed']}\n{name}\n{again}".encode()).digest(), item))
    return [item for _, item in sorted(drawn, key=lambda pair: pair[0])[: params["n"]]]


def _name(item: Value) -> str:
    """What an item is called in the draw."""
    return json.dumps(item, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: Value) -> str:
    """A record by entity and id, a date or an instant by its text."""
    return f"{value.entity} {value.id}" if isinstance(value, Handle) else str(value)
