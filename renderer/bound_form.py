"""A form ready for its template: definition + record (or what was typed) + grant + faults. Every condition was decided by the engine; none is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from engine.access import remember
from engine.errors import Fault, Refusal
from engine.expressions.language import Expression
from engine.fields.values import Link, Masked
from engine.messages import sentence, told, told_faults
from engine.records.attachments import file_fields, put_files
from engine.records.looking import looking
from engine.records.preview import Preview, preview
from engine.records.proposal import beginnings, moved_by_hand
from engine.records.query_labels import labels
from metadata.definitions import Form, Item, Section
from metadata.text import label_text
from renderer.bound_field import BoundField, Surroundings, bound_field, group_errors, proposed
from renderer.bound_lines import BoundLines, bound_lines
from renderer.form_layout import granted_limit, limits_of, named_by, on_form, telling, triggers

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.work import Row
    from engine.workspace import CompiledField


@dataclass(frozen=True, slots=True)
class BoundSection:
    """A block of the form; ``columns`` 1 to 3."""

    key: str
    title: str
    columns: int
    tab: str
    fields: tuple[BoundField, ...] = ()
    lines: BoundLines | None = None
    collapsed: bool = False

    @property
    def faulty(self) -> bool:
        """Whether something in it was refused."""
        return any(item.errors for item in self.fields) or (self.lines is not None and any(item.errors for row in self.lines.rows for item in row.fields))


@dataclass(frozen=True, slots=True)
class BoundTab:
    """One part of a form with its sections; key '' holds those that stand in none."""

    key: str
    title: str
    sections: tuple[BoundSection, ...]
    chosen: bool = False

    @property
    def faulty(self) -> bool:
        """Whether something in it was refused."""
        return any(section.faulty for section in self.sections)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page says beside the fields: the tab in front, the fields already visited (their faults are told), the mark of this very form, when it was
    begun (in local time), and what it sends along to go on against soft refusals ('': there is nothing to go on against)."""

    tab: str = ""
    touched: tuple[str, ...] = ()
    once: str = ""
    begun: str = ""
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class BoundForm:
    """A whole form. ``version`` is the one the person sees; ``errors`` belong to no field of it."""

    entity: str
    key: str
    title: str
    action: str
    cancel: str
    record: int | None
    version: int | None
    parts: tuple[BoundTab, ...]
    asked: Asked = Asked()
    errors: tuple[str, ...] = ()
    use: str = "full"
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def tabs(self) -> tuple[BoundTab, ...]:
        """The parts that have a tab; none when there is nothing to choose from."""
        found = tuple(part for part in self.parts if part.key)
        return found if len(found) > 1 else ()

    def touched(self) -> tuple[BoundField, ...]:
        """The fields the person has visited."""
        return tuple(item for part in self.parts for section in part.sections for item in section.fields if item.key in self.asked.touched)


def offered_options(ctx: Context, form: Form, row: Row) -> dict[str, frozenset[str]]:
    """By choice of which a form offers only some options: those with which its condition holds for the record as it is filled in. Needs an open connection."""
    entity, found = ctx.workspace.entities[form.entity], {}
    for item in (item for section in form.layout if not section.lines for item in section.items if item.where):
        known = entity.fields.get(item.field)
        if known is None or known.target:
            continue
        condition, many = ctx.workspace.expression(entity.key, item.where, wants="boolean"), known.definition.type == "choices"
        options = ctx.workspace.scope.choices(str(known.value.options["choices"])).options
        truths = {code: looking(ctx).truth(entity, {**row, known.key: [code] if many else code}) for code in options}
        found[known.key] = frozenset(code for code, truth in truths.items() if truth(condition))
    return found


# --- binding -------------------------------------------------------------------------------------------------------------------------------


