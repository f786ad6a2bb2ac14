"""Values that are lists: how a list is given, that an empty one is empty, and the simplest of them, free tags."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import EMPTY, FILLED, HAS, FieldType, Operator, Reader, Value, Writer, Wrong, at_most, stored_as
from engine.fields.scope import FieldScope
from engine.fields.storage import JsonList
from engine.fields.text import NO_NUL, checked_text
from engine.fields.tokens import text_tokens
from metadata.definitions import Field
from metadata.text import Label

SEPARATORS = re.compile(r"[,;/\n、，；|]+")


def spelling(text: str) -> str:
    """The form in which labels are compared: full width folded, no case, no white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


class Several(FieldType):
    """What list types share: how a list is given, and that an empty one is empty. Not a type by itself."""

    json_types = (list,)
    sortable = False
    operators: ClassVar[tuple[Operator, ...]] = (HAS, EMPTY, FILLED)

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """A JSON list; NULL when empty."""
        return stored_as(field, JsonList())

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """A list, ``[]`` when empty."""
        return list(value) if value else []

    def json_writer(self, field: Field, scope: FieldScope) -> Writer | None:
        """None: the list itself, where its items are plain."""
        return None if type(self).to_json is Several.to_json else super().json_writer(field, scope)

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The list itself: a control with several values."""
        return list(value) if value else []

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "***" if value else ""


_LIST_EXPECTED, _ITEM_EMPTY = Wrong("list_expected"), Wrong("list_item_empty")


def split_list(raw: object) -> list[object] | Wrong:
    """The items of a list given as JSON list, repeated form values or one text with separators; [] for empty, Wrong for what is no list."""
    if raw is None:
        return []
    if isinstance(raw, list | tuple):
        return [item for item in raw if item is not None and item != ""]
    if isinstance(raw, str):
        return [item for part in SEPARATORS.split(raw) if (item := part.strip())]
    return _LIST_EXPECTED


def full_list(read: Reader, most: int | None) -> Reader:
    """A JSON list reader that refuses null and empty items instead of dropping them, and counts all items."""

    def strict(raw: object) -> Value:
        if isinstance(raw, list):
            if None in raw or "" in raw:
                return _ITEM_EMPTY
            if most is not None and len(raw) > most:
                return Wrong("too_many_items", maximum=most)
        return read(raw)

    return strict


class References(Several):
    """Several things that are known by their ids: links, people, files. ``expected``: the code for what is none of them."""

    most: ClassVar[int]
    expected: ClassVar[str]

    def one(self, raw: object) -> int | Wrong | None:
        """The id of one of them, as forms, JSON and sheets give it; None for nothing, Wrong for what is none."""
        raise NotImplementedError

    def limit(self, field: Field) -> int:
        """Most of them in a record."""
        return int(field.options.get("maxItems") or self.most)

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A list of what one of them is given as; each counts once."""
        one, most = self.one, self.limit(field)

        def read(raw: object) -> Value:
            items = [raw] if isinstance(raw, int) and not isinstance(raw, bool) else split_list(raw)
            if isinstance(items, Wrong):
                return items
            found: dict[int, None] = {}
            for item in items:
                number = one(item)
                if isinstance(number, Wrong):
                    return number
                if number is not None:
                    found[number] = None
            return Wrong("too_many_items", maximum=most) if len(found) > most else list(found) or None

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A list of ids or objects."""
        read, most = super().json_reader(field, scope), self.limit(field)

        def strict(raw: object) -> Value:
            if isinstance(raw, list):
                if any(type(item) not in (int, float, dict) for item in raw):
                    return Wrong(self.expected)
                if len(raw) > most:
                    return Wrong("too_many_items", maximum=most)
            return read(raw)

        return strict


class Tags(Several):
    """Free words people stick to a record; each once, in the order they came."""

    name = "tags"
    title: ClassVar[Label] = {"zh": "标签", "en": "Tags"}
    group = "choice"
    icon = "tags"
    widget = "tags"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"maxItems": at_most(200)}
    longest: ClassVar[int] = 40
    most: ClassVar[int] = 50

    def expression_type(self, field: Field) -> str:
        """tags"""
        return "tags"

    def limit(self, field: Field) -> int:
        """Most tags of a record."""
        return int(field.options.get("maxItems") or self.most)

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Each tag is one line of text; white space inside becomes one space."""
        most = self.limit(field)

        def read(raw: object) -> Value:
            found: dict[str, None] = {}
            items = split_list(raw)
            if isinstance(items, Wrong):
                return items
            for item in items:
                text = checked_text(item)
                if isinstance(text, Wrong):
                    return text
                tag = " ".join(text.split())
                if len(tag) > self.longest:
                    return Wrong("tag_too_long", maximum=self.longest)
                if tag:
                    found[tag] = None
            return Wrong("too_many_items", maximum=most) if len(found) > most else list(found) or None

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A list of texts."""
        read = full_list(super().json_reader(field, scope), self.limit(field))

        def strict(raw: object) -> Value:
            if isinstance(raw, list) and any(type(item) is not str or len(item) > self.longest for item in raw):
                return Wrong("tag_too_long", maximum=self.longest)
            return read(raw)

        return strict

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The tags."""
        return ("、" if locale.startswith("zh") else ", ").join(value or ())

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The tags with 、 between them."""
        return "、".join(value) if value else None

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A list of short texts."""
        return {"type": "array", "maxItems": self.limit(field), "items": {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": NO_NUL}}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """One or two tags."""
        return random.sample(["重点", "回访", "老友", "急", "VIP"], random.randint(1, min(2, self.limit(field))))

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Each tag as a text."""
        if not value or not field.search or field.encrypted or field.mask:
            return ()
        return list(dict.fromkeys(token for tag in value for token in text_tokens("text", tag)))

    def searched(self, value: Value, field: Field) -> Sequence[str]:
        """Each tag."""
        return value or ()
