"""What a row adds to a record that is already there: empty fields are filled, lists grow, other values are kept and noted or put before a person.

Pure: values in, changes out. What is written and when is importing.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from engine.exchange.mapping import Plan
from engine.exchange.rows import RowDraft
from engine.fields.base import Wrong, accepted, title_of
from engine.fields.values import Link, Masked

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField, Workspace


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A value the record keeps though the row says another."""

    field: str
    title: str
    kept: str
    given: str


@dataclass(slots=True)
class Merged:
    """What a row changes: raw inputs by field, what a person must look at."""

    changes: dict[str, Any] = field(default_factory=dict)
    reviews: list[Disagreement] = field(default_factory=list)


class Merger:
    """Merges drafts of one entity into standing values (typed, as records read them; links as Link or id). ``label``: (entity, id) -> what people call it."""

    def __init__(self, workspace: Workspace, entity: CompiledEntity, plan: Plan, locale: str, label: Callable[[str, int], str]) -> None:
        self._workspace = workspace
        self._entity = entity
        self._plan = plan
        self._locale = locale
        self._label = label

    def merge(self, standing: Mapping[str, Any], draft: RowDraft) -> Merged:
        """The changes a row makes to standing values under the block's ``on_match`` and each column's ``conflict``."""
        draft.write_out()
        merged = Merged()
        notes = [*draft.notes]
        if self._plan.on_match != "skip":
            for names in self._groups(draft):
                self._group(merged, standing, [self._entity.fields[name] for name in names], draft, notes)
        text = self.noted(str(standing.get(self._plan.unread) or ""), notes)
        if text is not None:
            merged.changes[self._plan.unread] = text
        return merged

    def _groups(self, draft: RowDraft) -> list[list[str]]:
        """The given fields, those of one column together: a span or a cascade is taken or kept as a whole."""
        column_of = {name: key for key, column in self._plan.columns.items() for name in column.into.values()}
        found: dict[str, list[str]] = {}
        for name in draft.values:
            item = self._entity.fields.get(name)
            if item is not None and item.reader is not None:
                found.setdefault(column_of.get(name, name), []).append(name)
        return list(found.values())

    def _group(self, merged: Merged, standing: Mapping[str, Any], items: Sequence[CompiledField], draft: RowDraft, notes: list[str]) -> None:
        stands = {item.key: comparable(standing.get(item.key)) for item in items}
        siblings = [name for column in self._plan.columns.values() if items[0].key in column.into.values() for name in column.into.values()]
        filled = any(comparable(standing.get(name)) not in (None, "", []) for name in siblings) or any(value not in (None, "", []) for value in stands.values())
        fresh = [item for item in items if stands[item.key] in (None, "", []) and not isinstance(standing.get(item.key), Masked)]
        if len(siblings) > 1 and filled and fresh and not isinstance(stands[items[0].key], list):
            kept = next((name for name in siblings if comparable(standing.get(name)) not in (None, "", [])), items[0].key)
            if self._differs(items, stands, draft) or kept not in {item.key for item in items}:
                self._disagree(merged, self._entity.fields[kept], comparable(standing.get(kept)), draft.values[items[0].key], draft, notes, items[0].key)
                return
        for item in items:
            self._field(merged, item, standing.get(item.key), draft.values[item.key], draft, notes)

    def _differs(self, items: Sequence[CompiledField], stands: Mapping[str, Any], draft: RowDraft) -> bool:
        for item in items:
            assert item.reader is not None
            try:
                given = accepted(item.reader, draft.values[item.key])
            except Wrong:
                continue
            if stands[item.key] not in (None, "", []) and given != stands[item.key]:
                return True
        return False

    def _field(self, merged: Merged, item: CompiledField, stands: Any, raw: Any, draft: RowDraft, notes: list[str]) -> None:
        assert item.reader is not None
        try:
            given = accepted(item.reader, raw)
        except Wrong:
            return
        if given is None or isinstance(stands, Masked):
            return
        stands = comparable(stands)
        if stands is None or stands == "" or stands == []:
            merged.changes[item.key] = raw
        elif isinstance(stands, list) and isinstance(given, list):
            missing = [value for value in given if value not in stands]
            if missing:
                merged.changes[item.key] = [*stands, *missing]
        elif stands != given:
            self._disagree(merged, item, stands, raw, draft, notes)

    def _disagree(self, merged: Merged, item: CompiledField, stands: Any, raw: Any, draft: RowDraft, notes: list[str], said_at: str = "") -> None:
        how = draft.conflicts.get(said_at or item.key, "keep")
        said = draft.said(said_at or item.key) or str(raw)
        title = title_of(item.definition, self._locale)
        if self._plan.on_match == "overwrite":
            merged.changes[item.key] = raw
        elif how == "note":
            notes.append(f"{title}：{said}")
        elif how == "review":
            merged.reviews.append(Disagreement(item.key, title, self._text(item, stands), said))

    def _text(self, item: CompiledField, value: Any) -> str:
        if item.target and isinstance(value, int):
            return self._label(item.target, value)
        return item.type.show(value, item.value, self._workspace.scope.of(self._entity.key), self._locale)

    def noted(self, standing: str, notes: Sequence[str]) -> str | None:
        """The unread field with the new notes under it, each line once; None when nothing is new."""
        if not self._plan.unread or not notes:
            return None
        lines = standing.splitlines() if standing else []
        added = [line for note in dict.fromkeys(notes) for line in note.splitlines() if line.strip() and line not in lines]
        limit = self._entity.fields[self._plan.unread].definition.body.get("maxLength", 1_000_000)
        text = "\n".join([*lines, *dict.fromkeys(added)])
        return text if added and len(text) <= int(limit) else None


def comparable(value: Any) -> Any:
    """A value as two of them compare: links by id."""
    if isinstance(value, Link):
        return value.id
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return value


def raw_of(value: Any) -> Any:
    """A typed value as raw input again."""
    value = comparable(value)
    return value.isoformat() if isinstance(value, date | datetime) else value
