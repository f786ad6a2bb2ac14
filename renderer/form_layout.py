"""Which form a person gets, and what limits the links on it. Reads definitions and grants only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.access import grant_of, remember
from engine.expressions.guard import syntax_tree
from engine.expressions.language import Expression
from engine.frozen import holds_records
from engine.schema.conditions import terms
from metadata.definitions import Form, Item, Section
from metadata.text import label_text
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField, Workspace


def form_for(ctx: Context, entity: str, use: str = "full", key: str = "") -> Form:
    """The form a person gets: the named one, else the first of this use for one of their roles, else one with every field."""
    forms = [
        item
        for item in ctx.workspace.bundle.forms.values()
        if item.entity == entity
        and not ctx.workspace.is_off(item.body)
        and (not item.audience or set(item.audience) & set(ctx.actor.roles) or ctx.actor.kind == "system")
    ]
    if key:
        named = next((item for item in forms if item.key == key), None)
        if named is not None:
            return named
    fitting = sorted((item for item in forms if item.use == use), key=lambda item: not item.audience)
    if fitting or use == "full":
        return fitting[0] if fitting else every_field(ctx.workspace.entities[entity])
    return form_for(ctx, entity)


def own_title(ctx: Context, entity: str, use: str = "full") -> str:
    """What the form a person gets calls itself, where that says more than the entity's name (写跟进, 记来访); "" where it does not."""
    form = form_for(ctx, entity, use)
    found = label_text(form.title, ctx.locale)
    return found if found != label_text(ctx.workspace.entities[entity].title, ctx.locale, entity) else ""


def begin_title(ctx: Context, entity: str, use: str = "full") -> str:
    """What making a record of an entity is called on the button that does it."""
    return own_title(ctx, entity, use) or _("New %(what)s", what=label_text(ctx.workspace.entities[entity].title, ctx.locale, entity))


def every_field(entity: CompiledEntity) -> Form:
    """A form nobody has written: all fields in two columns, then the child lines."""
    items = tuple(Item(field=key) for key, item in entity.fields.items() if not item.derived and key != entity.parent_field)
    sections = [Section("all", columns=2, items=items), *(Section(child, lines=child) for child in entity.lines)]
    return Form(key="", title=entity.title, body={}, entity=entity.key, layout=tuple(sections))


def on_form(item: CompiledField, entity: CompiledEntity, *, new: bool) -> bool:
    """Whether a field has a place on a form at all. Frozen records have a page of their own; a record that is only being made (``new``) can have no value in
    what rules write, numbers drawn on saving, sums over records still to come."""
    if holds_records(item):
        return False
    if not new:
        return True
    if item.definition.type == "rollup":
        return str(item.definition.options.get("from", "")).partition(".")[0] in entity.lines
    begins = isinstance(item.definition.default, Mapping)  # a value looked up from what is chosen is worth seeing, a constant is not
    return (item.read_only is not True or begins) and item.definition.type != "serial"


# --- limits of links -----------------------------------------------------------------------------------------------------------------------

_RECORD = re.compile(r"'[^']*'|\"[^\"]*\"|\brecord\.([a-z][a-z0-9_]*)")


def item_of(form: Form, field: str) -> Item | None:
    """Where a field stands on a form; None where it does not."""
    return next((item for section in form.layout if not section.lines for item in section.items if item.field == field), None)


def limits_of(item: CompiledField, placed: Item | None) -> tuple[str, ...]:
    """What limits the records offered for a link: what it may point to at all, and what the form offers."""
    if not item.target:
        return ()
    return tuple(filter(None, (str(item.definition.options.get("where") or ""), placed.where if placed is not None else "")))


def named_by(*limits: str) -> frozenset[str]:
    """The fields of the record itself that limits of a link name."""
    return frozenset(match[1] for limit in limits for match in _RECORD.finditer(limit) if match[1])


def limit_with(limit: str, values: Mapping[str, str]) -> str:
    """A limit of a link with the record's values put in, as a condition on the target; "" where it reads further than they tell."""
    if re.search(r"\brecord\.[a-z0-9_]+\.", limit):
        return ""
    return _RECORD.sub(lambda match: match[0] if not match[1] else values.get(match[1], "null"), limit)


