"""What may happen, as data. Steps and actions yield effects and receive their results; the one writer applies each in order, in the transaction.

Values are typed values as records hold them; a record is a Handle or its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.expressions.evaluate import Carried
from engine.expressions.language import Expression
from engine.fields.base import Value
from metadata.text import Label

_NONE: Mapping[str, Any] = {}


class Handle(Carried):
    """A record carried by a rule: its fields are read when asked, so that they are what earlier steps made of them."""

    __slots__ = ("_read", "id")

    def __init__(self, entity: str, record_id: int, read: Callable[[str, int], Mapping[str, Value] | None]) -> None:
        self.entity = entity
        self.id = record_id
        self._read = read

    def row(self) -> Mapping[str, Value]:
        """All its values as they now stand; empty when it is gone."""
        return self._read(self.entity, self.id) or _NONE

    def __getitem__(self, key: str) -> Value:
        if key == "id":
            return self.id
        return self.row()[key]

    def get(self, key: str, default: Value = None) -> Value:
        """A value, or the default when the record is gone or has no such field."""
        return self.id if key == "id" else self.row().get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.row())

    def __len__(self) -> int:
        return len(self.row())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and (other.entity, other.id) == (self.entity, self.id)

    def __hash__(self) -> int:
        return hash((self.entity, self.id))

    def __repr__(self) -> str:
        return f"Handle({self.entity} {self.id})"


@dataclass(frozen=True, slots=True)
class Given:
    """A value as a definition wrote it in JSON, still to be read by its field."""

    value: Any


@dataclass(frozen=True, slots=True)
class Effect:
    """Base of all."""


@dataclass(frozen=True, slots=True)
class SetValues(Effect):
    """Values written to a record. ``expect``: only if it is true of the row in the UPDATE itself; the loser gets ``refuse``. Result: None."""

    record: Handle
    values: Mapping[str, Value]
    expect: Expression | None = None
    refuse: str = ""
    message: Label = ""
    spaces: Mapping[str, Value] = field(default_factory=dict)  # what ``expect`` names besides the row


@dataclass(frozen=True, slots=True)
class CreateRecord(Effect):
    """A new record. ``once``: a unique key; when a record with it stands, that one is the result and nothing is written. Result: its Handle."""

    entity: str
    values: Mapping[str, Value]
    once: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRecord(Effect):
    """A record out of every read path. Result: None."""

    record: Handle


#: Most rows one find may bring when it says no number.
MOST_FOUND = 10_000


@dataclass(frozen=True, slots=True)
class Find(Effect):
    """Records of an entity. ``where`` and ``sort`` are compiled over its rows, or texts a plugin wrote; ``spaces``: the names they use besides.

    Result by ``take``: "one" a Handle or None, a number (or "all") a list of Handles, "count" an integer, ("sum" | "min" | "max", expression) a value.
    ``show``: rows of named values instead of Handles. ``scope``: "me" leaves only what the acting person may read. ``hold``: the records are going to be
    changed, so that nobody else may from here on.
    """

    entity: str
    where: Expression | str | None = None
    sort: Sequence[tuple[Expression | str, bool]] = ()  # (what, descending)
    take: str | int | tuple[str, Expression | str] = "one"
    show: Mapping[str, Expression] = field(default_factory=dict)
    spaces: Mapping[str, Value] = field(default_factory=dict)
    scope: str = ""
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Lock(Effect):
    """Whoever names the same waits until this transaction ends. Result: None."""

    name: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Refuse(Effect):
    """Stop; all of the transaction goes back. ``at``: the field to blame. ``soft``: the person may confirm and go on (then the result is None)."""

    code: str
    message: Label = ""
    at: str = ""
    soft: bool = False
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunAction(Effect):
    """Another action by name, on a record or none. Result: what it gives."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)
    record: Handle | None = None


@dataclass(frozen=True, slots=True)
class Notify(Effect):
    """A message to people. ``text``: a template in every language, filled in for each reader; ``frame``: the values of its placeholders by their text.

    ``channel``: "screen" (inside) or a connection's name. ``hours``: a calendar that holds it back. ``sources``: the records those values may be of, by
    the name that carries them (``reg``, ``param.to``): each reader is shown what they may see of these. Result: how many people it goes to.
    """

    people: Sequence[int]
    text: Label
    frame: Mapping[str, Value] = field(default_factory=dict)
    channel: str = "screen"
    template: str = ""
    hours: str = ""
    about: Handle | None = None
    sources: Mapping[str, Handle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """A message to the outside, through a connector, after commit, retried with the same ``key``. Result: the id of its outgoing row."""

    connector: str
    address: str
    key: str
    text: Label = ""
    template: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Emit(Effect):
    """An event for rules that wait for it, each in a transaction of its own after commit. ``key`` makes it once. Result: None."""

    event: str
    values: Mapping[str, Value]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Ask(Effect):
    """An approval. ``message``: its template, ``sources``: what its placeholders are of. ``frame``: the names the branch needs. Result: a Handle of the ask, None when nobody needs to be asked (``needed`` false)."""

    name: str
    step: str
    who: Sequence[int]
    without: Sequence[int] = ()
    need: str | int = "any"
    about: Handle | None = None
    opinion: str = "optional"
    fields: Mapping[str, Any] = field(default_factory=dict)
    within: int | None = None  # seconds
    escalate_after: int | None = None
    escalate_to: Sequence[int] = ()
    message: Label = ""
    shown: Mapping[str, Value] = field(default_factory=dict)  # values of the message's placeholders
    frame: Mapping[str, Value] = field(default_factory=dict)
    sources: Mapping[str, Handle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Apart(Effect):
    """Each item of a list in a transaction of its own, after commit, with progress; then ``done``. Result: the job's id."""

    step: str
    items: Sequence[Value]
    frame: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WithdrawAsks(Effect):
    """The open asks about a record end as withdrawn. Result: how many."""

    about: Handle


@dataclass(frozen=True, slots=True)
class Engine(Effect):
    """Something only the engine itself can do (merging records, ending a person's sessions); built-in actions name it. Result: its own."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)
