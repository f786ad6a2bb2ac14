"""One sheet out as an xlsx file, row by row. The spreadsheet library is loaded with the first file: 4 MB that a server which writes none does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_sheet(path: Path, name: str, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write titles, which stay in sight, and rows of typed values; gives how many rows. Texts are forced to be texts, so that none is taken for a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A2"

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, value="".join(char for char in value if char >= " " or char in "\t\n"))
        made.data_type = "s"
        return made

    sheet.append([cell(title) for title in titles])
    count = 0
    for row in rows:
        sheet.append([cell(value) for value in row])
        count += 1
    book.save(path)
    return count
