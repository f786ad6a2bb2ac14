"""A draft ready for the designer's template: palette and canvas. Operations are engine/drafts.py's business, properties stand in bound_panel.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from engine.access import grant_of
from engine.drafts import DraftState, preview
from engine.drafts_desk import key_of
from engine.records.query import Query, page
from engine.records.record import Record
from metadata.definitions import Entity, Field
from metadata.text import Label, label_text
from renderer.bound_field import FEW_CHARACTERS, FEW_OPTIONS, BoundField, OptionView
from renderer.bound_panel import Panel, PanelBinder, Property
from renderer.bound_record import Desk
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from metadata.bundle import Bundle
    from renderer.templates import Pages

GROUPS: Mapping[str, Label] = {
    "basic": {"zh": "基础", "en": "Basic"},
    "choice": {"zh": "选择", "en": "Choice"},
    "relation": {"zh": "关联", "en": "Relations"},
    "special": {"zh": "专用", "en": "Special"},
    "derived": {"zh": "计算", "en": "Computed"},
}
#: Types that need more than a drop to mean something: they come to the palette with their designer.
NOT_ON_PALETTE = frozenset({"formula", "rollup", "lookup", "link", "links", "json"})
SAMPLES = 3
#: Widgets that show nothing typical on an empty canvas: a plain box stands for them.
_BOXED = frozenset({"link", "links", "person", "people", "region", "rich_text", "file", "files", "image", "tags"})


@dataclass(frozen=True, slots=True)
class Tile:
    """One thing that can be put on the canvas: a new field of a type, or a field that is not there yet."""

    type: str
    field: str
    title: str
    icon: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class TileGroup:
    """Tiles under one caption."""

    title: str
    tiles: tuple[Tile, ...]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class DesignItem:
    """One field on the canvas, as people will see it."""

    key: str
    shown: BoundField
    type_title: str
    icon: str
    selected: bool
    conditional: bool = False
    fresh: bool = False
    samples: tuple[Markup, ...] = ()


@dataclass(frozen=True, slots=True)
class DesignSection:
    """One section on the canvas."""

    key: str
    title: str
    columns: int
    tab: str
    items: tuple[DesignItem, ...]
    selected: bool
    lines: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """Everything the designer shows."""

    kind: str
    key: str
    title: str
    entity: str
    entity_title: str
    number: int
    undo: int
    redo: int
    changed: bool
    select: str
    palette: tuple[TileGroup, ...]
    sections: tuple[DesignSection, ...] = ()
    columns: tuple[DesignItem, ...] = ()
    tabs: tuple[tuple[str, str], ...] = ()
    panel: Panel | None = None
    told: str = ""
    example: str = ""


class Designer:
    """Binds the draft of one form or list. ``select``: ``field:KEY``, ``section:KEY``, ``tab:KEY`` or '' for the form itself."""

    def __init__(self, ctx: Context, pages: Pages, state: DraftState, select: str) -> None:
        self.ctx = ctx
        self.pages = pages
        self.state = state
        self.document: Mapping[str, Any] = state.document or {}
        self.bundle: Bundle = preview(ctx).bundle
        self.entity: Entity = self.bundle.entities[str(self.document.get("entity", ""))]
        self.types = ctx.workspace.registry.field_types
        self.published = ctx.workspace.bundle.entities.get(self.entity.key)
        self.select = select

    def bind(self, told: str = "") -> Design:
        """The whole view. ``told``: what the last gesture did, for those who do not see it."""
        form = self.state.kind == "form"
        placed = self._placed()
        return Design(
            self.state.kind,
            self.state.key,
            label_text(self.document.get("title"), self.ctx.locale, self.state.key),
            self.entity.key,
            label_text(self.entity.title, self.ctx.locale, self.entity.key),
            self.state.number,
            self.state.undo,
            self.state.redo,
            self.state.changed,
            self.select,
            tuple(self._palette(placed)),
            tuple(self._sections()) if form else (),
            tuple(self._columns()) if not form else (),
            tuple((tab, label_text(text, self.ctx.locale, tab)) for tab, text in dict(self.document.get("tabs", {})).items()),
            PanelBinder(self.ctx, self.bundle, self.entity, self.document, self.state.kind).bind(self.select, placed)
            or Panel(
                _("Form") if form else _("List"),
                "forms",
                self.state.key,
                (Property("title", _("Title"), "", "text", label_text(self.document.get("title"), self.ctx.locale), localised=True),),
            ),
            told,
            self._example(),
        )

    def _example(self) -> str:
        """A condition over a field of this very entity, to show how they are written."""
        field = next((item for item in self.entity.fields.values() if item.type == "choice"), None)
        choices = self.bundle.choices.get(str(field.options.get("choices", ""))) if field is not None else None
        code = next(iter(choices.options), "") if choices is not None else ""
        return f"{field.key} == '{code}'" if field is not None and code else f"empty({next(iter(self.entity.fields), 'id')})"

    def _placed(self) -> set[str]:
        if self.state.kind == "list":
            return {str(name) for name in self.document.get("columns", ())}
        return {key_of(item) for section in self.document.get("layout", ()) for item in section.get("items", ())}

    # --- palette ------------------------------------------------------------------------------------------------------------------------------

    def _palette(self, placed: set[str]) -> Iterable[TileGroup]:
        locale = self.ctx.locale
        groups: dict[str, list[Tile]] = {}
        for name, kind in self.types.items():
            word = kind.word()
            if name not in NOT_ON_PALETTE and word.group in GROUPS and not name.startswith("_"):
                groups.setdefault(word.group, []).append(Tile(name, "", label_text(kind.title, locale, name), kind.icon))
        unused = [
            item
            for key, item in self.entity.fields.items()
            if key not in placed and key != self.entity.parent_field and (self.state.kind == "list" or self.types[item.type].family != "derived")
        ]
        if unused:
            yield TileGroup(
                _("Fields not shown here"),
                tuple(Tile("", item.key, self._title(item), self.types[item.type].icon, _("Retired") if item.retired else "") for item in unused),
                wide=True,
            )
        for group, title in GROUPS.items():
            if group in groups:
                yield TileGroup(label_text(title, locale), tuple(groups[group]))

    # --- canvas -------------------------------------------------------------------------------------------------------------------------------

    def _sections(self) -> Iterable[DesignSection]:
        for section in self.document.get("layout", ()):
            items = tuple(found for item in section.get("items", ()) if not section.get("lines") and (found := self._item(item)) is not None)
            lines = self.bundle.entities.get(str(section.get("lines", "")))
            title = label_text(section.get("section", section.get("title", "")), self.ctx.locale) or (
                label_text(lines.plural or lines.title, self.ctx.locale) if lines else ""
            )
            yield DesignSection(
                section["key"],
                title,
                section.get("columns", 2),
                section.get("tab", ""),
                items,
                self.select == f"section:{section['key']}",
                label_text(lines.plural or lines.title, self.ctx.locale, lines.key) if lines else "",
            )

    def _columns(self) -> Iterable[DesignItem]:
        rows = self._sample_rows()
        for name in self.document.get("columns", ()):
            found = self._item(name)
            if found is not None:
                yield replace(found, samples=tuple(self._sample(row, name) for row in rows))

    def _sample_rows(self) -> list[Record]:
        """A few records as the list would begin, for the columns that exist already."""
        compiled = self.ctx.workspace.entities.get(self.entity.key)
        if compiled is None:
            return []
        readable = grant_of(self.ctx.workspace, self.ctx.actor, compiled).readable
        names = tuple(name for name in dict.fromkeys(self.document.get("columns", ())) if name in readable)
        return page(self.ctx, Query(self.entity.key, sort=("-id",), fields=("id", *names), limit=SAMPLES)).items

    def _sample(self, row: Record, name: str) -> Markup:
        compiled = self.ctx.workspace.entities[self.entity.key]
        item = compiled.fields.get(name)
        return Desk(self.ctx, self.pages, "").cell(compiled, item, row.get(name)) if item is not None else Markup("")

    def _item(self, item: Any) -> DesignItem | None:
        key = key_of(item)
        field = self._field(key)
        if field is None:
            return None
        own = item if isinstance(item, Mapping) else {}
        kind = self.types[field.type]
        fresh = self.published is None or key.partition(".")[0] not in self.published.fields
        shown = self._shown(field, key, own)
        conditional = bool(field.show or own.get("show") or isinstance(field.required, str) or isinstance(own.get("required"), str))
        return DesignItem(key, shown, label_text(kind.title, self.ctx.locale, field.type), kind.icon, self.select == f"field:{key}", conditional, fresh)

    def _field(self, key: str) -> Field | None:
        link, _dot, rest = key.partition(".")
        field = self.entity.fields.get(link)
        if field is None or not rest:
            return field
        target = self.bundle.entities.get("person" if field.type == "person" else "team" if field.type == "team" else str(field.options.get("to", "")))
        return target.fields.get(rest) if target else None

    def _shown(self, field: Field, key: str, own: Mapping[str, Any]) -> BoundField:
        kind = self.types[field.type]
        options = self._options(field)
        locale = self.ctx.locale
        return BoundField(
            key=key,
            id=f"d-{key}".replace(".", "-"),
            name="",
            label=label_text(own.get("title"), locale) or self._title(field),
            type=field.type,
            widget="computed" if kind.family == "derived" else "text" if kind.widget in _BOXED else kind.widget,
            help=label_text(own.get("help"), locale) or label_text(field.help, locale),
            required=field.required is True or own.get("required") is True,
            span=int(own.get("span", 1)),
            align=kind.align,
            options=options,
            few=0 < len(options) <= FEW_OPTIONS and sum(len(option.label) for option in options) <= FEW_CHARACTERS,
        )

    def _options(self, field: Field) -> tuple[OptionView, ...]:
        choices = self.bundle.choices.get(str(field.options.get("choices", "")))
        if choices is None:
            return ()
        return tuple(
            OptionView(code, label_text(option.title, self.ctx.locale, code), option.colour) for code, option in choices.options.items() if not option.retired
        )

    def _title(self, field: Field) -> str:
        return label_text(field.title, self.ctx.locale, field.key)
