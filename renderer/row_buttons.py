"""Buttons that stand on each record of a list: which a reader may press there now. A hint for the page; the press itself is judged by the one writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import escape

from engine.access import Grant
from engine.expressions.language import Expression
from engine.records.ruling_press import parameters_of, short_name
from engine.rules.book import CompiledRule
from metadata.text import label_text
from renderer.bound_action import icon_of, named
from renderer.cells import Judge

if TYPE_CHECKING:
    from engine.context import Context
    from engine.expressions.evaluate import Evaluator
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

    @property
    def fields(self) -> frozenset[str]:
        """The fields its conditions read."""
        conditions = [*(self.granted if isinstance(self.granted, tuple) else ()), *([self.condition] if self.condition is not None else [])]
        return frozenset().union(*(condition.fields for condition in conditions))

    def admits(self, evaluator: Evaluator) -> Callable[[Mapping[str, object]], bool]:
        """Whether a record admits it; where a field it depends on is not there for the reader, it stands, and pressing it tells."""
        granted = [Judge(evaluator, [(condition, "yes")]) for condition in self.granted] if isinstance(self.granted, tuple) else []
        holds = [Judge(evaluator, [(self.condition, "yes")])] if self.condition is not None else []
        return lambda record: (not granted or any(judge(record) != "" for judge in granted)) and all(judge(record) != "" for judge in holds)


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


def buttons_writer(buttons: tuple[RowButton, ...], evaluator: Evaluator) -> Callable[[Record, str], str]:
    """The closure that draws the buttons a record admits, given what it is called (as HTML)."""
    drawn = [(button.admits(evaluator), button.html) for button in buttons]
    return lambda record, label: "".join(html.replace(_ID, str(record["id"])).replace(_LABEL, label) for admits, html in drawn if admits(record))


def _html(ctx: Context, pages: Pages, rule: CompiledRule, address: str) -> str:
    """Done at once where nothing is to be filled in, else it opens the form."""
    title = escape(label_text(rule.title, ctx.locale, rule.key))
    at_once = not parameters_of(ctx.workspace, rule)
    ask = f'hx-post="{address}" hx-vals=\'{{"at_once:": "1"}}\' hx-swap="none"' if at_once else f'hx-get="{address}" hx-target="#dialog"'
    return f'<button class="btn small" type="button" aria-label="{title} {_LABEL}" {ask}>{pages.icon(icon_of(rule), "small")}{title}</button>'
