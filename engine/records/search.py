"""Quick search: tokens kept in the saving transaction, and the condition that finds them under the reader's fields. Cutting texts is fields/tokens.py.

Fields a reader may see only masked, and encrypted ones, are found by their full value or last four alone (blind indexes), and that is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from engine.access import Guard
from engine.fields.base import Value, Wrong, accepted
from engine.fields.tokens import found_in, query_tokens, runs
from engine.records.bulk_insert import insert_rows
from engine.records.values import blinded
from engine.scope import Scope, clear_term, is_narrow_guard, unindexed

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

SEARCH_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Sought:
    """A search: ``fields`` by tokens, ``blind`` and ``last4`` by blind index; the values are in ``binds``, and all but they and the text in ``shape``."""

    text: str
    fields: tuple[str, ...]
    blind: tuple[str, ...]
    last4: tuple[str, ...]
    binds: Mapping[str, Any]
    noted: tuple[tuple[str, str], ...]
    loose: bool  # the index may find more than the text: what it found is looked at once more

    @property
    def shape(self) -> tuple[object, ...]:
        """Names the search for the plan."""
        return ("search", self.fields, self.blind, self.last4, self.loose)

    def terms(self, scope: Scope) -> list[sa.ColumnElement[bool]]:
        """The search as WHERE terms: any of its ways."""
        return [sa.or_(sa.false(), *self.token_terms(scope), *self.sealed_terms(scope))]

    def token_terms(self, scope: Scope, *, narrow: bool = False) -> list[sa.ColumnElement[bool]]:
        """One term per group of fields; one that is masked in some rows is searched only in the others. ``narrow``: the reader's rows are few, go by them."""
        return [self._tokens(scope, names, guard, narrow) for names, guard in self.groups(scope)]

    def sealed_terms(self, scope: Scope) -> list[sa.ColumnElement[bool]]:
        """One term per field that is asked by blind index."""
        found = []
        for name, how, kept in (*((name, "blind", "bi_column") for name in self.blind), *((name, "last4", "bi4_column") for name in self.last4)):
            term = scope.source.c[getattr(scope.entity.fields[name], kept).key] == sa.bindparam(f"x_{how}_{name}", type_=sa.String)
            guard = scope.grant.guards.get(name)
            found.append(term if guard is None or guard.always_visible else sa.and_(term, scope.visible(guard)))
        return found

    def is_narrow(self, scope: Scope) -> bool:
        """Whether the token fields stand in clear only in few rows of each reader."""
        guards = [guard for _, guard in self.groups(scope)]
        return bool(guards) and all(guard is not None and is_narrow_guard(guard) for guard in guards)

    def groups(self, scope: Scope) -> list[tuple[tuple[str, ...], Guard | None]]:
        """The token fields, those with the same rule per row together."""
        groups: dict[Guard | None, list[str]] = {}
        for name in self.fields:
            groups.setdefault(scope.grant.guards.get(name), []).append(name)
        return [(tuple(names), guard) for guard, names in groups.items()]

    def _tokens(self, scope: Scope, names: tuple[str, ...], guard: Guard | None, narrow: bool) -> sa.ColumnElement[bool]:
        table = scope.entity.search_table
        if table is not None:
            asked = sa.bindparam(f"x_match_{names[0]}", type_=sa.Text)
            hits = sa.select(table.c.rowid).where(table.c.match.op("MATCH")(asked))
            term: sa.ColumnElement[bool] = scope.source.c.id.in_(hits)
            if narrow:  # by the reader's rows, not by the hits; and not at all when there are none
                term = sa.and_(sa.exists(hits.limit(1)), unindexed(scope.source.c.id).in_(hits))
        else:
            column = scope.source.c.search__tokens
            term = sa.or_(*(column.contains(sa.bindparam(f"x_tokens_{name}", type_=postgresql.ARRAY(sa.Text))) for name in names))
        return term if guard is None else sa.and_(term, clear_term(guard, scope.names))

    def stream(self, scope: Scope) -> tuple[sa.Table, list[sa.ColumnElement[bool]]] | None:
        """SQLite, where one question to the token index is all: the index itself, to be walked in the order of ids, and the terms that go with it."""
        groups, table = self.groups(scope), scope.entity.search_table
        if table is None or len(groups) != 1:
            return None
        names, guard = groups[0]
        terms = [table.c.match.op("MATCH")(sa.bindparam(f"x_match_{names[0]}", type_=sa.Text)), scope.source.c.id == unindexed(table.c.rowid)]
        return table, terms if guard is None else [*terms, clear_term(guard, scope.names)]

    def evidence(self, scope: Scope) -> list[sa.ColumnElement[Any]]:
        """What a loose search must see of a row: its fields as the reader sees them in clear, and whether a blind index led there."""
        if not self.loose:
            return []
        sealed = sa.case((sa.or_(sa.false(), *self.sealed_terms(scope)), sa.true()), else_=sa.false())
        return [*(scope.shown(name).label(f"f_{name}") for name in self.fields), sealed.label("f_sealed")]

    def keeping(self, scope: Scope) -> Callable[[Sequence[Any]], bool]:
        """The exact check of rows that end with this search's evidence."""
        items = [scope.entity.fields[name] for name in self.fields]
        first, text = -len(items) - 1, self.text

        def keeps(row: Sequence[Any]) -> bool:
            return bool(row[-1]) or any(
                found_in(item.value.search, text, held)
                for item, value in zip(items, row[first:-1], strict=True)
                for held in item.type.searched(value, item.value)
            )

        return keeps


