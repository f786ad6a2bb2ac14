"""The whole public surface for plugins: all a field type, an expression function, an action, a connector, a panel or a reader of messy cells may need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Boolean, Date, Double, Text
from sqlalchemy.types import TypeEngine

from engine.connectors import Connector, OutgoingMessage, SendFailed
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
from engine.frozen import digest
from engine.messages import include as include_messages
from engine.outbound import Outbound, Reply
from engine.panels import PagePanel, PanelContext, Row
from engine.plugin import API_VERSION, CAPABILITIES, LeftOut, Plugin, named_when_failing, undeclared
from engine.readers.base import CellReader, Reading, ReadingScope
from engine.registry import Action, RegistrationRefused, Registry, mark, words_of
from engine.rules.actions import ActionContext, Effects
from engine.rules.effects import (
    Ask,
    CreateRecord,
    DeleteRecord,
    Effect,
    Emit,
    Engine,
    Find,
    Handle,
    Lock,
    Notify,
    Refuse,
    RunAction,
    Send,
    SetValues,
    WithdrawAsks,
)
from engine.rules.parameters import unknown_words
from engine.webhooks import signed_headers
from metadata.definitions import Entity, Field
from metadata.text import Label, label_text
from metadata.vocabulary import ActionWord

#: What ``FieldType.column`` gives: BigInteger, Boolean, Date, Double, Text, Instant, JsonList, JsonValue.
ColumnType = TypeEngine[Any]

_Type = TypeVar("_Type", bound=type[FieldType])
_Reader = TypeVar("_Reader", bound=type[CellReader])
_Connector = TypeVar("_Connector", bound=type[Connector])


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
    name: str,
    *,
    params: Mapping[str, Mapping[str, object]] | None = None,
    required: Sequence[str] = (),
    title: Label = "",
    help: Label = "",
    result: Mapping[str, object] | None = None,
    pure: bool = False,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    does: Sequence[str] = (),
    examples: Sequence[Mapping[str, object]] = (),
) -> Callable[[Callable[..., Any]], Action]:
    """Decorator: an action rules may ``do``, with (ctx, record, params). Pure: a plain function of its parameters; else a generator of effects.

    ``params``: the properties of a JSON Schema object, each made with ``option``; ``required`` of them. ``result``: the JSON Schema of what it gives.
    ``reads``, ``writes``, ``does``: what it touches besides (see ActionWord); anything else it yields is refused. ``examples``: calls that must work,
    shown in the reference and made by the contract tests; a record stands there as a number.
    """

    def declared(run: Callable[..., Any]) -> Action:
        schema: dict[str, object] = {"type": "object", "properties": dict(params or {}), "required": list(required), "additionalProperties": False}
        strange = unknown_words(schema)
        if strange:
            raise ValueError(f"the parameters of {name} use words of JSON Schema that parameters do not have: {', '.join(sorted(strange))}")
        if examples:
            schema["examples"] = [dict(example) for example in examples]
        return Action(ActionWord(name, schema, title, dict(result or {}), pure, help, tuple(reads), tuple(writes), tuple(does)), run)

    return declared


def connector(item: _Connector) -> _Connector:
    """Class decorator: this class is a way for messages to leave."""
    return mark(item)


def page_panel(
    name: str, *, entity: str = "*", title: Label, template: str = "", icon: str = "puzzle", order: int = 100
) -> Callable[[Callable[..., Any]], PagePanel]:
    """Decorator: a panel on the pages of an entity's records. The function gets (ctx, record) and gives rows, data for ``template``, or None."""

    def declared(show: Callable[..., Any]) -> PagePanel:
        return PagePanel(name, entity, title, show, template, icon, order)

    return declared


__all__ = [
    "API_VERSION",
    "AT_LEAST",
    "AT_MOST",
    "BETWEEN",
    "CAPABILITIES",
    "CONTAINS",
    "DIFFERS",
    "EMPTY",
    "EQUALS",
    "FILLED",
    "HAS",
    "ONE_OF",
    "STARTS",
    "Action",
    "ActionContext",
    "Ask",
    "BigInteger",
    "Boolean",
    "CellReader",
    "ColumnType",
    "Conflict",
    "Connector",
    "CreateRecord",
    "Date",
    "DeleteRecord",
    "Denied",
    "Double",
    "Effect",
    "Effects",
    "Emit",
    "Engine",
    "Entity",
    "Fault",
    "Field",
    "FieldScope",
    "FieldType",
    "FileValue",
    "Find",
    "Function",
    "Handle",
    "Instant",
    "Invalid",
    "JsonList",
    "JsonValue",
    "Label",
    "LeftOut",
    "Link",
    "Lock",
    "Masked",
    "NotFound",
    "Notify",
    "Operator",
    "Outbound",
    "OutgoingMessage",
    "PagePanel",
    "PanelContext",
    "Plugin",
    "Reading",
    "ReadingScope",
    "Refusal",
    "Refuse",
    "RegistrationRefused",
    "Registry",
    "Reply",
    "Row",
    "RunAction",
    "Send",
    "SendFailed",
    "SetValues",
    "SqlFace",
    "Text",
    "Unavailable",
    "Value",
    "ValueReader",
    "WithdrawAsks",
    "Wrong",
    "action",
    "connector",
    "digest",
    "field_type",
    "function",
    "include_messages",
    "label_text",
    "named_when_failing",
    "option",
    "page_panel",
    "reader",
    "signed_headers",
    "undeclared",
    "words_of",
]
