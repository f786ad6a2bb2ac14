"""A draft ready for the designer's template: palette, canvas, properties drawn from the meta-schema. Operations are engine/drafts.py's business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.drafts import DraftState, preview
from engine.drafts_desk import key_of
from metadata.definitions import Entity, Field
from metadata.schemas import Schema, schema_document
from metadata.text import Label, label_text
from renderer.bound_field import FEW_CHARACTERS, FEW_OPTIONS, BoundField, OptionView
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from metadata.bundle import Bundle

GROUPS: Mapping[str, Label] = {
    "basic": {"zh": "基础", "en": "Basic"}, "choice": {"zh": "选择", "en": "Choice"}, "relation": {"zh": "关联", "en": "Relations"},
    "special": {"zh": "专用", "en": "Special"}, "derived": {"zh": "计算", "en": "Computed"}}
#: Types that need more than a drop to mean something: they come to the palette with their designer.
NOT_ON_PALETTE = frozenset({"formula", "rollup", "lookup", "link", "links", "json"})
FIELD_WORDS = ("title", "help", "required", "show", "read_only", "once", "unique", "index", "personal", "mask", "search", "encrypted")
COLUMN_WORDS = ("title", "help")


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
class Property:
    """One control of the panel. ``kind``: text, area, expression, switch, number, select. ``on``: what it belongs to."""

    name: str
    label: str
    help: str
    kind: str
    value: Any
    options: tuple[OptionView, ...] = ()
    localised: bool = False


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
    properties: tuple[Property, ...] = ()
    panel_title: str = ""
    panel_icon: str = ""
    panel_key: str = ""
    samples: tuple[tuple[str, ...], ...] = ()


class Designer:
    """Binds the draft of one form or list. ``select``: ``field:KEY``, ``section:KEY`` or '' for the form itself."""

    def __init__(self, ctx: Context, state: DraftState, select: str) -> None:
        self.ctx = ctx
        self.state = state
        self.document: Mapping[str, Any] = state.document or {}
        self.bundle: Bundle = preview(ctx).bundle
        self.entity: Entity = self.bundle.entities[str(self.document.get("entity", ""))]
        self.types = ctx.workspace.registry.field_types
        self.published = ctx.workspace.bundle.entities.get(self.entity.key)
        self.select = select

    def bind(self) -> Design:
        """The whole view."""
        form = self.state.kind == "form"
        placed = self._placed()
        title, icon, key, properties = self._panel()
        return Design(
            self.state.kind, self.state.key, label_text(self.document.get("title"), self.ctx.locale, self.state.key), self.entity.key,
            label_text(self.entity.title, self.ctx.locale, self.entity.key), self.state.number, self.state.undo, self.state.redo, self.state.changed, self.select,
            tuple(self._palette(placed)), tuple(self._sections()) if form else (), tuple(self._columns()) if not form else (),
            tuple((tab, label_text(text, self.ctx.locale, tab)) for tab, text in dict(self.document.get("tabs", {})).items()), tuple(properties), title, icon, key)

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
        for group, title in GROUPS.items():
            if group in groups:
                yield TileGroup(label_text(title, locale), tuple(groups[group]))
        unused = [item for key, item in self.entity.fields.items() if key not in placed and key != self.entity.parent_field
                  and (self.state.kind == "list" or self.types[item.type].family != "derived")]
        if unused:
            yield TileGroup(_("Fields not shown here"), tuple(
                Tile("", item.key, self._title(item), self.types[item.type].icon, _("Retired") if item.retired else "") for item in unused))

    # --- canvas -------------------------------------------------------------------------------------------------------------------------------

    def _sections(self) -> Iterable[DesignSection]:
        for section in self.document.get("layout", ()):
            items = tuple(found for item in section.get("items", ()) if not section.get("lines") and (found := self._item(item)) is not None)
            lines = self.bundle.entities.get(str(section.get("lines", "")))
            title = label_text(section.get("section", section.get("title", "")), self.ctx.locale) or (label_text(lines.plural or lines.title, self.ctx.locale) if lines else "")
            yield DesignSection(section["key"], title, section.get("columns", 2), section.get("tab", ""), items, self.select == f"section:{section['key']}",
                                label_text(lines.plural or lines.title, self.ctx.locale, lines.key) if lines else "")

    def _columns(self) -> Iterable[DesignItem]:
        for name in self.document.get("columns", ()):
            found = self._item(name)
            if found is not None:
                yield found

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
            key=key, id=f"d-{key}".replace(".", "-"), name="", label=label_text(own.get("title"), locale) or self._title(field), type=field.type,
            widget="computed" if kind.family == "derived" else kind.widget if kind.widget not in ("link", "links", "person", "people", "region", "rich_text", "file", "files", "image", "tags") else "text",
            help=label_text(own.get("help"), locale) or label_text(field.help, locale), required=field.required is True or own.get("required") is True,
            span=int(own.get("span", 1)), align=kind.align, options=options,
            few=0 < len(options) <= FEW_OPTIONS and sum(len(option.label) for option in options) <= FEW_CHARACTERS)

    def _options(self, field: Field) -> tuple[OptionView, ...]:
        choices = self.bundle.choices.get(str(field.options.get("choices", "")))
        if choices is None:
            return ()
        return tuple(OptionView(code, label_text(option.title, self.ctx.locale, code), option.colour) for code, option in choices.options.items() if not option.retired)

    def _title(self, field: Field) -> str:
        return label_text(field.title, self.ctx.locale, field.key)

    # --- panel --------------------------------------------------------------------------------------------------------------------------------

    def _panel(self) -> tuple[str, str, str, list[Property]]:
        what, _colon, key = self.select.partition(":")
        if what == "field" and (field := self._field(key)) is not None and key in self._placed():
            kind = self.types[field.type]
            own = key in self.entity.fields
            return label_text(kind.title, self.ctx.locale, field.type), kind.icon, key, list(self._field_properties(field)) if own else []
        if what == "section":
            section = next((item for item in self.document.get("layout", ()) if item["key"] == key), None)
            if section is not None:
                return _("Section"), "layout-2", key, self._section_properties(section)
        return (_("Form") if self.state.kind == "form" else _("List")), "forms", self.state.key, [
            Property("title", _("Title"), "", "text", label_text(self.document.get("title"), self.ctx.locale), localised=True)]

    def _field_properties(self, field: Field) -> Iterable[Property]:
        schema = Schema(schema_document("common")["$defs"]["field_definition"], "common")
        for name in FIELD_WORDS:
            if name in schema.properties and not (name in ("mask", "search", "encrypted") and self.types[field.type].family == "derived"):
                yield self._property(name, schema.properties[name], field.body.get(name))
        for name, raw in self.types[field.type].options.items():
            yield self._property(name, Schema(raw, "common"), field.body.get(name))

    def _property(self, name: str, schema: Schema, value: Any) -> Property:
        raw = schema.raw
        label, help_text = self._words(raw)
        branch = schema.branches[0].raw if schema.branches else raw
        expression = raw.get("x-expression") or branch.get("x-expression") or any(one.raw.get("x-expression") for one in schema.branches)
        resolved = raw if "$ref" not in raw else schema_document("common")["$defs"][str(raw["$ref"]).rsplit("/", 1)[-1]]
        if name in ("title", "help"):
            return Property(name, label, help_text, "area" if name == "help" else "text", label_text(value, self.ctx.locale), localised=True)
        if resolved.get("x-expression") == "boolean" and any(one.get("type") == "boolean" for one in resolved.get("anyOf", ())):
            return Property(name, label, help_text, "switch_or_expression", value)
        if expression or resolved.get("x-expression"):
            return Property(name, label, help_text, "expression", value or "")
        if raw.get("enum"):
            words = raw.get("x-enum", {})
            return Property(name, label, help_text, "select", value or raw["enum"][0], tuple(
                OptionView(str(code), label_text(words.get(code), self.ctx.locale, str(code)), picked=code == (value or raw["enum"][0])) for code in raw["enum"]))
        referred = self._referred(str(raw.get("x-refers", "")), value)
        if referred is not None:
            return Property(name, label, help_text, "select", value or "", referred)
        kind = {"boolean": "switch", "integer": "number", "number": "number"}.get(str(raw.get("type", "")), "text")
        return Property(name, label, help_text, kind, value if value is not None else "")

    def _referred(self, what: str, value: Any) -> tuple[OptionView, ...] | None:
        locale = self.ctx.locale
        if what == "choices":
            found = [(key, label_text(item.title, locale, key)) for key, item in self.bundle.choices.items()]
        elif what == "entity":
            found = [(key, label_text(item.title, locale, key)) for key, item in self.bundle.entities.items()]
        elif what == "field":
            found = [(key, label_text(item.title, locale, key)) for key, item in self.entity.fields.items()]
        elif what == "mask":
            found = [(name, name) for name in self.ctx.workspace.registry.masks]
        else:
            return None
        return (OptionView("", "—", picked=not value), *(OptionView(key, text, picked=key == value) for key, text in found))

    def _words(self, raw: Mapping[str, Any]) -> tuple[str, str]:
        english = raw.get("x-en", {})
        if self.ctx.locale.startswith("en") and english:
            return str(english.get("title", "")), str(english.get("description", ""))
        return str(raw.get("title", "")), str(raw.get("description", ""))

    def _section_properties(self, section: Mapping[str, Any]) -> list[Property]:
        tabs = dict(self.document.get("tabs", {}))
        found = [Property("section", _("Title"), "", "text", label_text(section.get("section", section.get("title", "")), self.ctx.locale), localised=True),
                 Property("show", _("Shown when"), _("An expression; empty = always"), "expression", section.get("show", "")),
                 Property("collapsed", _("Folded at first"), "", "switch", section.get("collapsed", False))]
        if tabs:
            found.append(Property("tab", _("Tab"), "", "select", section.get("tab", ""), tuple(
                OptionView(key, label_text(text, self.ctx.locale, key), picked=key == section.get("tab")) for key, text in tabs.items())))
        return found
