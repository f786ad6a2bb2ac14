"""A fresh form is drawn once for what its conditions say and which fields begin with a value; those fields are drawn into it, once for each value."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.records.preview import Preview, preview
from engine.records.query_labels import labels
from metadata.definitions import Form, Item
from renderer.bound_field import BoundField
from renderer.bound_form import Asked, FormBinder, offered_options
from renderer.form_layout import conditions, deciding
from renderer.moulds import hole

if TYPE_CHECKING:
    from engine.context import Context


@dataclass(frozen=True, slots=True)
class Fresh:
    """A form as one person begins it. ``told``: what tells, with the roles and the language, everything on it but the values it begins with."""

    ctx: Context
    form: Form
    base: str
    look: Preview
    told: Hashable

    def begun(self) -> Iterator[tuple[Item, Hashable]]:
        """The items that may begin with a value (a default, a formula), each with what tells that value."""
        for section in self.form.layout:
            for item in section.items:
                value = self.look.row.get(item.field)
                if _has_value(value):
                    yield item, (item.field, value if isinstance(value, Hashable) else str(value), self._label(item.field, value))

    def _label(self, name: str, value: Any) -> Hashable:
        """What people read in place of a link."""
        target = self.look.entity.fields[name].target if name in self.look.entity.fields else ""
        if not target:
            return None
        return tuple(sorted(labels(self.ctx, target, [value] if isinstance(value, int) else value).items()))

    def bound(self, item: Item) -> BoundField | None:
        """One of its fields; None where it is not shown."""
        return self.binder().item(item)

    def binder(self) -> FormBinder:
        """What binds it, with holes for the mark by which a form sent twice makes one record and for when it was begun."""
        return FormBinder(self.ctx, self.form, self.base, asked=Asked(once=hole("once"), begun=hole("begun")), look=self.look)


def fresh(ctx: Context, form: Form, base: str) -> Fresh:
    """A form as the actor begins it. Needs an open connection; raises NotFound and Denied as the writer would."""
    look = preview(ctx, form.entity, {})
    truths = tuple(look.truth(condition) for condition in conditions(ctx.workspace, form))
    named = tuple((name, str(value)) for name in sorted(deciding(ctx.workspace, form)) if _has_value(value := look.row.get(name)))
    offered = tuple(sorted(offered_options(ctx, form, look.row).items()))
    return Fresh(ctx, form, base, look, (ctx.workspace.name, form.entity, form.key, truths, named, offered))


def _has_value(value: Any) -> bool:
    return value is not None and value != [] and value != ""
