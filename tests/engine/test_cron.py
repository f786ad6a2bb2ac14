"""Cron by the wall clock: lists, ranges, steps, names; the hour that is left out and the hour that is told twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.cron import read

SHANGHAI, BERLIN, HAVANA = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Havana")


def ticks(text: str, since: str, zone: ZoneInfo, many: int) -> list[str]:
    found, moment = [], datetime.fromisoformat(since).replace(tzinfo=zone)
    for _ in range(many):
        moment = read(text).after(moment, zone) or pytest.fail("no tick")
        found.append(moment.astimezone(zone).strftime("%m-%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("text", "since", "wanted"),
    [
        ("0 8 * * MON", "2026-03-01 11:00", ["03-02 08:00 +0800", "03-09 08:00 +0800"]),
        ("0 8 * * MON", "2026-03-02 08:00", ["03-09 08:00 +0800"]),
        ("*/20 9-10 * * *", "2026-03-01 09:59", ["03-01 10:00 +0800", "03-01 10:20 +0800", "03-01 10:40 +0800", "03-02 09:00 +0800"]),
        ("15,45 0 1 JAN,jul *", "2026-03-01 00:00", ["07-01 00:15 +0800", "07-01 00:45 +0800", "01-01 00:15 +0800"]),
        ("0 0 29 2 *", "2026-03-01 00:00", ["02-29 00:00 +0800"]),
        ("0 12 13 * 5", "2026-03-01 00:00", ["03-06 12:00 +0800", "03-13 12:00 +0800", "03-20 12:00 +0800"]),
        ("30 6 * * 7", "2026-03-01 07:00", ["03-08 06:30 +0800"]),
        ("0 0 31 * *", "2026-03-31 00:00", ["05-31 00:00 +0800"]),
        ("10/25 3 * * *", "2026-03-01 00:00", ["03-01 03:10 +0800", "03-01 03:35 +0800", "03-02 03:10 +0800"]),
    ],
)
def test_ticks_follow_the_five_fields(text: str, since: str, wanted: list[str]):
    assert ticks(text, since, SHANGHAI, len(wanted)) == wanted


def test_a_tick_in_the_hour_left_out_comes_an_hour_later_on_that_day_and_once():
    """Berlin goes from 02:00 to 03:00 on 29 March 2026."""
    assert ticks("30 2 * * *", "2026-03-28 03:00", BERLIN, 2) == ["03-29 03:30 +0200", "03-30 02:30 +0200"]


def test_a_tick_in_the_hour_told_twice_comes_once_unless_every_hour_is_meant():
    """Berlin goes from 03:00 back to 02:00 on 25 October 2026."""
    assert ticks("30 2 * * *", "2026-10-25 00:00", BERLIN, 2) == ["10-25 02:30 +0200", "10-26 02:30 +0100"]
    assert ticks("30 * * * *", "2026-10-25 01:00", BERLIN, 4) == ["10-25 01:30 +0200", "10-25 02:30 +0200", "10-25 02:30 +0100", "10-25 03:30 +0100"]
    assert ticks("30 * * * *", "2026-03-29 01:00", BERLIN, 2) == ["03-29 01:30 +0100", "03-29 03:30 +0200"]


def test_midnight_that_is_left_out_still_begins_the_day():
    """Havana goes from 00:00 to 01:00 on 8 March 2026."""
    assert ticks("0 0 * * *", "2026-03-07 12:00", HAVANA, 2) == ["03-08 01:00 -0400", "03-09 00:00 -0400"]


def test_the_latest_tick_is_the_last_of_those_gone_by():
    schedule, now = read("*/5 * * * *"), datetime(2026, 3, 1, 3, 12, 30, tzinfo=UTC)
    assert schedule.until(now, SHANGHAI) == datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
    assert schedule.until(datetime(2026, 3, 1, 3, 10, tzinfo=UTC), SHANGHAI) == datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
    assert read("0 0 30 2 *").after(now, SHANGHAI) is None and read("0 0 30 2 *").until(now, SHANGHAI) is None


def test_forwards_and_backwards_meet_at_every_tick_of_two_years():
    for text in ("17 */7 * * *", "30 2 * * SUN", "0,30 1-3 * 3,10 *"):
        schedule, moment = read(text), datetime(2026, 1, 1, tzinfo=UTC)
        while moment < datetime(2028, 1, 1, tzinfo=UTC):
            tick = schedule.after(moment, BERLIN)
            assert tick is not None and schedule.until(tick, BERLIN) == tick
            assert schedule.until(tick - timedelta(seconds=1), BERLIN) <= moment
            moment = tick
