"""The designer's panel: the properties of what is selected, drawn from the meta-schema, each with what is wrong with it. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.drafts_desk import key_of
from engine.messages import catalogue
from metadata.definitions import Entity, Field
from metadata.messages import sentence
from metadata.schemas import Schema, schema_document
from metadata.text import label_text
from metadata.vocabulary import ExpressionPlace
from renderer.bound_field import OptionView
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from metadata.bundle import Bundle

FIRST = ("title", "help", "required", "show", "read_only")
LATER = ("once", "unique", "index", "search", "personal", "mask", "encrypted")
#: Properties of types whose values are more than one control can hold.
_STRUCTURED = ("array", "object")


@dataclass(frozen=True, slots=True)
class Property:
    """One control of the panel. ``kind``: text, area, expression, switch_or_expression, switch, number, select, segments.

    ``on``: "item" for a property of the place on the form, "" for one of the field; ``later``: among those seldom needed.
    """

    name: str
    label: str
    help: str
    kind: str
    value: Any
    options: tuple[OptionView, ...] = ()
    localised: bool = False
    on: str = ""
    later: bool = False
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """What is selected: its kind in words, its key, its properties; ``note`` says why there are none."""

    title: str
    icon: str
    key: str
    properties: tuple[Property, ...] = ()
    note: str = ""


class PanelBinder:
    """Binds the panel of one draft (a form or a list over ``entity``)."""

    def __init__(self, ctx: Context, bundle: Bundle, entity: Entity, document: Mapping[str, Any], kind: str) -> None:
        self.ctx, self.bundle, self.entity, self.document, self.kind = ctx, bundle, entity, document, kind
        self.types = ctx.workspace.registry.field_types

    def bind(self, select: str, placed: set[str]) -> Panel | None:
        """The panel of what is selected; None for nothing, or for what is gone."""
        what, _colon, key = select.partition(":")
        if what == "field" and key in placed:
            return self._field_panel(key)
        if what == "section":
            section = next((item for item in self.document.get("layout", ()) if item["key"] == key), None)
            return Panel(_("Section"), "layout-2", key, tuple(self._section_properties(section))) if section is not None else None
        if what == "tab" and key in dict(self.document.get("tabs", {})):
            return Panel(
                _("Tab"),
                "layout-list",
                key,
                (Property("title", _("Title"), "", "text", label_text(self.document["tabs"][key], self.ctx.locale), localised=True),),
            )
        return None

    def _field_panel(self, key: str) -> Panel:
        field = self.entity.fields.get(key)
        if field is None:
            return Panel(_("Field of another record"), "link", key, note=_("It is changed where it belongs; here it can be moved or taken off."))
        kind = self.types[field.type]
        own = key in self.bundle.documents.get(("entity", self.entity.key), {}).get("fields", {})
        title = label_text(kind.title, self.ctx.locale, field.type)
        if not own:
            return Panel(title, kind.icon, key, tuple(self._place_properties(key)), _("This field is built in; its own properties are fixed."))
        return Panel(title, kind.icon, key, (*self._field_properties(field), *self._place_properties(key)))

    # --- fields -------------------------------------------------------------------------------------------------------------------------------

    def _field_properties(self, field: Field) -> Iterable[Property]:
        schema = Schema(schema_document("common")["$defs"]["field_definition"], "common")
        derived = self.types[field.type].family == "derived"
        for name in FIRST:
            if name in schema.properties and not (derived and name in ("required", "read_only")):
                yield self._property(field, name, schema.properties[name])
        for name, raw in self.types[field.type].options.items():
            if raw.get("type") not in _STRUCTURED:
                yield self._property(field, name, Schema(raw, "common"))
        for name in LATER:
            if name in schema.properties and not derived:
                yield replace(self._property(field, name, schema.properties[name]), later=True)

    def _place_properties(self, key: str) -> Iterable[Property]:
        if self.kind != "form":
            return
        here: tuple[Mapping[str, Any], Any] = next(
            ((section, item) for section in self.document.get("layout", ()) for item in section.get("items", ()) if key_of(item) == key), ({}, key)
        )
        section, item = here
        columns = section.get("columns", 2)
        span = item.get("span", 1) if isinstance(item, Mapping) else 1
        if columns > 1:
            words = ("", _("One column"), _("Two columns"), _("Three columns"))
            yield Property(
                "span",
                _("Width"),
                "",
                "segments",
                span,
                tuple(OptionView(str(number), words[number], picked=number == min(span, columns)) for number in range(1, columns + 1)),
                on="item",
            )

    def _property(self, field: Field, name: str, schema: Schema) -> Property:
        raw, value = schema.raw, field.body.get(name)
        label, help_text = self._words(raw)
        first = schema.branches[0].raw if schema.branches else raw
        resolved = raw if "$ref" not in raw else schema_document("common")["$defs"][str(raw["$ref"]).rsplit("/", 1)[-1]]
        if name in ("title", "help"):
            return Property(name, label, help_text, "area" if name == "help" else "text", label_text(value, self.ctx.locale), localised=True)
        if resolved.get("x-expression") == "boolean" and any(one.get("type") == "boolean" for one in resolved.get("anyOf", ())):
            return Property(name, label, help_text, "switch_or_expression", value, errors=self._wrong(field, name, value))
        if resolved.get("x-expression") or first.get("x-expression") or any(one.raw.get("x-expression") for one in schema.branches):
            return Property(name, label, help_text, "expression", value or "", errors=self._wrong(field, name, value))
        if raw.get("enum"):
            words = raw.get("x-enum", {})
            return Property(
                name,
                label,
                help_text,
                "select",
                value or raw["enum"][0],
                tuple(
                    OptionView(str(code), label_text(words.get(code), self.ctx.locale, str(code)), picked=code == (value or raw["enum"][0]))
                    for code in raw["enum"]
                ),
            )
        referred = self._referred(str(raw.get("x-refers", "")), value)
        if referred is not None:
            return Property(name, label, help_text, "select", value or "", referred)
        kind = {"boolean": "switch", "integer": "number", "number": "number"}.get(str(raw.get("type", "")), "text")
        return Property(name, label, help_text, kind, value if value is not None else "")

    def _wrong(self, field: Field, name: str, source: object) -> tuple[str, ...]:
        """What is wrong with an expression of a field, in words."""
        if not isinstance(source, str) or not source:
            return ()
        place = ExpressionPlace(self.entity.key, "boolean") if name in ("required", "show", "read_only") else ExpressionPlace(self.entity.key)
        if name == "where":
            place = ExpressionPlace(
                str(field.options.get("to") or str(field.options.get("from", "")).partition(".")[0]),
                "boolean",
                frozenset({"me", "record"}),
                names={"record": self.entity.key},
                sql=True,
            )
        return self._told(place, source)

    def _told(self, place: ExpressionPlace, source: str) -> tuple[str, ...]:
        vocabulary = self.ctx.workspace.registry.vocabulary()
        return tuple(
            sentence(problem.code, problem.params, self.ctx.locale, catalogue()) for problem in vocabulary.check_expression(self.bundle, place, source)
        )

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

    # --- sections -----------------------------------------------------------------------------------------------------------------------------

    def _section_properties(self, section: Mapping[str, Any]) -> Iterable[Property]:
        tabs, show = dict(self.document.get("tabs", {})), str(section.get("show", ""))
        yield Property("section", _("Title"), "", "text", label_text(section.get("section", section.get("title", "")), self.ctx.locale), localised=True)
        yield Property(
            "show",
            _("Shown when"),
            _("An expression; empty = always"),
            "expression",
            show,
            errors=self._told(ExpressionPlace(self.entity.key, "boolean"), show) if show else (),
        )
        yield Property("collapsed", _("Folded at first"), "", "switch", section.get("collapsed", False))
        if tabs:
            yield Property(
                "tab",
                _("Tab"),
                "",
                "select",
                section.get("tab", ""),
                tuple(OptionView(key, label_text(text, self.ctx.locale, key), picked=key == section.get("tab")) for key, text in tabs.items()),
            )
