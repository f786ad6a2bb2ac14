"""A small world for comparing the two faces: tables with a quarter of empties and every awkward value, the same rows in Python, names, people."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from engine.expressions.binds import shape_of
from engine.expressions.evaluate import Environment, Evaluator
from engine.expressions.language import Expression
from engine.expressions.names import Names, NameSpace
from engine.expressions.sqlite_functions import register
from engine.expressions.to_sql import bind_values, condition, needed_in, value
from engine.expressions.types import BOOLEAN, INTEGER, PERSON, Type
from engine.storage import Instant, JsonList

NOW = datetime(2026, 3, 15, 3, 30, tzinfo=UTC)
ROWS = 160
HUGE = 2**53 - 1

FIELDS = {
    "name": "text",
    "note": "text",
    "grade": "choice:grade",
    "kind": "choice:kind",
    "amount": "money",
    "price": "money",
    "share": "percent",
    "n": "integer",
    "m": "integer",
    "rank": "integer",
    "area": "decimal:2",
    "ratio": "decimal:4",
    "flag": "boolean",
    "done": "boolean",
    "day": "date",
    "due": "date",
    "at": "instant",
    "end": "instant",
    "span": "duration",
    "owner": "person",
    "place": "link:place",
    "tags": "tags",
    "marks": "choices:kind",
    "helpers": "people",
    "phone": "text",
    "mobile": "text",
}
PERSON_FIELDS = {"name": "text", "team": "team", "boss": "person", "active": "boolean", "level": "integer", "joined": "date", "roles": "choices:role"}
PLACE_FIELDS = {
    "name": "text",
    "grade": "choice:grade",
    "size": "integer",
    "area": "decimal:2",
    "opened": "date",
    "at": "instant",
    "flag": "boolean",
    "tags": "tags",
    "keeper": "person",
    "phone": "text",
}
TEAM_FIELDS = {"name": "text", "lead": "person"}
ENTITIES = {"item": FIELDS, "person": PERSON_FIELDS, "place": PLACE_FIELDS, "team": TEAM_FIELDS}
SEALED = {"phone", "mobile"}
CODES = {"grade": ("A", "B", "C"), "kind": ("call", "visit", "到访"), "role": ("boss", "clerk")}

TEXTS = (
    "a",
    "A",
    "ab",
    "张三",
    "张 三",
    "李四😀",
    "ß",
    "İ",
    "it's",
    'say "hi"',
    "back\\slash",
    "50%",
    "a_b",
    "a\u3000b",
    "  x ",
    "Straße",
    "éa",
    "e\u0301a",
    "12",
    "％",
    "-",
)
PHONES = ("13900000001", "13900000002", "02188886666")
ZONES = tuple(map(ZoneInfo, ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "America/Havana", "UTC")))

_SQL: Mapping[str, sa.types.TypeEngine[Any]] = {
    "text": sa.String(),
    "choice": sa.String(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "instant": Instant(),
    "tags": JsonList(),
    "choices": JsonList(),
    "people": JsonList(),
}
METADATA = sa.MetaData()


def _table(name: str, fields: Mapping[str, str]) -> sa.Table:
    columns = [sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)]
    for key, notation in fields.items():
        columns.append(sa.Column(key, _SQL.get(notation.split(":")[0], sa.BigInteger()), nullable=key != "rank"))
        if key in SEALED:
            columns.append(sa.Column(f"{key}__bi", sa.String))
    return sa.Table(f"r_{name}", METADATA, *columns)


TABLES = {name: _table(name, fields) for name, fields in ENTITIES.items()}


def blind(field_type: str, text: str) -> str:
    """A blind index that is visibly not the value."""
    return f"{field_type}#{normal(field_type, text)[::-1]}"


def normal(field_type: str, text: str) -> str:
    """The stored form of a phone: digits only."""
    return "".join(character for character in str(text) if character.isdigit())


@dataclass(frozen=True)
class TableNames:
    """Field names of one entity over one FROM element."""

    entity: str
    source: Any
    dialect: str

    def column(self, name: str) -> sa.ColumnElement[Any]:
        return self.source.c[name]

    def blind(self, name: str) -> sa.ColumnElement[Any]:
        return self.source.c[f"{name}__bi"]

    def hop(self, link: str) -> tuple[sa.FromClause, TableNames]:
        entity = Type.read(ENTITIES[self.entity][link]).entity
        target = TABLES[entity].alias()
        return target, TableNames(entity, target, self.dialect)


def types_of(entity: str) -> dict[str, Type]:
    found = {key: Type.read(notation) for key, notation in ENTITIES[entity].items()}
    return {"id": INTEGER, **{key: item.seal("phone") if key in SEALED else item for key, item in found.items()}}


ME = {
    "team": "team",
    "teams": "links:team",
    "role": "choice:role",
    "roles": "choices:role",
    "lead": "person",
    "level": "integer",
    "name": "text",
    "joined": "date",
}
SETTINGS = {"limit": "integer", "cap": "money", "days": "map:grade:integer", "labels": "map:kind:text", "word": "text", "since": "instant", "start": "date"}
NAMES = Names(
    types_of("item"),
    lambda type: types_of(type.entity) if type.entity in ENTITIES else None,
    {
        "me": NameSpace(PERSON, {key: Type.read(notation) for key, notation in ME.items()}),
        "setting": {key: Type.read(notation) for key, notation in SETTINGS.items()},
        "record": NameSpace(Type.read("link:item")),
        "param": {"n": INTEGER, "code": Type.read("choice:grade"), "on": BOOLEAN},
    },
    "item",
    CODES.get,
)

_MOMENTS = [NOW + timedelta(days=days, microseconds=micros) for days in (-400, -31, -30, -7, -1, 0, 1, 3, 30) for micros in (-1, 0, 1)] + [
    datetime(2026, 3, 14, 16, tzinfo=UTC),
    datetime(2026, 3, 15, 15, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 15, 16, tzinfo=UTC),
    datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2025, 11, 2, 5, 30, tzinfo=UTC),
    datetime(2025, 11, 2, 6, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 15, 15, tzinfo=UTC),
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),
    datetime(1988, 6, 1, tzinfo=UTC),
    datetime(1940, 6, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(2150, 7, 1, 12, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2025, 12, 31, 20, tzinfo=UTC),
    datetime(2027, 1, 3, 18, tzinfo=UTC),
]
_DAYS = [date(2026, 3, 15) + timedelta(days=days) for days in (-366, -31, -7, -1, 0, 1, 7, 28)] + [
    date(2024, 2, 29),
    date(2026, 1, 31),
    date(2025, 12, 29),
    date(2026, 12, 31),
    date(1969, 12, 31),
    date(2021, 1, 3),
    date(2020, 12, 31),
]
_NUMBERS = [0, 1, -1, 2, 3, 7, -7, 10, 100, -100, 250, 2500, 12_345, HUGE, -HUGE, 10**15]


def _some(rng: random.Random, notation: str) -> Any:
    kind, _, of = notation.partition(":")
    match kind:
        case "text":
            return rng.choice(TEXTS)
        case "choice":
            return rng.choice(CODES[of])
        case "choices":
            return rng.sample(CODES[of], rng.randint(0, len(CODES[of])))
        case "tags":
            return rng.sample(TEXTS, rng.randint(0, 3))
        case "people":
            return rng.sample(range(1, 9), rng.randint(0, 3))
        case "boolean":
            return rng.random() < 0.5
        case "date":
            return rng.choice(_DAYS)
        case "instant":
            return rng.choice(_MOMENTS)
        case "duration":
            return rng.choice((0, 1, 3600, 86_400, -86_400, 90_061))
        case "person":
            return rng.randint(1, 8)
        case "team":
            return rng.randint(1, 3)
        case "link":
            return rng.randint(1, 12)
    return rng.choice(_NUMBERS) if rng.random() < 0.7 else rng.randint(-300, 300)


def _rows(entity: str, number: int) -> dict[int, dict[str, Any]]:
    rng = random.Random(f"{entity} 2026")
    found = {}
    for record in range(1, number + 1):
        row: dict[str, Any] = {"id": record}
        for key, notation in ENTITIES[entity].items():
            filled = key == "rank" or rng.random() >= 0.25
            row[key] = (rng.choice(PHONES) if key in SEALED else _some(rng, notation)) if filled else None
        found[record] = row
    return found


RECORDS = {"item": _rows("item", ROWS), "person": _rows("person", 8), "place": _rows("place", 10), "team": _rows("team", 3)}


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    sealed = {f"{key}__bi": None if row[key] is None else blind("phone", row[key]) for key in SEALED if key in row}
    return {**row, **{key: "sealed" for key in SEALED if row.get(key) is not None}, **sealed}


def fill(engine: sa.Engine) -> None:
    """Make the tables and put the rows in."""
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda connection, record: register(connection))
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
        for name, table in TABLES.items():
            connection.execute(table.insert(), [_stored(row) for row in RECORDS[name].values()])


def follow(entity: str, record: int) -> Mapping[str, Any] | None:
    return RECORDS[entity].get(record)


PEOPLE: tuple[Mapping[str, Any] | None, ...] = (
    {"id": 3, "team": 1, "teams": [1, 2], "role": "boss", "roles": ["boss", "clerk"], "lead": 2, "level": 3, "name": "张三", "joined": date(2025, 3, 15)},
    {"id": 5, "team": None, "teams": [], "role": None, "roles": [], "lead": None, "level": None, "name": None, "joined": None},
    {"id": 1, "team": 2, "teams": [2], "role": "clerk", "roles": ["clerk"], "lead": 1, "level": 0, "name": "a_b", "joined": date(2024, 2, 29)},
    None,
)
SETTING_VALUES: tuple[Mapping[str, Any], ...] = (
    {
        "limit": 7,
        "cap": 2500,
        "days": {"A": 15, "B": None, "else": 3},
        "labels": {"call": "ab", "else": "张三"},
        "word": "a",
        "since": NOW - timedelta(days=30),
        "start": date(2026, 1, 31),
    },
    {"limit": None, "cap": None, "days": {}, "labels": {"visit": "％"}, "word": None, "since": None, "start": None},
)
SPACES: tuple[Mapping[str, Any], ...] = ({"record": RECORDS["item"][1], "param": {"n": 2, "code": "B", "on": True}}, {"record": {"id": 7}, "param": {}})


@dataclass(frozen=True)
class Situation:
    """Who asks, where, with which parameters."""

    zone: int
    person: int
    settings: int
    spaces: int

    def evaluator(self) -> Evaluator:
        return Evaluator(Environment(NOW, ZONES[self.zone], PEOPLE[self.person], SETTING_VALUES[self.settings], normal=normal, blind=blind), follow)


def by_python(expressions: list[Expression], situation: Situation) -> list[list[Any]]:
    """Per expression, the value (a condition: its truth) for each row in order of id."""
    evaluator, spaces = situation.evaluator(), SPACES[situation.spaces]
    answer = []
    for item in expressions:
        ask = evaluator.truth if item.type == BOOLEAN else evaluator.value
        answer.append([ask(item, row, **spaces) for row in RECORDS["item"].values()])
    return answer


def by_sql(expressions: list[Expression], situation: Situation, connection: sa.Connection, *, shaped: bool = False) -> tuple[list[list[Any]], list[list[Any]]]:
    """The same from a database, and for conditions their negations."""
    names = TableNames("item", TABLES["item"], connection.dialect.name)
    columns, negations = [], []

    def truth(term: Any) -> Any:
        return sa.case((term, 1), else_=0)

    evaluator = situation.evaluator()
    for item in expressions:
        if item.type != BOOLEAN:
            columns.append(value(item, names))
            negations.append(sa.literal(0))
            continue
        shape = _shape(item, names, evaluator, situation) if shaped else frozenset()
        columns.append(truth(condition(item, names, shape=shape)))
        negations.append(truth(condition(item, names, negate=True, shape=shape)))
    statement = (
        sa.select(*(column.label(f"c{number}") for number, column in enumerate([*columns, *negations])))
        .order_by(TABLES["item"].c.id)
        .select_from(TABLES["item"])
    )
    values = bind_values(evaluator, needed_in(statement), **SPACES[situation.spaces])
    rows = connection.execute(statement, values).all()
    found = [[row[number] for row in rows] for number in range(2 * len(expressions))]
    return found[: len(expressions)], found[len(expressions) :]


def _shape(item: Expression, names: TableNames, evaluator: Evaluator, situation: Situation) -> Any:
    return shape_of(bind_values(evaluator, needed_in(condition(item, names)), **SPACES[situation.spaces]))
