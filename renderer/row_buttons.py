"""Buttons that stand on each record of a list: which a reader may press there now. A hint for the page; the press itself is judged by the one writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import escape

from engine.access import Grant
from engine.expressions.language import Expression
from engine.records.looking import looking
from engine.records.ruling_press import parameters_of, short_name
from engine.rules.book import CompiledRule
from metadata.text import label_text
from renderer.bound_action import icon_of, named

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.record import Record
    from engine.workspace import CompiledEntity
    from metadata.definitions import ListView
    from renderer.templates import Pages

#: Stand for a record's id and for what it is called in a button drawn beforehand.
_ID, _LABEL = "\x01", "\x02"


@dataclass(frozen=True, slots=True)
class RowButton:
    """One button, drawn but for the record. ``granted``: True, or conditions of which one must hold; ``condition``: that of its rule."""

    html: str
    granted: bool | tuple[Expression, ...]
    condition: Expression | None

    def stands(self, truth: Callable[[Expression], bool]) -> bool:
        """Whether it can be pressed on the row that ``truth`` looks at."""
        granted = self.granted if isinstance(self.granted, bool) else any(truth(one) for one in self.granted)
        return granted and (self.condition is None or truth(self.condition))


def row_buttons(ctx: Context, pages: Pages, entity: CompiledEntity, grant: Grant, definition: ListView, base: str) -> tuple[RowButton, ...]:
    """The buttons a list names, as far as its reader was granted them on some row."""
    return tuple(
        RowButton(
            _html(ctx, pages, rule, f"{base}/r/{entity.key}/{_ID}/do/{short_name(rule)}"),
            grant.action(short_name(rule)),
            rule.condition if isinstance(rule.condition, Expression) else None,
        )
        for rule in named(ctx, entity, definition.buttons)
    )


def buttons_writer(ctx: Context, entity: CompiledEntity, buttons: tuple[RowButton, ...], records: Sequence[Record]) -> Callable[[Record, str], str]:
    """The closure that draws the buttons each of these records has now, given what it is called (as HTML).

    Judged by whole rows, as on the record's own page: a condition may read what its reader does not see. Needs an open connection where there are buttons.
    """
    if not buttons:
        return lambda record, label: ""
    work = looking(ctx)
    rows = work.fetch(entity.key, [record["id"] for record in records])

    def draw(record: Record, label: str) -> str:
        row = rows.get(record["id"])
        if row is None:
            return ""
        truth, number = work.truth(entity, row), str(record["id"])
        return "".join(button.html.replace(_ID, number).replace(_LABEL, label) for button in buttons if button.stands(truth))

    return draw


def _html(ctx: Context, pages: Pages, rule: CompiledRule, address: str) -> str:
    """Done at once where nothing is to be filled in and nothing to be sure of, else it opens the form."""
    title = escape(label_text(rule.title, ctx.locale, rule.key))
    at_once = all(one.for_rules for one in parameters_of(ctx.workspace, rule).values()) and not rule.body["on"].get("sure")
    ask = f'hx-post="{address}" hx-vals=\'{{"at_once:": "1"}}\' hx-swap="none"' if at_once else f'hx-get="{address}" hx-target="#dialog"'
    return f'<button class="btn small" type="button" aria-label="{title} {_LABEL}" {ask}>{pages.icon(icon_of(rule), "small")}{title}</button>'
