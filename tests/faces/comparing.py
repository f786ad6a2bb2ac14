"""Asks Python and both databases the same expressions and says in words where they disagree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sqlalchemy.pool import StaticPool

from engine.expressions.language import Expression, parse
from engine.expressions.types import BOOLEAN
from tests.faces.world import NAMES, PEOPLE, SETTING_VALUES, SPACES, ZONES, Situation, by_python, by_sql, fill

#: Expressions drawn together and asked in one statement.
TOGETHER = 8

quietly = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
situations = st.builds(Situation, *(st.integers(0, len(items) - 1) for items in (ZONES, PEOPLE, SETTING_VALUES, SPACES)))


@contextmanager
def filled(*urls: str) -> Iterator[tuple[sa.Connection, ...]]:
    """Connections to databases of the small world."""
    engines = [sa.create_engine(url, poolclass=StaticPool) for url in urls]
    for engine in engines:
        fill(engine)
    yield tuple(engine.connect().execution_options(isolation_level="AUTOCOMMIT") for engine in engines)
    for engine in engines:
        engine.dispose()


def read(sources: list[str]) -> list[Expression]:
    """The expressions, each of which has both faces."""
    found = [parse(source, NAMES) for source in sources]
    assert all(item.has_sql for item in found), sources
    return found


def differences(sources: list[str], situation: Situation, databases: tuple[sa.Connection, ...], *, shaped: bool = False) -> list[str]:
    """What the faces disagree about; nothing when they agree."""
    expressions = read(sources)
    expected = by_python(expressions, situation)
    wrong = []
    for connection in databases:
        found, negated = by_sql(expressions, situation, connection, shaped=shaped)
        for number, item in enumerate(expressions):
            wrong += _compared(item, expected[number], found[number], connection.dialect.name)
            if item.type == BOOLEAN:
                wrong += _compared(item, [not answer for answer in expected[number]], negated[number], f"{connection.dialect.name}, negated")
    return wrong


def _compared(item: Expression, python: list[Any], sql: list[Any], where: str) -> list[str]:
    rows = [number for number, (left, right) in enumerate(zip(python, sql, strict=True), 1) if left != right]
    if not rows:
        return []
    first = rows[0] - 1
    return [f"{item.source} [{where}]: {len(rows)} rows, first {rows[0]}: python {python[first]!r}, sql {sql[first]!r}"]
