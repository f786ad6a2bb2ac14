"""Values that point to records: link, links, person, people, team. Whether the target exists and may be seen is the record room's question."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import (
    EMPTY,
    EQUALS,
    FILLED,
    HAS,
    INTEGER_LIMIT,
    ONE_OF,
    WHERE_OPTION,
    FieldType,
    Operator,
    Option,
    Reader,
    Value,
    Wrong,
    at_most,
    option,
)
from engine.fields.lists import References
from engine.fields.scope import FieldScope
from engine.fields.values import Link, link_id
from metadata.definitions import Field
from metadata.text import Label

_CHOSEN: Mapping[str, Option] = {
    "where": WHERE_OPTION,
    "beside": option(
        {"type": "string", "maxLength": 40, "x-refers": "field"},
        ("选择时并列显示", "Beside the name"),
        ("选择时写在对方名称旁的字段，看不见它的人只见名称", "A field of the target shown beside its name where one is chosen, to those who may see it"),
    ),
}
_TO: Mapping[str, Option] = {"to": option({"type": "string", "x-refers": "entity"}, ("关联到", "Links to")), **_CHOSEN}
_ID: Mapping[str, object] = {"type": "integer", "minimum": 1, "maximum": INTEGER_LIMIT}


_EXPECTED = Wrong("link_expected")


def read_id(raw: object) -> int | Wrong | None:
    """The id in a JSON number, ``{"id": ...}``, a Link or a form's digits; None for empty; Wrong otherwise."""
    if type(raw) is int:
        number = raw
    elif raw is None or raw == "":
        return None
    elif isinstance(raw, Link):
        number = raw.id
    elif isinstance(raw, str) and raw.strip().isascii() and raw.strip().isdigit() and len(raw.strip()) < 17:
        number = int(raw)
    elif isinstance(raw, dict) and "id" in raw:
        return read_id(raw["id"]) if type(raw["id"]) in (int, float) else _EXPECTED
    elif isinstance(raw, float) and abs(raw) < 1e16 and raw.is_integer():
        number = int(raw)
    elif isinstance(raw, str) and not raw.strip():
        return None
    else:
        return _EXPECTED
    return number if 1 <= number <= INTEGER_LIMIT else _EXPECTED


def link_json(value: Value) -> object:
    """``{"id", "label"}`` of a Link; of a bare id the same without a label."""
    number = link_id(value)
    if number is None:
        return None
    return {"id": number, "label": value.label if isinstance(value, Link) else None}


def link_label(value: Value) -> str:
    """The label, or #ID when it is not known."""
    if value is None:
        return ""
    if isinstance(value, Link) and value.label:
        return value.label
    return f"#{link_id(value)}"


def link_schema() -> dict[str, object]:
    """A bare id, or an object with the id."""
    return {"anyOf": [dict(_ID), {"type": "object", "required": ["id"], "properties": {"id": dict(_ID), "label": {"type": ["string", "null"]}}}]}


class LinkType(FieldType):
    """A link to one record of an entity; a real foreign key."""

    name = "link"
    title: ClassVar[Label] = {"zh": "关联", "en": "Link"}
    group = "relation"
    icon = "link"
    family = "link"
    widget = "link"
    json_types = (int, float, dict)
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, ONE_OF, EMPTY, FILLED)
    required_options: ClassVar[tuple[str, ...]] = ("to",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        **_TO,
        "flags": option(
            {"type": "string", "maxLength": 2000, "x-expression": "boolean"},
            ("何时标在对方页首", "Flagged while"),
            (
                "本记录的条件；成立时，对方记录的页首标出本记录及其阶段，看得见本记录的人可点过去",
                "A condition on this record: while it holds, the page of the one it leads to names this record and its stage beside the name, to those who may read it",
            ),
        ),
    }

    def target(self, field: Field) -> str:
        """The entity it points to."""
        return str(field.options["to"])

    def expression_type(self, field: Field) -> str:
        """link:ENTITY"""
        return f"link:{self.target(field)}"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The id."""
        return sa.BigInteger()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A bare id, an object with an id, or a form's digits."""
        return read_id

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """``{"id", "label"}``"""
        return link_json(value)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The label."""
        return link_label(value)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The label when it is known, else the id; labels are led back to records by the import, which may look them up."""
        if isinstance(value, Link) and value.label:
            return value.label
        return link_id(value)

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The id as text."""
        number = link_id(value)
        return "" if number is None else str(number)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """An id or an object with one."""
        return link_schema()

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Some id; whoever needs a real one chooses it."""
        return random.randint(1, 1000)

    def mask(self, value: Value, field: Field) -> str:
        """The first character of the label."""
        return "" if value is None else f"{link_label(value)[:1]}*"


class Person(LinkType):
    """A member of the workspace."""

    name = "person"
    title: ClassVar[Label] = {"zh": "人员", "en": "Person"}
    icon = "user"
    widget = "person"
    required_options = ()
    options: ClassVar[Mapping[str, Mapping[str, object]]] = _CHOSEN

    def target(self, field: Field) -> str:
        """person"""
        return "person"

    def expression_type(self, field: Field) -> str:
        """person"""
        return "person"


class Team(LinkType):
    """A team of the workspace."""

    name = "team"
    title: ClassVar[Label] = {"zh": "团队", "en": "Team"}
    icon = "users-group"
    widget = "link"
    required_options = ()
    options: ClassVar[Mapping[str, Mapping[str, object]]] = _CHOSEN

    def target(self, field: Field) -> str:
        """team"""
        return "team"

    def expression_type(self, field: Field) -> str:
        """team"""
        return "team"


class LinkList(References):
    """Links to several records of an entity, each once, in the order given."""

    name = "links"
    title: ClassVar[Label] = {"zh": "多个关联", "en": "Several links"}
    group = "relation"
    icon = "link-plus"
    family = "link"
    widget = "links"
    operators: ClassVar[tuple[Operator, ...]] = (HAS, EMPTY, FILLED)
    required_options: ClassVar[tuple[str, ...]] = ("to",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {**_TO, "maxItems": at_most(500)}
    most = 500
    expected = "link_expected"

    def target(self, field: Field) -> str:
        """The entity it points to."""
        return str(field.options["to"])

    def expression_type(self, field: Field) -> str:
        """links:ENTITY"""
        return f"links:{self.target(field)}"

    def one(self, raw: object) -> int | Wrong | None:
        """An id, as one of them is given by itself."""
        return read_id(raw)

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """A list of ``{"id", "label"}``."""
        return [link_json(item) for item in value or ()]

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The ids as texts."""
        return [str(link_id(item)) for item in value or ()]

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Labels with 、 between them, ids where labels are not known."""
        texts = [item.label if isinstance(item, Link) and item.label else str(link_id(item)) for item in value or ()]
        return "、".join(texts) or None

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The labels."""
        return ("、" if locale.startswith("zh") else ", ").join(link_label(item) for item in value or ())

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A list of ids or objects with one."""
        return {"type": "array", "items": link_schema(), "maxItems": self.limit(field)}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """One or two ids."""
        return random.sample(range(1, 1000), random.randint(1, min(2, self.limit(field))))


class People(LinkList):
    """Several members of the workspace."""

    name = "people"
    title: ClassVar[Label] = {"zh": "多个人员", "en": "People"}
    icon = "users"
    widget = "people"
    required_options = ()
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {**_CHOSEN, "maxItems": LinkList.options["maxItems"]}

    def target(self, field: Field) -> str:
        """person"""
        return "person"

    def expression_type(self, field: Field) -> str:
        """people"""
        return "people"
