"""Attachments as field types: a file, several files, images. A value is a file's id; storing, binding and serving files is the file room's business."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import EMPTY, FILLED, FieldType, Operator, Reader, Value, Wrong, at_most, option
from engine.fields.link import link_schema, read_id
from engine.fields.lists import References
from engine.fields.scope import FieldScope
from engine.fields.values import FileValue
from metadata.definitions import Field
from metadata.text import Label

_ACCEPT: Mapping[str, Mapping[str, object]] = {
    "accept": option(
        {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+/[a-z0-9.+*-]+$"}},
        ("允许的文件类型", "Kinds of file"),
        ("如 image/* 或 application/pdf，按内容判断", "Media types such as image/* or application/pdf, judged by content"),
    ),
    "max_size": option({"type": "integer", "minimum": 1}, ("最大字节数", "Largest size in bytes")),
}


_EXPECTED = Wrong("file_expected")


def file_id(raw: object) -> int | Wrong | None:
    """The id in a number, an object with one, or a FileValue."""
    found = read_id(raw.id if isinstance(raw, FileValue) else raw)
    return _EXPECTED if isinstance(found, Wrong) else found


def file_json(value: Value) -> object:
    """``{"id", "name", "size", "type", "url"}``; only the id when nothing more is known."""
    if value is None:
        return None
    return value._asdict() if isinstance(value, FileValue) else {"id": value}


def _file_name(value: Value) -> str:
    return value.name if isinstance(value, FileValue) else f"#{value}"


class File(FieldType):
    """One attached file."""

    name = "file"
    title: ClassVar[Label] = {"zh": "附件", "en": "File"}
    group = "special"
    icon = "paperclip"
    widget = "file"
    sortable = False
    json_types = (int, float, dict)
    operators: ClassVar[tuple[Operator, ...]] = (EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = _ACCEPT

    def accepts(self, field: Field) -> tuple[str, ...]:
        """The media types a file may have; () = any that files allow."""
        return tuple(field.options.get("accept") or ())

    def expression_type(self, field: Field) -> str:
        """json: only whether there is one can be asked."""
        return "json"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The file's id."""
        return sa.BigInteger()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """The id of an upload, or an object with it."""
        return file_id

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """What is known of the file."""
        return file_json(value)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Its name."""
        return "" if value is None else _file_name(value)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Its id when that is all there is, else its name: files do not travel in spreadsheets."""
        return value.name if isinstance(value, FileValue) else value

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Its id."""
        return "" if value is None else str(value.id if isinstance(value, FileValue) else value)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """An id, or an object with one."""
        return link_schema()

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Some id; whoever needs a real file uploads one."""
        return random.randint(1, 1000)

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "" if value is None else "***"


class Image(File):
    """One picture."""

    name = "image"
    title: ClassVar[Label] = {"zh": "图片", "en": "Image"}
    icon = "photo"
    widget = "image"

    def accepts(self, field: Field) -> tuple[str, ...]:
        """Pictures unless narrowed."""
        return super().accepts(field) or ("image/png", "image/jpeg", "image/webp", "image/gif")


class FileList(References):
    """Several attached files."""

    name = "files"
    title: ClassVar[Label] = {"zh": "多个附件", "en": "Files"}
    group = "special"
    icon = "files"
    widget = "files"
    operators: ClassVar[tuple[Operator, ...]] = (EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {**_ACCEPT, "maxItems": at_most(100)}
    most = 100
    expected = "file_expected"

    def accepts(self, field: Field) -> tuple[str, ...]:
        """As ``File.accepts``."""
        return tuple(field.options.get("accept") or ())

    def expression_type(self, field: Field) -> str:
        """json: only whether there are any can be asked."""
        return "json"

    def one(self, raw: object) -> int | Wrong | None:
        """An id, as one of them is given by itself."""
        return file_id(raw)

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """What is known of each."""
        return [file_json(item) for item in value or ()]

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Their ids."""
        return [str(item.id if isinstance(item, FileValue) else item) for item in value or ()]

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Their names, or ids where that is all there is."""
        return "、".join(item.name if isinstance(item, FileValue) else str(item) for item in value) if value else None

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Their names."""
        return ("、" if locale.startswith("zh") else ", ").join(_file_name(item) for item in value or ())

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A list of ids or objects with one."""
        return {"type": "array", "items": link_schema(), "maxItems": self.limit(field)}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Two ids."""
        return random.sample(range(1, 1000), min(2, self.limit(field)))
