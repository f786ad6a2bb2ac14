"""The night in which protection ends: what releasing many customers at one midnight costs the database."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from engine import worker_batch
from engine.background import advance
from engine.records.query import count

from .conftest import MORNING, Site

#: Statements of one release among others: customer, spell, the owner's figures, a task each with its stage, the message, and what is looked for on the way.
#: What other rows carry, histories and the log of rules are written once for all of a transaction.
MOST_STATEMENTS = {"sqlite": 11, "postgresql": 13}


def expiring(site: Site, many: int, midnight: datetime) -> None:
    """So many customers of one consultant, with the task that comes with each, whose protection ends at that midnight."""
    jing, since = site.person("jing"), (midnight - timedelta(days=3)).isoformat()
    for _ in range(many):
        site.customer("", owner=jing, pool_state="private", owned_since=since, protect_until=midnight.isoformat())


def released(site: Site, many: int, midnight: datetime) -> int:
    """How many statements it takes to release so many at that midnight."""
    expiring(site, many, midnight)
    seen: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    advance(site.home, site.name, midnight - timedelta(minutes=1))
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        advance(site.home, site.name, midnight)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return len(seen)


def test_each_customer_released_in_the_night_takes_a_bounded_number_of_statements(fresh_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site, midnight = fresh_site, MORNING.replace(hour=0) + timedelta(days=1)
    monkeypatch.setattr(worker_batch, "LONGEST_SECONDS", 60.0)  # as many to a transaction as there may be, however slow the machine
    few = released(site, 3, midnight)
    advance(site.home, site.name, midnight + timedelta(hours=10))  # so that nothing else of theirs falls due at the second midnight
    many = released(site, 13, midnight + timedelta(days=2))
    assert count(site.ctx(), "customer", "pool_state == 'pool' and release_reason == 'expired'") == 16
    assert count(site.ctx(), "ownership_spell", "end_reason == 'expired'") == count(site.ctx(), "task", "status == 'cancelled'") == 16
    assert (many - few) / 10 <= MOST_STATEMENTS[site.home.database.dialect], (few, many)
