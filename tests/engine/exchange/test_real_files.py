"""Lists as sites really keep them: the twenty messy rows give exactly what was agreed, and three thousand rows are each imported, merged or reported."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import openpyxl
import pytest

from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.exchange import batches, undo
from engine.fields.values import Link
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.records.query import Query, count, get, page
from engine.records.record import Record
from metadata.bundle import Bundle

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "tests" / "data"
CHINA = timezone(timedelta(hours=8))
CLOCK = datetime(2026, 3, 15, 10, 0, tzinfo=CHINA)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, open_home: Callable[[str], Home]) -> Home:
    return open_home(request.param)


def site(home: Home, name: str) -> Context:
    bundle, problems = Bundle.read_folder(ROOT / "presets" / "real_estate", DOCUMENTS)
    assert not problems
    create_workspace(home, name, bundle, sandbox=True, now=CLOCK)
    return enter_as(home, name, "operator")


def imported(ctx: Context, name: str) -> batches.Batch:
    return batches.run(ctx, batches.begin(ctx, "customer", DATA / name, name).id)


@pytest.fixture(scope="module")
def messy(home: Home) -> tuple[Context, batches.Batch]:
    ctx = site(home, "messy")
    return ctx, imported(ctx, "customers_messy.xlsx")


def rows_of(ctx: Context, batch: batches.Batch) -> dict[int, batches.ReportRow]:
    """The report by the row numbers of the agreed table (the header is row 1 of the file)."""
    return {row.row - 1: row for row in batches.report(ctx, batch.id).rows}


def records(ctx: Context, entity: str, where: str = "") -> list[Record]:
    return page(ctx, Query(entity, where, sort=("id",), limit=200)).items


def customer(ctx: Context, batch: batches.Batch, row: int) -> Record:
    number = rows_of(ctx, batch)[row].record
    assert number is not None
    return get(ctx, "customer", number)


def day(record: Record, field: str = "first_visit_at") -> str:
    return record[field].astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def codes(ctx: Context, batch: batches.Batch, row: int) -> list[str]:
    return [item["code"] for item in rows_of(ctx, batch)[row].warnings]


def test_twenty_messy_rows_are_created_merged_or_refused_as_agreed(messy):
    ctx, batch = messy
    outcomes = {number: row.outcome for number, row in rows_of(ctx, batch).items()}
    assert outcomes == {**dict.fromkeys(range(1, 21), "created"), 4: "merged", 15: "merged", 6: "refused", 7: "refused", 9: "refused"}
    assert [rows_of(ctx, batch)[number].faults[0]["code"] for number in (6, 7, 9)] == ["phone_invalid", "name_required", "phone_precision_lost"]


def test_row_1_and_4_one_customer_two_visits(messy):
    ctx, batch = messy
    found = customer(ctx, batch, 1)
    assert (found["name"], found["phone"]) == ("张伟", "+8613800138000")
    assert (found["area_min"], found["area_max"], found["budget_min"], found["budget_max"]) == (1000, 1200, 300_000_000, 400_000_000)
    assert (found["source"], found["owner"].label, found["layouts"]) == ("natural", "李静", ["three"])
    assert rows_of(ctx, batch)[4].record == found.id
    visits = records(ctx, "visit", f"customer == {found.id}")
    assert [(day(visit, "at")[:10], visit["kind"]) for visit in visits] == [("2025-12-03", "first"), ("2025-12-10", "re")]


def test_row_2_name_and_phone_in_one_cell_and_an_approximate_budget(messy):
    ctx, batch = messy
    found = customer(ctx, batch, 2)
    assert (found["name"], found["phone"], day(found)[:10]) == ("王芳", "+8613900139001", "2025-12-03")
    assert found["budget_min"] == found["budget_max"] == 350_000_000
    assert "approx" in codes(ctx, batch, 2) and (found["source"], found["source_detail"]) == ("online", "douyin")


def test_row_3_and_15_the_owner_is_kept_and_a_person_must_look(messy):
    ctx, batch = messy
    found = customer(ctx, batch, 3)
    assert (found["gender"], found["budget_min"], found["budget_max"], found["owner"].label) == ("male", 200_000_000, 250_000_000, "王强")
    assert "unit_inferred" in codes(ctx, batch, 3) and rows_of(ctx, batch)[15].record == found.id
    reviews = records(ctx, "review")
    assert [(item["customer"].id, item["kept"], item["given"], item["source_row"]) for item in reviews] == [(found.id, "王强", "李静", 16)]


def test_row_5_two_people_become_one_customer_and_one_member(messy):
    ctx, batch = messy
    found = customer(ctx, batch, 5)
    assert (found["name"], found["gender"], found["phone"], found["source"]) == ("陈小姐", "female", "+8613600136003", "referral")
    assert (found["area_min"], found["area_max"], found["budget_min"], found["budget_max"]) == (1400, None, 500_000_000, None)
    assert day(found)[:10] == "2025-12-03"
    assert [(item["name"], item["phone"]) for item in found["member"]] == [("赵先生", "+8613500135004")]


def test_rows_8_to_14_odd_phones_dates_and_spouses(messy):
    ctx, batch = messy
    assert customer(ctx, batch, 8)["phone"] == "+8613300133006"
    assert customer(ctx, batch, 10)["phone"] == "+8613100131007"
    assert (customer(ctx, batch, 11)["phone"], customer(ctx, batch, 11)["phone_ext"]) == ("+8657188881234", "801")
    spouse = customer(ctx, batch, 12)["member"]
    assert [(item["name"], item["relation"], item["phone"]) for item in spouse] == [("钱强", "spouse", "+8615100151009")]
    assert day(customer(ctx, batch, 13)) == "2025-12-03 15:00"
    broken = customer(ctx, batch, 14)
    assert broken["first_visit_at"] is None and "2025-13-01" in broken["remark"] and "date_invalid" in codes(ctx, batch, 14)


def test_rows_16_to_20_budgets_and_a_phone_from_hong_kong(messy):
    ctx, batch = messy
    spans = {row: (customer(ctx, batch, row)["budget_min"], customer(ctx, batch, row)["budget_max"]) for row in (16, 17, 18, 19)}
    assert spans == {16: (None, 300_000_000), 17: (300_000_000, 400_000_000), 18: (350_000_000, 350_000_000), 19: (400_000_000, 400_000_000)}
    assert "unit_inferred" in codes(ctx, batch, 17)
    assert customer(ctx, batch, 19)["down_payment"] == 120_000_000
    assert customer(ctx, batch, 20)["phone"] == "+85261234567"


def test_the_same_file_twice_makes_nothing_twice(messy):
    ctx, _ = messy
    entities = ("customer", "member", "customer_phone", "visit", "follow_up", "review", "person")
    before = {entity: count(ctx, entity) for entity in entities}
    again = imported(ctx, "customers_messy.xlsx")
    assert (again.counts.get("created", 0), again.counts["merged"], again.counts["refused"]) == (0, 17, 3)
    assert {entity: count(ctx, entity) for entity in entities} == before


def independent_count(path: Path) -> Counter[str]:
    """Rows below each sheet's header that hold a name or phone, counted without any code of the product."""
    found: Counter[str] = Counter()
    for sheet in openpyxl.load_workbook(path, read_only=True):
        below = False
        for cells in sheet.iter_rows(values_only=True):
            first = str(cells[0] or "")
            if first == "序号":
                below = True
            elif below and any(cell not in (None, "") for cell in cells):
                found["subtotal" if first in ("小计", "合计") else "data"] += 1
    return found


