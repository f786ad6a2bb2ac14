"""The report of an import as a file: the rows that were refused or warned about, as they stood, with the reasons in words, ready to be mended and sent again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from engine.exchange.batches import Batch, ReportRow, find, report
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
    book = Workbook(write_only=True)
    sheet = book.create_sheet("report")
    sheet.append([_cell(sheet, text) for text in (*WORDS[locale], *found.headers)])
    count, after = 0, 0
    while True:
        page = report(ctx, batch, outcome=outcome, after=after, limit=500)
        for row in page.rows:
            outcome_text = OUTCOMES.get(row.outcome, {}).get(locale, row.outcome)
            sheet.append([_cell(sheet, value) for value in (row.sheet, row.row, outcome_text, reasons(row, locale), *row.raw)])
            count += 1
        if page.next is None:
            break
        after = page.next
    book.save(path)
    return count


def _cell(sheet: Any, value: Any) -> Any:
    """Texts are forced to be texts, so that nothing is taken for a formula."""
    if not isinstance(value, str):
        return value
    made = WriteOnlyCell(sheet, value="".join(char for char in value if char >= " " or char in "\t\n"))
    made.data_type = "s"
    return made
