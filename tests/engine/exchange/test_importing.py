"""Imports of many rows on both databases: read ahead and written in chunks, each row accounted for, whatever the chunks and whatever happens between them."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine import jobs
from engine.background import worker_of
from engine.exchange import batches, reading
from engine.jobs import JobRun
from engine.records import loading, service
from engine.records.query import Query, count, page
from engine.records.work import Work
from engine.system_tables import history
from engine.system_tables_imports import import_row
from tests.engine.homes import SMALL, Homes, Place, small_place

PLANT = {
    **SMALL["entity", "plant"],
    "fields": {
        **SMALL["entity", "plant"]["fields"],
        "name": {"type": "text", "title": {"zh": "名称"}, "required": True, "maxLength": 12},
        "planted": {"type": "date", "title": {"zh": "种植"}},
        "price": {"type": "money", "title": {"zh": "价格"}},
        "marks": {"type": "tags", "title": {"zh": "标记"}},
        "remark": {"type": "long_text", "title": {"zh": "备注"}},
    },
    "unique": {"code": {"fields": ["code"]}},
    "import": {
        "key": ["code"],
        "ditto": ["同上"],
        "unread": "remark",
        "columns": {"keeper": {"headers": ["看护"], "reader": "person", "into": {"person": "owner"}, "with": {"unknown": "create", "role": "admin"}}},
    },
}
HEADERS = ("名称", "编码", "高度", "阶段", "种植", "价格", "标记", "看护")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("importing"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, homes: Homes) -> Place:
    return small_place(homes.home(request.param), changes={("entity", "plant"): PLANT})


def plants(rows: int) -> list[list[str]]:
    """Rows as people keep them: some come twice, some are wrong, some say the same as above."""
    found = []
    for number in range(rows):
        code = f"P{number - number % 7:04}" if number % 7 == 3 else f"P{number:04}"
        height = "很高" if number % 50 == 20 else str(number % 90)
        stage = ("新", "成", "败", "")[number % 4]
        keeper = "同上" if number % 5 else f"看护{number // 5 % 6}"
        found.append(
            [f"树{number}", code, height, stage, f"2025-{number % 12 + 1:02}-0{number % 9 + 1}", f"{number % 30}万", "高、绿" if number % 3 else "", keeper]
        )
    return found


def begun(place: Place, folder: Path, rows: Sequence[Sequence[str]], headers: Sequence[str] = HEADERS) -> batches.Batch:
    path = folder / "plants.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([headers, *rows])
    return batches.begin(place.ctx, "plant", path, "plants.csv")


def told(place: Place, batch: int) -> list[tuple[Any, ...]]:
    """The report: place, outcome, codes; the record by its code, for ids differ between workspaces."""
    codes = {item.id: item["code"] for item in everything(place)}
    rows = batches.report(place.ctx, batch, limit=10_000).rows
    return [(row.row, row.outcome, codes.get(row.record or 0), [item["code"] for item in (*row.faults, *row.warnings)]) for row in rows]


def everything(place: Place) -> list[Mapping[str, Any]]:
    found: list[Any] = []
    while some := page(place.ctx, Query("plant", f"id > {found[-1].id if found else 0}", sort=("id",), limit=200)).items:
        found += some
    return found


def values(place: Place) -> list[tuple[Any, ...]]:
    """All records without their ids; people by name."""
    return sorted(tuple(repr(item[key]) if key != "owner" else item[key] and item[key].label for key in PLANT["fields"]) for item in everything(place))


def test_each_row_is_created_merged_or_refused_and_kept_with_its_history(place, tmp_path):
    batch = batches.run(place.ctx, begun(place, tmp_path, plants(1300)).id)
    refused = sum(number % 50 == 20 for number in range(1300))
    assert (batch.counts["rows"], batch.counts["refused"]) == (1300, refused)
    assert batch.counts["created"] + batch.counts["merged"] + refused == 1300 and batch.counts["created"] == count(place.ctx, "plant")
    first = everything(place)[0]
    assert (first["name"], first["code"], first["height"], first["stage"], first["price"], first["marks"]) == ("树0", "P0000", 0, "new", 0, None)
    assert (first["planted"].isoformat(), first["owner"].label) == ("2025-01-01", "看护0")
    row = next(row for row in batches.report(place.ctx, batch.id, outcome="refused").rows)
    assert (row.row, row.faults[0]["pointer"], row.faults[0]["code"], row.raw[0]) == (22, "/height", "integer_expected", "树20")
    with place.ctx.reading() as ctx:
        kept = ctx.open.execute(sa.select(sa.func.count()).select_from(history).where(history.c.entity == "plant", history.c.verb == "create")).scalar_one()
        reported = ctx.open.execute(sa.select(sa.func.count()).select_from(import_row).where(import_row.c.batch == batch.id)).scalar_one()
    assert kept == batch.counts["created"] and reported == 1300


def test_people_there_were_not_are_told_of_once_each_in_the_rehearsal_and_in_the_import(place, tmp_path):
    batch = begun(place, tmp_path, plants(1300))
    for dry in (True, False):
        batches.run(place.ctx, batch.id, dry=dry)
        rows = batches.report(place.ctx, batch.id, limit=10_000).rows
        made = [item["params"]["name"] for row in rows for item in row.warnings if item["code"] == "person_made"]
        assert made == [f"看护{number}" for number in range(6)]


def test_the_size_of_chunks_does_not_change_what_becomes_of_the_rows(place, tmp_path, monkeypatch):
    whole = batches.run(place.ctx, begun(place, tmp_path, plants(700)).id)
    other = small_place(place.home, changes={("entity", "plant"): PLANT})
    monkeypatch.setattr(reading, "PIECE", 37)
    monkeypatch.setattr(reading, "SHORT_WRITE", 1000.0)
    pieces = batches.run(other.ctx, begun(other, tmp_path, plants(700)).id)
    assert told(place, whole.id) == told(other, pieces.id)
    assert values(place) == values(other) and dict(whole.counts) == dict(pieces.counts)


class Killed(BaseException):
    """The process dies here, for the test."""


@pytest.mark.parametrize("after", [1, 4])
def test_an_import_killed_half_way_goes_on_where_its_last_chunk_was_committed(place, tmp_path, monkeypatch, after):
    monkeypatch.setattr(reading, "PIECE", 64)
    whole = batches.run(place.ctx, begun(place, tmp_path, plants(600)).id)
    other = small_place(place.home, changes={("entity", "plant"): PLANT})
    batch = begun(other, tmp_path, plants(600))
    done = [0]

    def dying(_: object, progress: Mapping[str, Any]) -> None:
        if len(done) > after:
            raise Killed
        done.append(progress["done"])

    with pytest.raises(Killed):
        batches.run(other.ctx, batch.id, checkpoint=dying)
    assert 0 < done[-1] < 600 and count(other.ctx, "plant") > 0
    ended = batches.run(other.ctx, batch.id, start=done[-1])
    assert told(place, whole.id) == told(other, batch.id) and values(place) == values(other)
    assert {key: ended.counts[key] for key in ("rows", "created", "merged", "refused")} == {
        key: whole.counts[key] for key in ("rows", "created", "merged", "refused")
    }


def test_an_import_whose_worker_dies_five_times_ends_as_one_that_never_died(place, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE", 40)
    monkeypatch.setattr(reading, "SHORT_WRITE", 0.0)
    whole = batches.run(place.ctx, begun(place, tmp_path, plants(600)).id)
    other = small_place(place.home, changes={("entity", "plant"): PLANT})
    batch = begun(other, tmp_path, plants(600))
    job = batches.start(other.ctx, batch.id)
    table, keep, reached = jobs.table_for(other.workspace.database.dialect), JobRun.checkpoint, list[int]()

    def dying(before: bool, at: int) -> Callable[..., None]:
        seen = [0]

        def checkpoint(run: JobRun, connection: sa.Connection, progress: Mapping[str, Any]) -> None:
            seen[0] += 1
            if seen[0] == at and before:
                raise Killed
            keep(run, connection, progress)
            if seen[0] == at:
                raise Killed  # what this transaction wrote is not committed
            reached.append(progress["done"])

        return checkpoint

    for life in range(5):
        monkeypatch.setattr(JobRun, "checkpoint", dying(life % 2 == 0, 2 + life % 3))
        with pytest.raises(Killed):
            worker_of(other.home).drain(other.name)
        with other.workspace.database.write() as connection:  # the lease of the dead worker ends
            connection.execute(table.update().where(table.c.id == job).values(run_at=jobs.moment(connection)))
    monkeypatch.setattr(JobRun, "checkpoint", keep)
    assert reached == sorted(set(reached)) and 0 < reached[-1] < 600
    worker_of(other.home).drain(other.name)
    done = jobs.find(other.workspace.database, other.name, job)
    assert (done.state, done.attempts) == ("done", 6)
    assert told(place, whole.id) == told(other, batch.id) and values(place) == values(other)
    ended = batches.find(other.ctx, batch.id)
    assert [ended.counts[key] for key in ("rows", "created", "merged", "refused")] == [whole.counts[key] for key in ("rows", "created", "merged", "refused")]


def test_a_rule_published_while_rows_are_read_ahead_holds_for_those_not_yet_written(place, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE", 50)
    monkeypatch.setattr(reading, "SHORT_WRITE", 0.0)
    rows = [[f"一棵很高的树{number}", f"Q{number}"] for number in range(150)]
    batch, ctx, seen = begun(place, tmp_path, rows, HEADERS[:2]), place.ctx, []

    run_chunk = batches._chunk

    def chunk(*given: Any) -> dict[str, Any]:
        counts = run_chunk(*given)
        if not seen:
            place.with_fields("plant", name={**PLANT["fields"]["name"], "maxLength": 5})
        seen.append(counts)
        return counts

    monkeypatch.setattr(batches, "_chunk", chunk)
    counts = batches.run(ctx, batch.id).counts
    assert len(seen) == 3 and (counts["created"], counts["refused"]) == (50, 100)
    assert {item["code"] for row in batches.report(place.ctx, batch.id, outcome="refused").rows for item in row.faults} == {"text_too_long"}


def test_a_rehearsal_in_several_chunks_finds_the_people_it_would_make_in_each(place, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE", 40)
    batch = begun(place, tmp_path, plants(120))
    dry = batches.run(place.ctx, batch.id, dry=True)
    assert count(place.ctx, "plant") == 0 and count(place.ctx, "person") == 0
    done = batches.run(place.ctx, batch.id)
    assert count(place.ctx, "person") == 6
    assert [dry.counts[key] for key in ("created", "merged", "refused")] == [done.counts[key] for key in ("created", "merged", "refused")]


def test_the_loser_of_a_race_is_refused_alone_among_hundreds(place, tmp_path, monkeypatch):
    """Somebody takes a key between the look and the write: as if neither look had seen it."""
    batches.run(place.ctx, begun(place, tmp_path, [["先来", "P0444"]], HEADERS[:2]).id)
    monkeypatch.setattr(loading, "taken", lambda *_: set())
    monkeypatch.setattr("engine.exchange.matching.Matcher.find", lambda *_: {})
    batch = batches.run(place.ctx, begun(place, tmp_path, [[f"树{number}", f"P{number:04}"] for number in range(600)], HEADERS[:2]).id)
    assert (batch.counts["created"], batch.counts["refused"]) == (599, 1)
    assert [row.row for row in batches.report(place.ctx, batch.id, outcome="refused").rows] == [446]
    assert count(place.ctx, "plant") == 600


def test_a_list_given_again_and_again_is_a_list_of_its_own_in_each_record(place, tmp_path):
    batches.run(place.ctx, begun(place, tmp_path, [[f"树{number}", f"P{number}", "高、绿"] for number in range(3)], ("名称", "编码", "标记")).id)
    assert [item["marks"] for item in everything(place)] == [["高", "绿"]] * 3


def test_an_empty_default_and_an_unreadable_cell_are_told_apart(place, tmp_path):
    """An empty cell leaves the default; one that cannot be read refuses its row."""
    place.with_fields("plant", height={**PLANT["fields"]["height"], "default": 7})
    batch = batches.run(place.ctx, begun(place, tmp_path, [["甲", "A", ""], ["乙", "B", "  "], ["丙", "C", "高"], ["丁", "D", "5"]], HEADERS[:3]).id)
    assert [(item["code"], item["height"]) for item in everything(place)] == [("A", 7), ("B", 7), ("D", 5)] and batch.counts["refused"] == 1


def test_a_row_shaped_ahead_is_written_as_one_that_is_shaped_in_its_turn(place):
    """And one that its entity adds something to is not shaped ahead."""
    place.with_fields("plant", height={**PLANT["fields"]["height"], "default": {"value": "40 + 2"}})
    values = {"name": "甲", "height": 3, "stage": "new", "planted": date(2025, 2, 3), "price": 700, "marks": ["高", "绿"]}
    with place.ctx.writing() as ctx:
        ahead = loading.reading_ahead(Work(ctx), ctx.workspace.entities["plant"])
        assert ahead({"name": "乙"}).shape is None
        shaped, plain = ahead({**values, "code": "A"}), loading.ReadRow({**values, "code": "B"})
        assert shaped.shape is not None
        results = service.load(ctx, "plant", [{}, {}, {}], read=[shaped, plain, ahead({"name": "乙"})])
    assert [item.outcome for item in results] == ["created"] * 3
    first, second, third = everything(place)
    assert {**first, "id": 0, "code": ""} == {**second, "id": 0, "code": ""} and third["height"] == 42
    with place.ctx.reading() as ctx:
        kept = [row.after for row in ctx.open.execute(sa.select(history.c.after).where(history.c.entity == "plant").order_by(history.c.record)).all()]
    assert {**kept[0], "code": ""} == {**kept[1], "code": ""} == {**values, "planted": "2025-02-03", "code": ""} and kept[2]["height"] == 42


def test_read_values_may_only_be_those_of_fields_their_giver_may_write(place):
    with place.ctx.writing() as ctx:
        results = service.load(ctx, "plant", [{}], read=[loading.ReadRow({"name": "甲", "nothing": 1})])
    assert results[0].refused and [(fault.pointer, fault.code) for fault in results[0].faults] == [("/nothing", "unknown_field")]
    assert count(place.ctx, "plant") == 0
