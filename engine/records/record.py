"""What the records room hands out: a record, a change, what a save gave. Data only; reading is query.py, writing is service.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from engine.errors import Fault

if TYPE_CHECKING:
    from engine.workspace import Workspace

Value = Any


class AnyVersion:
    """The version internal callers give when they do not care which one stands (rules, jobs, roll-backs)."""

    def __repr__(self) -> str:
        return "ANY"


#: Pass as ``version``: write whatever version stands.
ANY: Final = AnyVersion()
Version = int | AnyVersion
LARGEST_ID = 2**63 - 1


def is_id(given: object) -> TypeGuard[int]:
    """Whether something given can be an id or a version: a whole number that a database's key can hold."""
    return type(given) is int and 0 < given <= LARGEST_ID


class Record(dict[str, Value]):
    """A row as its reader sees it: ``id``, ``version`` and typed values by field key.

    Links are ``Link(id, label)``, masked values ``Masked(text)``, child lines a list of records under the line entity's key.
    Fields the reader may not read are not there.
    """

    __slots__ = ()

    @property
    def id(self) -> int:
        return int(self["id"])

    @property
    def version(self) -> int:
        return int(self["version"])


@dataclass(frozen=True, slots=True)
class Change:
    """One row changed in a transaction: typed values before and after of the fields that changed (all of them for create and delete)."""

    entity: str
    id: int
    kind: str  # create | update | delete | restore | computed
    version: int
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    at: datetime


def told_as_one(changes: Sequence[Change], number: int) -> tuple[Change, list[int]]:
    """A computed change with those of the same record that came after it, and their numbers: rules see a derived value go from where it was to where it is.
    Any other change alone."""
    first = changes[number]
    if first.kind != "computed":
        return first, []
    more = [
        later
        for later in range(number + 1, len(changes))
        if changes[later].kind == "computed" and (changes[later].entity, changes[later].id) == (first.entity, first.id)
    ]
    before, after = dict(first.before), dict(first.after)
    for later in more:
        before = {**changes[later].before, **before}
        after.update(changes[later].after)
    names = [name for name in after if before.get(name) != after[name]]
    return replace(first, before={name: before.get(name) for name in names}, after={name: after[name] for name in names}), more


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save gave: the record as its caller may see it and every row that changed with it, at the version of the ``workspace`` it was saved at."""

    record: Record
    changes: tuple[Change, ...] = ()
    warnings: tuple[Fault, ...] = ()
    workspace: Workspace | None = None

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def version(self) -> int:
        return self.record.version


_NONE: Mapping[str, object] = {}


@dataclass(slots=True)  # not frozen: there is one for each of many thousand rows
class RowResult:
    """The outcome of one row of ``bulk`` or ``load``: ``created``, ``updated``, ``unchanged`` or ``refused`` with every fault."""

    index: int
    outcome: str
    id: int | None = None
    version: int | None = None
    code: str = ""
    faults: tuple[Fault, ...] = ()
    params: Mapping[str, object] = field(default_factory=lambda: _NONE)
    more: tuple[tuple[str, int, int], ...] = ()  # what rules made of it: (entity, id, version)

    @property
    def refused(self) -> bool:
        return self.outcome == "refused"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of one run of a rule: ``done``, or ``skipped`` and why (if, record_gone). ``run``: its row in the log."""

    state: str
    run: int | None = None
    why: str = ""
    changes: tuple[Change, ...] = ()
