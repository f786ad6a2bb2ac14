"""Two worlds that differ only in what a person may not see answer that person's every question alike: rows, order, counts, labels, errors."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import Refusal
from engine.expressions.problems import ExpressionRefused
from engine.records import history, query, service
from engine.records.query import Query
from tests.engine.records.conftest import SELLER, World

FIELDS = ("name", "phone", "grade", "budget", "owner", "secret", "team", "visits", "nonsense", "next_at", "lucky", "overdue", "tags")
CONDITIONS = (
    "{f} == {v}",
    "{f} != {v}",
    "empty({f})",
    "exists({f})",
    "contains({f}, {v})",
    "startswith({f}, {v})",
    "{f} > {v}",
    "{f} in ({v}, {v})",
    "not ({f} == {v})",
    "customer.{f} == {v}",
    "owner.{f} == {v}",
    "{f} == {f}",
    "length({f}) > 2",
    "{f} == {v} or grade == 'A'",
)
VALUES = ("'张三'", "'李四'", "'A'", "1", "5", "me", "'13900000001'", "'13977770001'", "'x'", "'y'", "null")


def build(make_world: Callable[..., World], kind: str, hidden: dict[str, Any]) -> World:
    """A world whose visible part is always the same; ``hidden`` fills what s1 may not see."""
    closed = {"fields": {key: {"read": False} for key in ("grade", "hint", "owner_team")}}  # what a visit carries of its customer
    seller = {**SELLER, "grants": {**SELLER["grants"], "visit": {**SELLER["grants"]["visit"], **closed}}}
    world = make_world(kind, {("role", "seller"): seller})
    ctx, (s1, s3) = world.ctx(), (world.person("s1"), world.person("s3"))
    rows = [
        {"owner": s1, "name": "张三", "phone": "13900000001", "secret": hidden["secret"], "grade": "A", "budget": 5},
        {"owner": None, "name": hidden["name"], "phone": hidden["phone"], "grade": "B", "lucky": 1, "secret": hidden["secret"]},
        {"owner": s3, **hidden["row"]},
        {"owner": s1, "name": "李四", "grade": "C"},
        {"owner": s3, **hidden["row"], "phone": None},
    ]
    made = [service.create(ctx, "customer", row).id for row in rows]
    for target in (made[0], made[1], made[3]):
        service.create(ctx, "visit", {"customer": target, "author": s1, "kind": "上门", "score": 3})
    service.create(ctx, "visit", {"customer": made[2], "author": s1, "kind": "电话"})
    service.create(ctx, "visit", {"customer": made[2], "author": s3, "kind": hidden["kind"], "score": hidden["score"]})
    return world


def requests(seed: int, number: int) -> list[tuple[str, dict[str, Any]]]:
    chance = random.Random(seed)
    found: list[tuple[str, dict[str, Any]]] = []
    for _ in range(number):
        entity, field, value = chance.choice(["customer", "customer", "visit", "person", "log"]), chance.choice(FIELDS), chance.choice(VALUES)
        where = chance.choice(CONDITIONS).format(f=field, v=value)
        found.append(
            chance.choice(
                [
                    ("page", {"entity": entity, "where": where}),
                    ("page", {"entity": entity, "where": where, "count": "exact", "sort": (chance.choice(["", "-"]) + field,)}),
                    ("page", {"entity": entity, "sort": (field,), "limit": 2}),
                    ("page", {"entity": entity, "equals": {field: value.strip("'")}}),
                    ("page", {"entity": entity, "search": chance.choice(["张", "张三", "李", "王五", "zs", "ww", "0001", "7777", "13977770001"])}),
                    ("page", {"entity": entity, "fields": (field, "grade")}),
                    ("get", {"entity": entity, "id": chance.randint(1, 7)}),
                    ("timeline", {"entity": entity, "id": chance.randint(1, 7)}),
                    ("page", {"entity": entity, "equals": {field: value.strip("'")}, "count": "capped", "limit": 1, "fields": ("id",)}),
                    ("lookup", {"entity": entity, "text": chance.choice(["张", "王", ""])}),
                    ("update", {"entity": entity, "id": chance.randint(3, 7), "raw": {field: "1"}}),
                    ("create", {"entity": "visit", "raw": {"customer": chance.choice([3, 5, 99]), "kind": "x"}}),
                ]
            )
        )
    return found


def answer(world: World, kind: str, asked: dict[str, Any]) -> str:
    """Everything a person gets to see of an answer, but the seal of a cursor."""
    ctx = world.ctx("s1")
    try:
        if kind == "page":
            page = query.page(ctx, Query(**asked))
            return repr((page.items, page.next is not None, page.count, page.count_capped))
        if kind == "get":
            return repr(query.get(ctx, asked["entity"], asked["id"]))
        if kind == "timeline":
            return repr(history.timeline(ctx, asked["entity"], asked["id"]).items)
        if kind == "lookup":
            return repr(query.lookup(ctx, asked["entity"], asked["text"]))
        if kind == "update":
            return repr(service.update(ctx, asked["entity"], asked["id"], asked["raw"], 7))
        return repr(service.create(ctx, asked["entity"], asked["raw"]))
    except (Refusal, ExpressionRefused) as refusal:
        return f"{type(refusal).__name__} {refusal}"


# What a mask shows (王*, the ends of a number) is no secret, so both pool records show the same; a masked number answers to its full value and last four.
ONE = {
    "name": "王五",
    "phone": "13977770001",
    "secret": "x",
    "row": {"name": "王五", "phone": "13977770002", "grade": "A", "budget": 5},
    "kind": "电话",
    "score": 9,
}
OTHER = {
    "name": "王小二",
    "phone": "13977770001",
    "secret": "y",
    "row": {"name": "张三", "phone": "13977770003", "grade": "C", "budget": 1, "tags": ["a"]},
    "kind": "上门",
    "score": 1,
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_hidden_rows_and_values_change_no_answer(make_world: Callable[..., World], kind: str):
    first, second = build(make_world, kind, ONE), build(make_world, kind, OTHER)
    different = [
        (request, asked, one, other)
        for request, asked in requests(11, 400)
        if (one := answer(first, request, asked)) != (other := answer(second, request, asked))
    ]
    assert not different, different[:2]
