"""What a field type is: every face of one kind of value in one class. A new type is one subclass, registered; nothing else is touched but its macros."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, final

import orjson
import sqlalchemy as sa

from engine.fields.masks import masked
from metadata.definitions import Field
from metadata.text import Label, label_text
from metadata.vocabulary import FieldFamily, FieldWord

if TYPE_CHECKING:
    from engine.fields.scope import FieldScope

Value = Any
_NOTHING: Mapping[str, object] = {}


@final
class Wrong(Exception):
    """The value is not one of this type. ``code`` is a key of engine/messages.json.

    Readers return it, so that a fault costs no more than a value; they may also raise it, from deep in what they read. ``accepted`` is for whoever wants
    values only. One that says nothing of the value may be made once and returned again: nobody raises what was returned.
    """

    __slots__ = ("code", "params")

    def __init__(self, code: str, params: Mapping[str, object] = _NOTHING, /, **more: object) -> None:
        """Parameters by name, or all of them as one mapping, which costs a third less where whole bodies are judged."""
        self.code = code
        self.params = more or params


@dataclass(frozen=True, slots=True)
class Operator:
    """A filter operator offered to people: its key, its label, how many values it takes, and the expression it stands for.

    ``expression`` is a template over ``{field}``, ``{value}`` and ``{value2}`` (already quoted literals of the expression language).
    """

    key: str
    title: Label
    values: int
    expression: str


EQUALS = Operator("is", {"zh": "是", "en": "is"}, 1, "{field} == {value}")
DIFFERS = Operator("is_not", {"zh": "不是", "en": "is not"}, 1, "{field} != {value}")
ONE_OF = Operator("in", {"zh": "属于", "en": "is any of"}, -1, "{field} in ({value})")
CONTAINS = Operator("contains", {"zh": "包含", "en": "contains"}, 1, "contains({field}, {value})")
STARTS = Operator("starts", {"zh": "开头是", "en": "starts with"}, 1, "startswith({field}, {value})")
AT_LEAST = Operator("at_least", {"zh": "不小于", "en": "at least"}, 1, "{field} >= {value}")
AT_MOST = Operator("at_most", {"zh": "不大于", "en": "at most"}, 1, "{field} <= {value}")
BETWEEN = Operator("between", {"zh": "介于", "en": "between"}, 2, "{field} >= {value} and {field} <= {value2}")
HAS = Operator("has", {"zh": "包含选项", "en": "includes"}, 1, "has({field}, {value})")
EMPTY = Operator("empty", {"zh": "为空", "en": "is empty"}, 0, "empty({field})")
FILLED = Operator("filled", {"zh": "不为空", "en": "is not empty"}, 0, "exists({field})")

#: From raw input to a typed value, None for empty, or Wrong.
Reader = Callable[[object], Value]
Writer = Callable[[Value], object]

WRONG_KIND = Wrong("wrong_kind")


def accepted(read: Callable[[Any], Value], raw: object) -> Value:
    """What a reader makes of an input; raises Wrong where it is refused."""
    found = read(raw)
    if isinstance(found, Wrong):
        raise Wrong(found.code, **found.params)
    return found


#: The largest whole number every JSON reader holds exactly (2^53 - 1).
INTEGER_LIMIT = 9_007_199_254_740_991


def stored_as(field: Field, plain: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """The column type of a field: ``plain``, or text for the envelope of an encrypted one."""
    return sa.Text() if field.encrypted else plain


Option = Mapping[str, object]


def option(schema: Mapping[str, object], title: tuple[str, str], help: tuple[str, str] = ("", "")) -> Option:
    """One option of a type as JSON Schema, titled (zh, en) the way metadata's own schemas are, so that panels draw both alike."""
    described: dict[str, object] = {"title": title[0]}
    english: dict[str, object] = {"title": title[1]}
    if help[0]:
        described["description"] = help[0]
        english["description"] = help[1]
    return {**described, "x-en": english, **schema}


#: A unit of measure: a text or one per language.
UNIT_OPTION = option(
    {"oneOf": [{"type": "string", "maxLength": 20}, {"type": "object", "additionalProperties": {"type": "string", "maxLength": 20}}]},
    ("单位", "Unit"),
    ("显示在数字后面", "Shown after the number"),
)
CURRENCY_OPTION = option({"type": "string", "pattern": "^[A-Z]{3}$", "default": "CNY"}, ("币种", "Currency"), ("ISO 4217 代码", "ISO 4217 code"))
ENDS_OPTION = option(
    {"enum": ["day"]},
    ("到当天结束", "To the end of a day"),
    ("N 日存为次日零点（不含），显示为 N 日", "A day N is kept as the midnight after it (exclusive) and shown as N"),
)
WHERE_OPTION = option(
    {"type": "string", "maxLength": 2000, "x-expression": "boolean"},
    ("可选范围", "Which may be chosen"),
    ("对方记录的条件；record.X 是正在编辑的记录", "A condition on the target; record.X is the record being edited"),
)


def at_most(most: int) -> Option:
    """The option that bounds a list."""
    return option({"type": "integer", "minimum": 1, "maximum": most}, ("最多几项", "Most items"))


