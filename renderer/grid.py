"""Records as a picture of cells: sections, rows and columns by their fields, each cell in the colour of a choice, with a legend that counts and filters.

One query, whatever the number of records (up to engine.records.query.WHOLE_LIMIT); cells are drawn as text in one pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from engine.errors import NotFound
from engine.fields.values import Link, Masked
from engine.records.query import WHOLE_LIMIT, page
from engine.records.record import Record
from metadata.definitions import Grid
from renderer.bound_list import Layout, query_of
from renderer.cells import COLOURS
from renderer.list_state import ListState

if TYPE_CHECKING:
    from engine.context import Context

_DIGITS = re.compile(r"(\d+)")
#: A value in order: numbers by size, texts with the numbers in them by size, the empty last.
Place = tuple[int, tuple[tuple[int, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Key:
    """One colour of the legend: how many records have it, whether only some colours are looked at and this is one, the address that turns it on or off."""

    title: str
    colour: str
    count: int
    picked: bool
    address: str


@dataclass(frozen=True, slots=True)
class Section:
    """One picture: titles of its columns, and its rows as drawn HTML."""

    title: str
    count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True, slots=True)
class BoundGrid:
    """The whole picture. ``cut``: there were more records than are shown; ``open``: the address of one record's actions, up to its id."""

    legend: tuple[Key, ...]
    sections: tuple[Section, ...]
    total: int
    cut: bool
    open: str


def bind(ctx: Context, layout: Layout, state: ListState, base: str) -> BoundGrid:
    """The picture of a list in a state. A colour that is not picked is drawn faintly, so that the picture keeps its shape.

    Raises NotFound for a list without a grid or a reader without one of its fields, Invalid for conditions naming what the reader does not know.
    """
    words = layout.definition.grid
    if words is None or any(name not in layout.grant.readable for name in words.fields) or words.colour not in layout.grant.open:
        raise NotFound("no_such_view_kind")
    picked = state.equals.get(words.colour, ())
    rest = replace(state, equals={name: values for name, values in state.equals.items() if name != words.colour}, cursor="")
    fields = ("id", *words.fields, *(name for name in layout.entity.label_fields() if name in layout.grant.readable))
    query = query_of(ctx, layout, rest, fields=tuple(dict.fromkeys(fields)), limit=WHOLE_LIMIT, whole=True)
    with ctx.snapshot() as ctx:
        found = page(ctx, query)
    pen = _Pen(ctx, layout, words, picked, base)
    return BoundGrid(
        tuple(_legend(pen, found.items, state, base)),
        tuple(_sections(pen, found.items)),
        len(found.items),
        found.next is not None,
        f"{base}/l/{layout.definition.key}/row/",
    )


class _Pen:
    """What drawing shares: the text of each value once, colours by code."""

    def __init__(self, ctx: Context, layout: Layout, words: Grid, picked: Sequence[str], base: str) -> None:
        self.layout, self.words, self.picked = layout, words, frozenset(picked)
        self.address = f"{base}/r/{layout.entity.key}/"
        self._scope = ctx.workspace.scope.of(layout.entity.key)
        self._locale = ctx.locale
        options = ctx.workspace.scope.choices(str(layout.entity.fields[words.colour].value.options["choices"])).options
        self.colours = {code: option.colour if option.colour in COLOURS else "slate" for code, option in options.items() if not option.retired}

    def reader(self, name: str, finish: Callable[[str], str] = str) -> Callable[[Record], str]:
        """Gives a field of a record as text, finished; each value is told once. '' for none."""
        item, known = self.layout.entity.fields[name], dict[Any, str]()

        def tell(value: Any) -> str:
            if value is None:
                return ""
            if isinstance(value, Link):
                return value.label or f"#{value.id}"
            return value.text if isinstance(value, Masked) else item.type.show(value, item.value, self._scope, self._locale)

        def read(record: Record) -> str:
            value = record.get(name)
            try:
                return known[value]
            except KeyError:
                known[value] = finish(tell(value))
                return known[value]
            except TypeError:  # a list
                return finish(tell(value))

        return read

    def title(self, code: str) -> str:
        """A colour's option as people call it."""
        item = self.layout.entity.fields[self.words.colour]
        return item.type.show(code, item.value, self._scope, self._locale)


def _legend(pen: _Pen, records: Sequence[Record], state: ListState, base: str) -> list[Key]:
    """Every option that occurs or is picked, in the options' order."""
    name = pen.words.colour
    counts = Counter(record.get(name) for record in records)
    found = []
    for code, colour in pen.colours.items():
        if not counts[code] and code not in pen.picked:
            continue
        values = tuple(one for one in pen.colours if (one in pen.picked) != (one == code))
        equals = {key: chosen for key, chosen in state.equals.items() if key != name} | ({name: values} if values else {})
        found.append(Key(pen.title(code), colour, counts[code], code in pen.picked, replace(state, equals=equals).address(base, pen.layout.definition)))
    return found


def _sections(pen: _Pen, records: Sequence[Record]) -> list[Section]:
    pictures: dict[str, list[Record]] = {}
    if pen.words.sections:
        title_of = pen.reader(pen.words.sections)
        for record in records:
            pictures.setdefault(title_of(record), []).append(record)
    elif records:
        pictures[""] = list(records)
    across, down, draw = [pen.reader(name) for name in pen.words.columns], pen.reader(pen.words.rows), _cell(pen)
    return [_section(pen.words, title, pictures[title], across, down, draw) for title in sorted(pictures, key=lambda title: _place([title]))]


def _section(
    words: Grid, title: str, records: Sequence[Record], across: Sequence[Callable[[Record], str]], down: Callable[[Record], str], draw: Callable[[Record], str]
) -> Section:
    cells: dict[tuple[str, tuple[str, ...]], str] = {}
    for record in records:
        place = (down(record), tuple([read(record) for read in across]))
        cells[place] = cells.get(place, "") + draw(record)
    columns = sorted({column for _row, column in cells}, key=_place)
    rows = sorted({row for row, _column in cells}, key=lambda row: _place([row]), reverse=words.descending)
    drawn = tuple((row, Markup("".join([f"<td>{cells.get((row, column), '')}</td>" for column in columns]))) for row in rows)
    return Section(title, len(records), tuple("-".join(filter(None, column)) for column in columns), drawn)


def _cell(pen: _Pen) -> Callable[[Record], str]:
    """The closure that draws one record's cell: a link, its first field large, what it is called and its colour's name as a hint."""
    words, picked, address = pen.words, pen.picked, pen.address
    first = pen.reader(words.cell[0], lambda text: str(escape(text or "—")))
    more = [pen.reader(name, lambda text: f"<small>{escape(text)}</small>" if text else "") for name in words.cell[1:]]
    label = next((name for name in pen.layout.entity.label_fields() if name in pen.layout.grant.readable), words.cell[0])
    called = pen.reader(label, lambda text: str(escape(text)))
    looks = {code: (f"{colour} off" if picked and code not in picked else colour, str(escape(pen.title(code)))) for code, colour in pen.colours.items()}
    other = ("slate off" if picked else "slate", "")

    def draw(record: Record) -> str:
        look, name = looks.get(record.get(words.colour), other)
        small = "".join([read(record) for read in more])
        return f'<a class="cell {look}" href="{address}{record["id"]}" tabindex="-1" title="{called(record)} {name}">{first(record)}{small}</a>'

    return draw


def _place(texts: Sequence[str]) -> Place:
    """Where texts stand among others: '2' before '10', '1-9' before '1-10', the empty last."""
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for text in texts for part in _DIGITS.split(text) if part]
    return (0 if parts else 1, tuple(parts))
