"""A fresh form is drawn once for what its conditions say and which fields begin with a value; those fields are drawn into it for each request."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from renderer.bound_field import BoundField
from renderer.bound_form import FormBinder
from renderer.form_layout import conditions, deciding


def begun(binder: FormBinder) -> dict[str, BoundField]:
    """The fields of a fresh form that begin with a value (a default, a formula), by key."""
    items = (item for section in binder.form.layout for item in section.items if _has_value(binder.look.row.get(item.field)))
    return {bound.key: bound for item in items if (bound := binder.item(item)) is not None}


def shape(binder: FormBinder, begun: dict[str, BoundField]) -> Hashable:
    """What tells, with the roles and the language, everything on a fresh form but the fields that begin with a value."""
    workspace, form, look = binder.ctx.workspace, binder.form, binder.look
    truths = tuple(look.truth(condition) for condition in conditions(workspace, form))
    named = tuple((name, str(value)) for name in sorted(deciding(workspace, form)) if _has_value(value := look.row.get(name)))
    return ("fresh", form.entity, form.key, truths, named, tuple(begun))


def _has_value(value: Any) -> bool:
    return value is not None and value != [] and value != ""
