"""From raw input to typed values and from typed values to columns: one closure per field, built at publish. Knows no rights but the set of fields it is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.errors import Fault
from engine.fields.base import WRONG_KIND, Reader, Value, Wrong
from engine.storage import Instant

if TYPE_CHECKING:
    from engine.crypto import Cipher
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: Keys of a record's JSON that are not input; a client may send back what it got.
NOT_INPUT = frozenset({"id", "version", "created_at", "created_by", "updated_at", "updated_by", "deleted_at"})


_NO_LINES: Mapping[str, list[Mapping[str, Any]]] = {}
_MOST_GRANTS = 200
_fault: Callable[[tuple[str, str, Mapping[str, object]]], Fault] = partial(tuple.__new__, Fault)  # a third faster than by name, where bodies are judged
#: By field: the kinds of values that are taken (None: the reader looks itself), and the reader.
Readers = Mapping[str, tuple[frozenset[type] | None, Reader]]


@dataclass(slots=True)
class Taken:
    """What was given: typed values by field, child lines by line entity, and every fault found."""

    values: dict[str, Value]
    lines: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=lambda: _NO_LINES)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Intake:
    """The readers of one entity's entered fields, and its line entities."""

    readers: Readers
    lines: frozenset[str]
    _open: dict[Collection[str], Readers] = field(default_factory=dict, compare=False)  # by what may be written

    def take(self, raw: Mapping[str, object], writable: Collection[str], readable: Collection[str], at: str = "") -> Taken:
        """Read everything; what may not be written is refused, what may not be read is as unknown as what is not there."""
        values: dict[str, Value] = {}
        faults: list[Fault] = []
        taken = Taken(values, _NO_LINES, faults)
        readers = self._open_to(writable)
        for key, given in raw.items():
            try:
                kinds, read = readers[key]
            except KeyError:
                self._other(taken, key, given, readable, at)
                continue
            if kinds is None or type(given) in kinds:
                try:
                    value = read(given)
                except Wrong as wrong:
                    value = wrong
            else:
                value = WRONG_KIND
            if type(value) is Wrong:
                faults.append(_fault((f"{at}/{key}", value.code, value.params)))
            else:
                values[key] = value
        return taken

    def _open_to(self, writable: Collection[str]) -> Readers:
        """The readers of what may be written: grants are few, and ask again for each record."""
        if writable.__class__ is not frozenset:
            return {key: found for key, found in self.readers.items() if key in writable}
        readers = self._open.get(writable)
        if readers is None:
            if len(self._open) > _MOST_GRANTS:
                self._open.clear()
            readers = self._open[writable] = {key: found for key, found in self.readers.items() if key in writable}
        return readers

    def _other(self, taken: Taken, key: str, given: object, readable: Collection[str], at: str) -> None:
        if key in NOT_INPUT:
            return
        if key in self.lines:
            if isinstance(given, list) and all(isinstance(item, Mapping) for item in given):
                taken.lines = {**taken.lines, key: given}
            else:
                taken.faults.append(Fault(f"{at}/{key}", "lines_expected"))
            return
        taken.faults.append(Fault(f"{at}/{key}", "not_writable" if key in readable else "unknown_field", {"field": key}))


def intake(workspace: Workspace, entity: CompiledEntity, *, json: bool = False) -> Intake:
    """The intake of an entity at this version. ``json``: it takes exactly what the record's JSON Schema says, nothing of what people type."""

    def build() -> Intake:
        scope = workspace.scope.of(entity.key)
        readers: dict[str, tuple[frozenset[type] | None, Reader]] = {}
        for key, item in entity.fields.items():
            if item.reader is None or item.derived:
                continue
            if json and not item.type.plain_json:
                readers[key] = (None, item.type.json_reader(item.value, scope))
            else:
                readers[key] = (frozenset({*item.type.json_types, NoneType}) if json else None, item.reader)
        return Intake(readers, frozenset(entity.lines))

    return remember(workspace, ("intake", entity.key, json), build)


