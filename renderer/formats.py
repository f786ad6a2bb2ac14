"""Short forms for people, made by hand because they stand in every cell: dates as 11-23, 今天, counts as 1,000+, sizes, greetings. Types' own texts are their ``show``."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.fields.values import HIDDEN
from renderer.translations import _

#: What stands for a record whose reader may not see it; a number would tell them something and help nobody.
UNSEEN = HIDDEN


def short_date(value: date, today: date) -> str:
    """A day in a list: 今天, 明天, 昨天, 11-23, and with its year when that is another."""
    distance = (value - today).days
    if -1 <= distance <= 1:
        return (_("Yesterday"), _("Today"), _("Tomorrow"))[distance + 1]
    if value.year == today.year:
        return f"{value.month:02d}-{value.day:02d}"
    return f"{value.year}-{value.month:02d}-{value.day:02d}"


def short_instant(value: datetime, zone: ZoneInfo, today: date) -> str:
    """A moment in a list: 今天 10:24, 11-23 10:24, 2025-11-23."""
    local = value.astimezone(zone)
    day = short_date(local.date(), today)
    if local.year != today.year:
        return day
    return f"{day} {local.hour:02d}:{local.minute:02d}"


def day_of(value: datetime, zone: ZoneInfo, ends_day: bool) -> date:
    """The day a moment is shown as: its local day, or the one it ends."""
    local = value.astimezone(zone)
    if ends_day and not (local.hour or local.minute or local.second or local.microsecond):
        return local.date() - timedelta(days=1)
    return local.date()


def count(number: int | None, capped: bool = False) -> str:
    """386, 1,000+; nothing for an unknown one."""
    if number is None:
        return ""
    return f"{number:,}+" if capped else f"{number:,}"


def size(octets: int) -> str:
    """A file's size: 820 B, 1.2 MB."""
    amount = float(octets)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    return ""


def greeting(hour: int) -> str:
    """What people say at that hour."""
    if hour < 5 or hour >= 22:
        return _("Good night")
    if hour < 11:
        return _("Good morning")
    if hour < 13:
        return _("Good day")
    return _("Good afternoon") if hour < 18 else _("Good evening")


def weekday(day: date) -> str:
    """周一 … 周日"""
    return (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))[day.weekday()]


def initial(name: str) -> str:
    """What an avatar shows: the first character."""
    return name.strip()[:1].upper() or "?"


def is_name(label: str) -> bool:
    """Whether a label begins with a name, whose first character tells something, and not with a number, a day or a code."""
    return not any(character.isdigit() for character in "".join(label.split()[:1]))
