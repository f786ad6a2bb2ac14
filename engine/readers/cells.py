"""The plain readers: a cell as text, a person's name to be found in the workspace, a moment, phone numbers alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

from engine.fields.base import Wrong
from engine.fields.dates import of_cell
from engine.fields.phone import read_phone
from engine.readers.base import CellReader, Reading, ReadingScope
from metadata.text import Label

_BRACKETED = re.compile(r"[(\[{【][^)\]}】]*[)\]}】]")
#: What people write where nothing is known.
NOTHING = frozenset(
    {"无", "没有", "未知", "不详", "未留", "拒留", "未提供", "不方便", "暂无", "空", "-", "--", "—", "/", "\\", ".", "?", "n/a", "na", "none", "null", "nil"}
)


def cell_text(cell: Any) -> str:
    """What a cell shows: whole numbers without a point, days without midnight."""
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if not (cell.hour or cell.minute or cell.second) else cell.isoformat(sep=" ", timespec="minutes")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip()


def folded(text: str) -> str:
    """Full-width letters, digits and punctuation made half-width; invisible characters gone; ends trimmed."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(" " if character.isspace() else character for character in plain if character.isprintable() or character.isspace()).strip()


def is_nothing(text: str) -> bool:
    """True for what people write where nothing is known."""
    return folded(text).casefold() in NOTHING or not folded(text)


class TextReader(CellReader):
    """The cells as one text."""

    name = "text"
    parts: ClassVar[tuple[str, ...]] = ("text",)
    help: ClassVar[Label] = {"zh": "原样作为文字", "en": "The text as it stands"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Several cells become several lines."""
        return Reading({"text": "\n".join(text for cell in cells if (text := cell_text(cell)))})


class PersonReader(CellReader):
    """The name of a member of the workspace; who that is, the import finds."""

    name = "person"
    parts: ClassVar[tuple[str, ...]] = ("person",)
    help: ClassVar[Label] = {"zh": "工作区人员的姓名", "en": "The name of a member of the workspace"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Without remarks in brackets and the spaces inside a Chinese name."""
        text = folded(cell_text(cells[0]))
        name = _BRACKETED.sub("", text).strip(" ,;:、。")
        if not name or is_nothing(name):
            raise Wrong("person_unread")
        if any("\u4e00" <= character <= "\u9fff" for character in name):
            name = "".join(name.split())
        return Reading({"person": name}, rest="、".join(found.strip("()[]{}【】 ") for found in _BRACKETED.findall(text)))


class MomentReader(CellReader):
    """A date or a point in time in any of the forms sheets have; without a year it is the latest one past."""

    name = "moment"
    parts: ClassVar[tuple[str, ...]] = ("at", "date", "time")
    help: ClassVar[Label] = {"zh": "日期或时间：2025/12/3、12月3日、45994、12月3日 下午3点", "en": "A date or time in any form sheets have"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """``at`` is a day when no time is written, else a local time with offset."""
        zone = scope.fields.timezone
        found = of_cell(folded(cells[0]) if isinstance(cells[0], str) else cells[0], scope.now.astimezone(zone).date())
        if found is None or isinstance(found, Wrong):
            raise Wrong("date_invalid") if found is None else Wrong(found.code, **found.params)
        if found.at is None:
            return Reading({"at": found.day.isoformat(), "date": found.day.isoformat()})
        local = datetime.combine(found.day, found.at, zone)
        return Reading({"at": local.isoformat(), "date": found.day.isoformat(), "time": found.at.isoformat("minutes")})


class PhoneReader(CellReader):
    """One phone number or several in one cell."""

    name = "phone"
    parts: ClassVar[tuple[str, ...]] = ("phone", "extension", "more_phones")
    help: ClassVar[Label] = {"zh": "一个或几个电话号码", "en": "One phone number or several"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """The first one that is right leads; wrong ones beside it are warnings, wrong ones alone a refusal."""
        found: dict[str, str] = {}
        wrong: Wrong | None = None
        pieces = [piece for cell in cells for piece in re.split(r"[/、,;|\n]|\s{2,}", folded(cell_text(cell))) if piece.strip() and not is_nothing(piece)]
        for piece in pieces:
            number = read_phone(_BRACKETED.sub("", piece) or piece)
            if isinstance(number, Wrong):
                wrong = number
                continue
            found.setdefault(number.number, number.extension)
        if not found:
            raise Wrong(wrong.code if wrong else "phone_invalid")
        first, *rest = found
        parts: dict[str, Any] = {"phone": first}
        if found[first]:
            parts["extension"] = found[first]
        if rest:
            parts["more_phones"] = [{"phone": number, "extension": found[number]} if found[number] else {"phone": number} for number in rest]
        return Reading(parts, (wrong.code,) if wrong else ())