def envelope_context(entity: str, field_key: str) -> str:
    """What an envelope is bound to, so that it cannot be moved to another field."""
    return f"{entity}.{field_key}"


@dataclass(frozen=True, slots=True)
class Storage:
    """How the stored fields of one entity lie in its table."""

    entity: str
    stored: Mapping[str, str]  # field -> column key, in order
    sealed: Mapping[str, CompiledField]
    dated: Mapping[str, str]  # field -> "instant" | "date"

    def columns(self, values: Mapping[str, Value], cipher: Cipher) -> dict[str, Any]:
        """Column values for the given fields, companions of encrypted ones included."""
        places = self.stored
        found: dict[str, Any] = {places[key]: value for key, value in values.items() if key in places}
        for key, item in self.sealed.items():
            if key in values:
                found.update(seal_row(self.entity, item, values[key], cipher))
        return found

    def open(self, values: dict[str, Value], cipher: Cipher) -> dict[str, Value]:
        """Put the clear value in place of each envelope."""
        for key, item in self.sealed.items():
            if values.get(key) is not None:
                values[key] = unseal(cipher, self.entity, item, values[key])
        return values

    def to_history(self, values: Mapping[str, Value], cipher: Cipher) -> dict[str, Any]:
        """JSON of typed values as history keeps them: encrypted ones as envelopes."""
        dated, sealed = self.dated, self.sealed
        found = dict(values)
        for key, value in values.items():
            if value is None:
                continue
            if key in sealed:
                found[key] = seal(cipher, self.entity, sealed[key], value)
            elif key in dated:
                found[key] = value.isoformat()
        return found

    def from_history(self, key: str, kept: Any, cipher: Cipher) -> Value:
        """The typed value of what history kept."""
        if kept is None:
            return None
        if key in self.sealed:
            return unseal(cipher, self.entity, self.sealed[key], kept)
        kind = self.dated.get(key)
        if kind is None:
            return kept
        return datetime.fromisoformat(kept) if kind == "instant" else date.fromisoformat(kept)


def storage(workspace: Workspace, entity: CompiledEntity) -> Storage:
    """The storage of an entity at this version."""
    return remember(workspace, ("storage", entity.key), lambda: _storage(entity))


def _storage(entity: CompiledEntity) -> Storage:
    stored = [(key, item.column) for key, item in entity.fields.items() if item.column is not None]
    dated = {key: "instant" if isinstance(column.type, Instant) else "date" for key, column in stored if isinstance(column.type, Instant | sa.Date)}
    return Storage(
        entity.key,
        {key: str(column.key) for key, column in stored},
        {key: item for key, item in entity.fields.items() if item.encrypted and item.column is not None},
        dated,
    )


def seal(cipher: Cipher, entity: str, item: CompiledField, value: Value) -> str:
    """The envelope of a value."""
    return cipher.seal(item.type.plain(value, item.value), envelope_context(entity, item.key))


def unseal(cipher: Cipher, entity: str, item: CompiledField, envelope: str) -> Value:
    """The value of an envelope."""
    return item.type.from_plain(cipher.open(envelope, envelope_context(entity, item.key)), item.value)


def blinded(cipher: Cipher, item: CompiledField, value: Value) -> str | None:
    """The blind index of a value; fields of one type share their key, so that equal values of two entities meet."""
    return None if value is None else cipher.blind(item.value.type, item.type.blind(value, item.value))


def seal_row(entity: str, item: CompiledField, value: Value, cipher: Cipher) -> dict[str, Any]:
    """The columns of an encrypted field: its envelope and its blind indexes, by column key."""
    if item.column is None:
        return {}
    found: dict[str, Any] = {str(item.column.key): None if value is None else seal(cipher, entity, item, value)}
    if item.bi_column is not None:
        found[str(item.bi_column.key)] = blinded(cipher, item, value)
    if item.bi4_column is not None:
        last = "" if value is None else item.type.last4(value, item.value)
        found[str(item.bi4_column.key)] = cipher.blind4(item.value.type, last) if last else None
    return found
