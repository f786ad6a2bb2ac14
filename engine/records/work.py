"""One write transaction's work: what expressions see, rows changed, and what is written once at its end (history, tokens). Decides nothing about values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Grant, grant_of, remember
from engine.clock import note_people_changed, raise_permission_version
from engine.expressions.binds import bind_values
from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.jobs import put
from engine.myself import PERSON, gathered_fields
from engine.records import history, row_statements
from engine.records.carried import Carrying, binds_of, copies
from engine.records.query_plan import Statement
from engine.records.record import Change
from engine.records.row_statements import inserting, updating
from engine.records.rows import Rows
from engine.records.search import drop_tokens, is_searched, token_columns, write_tokens
from engine.records.stage_log import StageLog
from engine.records.values import storage
from engine.surroundings import environment, fields_of
from metadata.definitions import WIDENED_ENTITIES

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

Row = row_statements.Row
#: The job that looks after what waits for somebody who left.
LEAVING = "ask_leaving"


class Work(Rows):
    """Lives as long as its transaction. ``changes`` lists every row changed, in order. ``json``: what is given to it is read as JSON alone.

    ``whole``: whatever fails, all of the transaction goes back, so that updates may be sent together.
    """

    def __init__(self, ctx: Context, *, json: bool = False, whole: bool = False) -> None:
        super().__init__(ctx)
        self.json = json
        self.whole = whole
        self.changes: list[Change] = []
        self.evaluator = Evaluator(environment(ctx), self.row, fields_of(ctx.workspace))
        self.stages = StageLog(ctx.open)
        self._entries: list[dict[str, Any]] = []
        self._tokens: dict[str, dict[int, tuple[Row | None, bool]]] = {}
        self._carrying = Carrying(ctx.workspace)
        self._rights_changed: list[bool] = []  # shared with whoever acts in the same transaction
        self._left: list[bool] = []  # somebody does not work here any more
        self._volatile: dict[Expression, tuple[str, ...]] = {}
        self._constants: dict[Expression, Value] = {}

    def acting(self, ctx: Context) -> Work:
        """The same work as another actor does it: what is read, changed and noted is shared, rights and causes are the other's; values come as JSON."""
        found = object.__new__(Work)
        found.__dict__.update(self.__dict__)
        found.ctx = ctx
        found.json = True
        found.evaluator = Evaluator(environment(ctx), self.row, fields_of(ctx.workspace))
        found._constants = {}
        return found

    def next(self, ctx: Context) -> Work:
        """The work of what follows in the same transaction, by another actor: knows the rows that are ours, and adds to what is written at the end."""
        found = self.acting(ctx)
        found.changes = []
        self.renew()
        return found

    def again(self) -> Work:
        """As ``next``, for another save of the same actor and the same request, who gives values in the same way and need not read again what was read."""
        found = self.acting(self.ctx)
        found.changes, found.json = [], self.json
        return found

    # --- reading ------------------------------------------------------------------------------------------------------------------------

    def grant(self, entity: CompiledEntity) -> Grant:
        return grant_of(self.workspace, self.ctx.actor, entity)

    def bound(self, statement: Statement) -> Mapping[str, Any]:
        """The values of the surroundings a statement wants."""
        return bind_values(self.evaluator, statement.needed) if statement.needed else {}

    # --- evaluating ---------------------------------------------------------------------------------------------------------------------

    def value(self, entity: CompiledEntity, expression: Expression, row: Mapping[str, Value], old: Mapping[str, Value] | None = None) -> Value:
        """The value of an expression for a row."""
        if not expression.fields and old is None:
            return self.constant(expression)
        return self.evaluator.value(expression, self.full(entity, expression, row), old=old)

    def constant(self, expression: Expression) -> Value:
        """The value of an expression that reads no field: the same for the whole transaction."""
        if expression not in self._constants:
            self._constants[expression] = self.evaluator.value(expression, {})
        found = self._constants[expression]
        return list(found) if isinstance(found, list) else found

    def truth(
        self, entity: CompiledEntity, row: Mapping[str, Value], /, old: Mapping[str, Value] | None = None, **spaces: Value
    ) -> Callable[[Expression], bool]:
        """A function from conditions to whether they hold for a row."""

        def holds(expression: Expression) -> bool:
            return bool(self.evaluator.truth(expression, self.full(entity, expression, row), old=old, **spaces))

        return holds

    def full(self, entity: CompiledEntity, expression: Expression, row: Mapping[str, Value]) -> Mapping[str, Value]:
        """The row with the volatile formulas an expression reads put in."""
        volatile = self._volatile.get(expression)
        if volatile is None:
            volatile = self._volatile[expression] = tuple(name for name in expression.fields if (item := entity.fields.get(name)) is not None and item.volatile)
        if not volatile:
            return row
        full = dict(row)
        for name in volatile:
            formula = entity.fields[name].formula
            if formula is not None:
                full[name] = self.value(entity, formula, row)
        return full

    # --- writing ------------------------------------------------------------------------------------------------------------------------

    def insert(self, entity: CompiledEntity, row: Row) -> int:
        """Insert a row and give its id; the row gets its head."""
        head = self.new_head()
        columns = {**head, **storage(self.workspace, entity).columns(row, self.workspace.cipher), **token_columns(entity, row)}
        statement = remember(
            self.workspace,
            ("insert", entity.key, *columns),
            lambda: inserting(entity, columns, copies(self.workspace, entity) if entity.carried else {}, self.workspace.database.dialect),
        )
        row.update(head, id=statement.made(self.connection, {**columns, **binds_of(entity, row)} if entity.carried else columns))
        self.keep(entity.key, row, ours=True)
        self.known.wrote(entity.key, row["id"], made=True)
        self._carrying.wrote(entity.key, row["id"])
        if entity.search_table is not None and is_searched(entity):
            self._tokens.setdefault(entity.key, {})[row["id"]] = (row, True)
        return int(row["id"])

    def brought(self, entity: CompiledEntity) -> None:
        """Rows of an entity were inserted beside this work, in its transaction."""
        self.known.brought(entity.key)
        self._carrying.wrote(entity.key)

    def new_head(self) -> Row:
        """The system columns of a new row, but its id."""
        now, person = self.ctx.now, self.ctx.actor.person_id
        return {"version": 1, "created_at": now, "created_by": person, "updated_at": now, "updated_by": person, "deleted_at": None}

    def update(self, entity: CompiledEntity, before: Row, after: Row, names: Sequence[str], *, entered: bool) -> bool:
        """Write the named fields of a row; ``entered``: people's values, so the version rises and must be the one read. False: it was not."""
        written = {name: after.get(name) for name in names}
        columns = storage(self.workspace, entity).columns(written, self.workspace.cipher)
        searched = any(name in entity.search_fields for name in names)
        if searched:
            columns.update(token_columns(entity, after))
        if entered:
            head = {"version": before["version"] + 1, "updated_at": self.ctx.now, "updated_by": self.ctx.actor.person_id}
            columns.update(head)
            after.update(head)

        statement = remember(
            self.workspace,
            ("update", entity.key, entered, *columns),
            lambda: updating(entity, columns, versioned=entered, copied=copies(self.workspace, entity, names)),
        )
        binds = {f"w_{name}": value for name, value in columns.items()} | binds_of(entity, after, names)
        binds |= {"p_id": before["id"], "p_version": before["version"]}
        if self.whole and (entity.key, before["id"]) in self._ours and not self.connection.in_nested_transaction():
            statement.put_off(self.connection, binds)  # locked as it was read: it will be there
        elif statement.run(self.connection, binds) != 1:
            return False
        self.keep(entity.key, after, ours=True)
        self.known.wrote(entity.key, before["id"])
        self._carrying.wrote(entity.key)
        self._carrying.changed(entity, before["id"], names)
        if searched and entity.search_table is not None:
            self._tokens.setdefault(entity.key, {})[before["id"]] = (after, False)
        return True

    def update_computed(self, entity: CompiledEntity, changes: Sequence[tuple[Row, Row, Sequence[str]]]) -> None:
        """Write derived values of rows, those with the same fields in one call; versions stay."""
        kept, cipher = storage(self.workspace, entity), self.workspace.cipher
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for before, after, names in changes:
            written = {name: after.get(name) for name in names}
            columns = kept.columns(written, cipher)
            if any(name in entity.search_fields for name in names):
                columns.update(token_columns(entity, after))
                if entity.search_table is not None:
                    self._tokens.setdefault(entity.key, {})[before["id"]] = (after, False)
            groups.setdefault(tuple(columns), []).append({"p_id": before["id"], **{f"w_{column}": value for column, value in columns.items()}})
            self.keep(entity.key, after)
            self.known.wrote(entity.key, before["id"])
            self._carrying.changed(entity, before["id"], names)
        for names, rows in groups.items():
            remember(self.workspace, ("update", entity.key, False, *names), partial(updating, entity, names, versioned=False)).run_each(self.connection, rows)

    def set_deleted(self, entity: CompiledEntity, row: Row, at: datetime | None) -> None:
        """Delete a row softly, or take that back; its version rises."""
        head = {"deleted_at": at, "version": row["version"] + 1, "updated_at": self.ctx.now, "updated_by": self.ctx.actor.person_id}
        table = entity.table
        self.connection.execute(sa.update(table).where(table.c.id == row["id"]).values(head).execution_options(scoped=True))
        row.update(head)
        self.keep(entity.key, row)
        self.known.wrote(entity.key, row["id"])

    def forget_tokens(self, entity: CompiledEntity, record_id: int) -> None:
        """The tokens of a deleted row go at the end."""
        if entity.search_table is not None:
            self._tokens.setdefault(entity.key, {})[record_id] = (None, False)

    def remember_tokens(self, entity: CompiledEntity, row: Row) -> None:
        """The tokens of a restored row come at the end."""
        if entity.search_table is not None:
            self._tokens.setdefault(entity.key, {})[row["id"]] = (row, False)

    def note(
        self, entity: CompiledEntity, verb: str, row: Row, before: Mapping[str, Value] | None, after: Mapping[str, Value] | None, computed: Sequence[str] = ()
    ) -> None:
        """A history row and a change."""
        self._entries.append(history.entry(self.ctx, entity, row["id"], verb, row["version"], before, after, computed))
        kind = "computed" if computed and after is not None and set(computed) == set(after) and verb == "update" else verb
        self.changes.append(Change(entity.key, row["id"], kind, row["version"], before or {}, after or {}, self.ctx.now))
        if entity.key in WIDENED_ENTITIES and not (entity.key == PERSON and kind == "computed" and gathered_fields(self.workspace).issuperset(after or ())):
            self.rights_changed()
        if entity.key == PERSON and verb != "create" and (verb == "delete" or (after or {}).get("active", True) is not True):
            self._left.append(True)

    def rights_changed(self) -> None:
        """People, teams or roles were changed: who may do what is looked up anew after this transaction."""
        self._rights_changed.append(True)
        note_people_changed(self.connection)

    def finish(self) -> None:
        """Write what was gathered: history in one insert, then search tokens, then what other rows carry of the changed ones. May be called again."""
        history.write(self.connection, self._entries, self.workspace.database.schema)
        self._entries.clear()
        self.stages.write()
        for key, rows in self._tokens.items():
            entity = self.entity(key)
            drop_tokens(self.connection, entity, [one for one, (row, _) in rows.items() if row is None])
            for fresh in (True, False):
                write_tokens(self.connection, entity, [(one, row) for one, (row, new) in rows.items() if row is not None and new is fresh], fresh=fresh)
        self._tokens.clear()
        self.carry()
        if self._left:
            put(self.connection, self.workspace.name, LEAVING, {}, key=LEAVING)
            self._left.clear()
        if self._rights_changed:
            raise_permission_version(self.connection)
            self._rights_changed.clear()

    def carry(self) -> None:
        """Write what other rows carry of the changed ones, which permissions read."""
        self._carrying.settle(self.connection)

    def stage(self, entity: CompiledEntity, row: Row, before: Value, after: Value) -> None:
        """Log that a row has come into a stage, its first one or from another; written with the others of this transaction."""
        self.stages.moved(entity.key, row["id"], before, after, self.ctx.now, self.ctx.actor.person_id, since=row["created_at"])
