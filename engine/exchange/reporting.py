"""The report of an import as a file: the rows that were refused or warned about, as they stood, with the reasons in words, ready to be mended and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.exchange.batches import Batch, ReportRow, find, report
from engine.exchange.workbook import write_sheet
from engine.messages import sentence

if TYPE_CHECKING:
    from engine.context import Context

WORDS = {"zh": ("工作表", "行", "结果", "原因"), "en": ("Sheet", "Row", "Outcome", "Reason")}
OUTCOMES = {"created": {"zh": "新建", "en": "created"}, "merged": {"zh": "并入", "en": "merged"}, "refused": {"zh": "未导入", "en": "not imported"}}


def reasons(row: ReportRow, locale: str) -> str:
    """Why, in the reader's language."""
    joint = "；" if locale.startswith("zh") else "; "
    return joint.join(dict.fromkeys(sentence(item["code"], item["params"], locale) for item in (*row.faults, *row.warnings)))


def write_report(ctx: Context, batch: int, path: Path, *, outcome: str = "said") -> int:
    """Write the rows of an outcome (refused, said, created, merged) to an xlsx file; gives how many."""
    found: Batch = find(ctx, batch)
    locale = "zh" if ctx.locale.startswith("zh") else "en"
    return write_sheet(path, "report", (*WORDS[locale], *found.headers), _rows(ctx, batch, outcome, locale))


def _rows(ctx: Context, batch: int, outcome: str, locale: str) -> Iterator[list[Any]]:
    after: int | None = 0
    while after is not None:
        page = report(ctx, batch, outcome=outcome, after=after, limit=500)
        for row in page.rows:
            outcome_text = OUTCOMES.get(row.outcome, {}).get(locale, row.outcome)
            yield [row.sheet, row.row, outcome_text, reasons(row, locale), *row.raw]
        after = page.next
