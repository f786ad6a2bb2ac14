"""What became of the rows of a file: one outcome per row, kept as the report of its import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from engine.errors import Fault
from engine.exchange.sheets import SheetRow, shown_cell
from engine.records.bulk_insert import inserter
from engine.storage import to_json
from engine.system_tables_imports import import_row

if TYPE_CHECKING:
    from engine.context import Context

CREATED, MERGED, REFUSED = "created", "merged", "refused"
#: A record written for a row: entity, id, version before (None: made) and after.
Touched = tuple[str, int, int | None, int]


@dataclass(slots=True)
class Outcome:
    """What became of one row. ``touched``: every record written for it."""

    row: SheetRow
    outcome: str
    record: int | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    reviews: int = 0
    touched: list[Touched] = field(default_factory=list)


def counted(counts: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The counts of an import with those of some more rows."""
    became = Counter(outcome.outcome for outcome in outcomes)
    became["warned"] = sum(bool(outcome.warnings) for outcome in outcomes)
    became["reviews"] = sum(outcome.reviews for outcome in outcomes)
    return {**counts, **{key: counts.get(key, 0) + number for key, number in became.items()}}


_REPORT = ("batch", "sheet", "row", "outcome", "entity", "record", "versions", "faults", "raw")


def keep(ctx: Context, batch: int, outcomes: Sequence[Outcome], *, dry: bool = False) -> None:
    """The report: one row for each row of the file, and one for each further record it touched."""
    into = inserter(import_row, _REPORT, ctx.open.dialect)
    order = itemgetter(*(_REPORT.index(name) for name in into.names))
    rows: list[tuple[Any, ...]] = []
    for outcome in outcomes:
        sheet, number, cells = outcome.row
        said = _said(outcome) if outcome.faults or outcome.warnings else None
        raw = to_json([shown_cell(cell) for cell in cells]) if said else None
        main = None
        also = []
        for touched in () if dry else outcome.touched:
            if main is None and touched[1] == outcome.record:
                main = touched
            else:
                also.append(touched)
        entity, versions = (main[0], _versions(main)) if main else (None, None)
        rows.append(order((batch, sheet, number, outcome.outcome, entity, None if dry else outcome.record, versions, said, raw)))
        rows += [order((batch, sheet, number, "also", item[0], item[1], _versions(item), None, None)) for item in also]
    into.insert(ctx.open, rows, ctx.workspace.database.schema)


def _versions(touched: Touched) -> str:
    before, after = touched[2:]
    return f"[{'null' if before is None else before},{after}]"


def _said(outcome: Outcome) -> str:
    return to_json(
        [
            {"pointer": fault.pointer, "code": fault.code, "params": _json(fault.params), **({"warning": True} if fault in outcome.warnings else {})}
            for fault in (*outcome.faults, *outcome.warnings)
        ]
    )


def _json(params: Mapping[str, object]) -> dict[str, Any]:
    return {key: value if isinstance(value, str | int | float | bool | dict | None) else str(value) for key, value in params.items()}
