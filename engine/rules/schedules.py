"""The five fields of a cron schedule in words: common shapes as people say them, any other by its text."""

from __future__ import annotations

from engine.rules.labels import Labels

_WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def schedule_phrase(text: str, labels: Labels) -> str:
    """``0 8 * * MON-FRI`` as 每周一至周五 08:00."""
    fields = text.upper().split()
    days = _days(fields[2:], labels) if len(fields) == 5 else None
    if days is None:
        return labels.word("cron_text", cron=text)
    minute, hour = fields[0], fields[1]
    if minute.isdigit() and all(part.isdigit() for part in hour.split(",")):
        times = labels.listed([f"{int(part):02d}:{int(minute):02d}" for part in hour.split(",")])
        return labels.word("cron_at", days=days, times=times)
    if hour == "*" and all(part.isdigit() for part in minute.split(",")):
        return labels.word("cron_hourly", days=days, minutes=labels.listed([str(int(part)) for part in minute.split(",")]))
    if hour == "*" and minute.startswith("*/") and minute[2:].isdigit():
        return labels.word("cron_minutes", days=days, number=int(minute[2:]))
    return labels.word("cron_text", cron=text)


def _days(fields: list[str], labels: Labels) -> str | None:
    day, month, week = fields
    plain = all(part.isdigit() for part in day.split(","))
    if (day, month) == ("*", "*"):
        if week == "*":
            return labels.word("cron_every_day")
        names = [_weekday(part, labels) for part in week.split(",")]
        return labels.word("cron_weekdays", days=labels.listed([name for name in names if name])) if all(names) else None
    if week != "*" or not plain:
        return None
    if month == "*":
        return labels.word("cron_month_days", days=labels.listed([str(int(part)) for part in day.split(",")]))
    if all(part.isdigit() for part in month.split(",")):
        return labels.word("cron_year_days", months=labels.listed(month.split(",")), days=labels.listed(day.split(",")))
    return None


def _weekday(part: str, labels: Labels) -> str | None:
    first, dash, last = part.partition("-")
    numbers = [_WEEK.index(name) if name in _WEEK else int(name) % 7 if name.isdigit() else None for name in ([first, last] if dash else [first])]
    if any(number is None for number in numbers):
        return None
    names = [labels.word(f"weekday_{number}") for number in numbers]
    return labels.word("cron_span", first=names[0], last=names[1]) if dash else names[0]
