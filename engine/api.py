"""The whole public surface for plugins: everything a field type, an expression function, an action or a reader of messy cells may need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Boolean, Date, Double, Text
from sqlalchemy.types import TypeEngine

from engine.errors import Conflict, Denied, Fault, Invalid, NotFound, Refusal, Unavailable
from engine.expressions.functions import Function, SqlFace, SqlHolds, SqlValue, declare
from engine.fields.base import (
    AT_LEAST,
    AT_MOST,
    BETWEEN,
    CONTAINS,
    DIFFERS,
    EMPTY,
    EQUALS,
    FILLED,
    HAS,
    ONE_OF,
    STARTS,
    FieldType,
    Operator,
    Value,
    Wrong,
    option,
)
from engine.fields.base import Reader as ValueReader
from engine.fields.scope import FieldScope
from engine.fields.storage import Instant, JsonList, JsonValue
from engine.fields.values import FileValue, Link, Masked
from engine.messages import include as include_messages
from engine.readers.base import CellReader, Reading, ReadingScope
from engine.registry import Action, RegistrationRefused, Registry, mark, words_of
from metadata.definitions import Field
from metadata.text import Label, label_text
from metadata.vocabulary import ActionWord

#: What ``FieldType.column`` gives: BigInteger, Boolean, Date, Double, Text, Instant, JsonList, JsonValue.
ColumnType = TypeEngine[Any]

#: The surface's own version: a plugin names the one it was written for; it changes only when something here goes away.
API_VERSION = 1

_Type = TypeVar("_Type", bound=type[FieldType])
_Reader = TypeVar("_Reader", bound=type[CellReader])


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a plugin says of itself: one of these stands in its package as ``PLUGIN``.

    ``modules``: where its words are (dotted names; the package itself when empty). ``api``: the API_VERSION it was written for.
    ``templates``: a folder with ``fields/<widget>.html`` for its field types' widgets. ``messages``: its error codes with their sentences
    (code -> {"zh", "en"}); each begins with the plugin's name and ``_``.
    """

    name: str
    version: str
    title: Label = ""
    api: int = API_VERSION
    modules: tuple[str, ...] = ()
    templates: Path | None = None
    messages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def field_type(item: _Type) -> _Type:
    """Class decorator: this class is a field type of its plugin."""
    return mark(item)


def reader(item: _Reader) -> _Reader:
    """Class decorator: this class reads messy cells."""
    return mark(item)


def function(
    signature: str, *, help: Label, sql: SqlValue | None = None, holds: SqlHolds | None = None, name: str = ""
) -> Callable[[Callable[..., Value]], Function]:
    """Decorator: the Python face of an expression function, typed by a signature in words (``text, integer? -> text``).

    With ``sql`` (a value) or ``holds`` (a condition) it may be used in lists and permissions; without, only where one record is looked at.
    """

    def declared(python: Callable[..., Value]) -> Function:
        return declare(name or python.__name__, signature, help, python, sql=sql, holds=holds)

    return declared


def action(
    name: str, *, params: Mapping[str, object] | None = None, title: Label = "", result: str = "", pure: bool = False
) -> Callable[[Callable[..., Any]], Action]:
    """Decorator: an action rules may ``do``; ``params`` is the ``properties`` of a JSON Schema object."""

    def declared(run: Callable[..., Any]) -> Action:
        schema = {"type": "object", "properties": dict(params or {}), "additionalProperties": False}
        return Action(ActionWord(name, schema, title, result, pure), run)

    return declared


__all__ = [
    "API_VERSION",
    "AT_LEAST",
    "AT_MOST",
    "BETWEEN",
    "CONTAINS",
    "DIFFERS",
    "EMPTY",
    "EQUALS",
    "FILLED",
    "HAS",
    "ONE_OF",
    "STARTS",
    "Action",
    "BigInteger",
    "Boolean",
    "CellReader",
    "ColumnType",
    "Conflict",
    "Date",
    "Denied",
    "Double",
    "Fault",
    "Field",
    "FieldScope",
    "FieldType",
    "FileValue",
    "Function",
    "Instant",
    "Invalid",
    "JsonList",
    "JsonValue",
    "Label",
    "Link",
    "Masked",
    "NotFound",
    "Operator",
    "Plugin",
    "Reading",
    "ReadingScope",
    "Refusal",
    "RegistrationRefused",
    "Registry",
    "SqlFace",
    "Text",
    "Unavailable",
    "Value",
    "ValueReader",
    "Wrong",
    "action",
    "field_type",
    "function",
    "include_messages",
    "label_text",
    "option",
    "reader",
    "words_of",
]
