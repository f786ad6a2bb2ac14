"""Values nobody types: formula, roll-up, lookup. What type they carry is found here; computing them and keeping them true is the record room's work.

``shape`` turns a derived field into the field its *values* have: a formula giving money is shown, stored, filtered and exported as a money field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import CURRENCY_OPTION, EMPTY, ENDS_OPTION, FILLED, UNIT_OPTION, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label

#: (entity, formula field) -> the notation of the type its expression has; given by whoever can check expressions.
Infer = Callable[[str, Field], str]

MEASURES = ("count", "sum", "min", "max", "average", "earliest", "latest")
_SYSTEM = {
    "id": "integer",
    "version": "integer",
    "created_at": "instant",
    "updated_at": "instant",
    "deleted_at": "instant",
    "created_by": "person",
    "updated_by": "person",
}
#: Notation -> field type, and the option that carries what stands behind the colon.
_CARRIERS = {
    "decimal": ("decimal", "scale"),
    "choice": ("choice", "choices"),
    "choices": ("choices", "choices"),
    "link": ("link", "to"),
    "links": ("links", "to"),
    "list": ("json", ""),
    "null": ("text", ""),
    "any": ("json", ""),
}
_FROM = "^[a-z][a-z0-9_]*\\.[a-z][a-z0-9_]*$"
_SHOWN = ("unit", "currency", "ends")
_DEEPEST = 8


class NoShape(Exception):
    """A derived field whose value has no type: what it is derived from is missing, or goes in a circle."""


def carrier(notation: str, like: Field) -> Field:
    """The field that values of an expression type have, titled and worded like another field (``decimal:2``, ``choice:KEY``, ``link:ENTITY``)."""
    name, _, rest = notation.partition(":")
    kind, option = _CARRIERS.get(name, (name, ""))
    options: dict[str, Any] = {word: like.options[word] for word in _SHOWN if word in like.options}
    if option and rest:
        options[option] = int(rest) if option == "scale" else rest
    return _worn(like, kind, options)


def _worn(like: Field, kind: str, options: Mapping[str, Any]) -> Field:
    return replace(like, type=kind, options=dict(options), required=False, default=None, unique=False)


def shape(field: Field, scope: FieldScope, infer: Infer, depth: int = 0) -> Field:
    """The field whose type, column and faces a field's values have; the field itself when it is not derived. ``scope.entity`` is its entity.

    A formula may declare its type with ``of``; otherwise ``infer`` tells it. Raises NoShape.
    """
    if depth > _DEEPEST:
        raise NoShape(field.key)
    if field.type == "formula":
        return carrier(str(field.options.get("of") or infer(scope.entity, field)), field)
    if field.type == "rollup":
        return _rollup_shape(field, scope, infer, depth)
    if field.type == "lookup":
        link, _, key = str(field.options.get("from", "")).partition(".")
        through = scope.field(scope.entity, link)
        entity = target_of(through) if through else ""
        return _carried(field, entity, key, scope, infer, depth)
    return field


def _rollup_shape(field: Field, scope: FieldScope, infer: Infer, depth: int) -> Field:
    measure = field.options.get("measure")
    if measure == "count":
        return carrier("integer", field)
    if measure == "average":
        of = _carried(field, rollup_entity(field), str(field.options.get("of", "")), scope, infer, depth)
        return of if of.type in ("money", "percent") else carrier("double", field)
    return _carried(field, rollup_entity(field), str(field.options.get("of", "")), scope, infer, depth)


def _carried(field: Field, entity: str, key: str, scope: FieldScope, infer: Infer, depth: int) -> Field:
    """The shape of another entity's field, worn by this one."""
    if key in _SYSTEM:
        return carrier(_SYSTEM[key], field)
    source = scope.field(entity, key)
    if source is None:
        raise NoShape(field.key)
    found = shape(source, scope.of(entity), infer, depth + 1)
    kept = {name: value for name, value in found.options.items() if name not in ("parent", "where")}
    kept |= {word: field.options[word] for word in _SHOWN if word in field.options}
    return _worn(field, found.type, kept)


def target_of(field: Field) -> str:
    """The entity a link field points to; '' for other types."""
    if field.type in ("person", "people"):
        return "person"
    return "team" if field.type == "team" else str(field.options.get("to", ""))


def rollup_entity(field: Field) -> str:
    """The entity a roll-up gathers from."""
    return str(field.options.get("from", "")).partition(".")[0]


