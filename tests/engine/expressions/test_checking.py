"""Expressions of definitions: every name that is open at a place, and no other, resolves; what a place forbids is told with its column."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from engine.expressions.calendars import BadCalendar, read
from engine.expressions.checking import check_expression
from engine.expressions.types import BOOLEAN, INSTANT, INTEGER, PERSON, TEXT, Type
from metadata.vocabulary import ExpressionPlace

ENTITIES = {
    "visit": {"at": INSTANT, "who": PERSON, "kind": Type.read("choice:kind"), "phone": TEXT.seal("phone"), "number": INTEGER, "done": BOOLEAN},
    "gift": {"of": Type.read("link:visit"), "price": Type("money")},
    "person": {"name": TEXT, "team": Type("team")},
}


class Source:
    """The types of a tiny bundle."""

    def fields(self, entity: str) -> Mapping[str, Type]:
        return ENTITIES.get(entity, {})

    def settings(self) -> Mapping[str, Type]:
        return {"limit": INTEGER}

    def parameter(self, key: str, document: Mapping[str, Any]) -> Type:
        return Type.read(document["type"])

    def codes(self, choices: str) -> Collection[str] | None:
        return {"kind": ("first", "again"), "role": ("boss",)}.get(choices)

    def lines(self, entity: str) -> Sequence[str]:
        return ("gift",) if entity == "visit" else ()

    def knows(self, entity: str) -> bool:
        return entity in ENTITIES


def codes(text: str, **place: Any) -> list[tuple[int, str]]:
    given = ExpressionPlace(**{"entity": "visit", **place})
    return [(item.column, item.code.removeprefix("expression_")) for item in check_expression(Source(), given, text)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("who == me and has(me.roles, 'boss')", {}),
        ("old.kind == 'first' and kind != old.kind", {"spaces": frozenset({"old"})}),
        ("total(lines.gift.price) > 3", {"spaces": frozenset({"lines"})}),
        ("param.reason == name", {"spaces": frozenset({"param"}), "params": {"reason": {"type": "text"}}, "names": {"name": "text"}}),
        ("run.at > at", {"spaces": frozenset({"run"})}),
        ("found.who == record.who", {"names": {"found": "visit", "record": "visit"}}),
        ("whatever.part == 3 and whatever", {"names": {"whatever": ""}}),
        ("answer.by == who", {"spaces": frozenset({"answer"})}),
        ("concat(head(phone, 3), '-')", {"encrypted": True}),
        ("price > setting.limit", {"entity": "gift"}),
        ("of.done", {"entity": "gift"}),
    ],
)
def test_names_open_at_a_place_resolve(text, place):
    assert codes(text, **place) == []


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("who == me", {"spaces": frozenset()}, [(8, "unknown_name")]),
        ("old.kind == 'first'", {}, [(1, "unknown_name")]),
        ("kind == 'frist'", {}, [(9, "unknown_choice")]),
        ("has(me.roles, 'bos')", {}, [(15, "unknown_choice")]),
        ("number", {"wants": "boolean"}, [(1, "condition_wanted")]),
        ("done and edit_distance(who.name, 'x') < 1", {"sql": True}, [(10, "python_only")]),
        ("done and days_since(at) > 3", {"stored": True}, [(10, "not_stored")]),
        ("who == me", {"stored": True}, [(8, "not_stored")]),
        ("head(phone, 3) == '139'", {}, [(6, "sealed")]),
    ],
)
def test_what_a_place_does_not_allow_is_told(text, place, expected):
    assert codes(text, **place) == expected


@pytest.mark.parametrize("definition", [{"mon": "08:00-12:00"}, {"mon": ["8-12"]}, {"noday": []}, {"mon-sun": ["25:00-26:00"]}, {"2026-13-01": []}, ["mon"]])
def test_a_calendar_that_cannot_be_read_is_refused(definition):
    with pytest.raises(BadCalendar):
        read(definition)