def all_of(*parts: str) -> str:
    """One condition that holds where all of these do; those left empty ask for nothing."""
    found = [part for part in parts if part]
    return found[0] if len(found) == 1 else " and ".join(f"({part})" for part in found)


def leads_to(workspace: Workspace, form: Form, item: CompiledField) -> tuple[Expression, ...]:
    """The limits of a link on a form that the record it would point to tells by itself, whatever else is filled in."""

    def build() -> tuple[Expression, ...]:
        limits = [part for limit in limits_of(item, item_of(form, item.key)) for part in _parts(limit) if not named_by(part)]
        return tuple(workspace.expression(item.target, limit, wants="boolean") for limit in limits)

    return remember(workspace, ("form leads to", form.entity, form.key, item.key), build)


def _parts(limit: str) -> Iterator[str]:
    """The conditions of which each must hold for a limit to hold."""
    text = limit.strip()
    for part in terms(syntax_tree(limit)):
        yield ast.get_source_segment(text, part) or text


def granted_limit(ctx: Context, entity: CompiledEntity, item: CompiledField) -> str:
    """The limit of a link on a new record where all that lets its giver make one is what the link leads to: a condition on the target; "" for none."""
    rows = [clause.rows["create"] for clause in grant_of(ctx.workspace, ctx.actor, entity).clauses]
    asked = [one for one in rows if isinstance(one, Expression) and one.fields == {item.key}]
    if not asked or len(asked) < sum(one is not False for one in rows):
        return ""
    through = re.compile(rf"'[^']*'|\"[^\"]*\"|\b{item.key}\b(\.?)")
    found = [through.sub(lambda match: "" if match[1] else match[0], one.source) for one in asked]
    return "" if any(match[0] == item.key for one in asked for match in through.finditer(one.source)) else " or ".join(f"({one})" for one in found)


# --- what decides how a form is drawn ------------------------------------------------------------------------------------------------------


def conditions(workspace: Workspace, form: Form) -> tuple[Expression, ...]:
    """The conditions of a form: of its sections, its items, and the entity's fields."""

    def build() -> tuple[Expression, ...]:
        sources = [text for section in form.layout for text in (section.show, *(word for item in section.items for word in _words(item)))]
        entity = workspace.entities[form.entity]
        own = [word for item in entity.fields.values() for word in (item.show, item.required, item.read_only)]
        found = [workspace.expression(form.entity, text, wants="boolean") for text in sources if isinstance(text, str) and text]
        return tuple({one.source: one for one in (*found, *own) if isinstance(one, Expression)}.values())

    return remember(workspace, ("form conditions", form.entity, form.key), build)


def _words(item: Item) -> tuple[bool | str, ...]:
    return (item.show, item.required, item.read_only)


def deciding(workspace: Workspace, form: Form) -> frozenset[str]:
    """The fields whose values decide what other fields offer: parents of cascades, what limits of links name, what offered options depend on."""

    def build() -> frozenset[str]:
        found: set[str] = set()
        for item in workspace.entities[form.entity].fields.values():
            parent, placed = item.definition.options.get("parent"), item_of(form, item.key)
            found |= named_by(*limits_of(item, placed)) | ({parent} if isinstance(parent, str) else set())
            if placed is not None and placed.where and not item.target:
                found |= workspace.expression(form.entity, placed.where, wants="boolean").fields - {item.key}
        return frozenset(found)

    return remember(workspace, ("form deciding", form.entity, form.key), build)


def triggers(workspace: Workspace, form: Form) -> frozenset[str]:
    """The fields that something on the form depends on: changing them asks the server anew."""
    return remember(
        workspace,
        ("form triggers", form.entity, form.key),
        lambda: deciding(workspace, form).union(*(condition.fields for condition in conditions(workspace, form))),
    )


def telling(workspace: Workspace, form: Form) -> frozenset[str]:
    """The fields that tell how others of a new record begin: what the defaults of the form's fields read."""

    def build() -> frozenset[str]:
        fields = workspace.entities[form.entity].fields
        shown = [fields[item.field].default for section in form.layout for item in section.items if item.field in fields]
        return frozenset().union(*(default.fields for default in shown if isinstance(default, Expression)))

    return remember(workspace, ("form telling", form.entity, form.key), build)
