"""What a list's address says: search, quick filters, conditions, order, columns, view; and addresses with something changed. Asks nothing of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from metadata.definitions import ListView

KINDS = ("table", "kanban", "calendar", "grid")
PERIODS = ("overdue", "today", "tomorrow", "week", "month", "none")
#: Parameters that are not fields (the same words the record API keeps free of fields).
OWN = ("q", "where", "sort", "fields", "view", "page", "cursor", "count", "limit")


@dataclass(frozen=True, slots=True)
class ListState:
    """One way a list is looked at. ``equals``: values by quick-filter field; ``where``: the and/or conditions as expression text.

    ``view``: id of the saved view it began with, 0 = the list itself. ``kind``: table, kanban, calendar or grid. ``seen``: rows shown before this page.
    """

    kind: str = "table"
    q: str = ""
    equals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    where: str = ""
    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    view: int = 0
    cursor: str = ""
    seen: int = 0

    @classmethod
    def read(cls, definition: ListView, given: QueryParams, fields: Iterable[str], saved: Mapping[str, Any] | None = None) -> ListState:
        """From an address. What it does not say comes from the saved view, then from the list's definition."""
        known = frozenset(fields)
        start = cls.of_saved(definition, saved or {}, known)
        kind = given.get("page", "")
        equals = {
            name: tuple(value for value in given.getlist(name) if value != "") for name in dict.fromkeys(given.keys()) if name in known and name not in OWN
        }
        asked = any(name in given for name in ("q", "where", *equals)) or not saved
        seen, view = given.get("count", ""), given.get("view", "")
        return replace(
            start,
            kind=kind if kind in kinds_of(definition) else start.kind,
            q=given.get("q", "").strip() if asked else start.q,
            where=given.get("where", "") if asked else start.where,
            equals={name: values for name, values in equals.items() if values} if asked else start.equals,
            sort=_words(given.get("sort", "")) or start.sort,
            columns=_words(given.get("fields", "")) or start.columns,
            view=int(view) if view.isascii() and view.isdigit() and len(view) < 16 else 0,
            cursor=given.get("cursor", ""),
            seen=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 9 else 0,
        )

    @classmethod
    def of_saved(cls, definition: ListView, body: Mapping[str, Any], known: frozenset[str]) -> ListState:
        """From a saved view's body; fields that went away since are left out."""
        equals = {name: tuple(str(value) for value in values) for name, values in dict(body.get("equals", {})).items() if name in known}
        kind = str(body.get("page", definition.view))
        return cls(
            kind if kind in kinds_of(definition) else "table",
            str(body.get("q", "")),
            equals,
            str(body.get("where", "")),
            tuple(word for word in body.get("sort", ()) if str(word).lstrip("-") in known or str(word).lstrip("-") in ("id", "created_at", "updated_at")),
            tuple(word for word in body.get("fields", ()) if str(word).split(".")[0] in known),
        )

    def body(self) -> dict[str, Any]:
        """What a saved view keeps."""
        return {
            "page": self.kind,
            "q": self.q,
            "equals": {name: list(values) for name, values in self.equals.items()},
            "where": self.where,
            "sort": list(self.sort),
            "fields": list(self.columns),
        }

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.q or self.equals or self.where)

    def parameters(self, definition: ListView) -> list[tuple[str, str]]:
        """The address's parameters, without those the list says itself."""
        found: list[tuple[str, str]] = []
        if self.kind != definition.view:
            found.append(("page", self.kind))
        if self.view:
            found.append(("view", str(self.view)))
        if self.q:
            found.append(("q", self.q))
        found += [(name, value) for name, values in self.equals.items() for value in values]
        if self.where:
            found.append(("where", self.where))
        if self.view and not self.filtered:
            found.append(("q", ""))
        if self.sort:
            found.append(("sort", ",".join(self.sort)))
        if self.columns:
            found.append(("fields", ",".join(self.columns)))
        return found

    def address(self, base: str, definition: ListView, *, tool: str = "", **changes: Any) -> str:
        """The address of this state with some parts changed; pages begin anew. ``tool``: of a tool of the list, in this state."""
        state = replace(self, **{"cursor": "", "seen": 0, **changes})
        parameters = state.parameters(definition)
        if state.cursor:
            parameters += [("cursor", state.cursor), ("count", str(state.seen))]
        return f"{base}/l/{definition.key}" + (f"/{tool}" if tool else "") + (f"?{urlencode(parameters)}" if parameters else "")

    def without(self, name: str, value: str = "") -> ListState:
        """Without one quick filter, or one value of it; ``q`` and ``where`` are such names, too."""
        if name in ("q", "where"):
            return replace(self, **{name: ""})
        left = tuple(item for item in self.equals.get(name, ()) if value and item != value)
        return replace(self, equals={key: (left if key == name else values) for key, values in self.equals.items() if key != name or left})


def kinds_of(definition: ListView) -> tuple[str, ...]:
    """The kinds of view a list has, in their order."""
    return tuple(kind for kind in KINDS if kind == "table" or getattr(definition, kind))


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def period_condition(name: str, kind: str, period: str) -> str:
    """The expression of a quick filter over a date or an instant; "" for a word that is none."""
    if period == "none":
        return f"empty({name})"
    if kind == "date":
        days = {
            "overdue": f"{name} < today()",
            "today": f"{name} == today()",
            "tomorrow": f"{name} == add_days(today(), 1)",
            "week": f"{name} >= today() and {name} < add_days(today(), 7)",
            "month": f"{name} >= today() and {name} < add_days(today(), 30)",
        }
        return days.get(period, "")
    start, end = "start_of(now(), 'day')", "end_of(now(), 'day')"
    moments = {
        "overdue": f"{name} < now()",
        "today": f"{name} >= {start} and {name} < {end}",
        "tomorrow": f"{name} >= {end} and {name} < add_days({end}, 1)",
        "week": f"{name} >= {start} and {name} < add_days({start}, 7)",
        "month": f"{name} >= {start} and {name} < add_days({start}, 30)",
    }
    return moments.get(period, "")


def split_sort(words: Sequence[str]) -> dict[str, bool]:
    """Field -> descending, in order."""
    return {word.lstrip("-"): word.startswith("-") for word in words}
