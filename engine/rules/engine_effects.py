"""What only the engine itself can do when an action asks for it by name: sums of a ledger, records as stored, merging, ending a person's ways in.

Each is a function of the writer that acts as the calling rule; whether the action may ask is engine/rules/actions.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import Conflict, Invalid
from engine.fields.base import Value
from engine.records import merging, merging_undo
from engine.records.values import storage
from engine.rules.effects import Handle
from engine.scope import engine_select
from engine.system_tables import api_token

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.workspace import CompiledEntity

#: Most records one piece of evidence may hold.
MOST_FROZEN = 10_000
_CHUNK = 500


def _ledger_balances(saving: Saving, params: Mapping[str, Value]) -> list[dict[str, Value]]:
    """The sums of a ledger's entries about one record and account, by who."""
    work = saving.work
    saving.settling.settle()
    entity = work.entity(params["ledger"])
    words = entity.definition.ledger
    about, who, account, amount = (_column(entity, words[word]) for word in ("about", "who", "account", "amount"))
    total = sa.cast(sa.func.sum(amount), sa.BigInteger).label("total")
    select = engine_select(entity, who.label("who"), total).where(about == params["about"], account == params["account"]).group_by(who).order_by(who)
    return [{"who": row.who, "amount": int(row.total)} for row in work.connection.execute(select) if row.who is not None]


def _column(entity: CompiledEntity, field: str) -> sa.Column[Any]:
    column = entity.fields[field].column
    if column is None:
        raise Invalid("field_not_stored", field=field, entity=entity.title or entity.key)
    return column


def _stored(saving: Saving, params: Mapping[str, Value]) -> dict[str, list[dict[str, Any]]]:
    """Records as they lie in the database, by the names given: encrypted values stay envelopes. ``of``: name -> records."""
    saving.settling.settle()
    wanted: Mapping[str, list[Handle]] = params["of"]
    if sum(len(records) for records in wanted.values()) > MOST_FROZEN:
        raise Conflict("evidence_too_large", limit=MOST_FROZEN)
    return {name: _stored_rows(saving, records) for name, records in wanted.items()}


def _stored_rows(saving: Saving, records: list[Handle]) -> list[dict[str, Any]]:
    found: dict[tuple[str, int], dict[str, Any]] = {}
    by_entity: dict[str, list[int]] = {}
    for record in records:
        by_entity.setdefault(record.entity, []).append(record.id)
    for key, ids in by_entity.items():
        entity = saving.work.entity(key)
        columns = entity.table.c
        fields = storage(saving.work.workspace, entity).stored
        select = engine_select(entity, columns.id, columns.version, *(columns[column] for column in fields.values()))
        for start in range(0, len(ids), _CHUNK):
            for number, version, *values in saving.work.connection.execute(select.where(columns.id.in_(ids[start : start + _CHUNK]))):
                filled = {name: _plain(value) for name, value in zip(fields, values, strict=True) if value is not None}
                found[key, number] = {"entity": key, "id": number, "version": version, "values": filled}
    return [found[record.entity, record.id] for record in records if (record.entity, record.id) in found]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _person_disable(saving: Saving, params: Mapping[str, Value]) -> bool:
    """A person's ways in end with this commit: no request, token or job of theirs gets further. False when they had ended before."""
    work, person = saving.work, params["person"]
    entity = work.entity("person")
    row = work.fetch("person", [person], lock=True).get(person)
    if row is None or row["deleted_at"] is not None:
        raise Conflict("link_gone", entity="person")
    work.connection.execute(sa.update(api_token).where(api_token.c.person == person, api_token.c.revoked_at.is_(None)).values(revoked_at=work.ctx.now))
    work.rights_changed()
    if not row.get("active"):
        return False
    saving.update(entity, person, {"active": False}, row["version"])
    return True


#: Name -> what is done; ``params`` are the effect's own, as the action gave them.
ENGINE_EFFECTS: Mapping[str, Callable[[Saving, Mapping[str, Value]], Value]] = {
    "ledger.balances": _ledger_balances,
    "stored": _stored,
    "person.disable": _person_disable,
    "merge": merging.merge,
    "merge.undo": merging_undo.undo,
}
