"""Lengths of time: ISO 8601 durations and the few words people use for them, in one canonical text. Adding them to a date is not done here."""

import re
import unicodedata
from typing import NamedTuple

from engine.fields.base import Wrong

_ISO = re.compile(r"([+-]?)P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?", re.ASCII)
#: The JSON form, as a pattern that also stands in the JSON Schema.
ISO_PATTERN = (r"^[+-]?P(?=[0-9T])([0-9]{1,4}Y)?([0-9]{1,5}M)?([0-9]{1,5}W)?([0-9]{1,6}D)?"
               r"(T(?=[0-9])([0-9]{1,7}H)?([0-9]{1,8}M)?([0-9]{1,9}S)?)?$")
_WORDS = re.compile(r"(\d{1,6})\s*(年|个?月|周|星期|天|日|个?小时|时|分钟?|秒钟?|years?|months?|weeks?|days?|hours?|h|minutes?|min|seconds?|s|d)", re.ASCII)
_UNIT_OF = {"年": "y", "月": "o", "个月": "o", "周": "w", "星期": "w", "天": "d", "日": "d", "小时": "h", "个小时": "h", "时": "h", "分": "m", "分钟": "m",
            "秒": "s", "秒钟": "s", "h": "h", "min": "m", "s": "s", "d": "d"}
_ENGLISH = {"year": "y", "month": "o", "week": "w", "day": "d", "hour": "h", "minute": "m", "second": "s"}


class Duration(NamedTuple):
    """Months and seconds, both with the sign of the whole; a day is 24 hours."""

    months: int
    seconds: int


def parse_duration(text: str) -> Duration:
    """The duration of an ISO 8601 text; Wrong for anything else."""
    found = _ISO.fullmatch(text)
    if not found or not any(found.groups()[1:]) or text.endswith("T"):
        raise Wrong("duration_invalid")
    sign = -1 if found[1] == "-" else 1
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    return Duration(sign * (years * 12 + months), sign * ((weeks * 7 + days) * 86_400 + hours * 3600 + minutes * 60 + seconds))


def iso(duration: Duration) -> str:
    """The canonical text: years, months, days, hours, minutes, seconds; ``PT0S`` for nothing."""
    sign = "-" if duration.months < 0 or duration.seconds < 0 else ""
    years, months = divmod(abs(duration.months), 12)
    days, rest = divmod(abs(duration.seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    day_part = "".join(f"{number}{letter}" for number, letter in ((years, "Y"), (months, "M"), (days, "D")) if number)
    time_part = "".join(f"{number}{letter}" for number, letter in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    if not day_part and not time_part:
        return "PT0S"
    return f"{sign}P{day_part}{'T' + time_part if time_part else ''}"


def read_duration(text: str) -> str:
    """The canonical text of what a person typed: ISO 8601, or words such as ``3天``, ``2小时30分``, ``45 min``."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.lstrip("+-")[:1] in ("P", "p"):
        return iso(parse_duration(plain.upper()))
    plain = plain.lower().replace("半小时", "30分钟")
    position, months, seconds = 0, 0, 0
    for found in _WORDS.finditer(plain):
        if plain[position:found.start()].strip():
            raise Wrong("duration_invalid")
        position = found.end()
        unit = _UNIT_OF.get(found[2]) or _ENGLISH[found[2].removesuffix("s")]
        months += int(found[1]) * {"y": 12, "o": 1}.get(unit, 0)
        seconds += int(found[1]) * {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}.get(unit, 0)
    if position == 0 or plain[position:].strip():
        raise Wrong("duration_invalid")
    return iso(Duration(months, seconds))


_ZH = (("Y", "年"), ("O", "个月"), ("D", "天"), ("H", "小时"), ("M", "分钟"), ("S", "秒"))
_EN = (("Y", "year"), ("O", "month"), ("D", "day"), ("H", "hour"), ("M", "minute"), ("S", "second"))


def duration_words(text: str, locale: str) -> str:
    """``P1DT2H`` as people say it: 1 天 2 小时, 1 day 2 hours."""
    duration = parse_duration(text)
    years, months = divmod(abs(duration.months), 12)
    days, rest = divmod(abs(duration.seconds), 86_400)
    numbers = {"Y": years, "O": months, "D": days, "H": rest // 3600, "M": rest % 3600 // 60, "S": rest % 60}
    chinese = locale.startswith("zh")
    parts = [f"{numbers[letter]} {word}{'s' if not chinese and numbers[letter] != 1 else ''}" for letter, word in (_ZH if chinese else _EN) if numbers[letter]]
    sign = "-" if text.startswith("-") else ""
    return sign + " ".join(parts) if parts else ("0 分钟" if chinese else "0 minutes")
