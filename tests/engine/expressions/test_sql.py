"""The SQL face leaves indexes usable, serves everybody with one statement, and refuses what only Python can do."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from engine.expressions.binds import shape_of
from engine.expressions.language import parse
from engine.expressions.problems import NoSqlFace
from engine.expressions.to_sql import bind_values, condition, needed_in, value
from tests.faces.comparing import filled
from tests.faces.world import NAMES, SPACES, TABLES, Situation, TableNames

ITEM = TABLES["item"]
INDEXED = ("grade", "at", "owner", "place", "phone__bi", "day", "rank")


@pytest.fixture(scope="module")
def sqlite() -> Iterator[sa.Connection]:
    with filled("sqlite://") as (connection,):
        for column in INDEXED:
            connection.execute(sa.schema.CreateIndex(sa.Index(f"i_{column}", ITEM.c[column])))
        connection.execute(sa.schema.CreateIndex(sa.Index("i_team", TABLES["person"].c.team)))
        yield connection
    for table in (ITEM, TABLES["person"]):
        table.indexes.clear()


def statement(text: str, *, shaped: bool = False) -> sa.Select:
    names = TableNames("item", ITEM, "sqlite")
    expression = parse(text, NAMES)
    term = condition(expression, names)
    if shaped:
        known = bind_values(Situation(0, 0, 0, 0).evaluator(), needed_in(term), **SPACES[0])
        term = condition(expression, names, shape=shape_of(known))
    return sa.select(ITEM.c.id).where(term)


def plan(connection: sa.Connection, select: sa.Select) -> str:
    values = bind_values(Situation(0, 0, 0, 0).evaluator(), needed_in(select), **SPACES[0])
    compiled = select.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    given = compiled.construct_params(values)
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(str(given.get(name)) for name in compiled.positiontup or ())).all()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("grade == 'A'", "i_grade"),
        ("grade in ('A', 'B')", "i_grade"),
        ("days_since(at) > 30", "i_at"),
        ("30 < days_since(at)", "i_at"),
        ("days_until(at) <= 3", "i_at"),
        ("days_since(day) >= 7", "i_day"),
        ("hours_since(at) == 5", "i_at"),
        ("date_of(at) == today()", "i_at"),
        ("date_of(at) < '2026-03-01'", "i_at"),
        ("owner == me", "i_owner"),
        ("owner in (1, 2)", "i_owner"),
        ("between(at, now(), null)", "i_at"),
        ("owner.team == me.team", "i_team"),
        ("phone == '139 0000 0001'", "i_phone__bi"),
        ("empty(owner)", "i_owner"),
        ("minutes_between(at, now()) >= 15", "i_at"),
        ("rank != 3 and grade == 'B'", "i_grade"),
    ],
)
def test_a_condition_on_an_indexed_column_is_searched_by_it(sqlite, text, index):
    assert f"USING INDEX {index} " in (found := plan(sqlite, statement(text, shaped=True)).replace("COVERING ", "")), found


def test_one_statement_serves_everybody():
    select = statement("owner == me and n > setting.limit and date_of(at) == today()")
    assert set(needed_in(select)) >= {"e_me", "e_setting_limit"}
    first, second = (bind_values(Situation(0, person, 0, 0).evaluator(), needed_in(select)) for person in (0, 2))
    assert first["e_me"] != second["e_me"]


def test_what_reads_no_row_is_computed_once_in_python():
    select = statement("n > length(concat(me.name, 'x')) or has(me.roles, 'boss') or name == period_of(now(), 'month')")
    assert len(needed_in(select)) == 3


def test_columns_never_empty_need_no_guard_and_others_do():
    assert "NULL" not in str(statement("not (rank < 3)")) and "NULL" not in str(statement("rank != 3"))
    assert "NULL" in str(statement("not (n < 3)")) and "NULL" in str(statement("n != 3"))


def test_values_of_people_are_bound_never_written_out():
    text = str(statement("name == 'x\\'; DROP TABLE r_item; --' or contains(note, '%') or has(tags, 'DROP')"))
    assert "DROP" not in text and "%" not in text


def test_a_shape_folds_what_is_known():
    names = TableNames("item", ITEM, "sqlite")
    expression = parse("has(me.roles, 'boss') or owner == me.lead", NAMES)
    nobody = bind_values(Situation(0, 1, 0, 0).evaluator(), needed_in(condition(expression, names)))
    assert str(condition(expression, names, shape=shape_of(nobody))) == "r_item.owner IS NULL"
    boss = bind_values(Situation(0, 0, 0, 0).evaluator(), needed_in(condition(expression, names)))
    assert str(condition(expression, names, shape=shape_of(boss))) == "true"


@pytest.mark.parametrize("text", ["edit_distance(name, note)", "part(amount, share)", "rate(amount, n)", "list(name, note)"])
def test_python_only_parts_are_refused_with_their_place(text):
    expression = parse(text, NAMES)
    assert not expression.has_sql
    with pytest.raises(NoSqlFace) as caught:
        value(expression, TableNames("item", ITEM, "sqlite"))
    assert caught.value.column == 1