def test_three_thousand_rows_of_a_site_are_each_created_merged_or_refused_with_a_reason(home):
    ctx = site(home, "whole")
    batch = imported(ctx, "customers_site.xlsx")
    expected = independent_count(DATA / "customers_site.xlsx")
    assert expected["data"] == batch.counts["rows"] == batch.counts["created"] + batch.counts["merged"] + batch.counts["refused"]
    assert batch.counts["passed"]["subtotal"] == expected["subtotal"]
    assert count(ctx, "customer") == batch.counts["created"]
    refused = batches.report(ctx, batch.id, outcome="refused", limit=1000).rows
    assert len(refused) == batch.counts["refused"] and all(row.faults and row.raw for row in refused)
    assert {item["code"] for row in refused for item in row.faults} <= {"phone_invalid", "phone_precision_lost", "name_required"}
    assert undone_leaves_only_what_was_changed_since(ctx, batch)


def undone_leaves_only_what_was_changed_since(ctx: Context, batch: batches.Batch) -> bool:
    """Part of the story of the big file, so that it is imported once: its undo skips the record somebody changed."""
    touched = page(ctx, Query("customer", "empty(merged_into)", limit=1)).items[0]
    service.update(ctx, "customer", touched.id, {"motive": "改过"}, touched.version)
    done, skipped = undo.undo(ctx, batch.id)
    assert done.state == "undone" and ("customer", touched.id, "changed") in [(item.entity, item.record, item.why) for item in skipped]
    left = page(ctx, Query("customer", limit=5)).items
    assert [item.id for item in left] == [touched.id]
    assert count(ctx, "review") == 0
    return True


def test_a_rehearsal_says_the_same_and_writes_nothing(home):
    ctx = site(home, "dry")
    batch = batches.begin(ctx, "customer", DATA / "customers_messy.xlsx", "customers_messy.xlsx")
    dry = batches.run(ctx, batch.id, dry=True)
    assert (dry.counts["created"], dry.counts["merged"], dry.counts["refused"]) == (15, 2, 3)
    assert count(ctx, "customer") == count(ctx, "visit") == count(ctx, "person") == 0
    done = batches.run(ctx, batch.id)
    assert (done.counts["created"], done.counts["merged"], done.counts["refused"]) == (15, 2, 3)
    found = {item["owner"].label for item in records(ctx, "customer") if isinstance(item["owner"], Link)}
    assert found == {"李静", "王强"} and datetime.now(UTC) > CLOCK
