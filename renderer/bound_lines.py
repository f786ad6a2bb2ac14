"""Child lines of a form ready for their template: a small table of records that are saved inside their parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.access import grant_of
from engine.fields.base import Wrong, accepted
from engine.fields.values import Masked
from metadata.text import label_text
from renderer.bound_field import BoundField, Surroundings, bound_field

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.record import Record
    from engine.workspace import CompiledEntity, CompiledField
    from metadata.definitions import Section

LINES_AT_MOST = 200


@dataclass(frozen=True, slots=True)
class BoundLine:
    """One child line: its fields; ``can_drop``: it may be taken away."""

    index: int
    id: str
    fields: tuple[BoundField, ...]
    can_drop: bool = True


@dataclass(frozen=True, slots=True)
class BoundLines:
    """The child lines of a section as a small table."""

    entity: str
    title: str
    headings: tuple[tuple[str, bool], ...]
    rows: tuple[BoundLine, ...]
    can_add: bool = False
    errors: tuple[str, ...] = ()


def bound_lines(
    ctx: Context,
    section: Section,
    around: Surroundings,
    base: str,
    *,
    raw: Mapping[str, Any] | None,
    seen: Record | None,
    errors: Mapping[str, tuple[str, ...]],
) -> BoundLines | None:
    """The lines of a section: as typed (``raw``), else as they stand in the record (``seen``); None for who may not see them."""
    child = ctx.workspace.entities.get(section.lines)
    granted = grant_of(ctx.workspace, ctx.actor, child) if child is not None else None
    if child is None or granted is None or not granted.allowed("read"):
        return None
    names = [item.field for item in section.items] or [key for key, item in child.fields.items() if not item.derived and key != child.parent_field]
    shown = [child.fields[name] for name in names if name in child.fields and name in granted.readable]
    writable = granted.writable if (granted.allowed("create") or granted.allowed("update")) else frozenset()
    typed = raw is not None and section.lines in raw
    rows: Sequence[Mapping[str, Any]] = (
        list(raw[section.lines]) if raw is not None and typed else list(seen.get(section.lines) or ()) if seen is not None else []
    )
    inside = replace(around, scope=ctx.workspace.scope.of(child.key))
    kept = {str(row["id"]): row for row in (seen.get(section.lines) or () if seen is not None else ()) if row.get("id")}
    lines = tuple(
        _line(child, shown, writable, index, row, kept.get(str(row.get("id") or "")), inside, base, errors, typed, granted.allowed("delete"))
        for index, row in enumerate(rows)
    )
    return BoundLines(
        section.lines,
        label_text(child.definition.plural or child.title, ctx.locale),
        tuple((label_text(item.definition.title, ctx.locale, item.key), item.required is True) for item in shown),
        lines,
        granted.allowed("create") and len(lines) < LINES_AT_MOST,
        errors.get(f"/{section.lines}", ()),
    )


def _line(
    child: CompiledEntity,
    shown: Sequence[CompiledField],
    writable: frozenset[str],
    index: int,
    row: Mapping[str, Any],
    stored: Mapping[str, Any] | None,
    around: Surroundings,
    base: str,
    errors: Mapping[str, tuple[str, ...]],
    typed: bool,
    may_delete: bool,
) -> BoundLine:
    fields = []
    for item in shown:
        fixed = item.derived or item.key not in writable or item.read_only is True
        fixed = fixed or (item.definition.once and stored is not None and stored.get(item.key) is not None)
        value = (stored if fixed and stored is not None else row).get(item.key)
        masked = isinstance(value, Masked)
        value, raw = _value(item, value, typed and not (fixed and stored is not None))
        bound = bound_field(
            item,
            value,
            around,
            raw=raw,
            name=f"{child.key}[{index}].{item.key}",
            read_only=fixed or masked,
            errors=errors.get(f"/{child.key}/{index}/{item.key}", ()),
            help="",
            source=f"{base}/pick/{child.key}/{item.key}" if item.target else "",
        )
        fields.append(bound)
    return BoundLine(index, str(row.get("id") or ""), tuple(fields), may_delete or stored is None)


def _value(item: CompiledField, value: Any, typed: bool) -> tuple[Any, Any]:
    """(typed value, raw text) of a line's field: what was typed is understood where it can be."""
    if not typed or item.reader is None:
        return value, None
    try:
        return accepted(item.reader, value), None
    except Wrong:
        return None, value
