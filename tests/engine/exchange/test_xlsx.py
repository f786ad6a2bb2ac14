"""The cells of xlsx files: the same as openpyxl reads them, and what openpyxl does not give (computed values, rows beyond a wrong dimension)."""

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.xml.constants import SHARED_STRINGS

from engine.errors import Invalid
from engine.exchange.child_xlsx import cell_of, read_xlsx
from engine.exchange.sheets import child_lines

DATA = Path(__file__).resolve().parents[2] / "data"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def ours(content: bytes) -> dict[str, list[Any]]:
    """Rows by sheet as the child writes them."""
    found: dict[str, list[Any]] = {}
    rows: list[Any] = []
    for item in read_xlsx(io.BytesIO(content)):
        if isinstance(item, list):
            rows += item
        elif "sheet" in item:
            rows = found.setdefault(item["sheet"], [])
    return found


def theirs(content: bytes) -> dict[str, list[Any]]:
    """The same through openpyxl's own reader."""

    def rows(sheet: Any) -> Iterator[Any]:
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=400), 1):
            cells = [cell_of(value) for value in row]
            while cells and cells[-1] is None:
                cells.pop()
            if cells:
                yield [number, cells]

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    return {sheet.title: list(rows(sheet)) for sheet in book.worksheets}


def packed(sheet: str, shared: str = "") -> bytes:
    """A book whose only sheet and table of texts are these, the rest as openpyxl writes it."""
    plain = io.BytesIO()
    openpyxl.Workbook().save(plain)
    packed = io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
        parts = {name: source.read(name).decode() for name in source.namelist()}
        parts["xl/worksheets/sheet1.xml"] = sheet
        if shared:
            parts["xl/sharedStrings.xml"] = shared
            told = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{SHARED_STRINGS}"/></Types>'
            parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace("</Types>", told)
        for name, text in parts.items():
            target.writestr(name, text)
    return packed.getvalue()


def only(content: bytes) -> list[Any]:
    (rows,) = ours(content).values()
    return list(rows)


@pytest.mark.parametrize("name", ["customers_messy.xlsx", "customers_site.xlsx"])
def test_the_real_lists_are_read_cell_by_cell_as_openpyxl_reads_them(name):
    content = (DATA / name).read_bytes()
    assert ours(content) == theirs(content)
    assert sum(len(rows) for rows in ours(content).values()) > 20


@pytest.mark.parametrize("first_year", [1900, 1904])
def test_every_kind_of_cell_is_read_as_openpyxl_reads_it(first_year):
    book = openpyxl.Workbook()
    if first_year == 1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    moments = [dt.datetime(2026, 3, 15, 10, 30), dt.datetime(2025, 12, 3), dt.date(2000, 2, 29), dt.time(9, 5), dt.timedelta(hours=30, minutes=5)]
    sheet.append(["张伟", "", 1, 1.5, -2, 1e300, True, False, "#N/A", "=A1", *moments])
    sheet.append([])
    sheet.append([None, None, "后面有空", None])
    sheet["AB7"] = "远"
    hidden = book.create_sheet("隐藏")
    hidden.sheet_state = "hidden"
    hidden.append(["里面"])
    out = io.BytesIO()
    book.save(out)
    assert ours(out.getvalue()) == theirs(out.getvalue())
    assert [item["hidden"] for item in read_xlsx(io.BytesIO(out.getvalue())) if isinstance(item, dict) and "sheet" in item] == [False, True]


def test_a_formula_is_what_was_computed_last_and_its_text_where_nothing_was():
    cells = '<c r="A1"><f>B1*2</f><v>42</v></c><c r="B1" t="str"><f>"a"&amp;"b"</f><v>ab</v></c><c r="C1"><f>NOW()</f></c>'
    assert only(packed(f'<worksheet {MAIN}><sheetData><row r="1">{cells}</row></sheetData></worksheet>')) == [[1, [42, "ab", "=NOW()"]]]


def test_texts_are_joined_from_their_runs_without_the_readings_of_their_characters():
    shared = f'<sst {MAIN}><si><r><t>张</t></r><r><rPr><b/></rPr><t xml:space="preserve"> 伟</t></r><rPh sb="0" eb="1"><t>zhang</t></rPh></si></sst>'
    inline = '<c r="B1" t="inlineStr"><is><t>一</t><rPh sb="0" eb="1"><t>yi</t></rPh></is></c>'
    sheet = f'<worksheet {MAIN}><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>{inline}</row></sheetData></worksheet>'
    assert only(packed(sheet, shared)) == [[1, ["张 伟", "一"]]]


def test_rows_and_cells_without_references_follow_each_other_and_prefixes_do_not_matter():
    prefixed = MAIN.replace("xmlns", "xmlns:x")
    rows = "<x:row><x:c><x:v>1</x:v></x:c><x:c/><x:c><x:v>3</x:v></x:c></x:row><x:row><x:c><x:v>4</x:v></x:c></x:row>"
    assert only(packed(f"<x:worksheet {prefixed}><x:sheetData>{rows}</x:sheetData></x:worksheet>")) == [[1, [1, None, 3]], [2, [4]]]


def test_a_wrong_dimension_loses_no_row():
    rows = "".join(f'<row r="{number}"><c r="A{number}"><v>{number}</v></c></row>' for number in range(1, 1202))
    found = only(packed(f'<worksheet {MAIN}><dimension ref="A1:A2"/><sheetData>{rows}</sheetData></worksheet>'))
    assert found == [[number, [number]] for number in range(1, 1202)]


def test_cells_beyond_the_widest_table_and_numbers_beyond_any_count_do_no_harm():
    cells = f'<c r="A1"><v>{"9" * 30}</v></c><c r="XFD1"><v>1</v></c>'
    rows = f'<row r="1">{cells}</row><row r="1048576"><c r="A1048576"><v>2</v></c></row>'
    assert only(packed(f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>")) == [[1, ["9" * 30]], [1048576, [2]]]


@pytest.mark.parametrize(
    "document",
    [
        f'<!DOCTYPE worksheet [<!ENTITY a "x">]><worksheet {MAIN}><sheetData><row><c t="str"><v>&a;</v></c></row></sheetData></worksheet>',
        f'<!DOCTYPE worksheet SYSTEM "file:///etc/passwd"><worksheet {MAIN}><sheetData/></worksheet>',
        f'<worksheet {MAIN}><sheetData><row><c r="A1"><v>1</v>',
        f'<worksheet {MAIN}><sheetData><row><c r="A1" t="s"><v>7</v></c></row></sheetData></worksheet>',
        f'<worksheet {MAIN}><sheetData><row><c r="1A"><v>7</v></c></row></sheetData></worksheet>',
    ],
)
def test_documents_with_declarations_and_broken_ones_are_refused_as_damaged(tmp_path, document):
    (tmp_path / "bad.xlsx").write_bytes(packed(document))
    with pytest.raises(Invalid) as caught, child_lines(tmp_path / "bad.xlsx") as lines:
        list(lines)
    assert caught.value.code == "file_damaged"