def column_for(notation: str, types: Mapping[str, FieldType]) -> sa.types.TypeEngine[Any] | None:
    """The column type for values of an expression type."""
    field = carrier(notation, Field("value", "formula"))
    return types[field.type].column(field)


_GIVEN = Wrong("derived_given")


class Derived(FieldType):
    """What derived types share: they are never read from input, and every other face is that of the field they carry. Not a type by itself."""

    group = "derived"
    family = "derived"
    icon = "function"
    widget = "computed"
    json_types = ()
    operators: ClassVar[tuple[Operator, ...]] = (EMPTY, FILLED)

    def carried(self, field: Field, scope: FieldScope) -> tuple[FieldType, Field]:
        """Type and field of the values, as far as the definitions say it; a formula without ``of`` is taken for text."""
        try:
            found = shape(field, scope, lambda _entity, _field: "text")
        except NoShape:
            found = carrier("text", field)
        return scope.types[found.type], found

    def expression_type(self, field: Field) -> str:
        """What ``of`` declares of a formula; text when only the definitions around it could tell (see ``shape``)."""
        return str(field.options.get("of") or "text") if field.type == "formula" else "integer" if field.options.get("measure") == "count" else "text"

    def column(self, field: Field) -> sa.types.TypeEngine[Any] | None:
        """None: the column is that of the carried field (see ``shape``)."""
        return None

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Refuses everything but nothing."""

        def read(raw: object) -> Value:
            if raw is None or raw == "":
                return None
            return _GIVEN

        return read

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """As the carried field."""
        kind, carried = self.carried(field, scope)
        return kind.to_json(value, carried, scope)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """As the carried field."""
        kind, carried = self.carried(field, scope)
        return kind.show(value, carried, scope, locale)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """As the carried field."""
        kind, carried = self.carried(field, scope)
        return kind.to_cell(value, carried, scope)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """That of the carried field, marked read-only."""
        kind, carried = self.carried(field, scope)
        return {**kind.json_schema(carried, scope), "readOnly": True}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Nothing: nobody enters it."""
        return None


class Formula(Derived):
    """A value computed from the record's own fields, one hop over its links, and settings."""

    name = "formula"
    title: ClassVar[Label] = {"zh": "公式", "en": "Formula"}
    required_options = ("value",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "value": option({"type": "string", "maxLength": 2000, "x-expression": "any"}, ("表达式", "Expression")),
        "of": option(
            {"type": "string", "pattern": "^[a-z]+(?::[a-z0-9_]+)?$"},
            ("结果类型", "Type of the result"),
            (
                "表达式的类型写法：text、money、decimal:2、choice:KEY、link:ENTITY；不写则自动得出",
                "As expressions write types: text, money, decimal:2, choice:KEY, link:ENTITY; found out when not said",
            ),
        ),
        "unit": UNIT_OPTION,
        "currency": CURRENCY_OPTION,
        "ends": ENDS_OPTION,
    }


class Rollup(Derived):
    """A value gathered from the records that link here: how many, their sum, the latest."""

    name = "rollup"
    title: ClassVar[Label] = {"zh": "汇总", "en": "Roll-up"}
    icon = "sum"
    required_options = ("from", "measure")
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "from": option(
            {"type": "string", "pattern": _FROM},
            ("来源", "From"),
            ("实体.关联字段：关联到本记录的那些记录", "ENTITY.LINK: records of that entity whose link points here"),
        ),
        "measure": option({"enum": list(MEASURES)}, ("统计方式", "Measure")),
        "of": option({"type": "string", "x-refers": "field"}, ("统计字段", "Of which field")),
        "by": option(
            {"type": "string", "x-refers": "field"},
            ("排序依据", "Ordered by"),
            ("用于最早与最新；不写则按建立时间", "For earliest and latest; when it was made unless said"),
        ),
        "where": option({"type": "string", "maxLength": 2000, "x-expression": "boolean"}, ("条件", "Only those where")),
        "unit": UNIT_OPTION,
        "ends": ENDS_OPTION,
    }


class Lookup(Derived):
    """A value of the record a link points to."""

    name = "lookup"
    title: ClassVar[Label] = {"zh": "引用", "en": "Lookup"}
    icon = "arrow-up-right"
    required_options = ("from",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "from": option(
            {"type": "string", "pattern": _FROM},
            ("来源", "From"),
            ("关联字段.字段：所关联记录的一个字段", "LINK.FIELD: a field of the record this link points to"),
        )
    }


__all__ = ["MEASURES", "Formula", "Infer", "Lookup", "NoShape", "Rollup", "carrier", "column_for", "shape", "target_of"]
