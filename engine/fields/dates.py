"""Dates and times as people write them (``2025/12/3``, ``2025年12月3日 下午3点``, ``12.10``) and Excel's serial numbers. Knows no field and no clock."""

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from engine.fields.base import Wrong

FIRST_YEAR, LAST_YEAR = 1800, 9998
_EXCEL_EPOCH = datetime(1899, 12, 30)
_SERIALS = (20_000, 80_000)  # 1954 to 2119: what a bare number in a date column may mean

_YMD = re.compile(r"(\d{4})\s*(?:年|[-/.])\s*(\d{1,2})\s*(?:月|[-/.])\s*(\d{1,2})\s*[日号]?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?: (?:[01]\d|2[0-3]):\d{2})?", re.ASCII)
_BETWEEN = re.compile(r"^[\s,t]*(?:\(?(?:周|星期|礼拜)[一二三四五六日天]\)?)?[\s,]*")
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?=$|[ tT])", re.ASCII)
_SHORT_YEAR = re.compile(r"(\d{2})\s*(?:年|[-/.])\s*(\d{1,2})\s*(?:月|[-/.])\s*(\d{1,2})\s*[日号]?", re.ASCII)
_MD = re.compile(r"(\d{1,2})\s*(?:月|[-/.])\s*(\d{1,2})\s*[日号]?", re.ASCII)
_TIME = re.compile(
    r"(凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚|am|pm)?\s*(\d{1,2})\s*(?:[:点时]\s*(?:(\d{1,2})|(半)|(一刻|三刻))?\s*分?(?:[:]?\s*(\d{1,2})(?:\.\d+)?\s*秒?)?)\s*(am|pm)?",
    re.ASCII,
)
#: What programs write after a day that has no time.
_MIDNIGHT = re.compile(r"00:00:00(?:\.0+)?")
_HALVES = ("上午", "下午", "早上", "晚上", "中午", "傍晚")
_AFTERNOON = {"下午", "傍晚", "晚上", "晚", "pm"}
_RELATIVE = {"今天": 0, "今日": 0, "昨天": 1, "昨日": 1, "前天": 2, "大前天": 3}


_INVALID = Wrong("date_invalid")


class Moment(NamedTuple):
    """A day, and the time of day if one was written."""

    day: date
    at: time | None = None


def date_of(year: int, month: int, day: int) -> date | Wrong:
    """The date, or Wrong when the calendar has none such."""
    try:
        found = date(year, month, day)
    except ValueError:
        return _INVALID
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return Wrong("date_out_of_range", first=FIRST_YEAR, last=LAST_YEAR)
    return found


def read_moment(text: str, today: date | None = None) -> Moment | Wrong:
    """The day and time of a text. With ``today``, dates without a year are the latest that is not in the future; without it they are Wrong."""
    plain = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip().lower()
    if not plain or len(plain) > 60 or (today is None and not plain[:4].isdigit()):  # without today it must begin with a year
        return _INVALID
    day, rest = _day(plain, today)
    if isinstance(day, Wrong):
        return day
    rest = _BETWEEN.sub("", rest)
    at = _time(rest) if rest and not _MIDNIGHT.fullmatch(rest) else None
    return at if isinstance(at, Wrong) else Moment(day, at)


def _day(plain: str, today: date | None) -> tuple[date | Wrong, str]:
    found = _YMD.match(plain) or _COMPACT.match(plain)
    if found:
        year, month, day = (int(part) for part in found.groups())
        return date_of(year, month, day), plain[found.end() :]
    if today is None:
        return _INVALID, plain
    for word, back in _RELATIVE.items():
        if plain.startswith(word):
            return today - timedelta(days=back), plain[len(word) :]
    found = _SHORT_YEAR.match(plain)
    if found:
        year, month, day = (int(part) for part in found.groups())
        return date_of(2000 + year, month, day), plain[found.end() :]
    found = _MD.match(plain)
    if found:
        month, day = (int(part) for part in found.groups())
        return latest(month, day, today), plain[found.end() :]
    return _INVALID, plain


def latest(month: int, day: int, today: date) -> date | Wrong:
    """The latest such day of the year that is not after ``today``; 29 February may lie up to eight years back."""
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return _INVALID
    for year in range(today.year, today.year - 9, -1):
        try:
            found = date(year, month, day)
        except ValueError:
            continue
        if found <= today:
            return found
    return _INVALID


def _time(rest: str) -> time | Wrong | None:
    plain = rest.strip()
    if plain in _HALVES:
        return None
    found = _TIME.fullmatch(plain)
    if not found:
        return _INVALID
    half, hour_text, minute, thirty, quarter, second, suffix = found.groups()
    hour = int(hour_text)
    word = half or suffix
    if (word in _AFTERNOON and hour < 12) or (word == "中午" and hour < 3):
        hour += 12
    elif word in ("am", "凌晨") and hour == 12:
        hour = 0
    minutes = 30 if thirty else {"一刻": 15, "三刻": 45}.get(quarter or "", int(minute or 0))
    try:
        return time(hour, minutes, int(second or 0))
    except ValueError:
        return _INVALID


def _moment(day: date | Wrong, at: time | None = None) -> Moment | Wrong:
    return day if isinstance(day, Wrong) else Moment(day, at)


def of_serial(number: float) -> Moment | Wrong:
    """The moment of an Excel serial number (1900 system, to the second); Wrong outside 1954 to 2119."""
    if not _SERIALS[0] <= number <= _SERIALS[1]:
        return _INVALID
    found = _EXCEL_EPOCH + timedelta(seconds=round(number * 86_400))
    return Moment(found.date(), found.time() if found.time() != time() else None)


def of_cell(raw: object, today: date | None = None) -> Moment | Wrong | None:
    """The moment of a spreadsheet cell of any kind: dates, serial numbers, texts; None for an empty one, Wrong for what tells none."""
    if raw is None:
        return None
    if isinstance(raw, datetime):
        return _moment(date_of(raw.year, raw.month, raw.day), raw.time().replace(tzinfo=None) if raw.time() != time() else None)
    if isinstance(raw, date):
        return _moment(date_of(raw.year, raw.month, raw.day))
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return of_serial(raw)
    if not isinstance(raw, str):
        return _INVALID
    text = raw.strip()
    if not text:
        return None
    if _ISO.fullmatch(text):  # as programs write them
        return _of_iso(text, today)
    if _SERIAL.fullmatch(text):
        return of_serial(float(text))
    return read_moment(text, today)


def _of_iso(text: str, today: date | None) -> Moment | Wrong:
    """What ``read_moment`` gives, at the speed of the standard library; what no calendar has is told by it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return read_moment(text, today)
    return _moment(date_of(found.year, found.month, found.day), found.time() if len(text) > len("2026-03-15") else None)
