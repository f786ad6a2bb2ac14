"""What dated cells with a colour say: how late, how long still; of what began at a moment, how long ago."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.fields.moment import Date, InstantType
from renderer.cells import deadline

NOW = datetime(2026, 3, 15, 3, tzinfo=UTC)
CTX: Any = SimpleNamespace(now=NOW, workspace=SimpleNamespace(timezone=ZoneInfo("Asia/Shanghai")))


def field(key: str, default: Any = None) -> Any:
    return SimpleNamespace(key=key, type=InstantType(), value=SimpleNamespace(options={}), definition=SimpleNamespace(default=default))


@pytest.mark.parametrize(
    ("item", "ago", "said"),
    [
        (field("due_at"), timedelta(days=2), "逾期 2 天"),
        (field("due_at"), timedelta(hours=3), "逾期 3 小时"),
        (field("opened_at", {"value": "now()"}), timedelta(days=2), "2 天前"),
        (field("opened_at", {"value": "now()"}), timedelta(hours=3), "3 小时前"),
        (field("created_at"), timedelta(days=1), "1 天前"),
        (field("due_at"), timedelta(days=-2), "plain"),
    ],
)
def test_a_moment_that_tells_since_when_is_never_called_late(item: Any, ago: timedelta, said: str) -> None:
    assert said in deadline(item, NOW - ago, CTX, date(2026, 3, 15), "plain")


@pytest.mark.parametrize(("days", "said"), [(-12, "已过期 12 天"), (0, "今日到期"), (3, "剩 3 天")])
def test_a_day_gone_by_says_how_many_days_ago(days: int, said: str) -> None:
    item: Any = SimpleNamespace(key="due_on", type=Date())
    assert said in deadline(item, date(2026, 3, 15) + timedelta(days=days), CTX, date(2026, 3, 15), "plain")