class FieldType:
    """All faces of one kind of value. Instances hold no state; everything about one field comes in ``field``.

    Values inside the engine ("typed values") are plain Python: str, int, bool, date, datetime (UTC, aware), list, dict, None for empty.
    JSON, form and spreadsheet inputs become typed values by ``read``; typed values become JSON by ``to_json``, text for people by ``show``,
    a spreadsheet cell by ``to_cell``. ``scope`` carries what a type may need to know of the workspace (choices, people, time zone, keys).
    """

    name: ClassVar[str]
    title: ClassVar[Label]
    help: ClassVar[Label] = ""
    group: ClassVar[str] = "basic"  # palette group: basic, choice, relation, special, derived
    icon: ClassVar[str] = "forms"  # Tabler icon name
    family: ClassVar[FieldFamily] = "value"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    required_options: ClassVar[tuple[str, ...]] = ()
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, DIFFERS, EMPTY, FILLED)
    sortable: ClassVar[bool] = True
    widget: ClassVar[str] = "text"  # default macro file: renderer/templates/fields/<widget>.html
    align: ClassVar[str] = "start"  # start | end
    hidden: ClassVar[bool] = False  # not offered to definitions: only the shape of a computed value
    json_types: ClassVar[tuple[type, ...]] = (str,)  # Python types of the JSON form; ``json_reader`` refuses others
    schema_is_wider: ClassVar[bool] = False  # json_reader refuses more than a JSON Schema can say (depth and size of any JSON)
    default_mask: ClassVar[str] = ""  # mask used when a grant masks the field and the definition names none

    def word(self) -> FieldWord:
        """This type as metadata's vocabulary sees it."""
        return FieldWord(self.name, self.title, self.family, self.group, self.options, self.required_options, self.help, self.sortable)

    def expression_type(self, field: Field) -> str:
        """The type of this field in expressions (engine.expressions.types)."""
        raise NotImplementedError

    def column(self, field: Field) -> sa.types.TypeEngine[Any] | None:
        """The column type, the same meaning on SQLite and PostgreSQL; None when the type stores nothing itself."""
        raise NotImplementedError

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A closure from raw input (JSON value, form text, spreadsheet cell) to a typed, checked value, None for empty, or Wrong.

        Built once per field at publish; must be fast, for what is right and for what is wrong (a 25-field record is to take 10 microseconds, five faults
        or none): it returns Wrong; raising it does the same and costs more. ``""`` reads as None.
        """
        raise NotImplementedError

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """Like ``reader`` for JSON alone: accepts exactly what ``json_schema`` says (and null), nothing of what people only type.

        Whatever it accepts, ``reader`` accepts with the same result. White space around texts is trimmed before it is judged.
        """
        read, types = self.reader(field, scope), frozenset(self.json_types)

        def strict(raw: object) -> Value:
            if raw is not None and type(raw) not in types:
                return WRONG_KIND
            return read(raw)

        return strict

    @property
    def plain_json(self) -> bool:
        """Whether JSON of one of ``json_types`` is read by ``reader`` as it stands, so that whoever reads whole records may look at the kinds himself."""
        return type(self).json_reader is FieldType.json_reader

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """Like ``reader`` for spreadsheet cells: labels for choices, numbers as people see them (yuan, not fen), Excel's own dates."""
        return self.reader(field, scope)

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The JSON form of a typed value (CONTRACT section 4)."""
        return value

    def json_writer(self, field: Field, scope: FieldScope) -> Writer | None:
        """A closure from a typed value, never None, to what orjson writes as its JSON form; None where it writes the value itself so.

        Only a shorter way to the text that ``to_json`` gives: a page of records runs it for every cell.
        """
        if type(self).to_json is FieldType.to_json:
            return None
        return lambda value: self.to_json(value, field, scope)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Plain text for people; never markup. Empty text for None."""
        return "" if value is None else str(value)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """A spreadsheet cell (str, int, float, bool, date, datetime or None); an exported cell read back gives the same value."""
        return value

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """What an input control is filled with; ``read`` of it gives the same value."""
        return "" if value is None else str(value)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """The plain JSON Schema of the JSON form (without null; the caller adds it where the field may be empty)."""
        raise NotImplementedError

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A raw JSON input that ``read`` accepts; feeds contract tests, demo data and benchmarks."""
        raise NotImplementedError

    def mask(self, value: Value, field: Field) -> str:
        """The masked text of a value (138****8000): the mask the definition names, else the type's own, else all but the first character."""
        text = "" if value is None else str(value)
        name = field.mask or self.default_mask
        if name:
            return masked(name, text)
        return text[0] + "*" * min(6, max(1, len(text) - 1)) if text else ""

    def plain(self, value: Value, field: Field) -> str:
        """The text that is encrypted for a field with ``"encrypted"``; ``from_plain`` gives the value back. JSON unless it is a text."""
        return value if isinstance(value, str) else orjson.dumps(value).decode()

    def from_plain(self, text: str, field: Field) -> Value:
        """The typed value of a decrypted text."""
        return text if str in self.json_types else orjson.loads(text)

    def blind(self, value: Value, field: Field) -> str:
        """The normalised text that blind indexes are made of: two values mean the same exactly when it is equal."""
        return self.plain(value, field)

    def last4(self, value: Value, field: Field) -> str:
        """The last four characters people may ask for where ``"last4"`` is opted in; '' when there are fewer."""
        text = self.blind(value, field)
        return text[-4:] if len(text) >= 4 else ""

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Tokens for the search index (engine.records.search); () when the field takes no part or is encrypted."""
        return ()

    def searched(self, value: Value, field: Field) -> Sequence[str]:
        """The texts ``search_tokens`` is cut from: what a search found by tokens is looked for in them once more."""
        return () if value is None else (str(value),)


def title_of(field: Field, locale: str = "zh") -> str:
    """The field's label for people."""
    return label_text(field.title, locale, field.key)