class FormBinder:
    """Binds one form for one request. ``raw``: what was typed (None: a fresh form); ``refusal``: why a save was refused; ``look``: its preview, where it is known."""

    def __init__(
        self,
        ctx: Context,
        form: Form,
        base: str,
        *,
        record: int | None = None,
        raw: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        refusal: Refusal | None = None,
        asked: Asked = Asked(),
        look: Preview | None = None,
    ) -> None:
        self.ctx = ctx
        self.form = form
        self.entity = ctx.workspace.entities[form.entity]
        self.record = record
        self.raw = raw
        self.given = dict(given or {})
        self.base = base
        self.look = look or preview(ctx, form.entity, {**(given or {}), **(raw or {})} if record is None else dict(raw or {}), record)
        self.asked = asked
        faults = (
            list(told_faults(refusal, ctx.locale)) or [("", told(refusal, ctx.locale))]
            if refusal
            else [
                (fault.pointer, sentence(fault.code, fault.params, ctx.locale))
                for fault in (*self.look.faults, *(self.missing() if asked.touched else ()))
                if fault.pointer[1:] in asked.touched
            ]
        )
        self.errors = group_errors(list(dict.fromkeys(faults)))
        self.around = Surroundings(ctx.workspace.scope.of(form.entity), ctx.locale, base)
        self.triggers = triggers(ctx.workspace, form) | (telling(ctx.workspace, form) if record is None else frozenset())
        self._placed: set[str] = set()
        self._labels = self._link_labels()

    def missing(self) -> list[Fault]:
        """What this form alone asks for and nobody gave: an empty field that it shows, that its giver may fill in, and whose ``required`` holds here."""
        return [
            Fault(f"/{item.field}", "required")
            for section in self.form.layout
            if self._holds(section.show)
            for item in section.items
            if item.required and self.look.row.get(item.field) in (None, "", []) and self._asks(item)
        ]

    def _asks(self, item: Item) -> bool:
        known = self.entity.fields.get(item.field)
        if known is None or known.derived or item.field not in self.look.writable or self._fixed(known):
            return False
        return self._holds(known.show) and self._holds(item.show) and self._holds(item.required)

    def bind(self, action: str, cancel: str, version: int | None = None) -> BoundForm:
        """The bound form. Errors at no field of it stand at its head."""
        sections = tuple(section for item in self.form.layout if (section := self._section(item)) is not None)
        placed = {f"/{name}" for name in self._placed}
        elsewhere = {pointer: texts for pointer, texts in self.errors.items() if pointer not in placed and pointer.count("/") != 3}  # three: in a child line
        loose = tuple(self._named(pointer, text) for pointer, texts in elsewhere.items() for text in texts)
        seen = self.look.seen
        hidden = {
            key: str(value)
            for key, value in {**self.given, **(self.raw or {})}.items()
            if self.record is None and key in self.look.writable and key not in self._placed and isinstance(value, str | int)
        }
        return BoundForm(
            self.form.entity,
            self.form.key,
            label_text(self.form.title, self.ctx.locale),
            action,
            cancel,
            self.record,
            version if version is not None else seen.version if seen is not None else None,
            self._parts(sections),
            self.asked,
            loose,
            self.form.use,
            hidden,
        )

    def _parts(self, sections: Sequence[BoundSection]) -> tuple[BoundTab, ...]:
        """Sections by tab; in front stands the tab the person had, unless a fault waits in another."""
        titles = {"": "", **{key: label_text(title, self.ctx.locale, key) for key, title in self.form.tabs.items()}}
        found = [
            BoundTab(key, title, inside)
            for key, title in titles.items()
            if (inside := tuple(one for one in sections if (one.tab if one.tab in titles else "") == key))
        ]
        with_tab = [part for part in found if part.key]
        front = next((part for part in with_tab if part.key == self.asked.tab), with_tab[0] if with_tab else None)
        if front is not None and not front.faulty:
            front = next((part for part in with_tab if part.faulty), front)
        return tuple(replace(part, chosen=part is front) for part in found)

    def _named(self, pointer: str, text: str) -> str:
        """A sentence about a field that does not stand on this form, with what it is about."""
        item = self.entity.fields.get(pointer[1:])
        return f"{label_text(item.definition.title, self.ctx.locale, item.key)}：{text}" if item is not None else text

    def _expression(self, source: str) -> Expression:
        return self.ctx.workspace.expression(self.entity.key, source, wants="boolean")

    def _holds(self, condition: bool | str | Expression | None) -> bool:
        if condition is None or condition == "":
            return True
        if isinstance(condition, bool):
            return condition
        return self.look.truth(self._expression(condition) if isinstance(condition, str) else condition)

    def _section(self, section: Section) -> BoundSection | None:
        if not self._holds(section.show):
            return None
        title = label_text(section.title, self.ctx.locale)
        if section.lines:
            lines = bound_lines(self.ctx, section, self.around, self.base, raw=self.raw, seen=self.look.seen, errors=self.errors)
            return None if lines is None else BoundSection(section.key, title or lines.title, 1, section.tab, lines=lines)
        fields = tuple(bound for item in section.items if (bound := self.item(item)) is not None)
        return BoundSection(section.key, title, section.columns, section.tab, fields, collapsed=section.collapsed) if fields else None

    def item(self, item: Item) -> BoundField | None:
        """One field of the layout; None where it is not shown."""
        known = self.entity.fields.get(item.field)
        if (
            known is None
            or not on_form(known, self.entity, new=self.record is None)
            or (item.field not in self.look.readable and item.field not in self.look.writable)
        ):
            return None
        if not self._holds(known.show) or not self._holds(item.show):
            return None
        writable = item.field in self.look.writable and not known.derived
        if self.record is None and not writable and not known.derived and not isinstance(known.definition.default, Mapping):
            return None  # a constant that others set
        read_only = (
            not writable
            or self._fixed(known)
            or (item.read_only is True)
            or (isinstance(item.read_only, str) and item.read_only != "" and self._holds(item.read_only))
        )
        value = self._value(known)
        if isinstance(value, Masked):
            read_only = True
        if self.record is None and read_only and value in (None, "", []) and f"/{item.field}" not in self.errors:
            return None  # a new record has it once something chosen tells it; an empty box nobody can fill in says nothing
        self._placed.add(item.field)
        required = (known.required is not False and self._holds(known.required)) or (
            item.required is not False and item.required != "" and self._holds(item.required)
        )
        bound = self._bound(
            known,
            value,
            {
                "span": item.span,
                "read_only": read_only,
                "required": required and not read_only,
                "refresh": item.field in self.triggers,
                "source": self._source(known, item),
                "offered": self._offered(known, item),
            },
        )
        overrides: dict[str, Any] = {}
        if item.title:
            overrides["label"] = label_text(item.title, self.ctx.locale)
        if item.help:
            overrides["help"] = label_text(item.help, self.ctx.locale)
        return replace(bound, **overrides) if overrides else bound

    def _bound(self, known: CompiledField, value: Any, more: Mapping[str, Any]) -> BoundField:
        """The field with its value, what was typed and its faults; an empty one looks the same to all and is bound once."""
        raw, parent, errors = self._typed(known, bool(more["read_only"])), self._parent(known), self.errors.get(f"/{known.key}", ())

        def bind() -> BoundField:
            return bound_field(known, value, self.around, raw=raw, parent=parent, errors=errors, **more)

        if value is not None or raw is not None or parent is not None or errors or "?" in more["source"]:
            return bind()
        return remember(self.ctx.workspace, ("empty field", self.entity.key, known.key, self.ctx.locale, *more.values()), bind)

    @cached_property
    def _by_form(self) -> Mapping[str, frozenset[str]]:
        return offered_options(self.ctx, self.form, self.look.row)

    def _offered(self, known: CompiledField, item: Item) -> frozenset[str] | None:
        """The options there are of a choice: stages as far as people set them by hand, and what the form offers; None: all."""
        stages = self.entity.stages
        by_form = self._by_form.get(known.key) if item.where else None
        if stages is None or stages.field != known.key:
            return by_form
        seen = self.look.seen
        at = seen.get(known.key) if seen is not None else None
        by_hand = beginnings(self.entity) if seen is None else moved_by_hand(self.entity, at) if isinstance(at, str) else None
        return by_form if by_hand is None else by_hand if by_form is None else by_hand & by_form

    def _source(self, known: CompiledField, item: Item) -> str:
        """Where the control asks for what it offers; a limited link says which values its limits read, on which form it stands where that limits it, and that
        its record is new where what its giver may make does."""
        if known.type.widget == "region":
            return f"{self.base}/regions?field={self.entity.key}.{known.key}&id=f"
        if not known.target:
            return ""
        named = sorted(named_by(*limits_of(known, item)))
        around = [("form", self.form.key)] if item.where else []
        around += [("new", "1")] if self.record is None and granted_limit(self.ctx, self.entity, known) else []
        around += [(f"record.{name}", "" if (value := self.look.row.get(name)) is None else str(value)) for name in named]
        return f"{self.base}/pick/{self.entity.key}/{known.key}" + (f"?{urlencode(around)}" if around else "")

    def _fixed(self, known: CompiledField) -> bool:
        if self.record is not None and known.definition.once and self.look.seen is not None and self.look.seen.get(known.key) is not None:
            return True
        return known.read_only is not False and self._holds(known.read_only)

    def _value(self, known: CompiledField) -> Any:
        seen = self.look.seen
        held = seen.get(known.key) if seen is not None else None
        if isinstance(held, Masked):
            return held
        value = self.look.row.get(known.key) if known.column is not None else held
        if self.record is None and known.key not in self.given and known.key not in (self.raw or {}):
            value = proposed(value)
        return self._labelled(known, value)

    def _labelled(self, known: CompiledField, value: Any) -> Any:
        if known.target and isinstance(value, int):
            return Link(value, self._labels.get((known.target, value)))
        if known.target and isinstance(value, list):
            return [Link(item, self._labels.get((known.target, item))) if isinstance(item, int) else item for item in value]
        if known.definition.type in ("file", "image", "files") and value is not None:
            holder = {known.key: value}
            put_files(self.ctx, [holder], [item for item in file_fields(self.entity) if item.key == known.key])
            return holder[known.key]
        return value

    def _link_labels(self) -> dict[tuple[str, int], str]:
        wanted: dict[str, set[int]] = {}
        for known in self.entity.fields.values():
            if known.target:
                value = self.look.row.get(known.key)
                for number in value if isinstance(value, list) else [value]:
                    if isinstance(number, int):
                        wanted.setdefault(known.target, set()).add(number)
        return {(target, number): text for target, numbers in wanted.items() for number, text in labels(self.ctx, target, sorted(numbers)).items() if text}

    def _typed(self, known: CompiledField, read_only: bool) -> Any:
        """What the person typed, where it could not be read; what could is shown as it was understood."""
        if (
            self.raw is None
            or read_only
            or known.key not in self.raw
            or f"/{known.key}" not in {fault.pointer for fault in self.look.faults} | set(self.errors)
        ):
            return None
        return self.raw[known.key]

    def _parent(self, known: CompiledField) -> Any:
        parent = known.definition.options.get("parent")
        return self.look.row.get(parent) or "" if isinstance(parent, str) else None
