"""Any JSON value as a field: for what has no fields of its own, such as evidence, tiers or a foreign payload."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

import orjson
import sqlalchemy as sa

from engine.fields.base import EMPTY, FILLED, INTEGER_LIMIT, FieldType, Operator, Reader, Value, Wrong, accepted, option, stored_as
from engine.fields.scope import FieldScope
from engine.fields.storage import JsonValue
from engine.fields.text import checked_text
from metadata.definitions import Field
from metadata.text import Label

DEEPEST = 20
LARGEST = 65_536
#: Characters of it that are shown.
LONGEST_SHOWN = 400
#: What a field may ask for at most, in bytes.
LARGEST_OF_ALL = 16 * 1024 * 1024


def checked_json(value: object, depth: int = 0) -> object:
    """The value; raises Wrong, from however deep in it: too deep, a number JSON readers would change, a text no database carries, or no JSON at all."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return accepted(checked_text, value)
    if isinstance(value, int):
        if abs(value) > INTEGER_LIMIT:
            raise Wrong("json_number")
        return value
    if isinstance(value, float):
        if value != value or abs(value) > 1e300:
            raise Wrong("json_number")
        return value
    if depth >= DEEPEST:
        raise Wrong("json_too_deep", maximum=DEEPEST)
    if isinstance(value, list):
        return [checked_json(item, depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {accepted(checked_text, key): checked_json(item, depth + 1) for key, item in value.items()}
    raise Wrong("json_invalid")


class JsonType(FieldType):
    """A JSON value."""

    name = "json"
    title: ClassVar[Label] = {"zh": "JSON 数据", "en": "JSON"}
    group = "special"
    icon = "braces"
    widget = "json"
    sortable = False
    schema_is_wider = True
    json_types = (dict, list, str, int, float, bool)
    operators: ClassVar[tuple[Operator, ...]] = (EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "maxBytes": option(
            {"type": "integer", "minimum": 1, "maximum": LARGEST_OF_ALL},
            ("最多字节", "Bytes at most"),
            ("写成 JSON 的长度，不写为 65536", "As JSON text; 65,536 where nothing is said"),
        ),
        "holds": option(
            {"enum": ["records"]},
            ("装的是", "What it holds"),
            ("records：动作 evidence.freeze 固定的记录，有专门的页面可读", "records: what the action evidence.freeze kept; there is a page to read it"),
        ),
        "digest": option(
            {"type": "string", "x-refers": "field"},
            ("摘要字段", "Field of its digest"),
            ("固定时得到的 SHA-256 写在哪个字段，页面据此核对", "Where the SHA-256 of freezing stands; the page checks it"),
        ),
    }

    def expression_type(self, field: Field) -> str:
        """json"""
        return "json"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """JSON text or jsonb."""
        return stored_as(field, JsonValue())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Any JSON value within depth and size. A text that begins like an object or a list is parsed: it is what a form sends."""

        largest = int(field.options.get("maxBytes") or LARGEST)

        def read(raw: object) -> Value:
            if raw is None or raw == "":
                return None
            if isinstance(raw, str) and raw.lstrip()[:1] in ("{", "["):
                raw = parsed(raw, largest)
            value = checked_json(raw)
            if len(orjson.dumps(value)) > largest:
                return Wrong("json_too_large", maximum=largest)
            return value

        return read

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Its text."""
        return None if value is None else orjson.dumps(value).decode()

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """The text of a value, or a plain cell."""
        read = self.reader(field, scope)

        def cell(raw: object) -> Value:
            if isinstance(raw, str) and raw.strip():
                try:
                    return read(orjson.loads(raw))
                except orjson.JSONDecodeError:
                    return read(raw)
            return read(raw)

        return cell

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Its text, indented; a plain text as it is."""
        if value is None or isinstance(value, str):
            return value or ""
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if isinstance(value, dict | list) else value

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Its text, shortened: what is long is for reading as a file, not in a cell."""
        text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
        return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"

    def plain(self, value: Value, field: Field) -> str:
        """Its text."""
        return orjson.dumps(value).decode()

    def from_plain(self, text: str, field: Field) -> Value:
        """The value again."""
        return orjson.loads(text)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """Anything; depth, size and the range of numbers are beyond a schema."""
        return {"type": ["object", "array", "string", "number", "boolean"]}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A small object."""
        return {"n": random.randint(1, 9), "items": ["a", "b"]}

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "" if value is None else "***"


def parsed(text: str, largest: int = LARGEST) -> object:
    """The JSON value of a text; raises Wrong when it is none."""
    if len(text) > largest:
        raise Wrong("json_too_large", maximum=largest)
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise Wrong("json_invalid") from None