def sought(ctx: Context, scope: Scope, text: str) -> Sought:
    """What a reader's search asks: only of fields that exist for them."""
    text = text.strip()[:SEARCH_LENGTH]
    tokens: dict[str, list[str]] = {}
    for name in scope.entity.search_fields:
        item = scope.entity.fields[name]
        if scope.grant.shows(name) and not item.encrypted and item.letter:
            wanted = query_tokens(text, item.letter)
            if wanted:
                tokens[name] = wanted
    binds: dict[str, Any] = {f"x_tokens_{name}": wanted for name, wanted in tokens.items()}
    blind, last4 = _sealed(scope, text, binds)
    noted = (*((name, "full") for name in blind), *((name, "last4") for name in last4))
    found = Sought(text, tuple(tokens), blind, last4, binds, noted, bool(tokens) and _is_loose(text))
    if scope.entity.search_table is not None:
        for names, _ in found.groups(scope):
            binds[f"x_match_{names[0]}"] = " OR ".join("(" + " AND ".join(f'"{token}"' for token in tokens[name]) + ")" for name in names)
        for name in tokens:
            del binds[f"x_tokens_{name}"]
    return found


def _sealed(scope: Scope, text: str, binds: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    blind, last4 = [], []
    cipher = scope.workspace.cipher
    for name in scope.entity.fields:
        item = scope.entity.fields[name]
        if not item.encrypted or not item.definition.search or name not in scope.grant.readable:
            continue
        if item.bi4_column is not None and len(text) == 4 and text.isalnum():
            last4.append(name)
            binds[f"x_last4_{name}"] = cipher.blind4(item.value.type, text)
        elif (hidden := _blind_of(scope, item, text)) is not None:
            blind.append(name)
            binds[f"x_blind_{name}"] = hidden
    return tuple(blind), tuple(last4)


def _blind_of(scope: Scope, item: CompiledField, text: str) -> str | None:
    if item.bi_column is None or not any(character.isdecimal() for character in text):
        return None
    try:
        read = item.reader or item.type.reader(item.value, scope.workspace.scope.of(scope.entity.key))
        return blinded(scope.workspace.cipher, item, accepted(read, text))
    except Wrong:
        return None


def _is_loose(text: str) -> bool:
    found = runs(text)
    return len(found) != 1 or len(found[0]) > (4 if found[0][0].isascii() else 2)


# --- keeping tokens ----------------------------------------------------------------------------------------------------------------------


def row_tokens(entity: CompiledEntity, row: Mapping[str, Value]) -> list[str]:
    """All tokens of a row, each once."""
    found: dict[str, None] = {}
    for name in entity.search_fields:
        item = entity.fields[name]
        if item.letter and not item.encrypted and row.get(name) is not None:
            letter = item.letter
            found.update(dict.fromkeys([letter + piece for piece in item.type.search_tokens(row[name], item.value)]))
    return list(found)


def is_searched(entity: CompiledEntity) -> bool:
    """Whether records of the entity keep tokens."""
    return any(entity.fields[name].letter and not entity.fields[name].encrypted for name in entity.search_fields)


def token_columns(entity: CompiledEntity, row: Mapping[str, Value]) -> dict[str, Any]:
    """PostgreSQL: the token column to write with the row itself."""
    if entity.search_table is not None or not is_searched(entity):
        return {}
    return {"search__tokens": row_tokens(entity, row)}


def write_tokens(connection: sa.Connection, entity: CompiledEntity, rows: Sequence[tuple[int, Mapping[str, Value]]], *, fresh: bool) -> None:
    """SQLite: put tokens of rows into the search table, in place of the old ones unless the rows are fresh."""
    table = entity.search_table
    if table is None or not rows:
        return
    options = {"scoped": True}
    if not fresh:
        connection.execute(sa.delete(table).where(table.c.rowid == sa.bindparam("was")).execution_options(**options), [{"was": row_id} for row_id, _ in rows])
    written = [{"rowid": row_id, "tokens": " ".join(row_tokens(entity, row))} for row_id, row in rows]
    if len(written) > 20:
        insert_rows(connection, table, written, None)
    else:
        connection.execute(sa.insert(table).execution_options(**options), written)


def drop_tokens(connection: sa.Connection, entity: CompiledEntity, ids: Sequence[int]) -> None:
    """SQLite: forget the tokens of deleted rows (PostgreSQL's rows carry their own and are skipped as deleted)."""
    table = entity.search_table
    if table is not None and ids:
        connection.execute(sa.delete(table).where(table.c.rowid.in_(list(ids))).execution_options(scoped=True))
