"""The only writer of records: create, update, delete, restore, many at once. Opens the transaction; the steps of a save stand in saving.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine import system_tables as tables
from engine.database_faults import LostRace
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound, Refusal
from engine.fields.base import Value
from engine.records import loading
from engine.records.links import read_ahead
from engine.records.record import ANY, Change, Record, RowResult, Saved, Version, is_id
from engine.records.ruling_log import RunLog
from engine.records.ruling_press import Acted, press
from engine.records.saving import Saving
from engine.records.seen import seen_record, whole_record
from engine.records.work import Row, Work
from engine.rules.carrying import carry, revive
from engine.rules.compile import rule_book

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

T = TypeVar("T")
IDEMPOTENT_FOR = timedelta(hours=24)
#: Rows of a load that share a savepoint where rules run before each.
TOGETHER = 50
#: What the results of actions kept for an idempotency key are sealed for: a result may hold what lies encrypted elsewhere.
_RESULT = "idempotency.result"
Raw = Mapping[str, object]

__all__ = ["ANY", "act", "create", "update", "delete", "delete_all", "restore", "bulk", "load", "touch", "Acted", "RowResult", "Saved"]  # noqa: RUF022


def create(
    ctx: Context, entity: str, raw: Raw, *, idempotency_key: str | None = None, confirmed: Collection[str] = (), json: bool = False, whole: bool = False
) -> Saved:
    """Make a record with its child lines. ``raw``: JSON or form values by field key, child lines as arrays under the line entity's key.

    ``confirmed``: codes of soft refusals the person goes on against. ``json``: only what the record's JSON Schema says is taken, nothing of what people type into forms. ``whole``: the record given back has what
    ``query.get`` adds. The same idempotency key with the same content gives the first answer again for 24 h. Raises Invalid with every fault, Denied, NotFound, Conflict.
    """

    def work(ctx: Context) -> Saved:
        if idempotency_key is not None:
            earlier = _begin_once(ctx, entity, raw, idempotency_key)
            if earlier is not None:
                return _saved(Work(ctx), _entity(ctx, entity), int(earlier["id"]), whole)
        saved = _save(ctx, entity, lambda saving, compiled: saving.create(compiled, raw), json=json, whole=whole)
        if idempotency_key is not None:
            _end_once(ctx, idempotency_key, {"id": saved.id}, 201)
        return saved

    return _transact(_against(ctx, confirmed), work)


def update(
    ctx: Context, entity: str, record_id: int, raw: Raw, version: Version, *, confirmed: Collection[str] = (), json: bool = False, whole: bool = False
) -> Saved:
    """Change a record and its child lines; ``version`` is the one its giver saw, ANY for internal callers. The rest as for ``create``.

    Raises Conflict "stale" (params ``current``, ``mine``, ``version``) when someone was faster, else as ``create``.
    """

    def work(ctx: Context) -> Saved:
        return _save(ctx, entity, lambda saving, compiled: saving.update(compiled, record_id, raw, version), json=json, whole=whole)

    return _transact(_against(ctx, confirmed), work)


def delete(ctx: Context, entity: str, record_id: int, version: Version) -> Saved:
    """Take a record, with its child lines, out of every read path. Raises Conflict "still_linked" with the count when others point to it."""
    return _transact(ctx, lambda ctx: _save(ctx, entity, lambda saving, compiled: saving.delete(compiled, record_id, version)))


def delete_all(ctx: Context, records: Iterable[tuple[str, int, Version]]) -> None:
    """Delete several records (entity, id, version) in this order, with what follows from all of them: all or none. Raises as ``delete``."""

    def work(ctx: Context) -> None:
        saving = Saving(Work(ctx))
        for entity, record_id, version in records:
            saving.delete(_entity(ctx, entity), record_id, version)
        saving.finish()

    _transact(ctx, work)


def restore(ctx: Context, entity: str, record_id: int, *, whole: bool = False) -> Saved:
    """Bring a deleted record back within 30 days. Raises Conflict "duplicate" when its key was taken meanwhile."""
    return _transact(ctx, lambda ctx: _save(ctx, entity, lambda saving, compiled: saving.restore(compiled, record_id), whole=whole))


def bulk(ctx: Context, entity: str, rows: Sequence[Raw], *, json: bool = False) -> list[RowResult]:
    """Creates (rows without ``id``) and updates (with ``id`` and ``version``) in one transaction; a refused row leaves the others alone."""

    def work(ctx: Context) -> list[RowResult]:
        return [_one(ctx, entity, index, raw, json) for index, raw in enumerate(rows)]

    return _transact(ctx, work)


def act(
    ctx: Context,
    entity: str,
    record_id: int,
    action: str,
    params: Raw,
    *,
    confirmed: Collection[str] = (),
    version: Version = ANY,
    idempotency_key: str | None = None,
    json: bool = False,
    whole: bool = False,
    waits: bool = False,
) -> Acted:
    """Press a button: run an action of the entity on a record its actor may see and was granted it on. ``params`` raw, as JSON or form values.

    ``confirmed``, ``idempotency_key`` (the first result again, the record as it is now), ``json`` and ``whole`` as for ``create``. ``waits``: the person
    reads at once what the rules tell them (``Acted.told``), so that it does not wait in their inbox. Raises NotFound, Denied, Invalid with every fault of the parameters, Conflict "action_not_now", "stale", or the refusal the rule declares.
    """

    def work(ctx: Context) -> Acted:
        if idempotency_key is not None:
            earlier = _begin_once(ctx, f"{entity}/{record_id}/{action}", params, idempotency_key)
            if earlier is not None:
                return _acted(Work(ctx), entity, record_id, _open_result(ctx, earlier["result"]), whole)
        saving = Saving(Work(ctx, json=json), told=[] if waits else None)
        result = press(saving, _entity(ctx, entity), record_id, action, params, version)
        saving.finish()
        if idempotency_key is not None:
            _end_once(ctx, idempotency_key, {"id": record_id, "result": _sealed_result(ctx, result)}, 200)
        return replace(_acted(saving.work, entity, record_id, result, whole), told=tuple(saving.told or ()))

    return _transact(_against(ctx, confirmed), work)


def _acted(work: Work, entity: str, record_id: int, result: Value, whole: bool) -> Acted:
    compiled, row = _entity(work.ctx, entity), work.row(entity, record_id)
    gone = row is None or row["deleted_at"] is not None or not work.grant(compiled).admits("read", work.truth(compiled, row))
    record = None if gone or row is None else (whole_record if whole else seen_record)(work, compiled, row)
    return Acted(result, record, tuple(work.changes))


def _sealed_result(ctx: Context, result: Value) -> str:
    return ctx.workspace.cipher.seal(orjson.dumps(carry(result), default=str).decode(), _RESULT)


def _open_result(ctx: Context, kept: str) -> Value:
    return revive(orjson.loads(ctx.workspace.cipher.open(kept, _RESULT)), lambda entity, record: None)


def load(
    ctx: Context, entity: str, rows: Iterable[Raw], *, trusted: bool = False, read: Sequence[loading.ReadRow] = (), made: Sequence[loading.Made | None] = ()
) -> list[RowResult]:
    """Make many records at once, set by set: the same checks, history, tokens and derived values at import speed; a refused row leaves the others alone.

    ``trusted``: links are known to be there (demo data made in the same run), and no rules are set off; ``made`` says of such rows when they were made and
    by whom. Rows hold entered fields only, no child lines.
    Rules after a creation, and what is asked for later, come when all rows stand; where rules before it are to run, or one of these refuses a row, each row
    is saved like any other.
    ``read``: for each row the values that the fields' own readers gave already (of cells); a row's raw inputs win over them.
    """

    def work(ctx: Context) -> list[RowResult]:
        compiled, given = _entity(ctx, entity), list(rows)
        moments = frozenset[str]() if trusted else rule_book(ctx.workspace).on_creation(entity, importing=ctx.cause.kind == "import")
        if not moments:
            return loading.load(Work(ctx), compiled, given, trusted=trusted, read=read, made=made if trusted else ())
        if "before" not in moments:
            try:
                with ctx.open.begin_nested():
                    return _followed(ctx, compiled, loading.load(Work(ctx), compiled, given, read=read))
            except LostRace:
                raise
            except Refusal:
                pass  # found out below whose it is
        alone = [(index, raw, read[index].values if read else None) for index, raw in enumerate(given)]
        return [result for start in range(0, len(alone), TOGETHER) for result in _load_some(ctx, compiled, alone[start : start + TOGETHER])]

    return _transact(ctx, work)


def _followed(ctx: Context, entity: CompiledEntity, results: Sequence[RowResult]) -> list[RowResult]:
    """Rows that were made, when the rules after their creation have run: each with its version then, and with what the rules have made of it."""
    work = Work(ctx)
    log, found = RunLog(work), []
    work.fetch(entity.key, [result.id for result in results if result.id is not None], lock=True)
    for result in results:
        row = None if result.id is None else work.row(entity.key, result.id)
        if row is not None:
            saving = Saving(work.again(), log)
            saving.work.changes.append(Change(entity.key, row["id"], "create", row["version"], {}, row, ctx.now))
            saving.follow()
            result = _with_what_followed(saving, entity, result)
        found.append(result)
    work.finish()
    log.finish()
    return found


def _with_what_followed(saving: Saving, entity: CompiledEntity, result: RowResult) -> RowResult:
    """With the version the record has when the rules have ended, and with what they have made."""
    made = dict.fromkeys((change.entity, change.id) for change in saving.work.changes if change.kind == "create")
    rows = {place: row for place in made if (row := saving.work.row(*place)) is not None}
    own = rows.pop((entity.key, int(result.id or 0)))
    return replace(result, version=own["version"], more=tuple((*place, row["version"]) for place, row in rows.items()))


def _load_some(ctx: Context, entity: CompiledEntity, rows: Sequence[tuple[int, Raw, Mapping[str, Value] | None]]) -> list[RowResult]:
    """Rows of an entity before whose creation rules run: saves like any other, one after the other, whose histories, search tokens and runs are written together.

    When one is refused, each is saved for itself.
    """
    try:
        with ctx.open.begin_nested():
            work = Work(ctx)
            log, found = RunLog(work), []
            read_ahead(work, entity, [read or raw for _, raw, read in rows])
            for index, raw, read in rows:
                saving = Saving(work.again(), log)
                row = saving.create(entity, raw, read)
                saving.follow()
                found.append(_with_what_followed(saving, entity, RowResult(index, "created", row["id"], row["version"])))
            work.finish()
            log.finish()
            return found
    except LostRace:
        raise
    except (Invalid, Denied, NotFound, Conflict) as refusal:
        if len(rows) == 1:
            return [refused(rows[0][0], refusal)]
    return [result for row in rows for result in _load_some(ctx, entity, [row])]


def touch(ctx: Context, entity: str, ids: Sequence[int]) -> None:
    """Compute the stored derived values of these records anew (a setting came into force, a repair)."""

    def work(ctx: Context) -> None:
        saving = Saving(Work(ctx))
        saving.settling.recompute(_entity(ctx, entity), ids)
        saving.finish()

    _transact(ctx, work)


def _transact(ctx: Context, work: Callable[[Context], T]) -> T:
    """Run in the open write transaction, or in one of its own, which is run again as a whole when it loses a race."""
    if ctx.transaction == "write":
        return work(ctx)
    return ctx.workspace.database.transact(lambda connection: work(ctx.within(connection)), background=ctx.background)


def _against(ctx: Context, confirmed: Collection[str]) -> Context:
    """The same, going on against soft refusals of these codes."""
    return replace(ctx, confirmed=ctx.confirmed | frozenset(confirmed)) if confirmed else ctx


def _entity(ctx: Context, key: str) -> CompiledEntity:
    compiled = ctx.workspace.entities.get(key)
    if compiled is None:
        raise NotFound("unknown_entity", entity=key)
    return compiled


def _save(ctx: Context, entity: str, step: Callable[[Saving, CompiledEntity], Row], *, json: bool = False, whole: bool = False) -> Saved:
    compiled = _entity(ctx, entity)
    saving = Saving(Work(ctx, json=json))
    row = step(saving, compiled)
    saving.finish()
    return _saved(saving.work, compiled, row["id"], whole)


def _saved(work: Work, entity: CompiledEntity, record_id: int, whole: bool) -> Saved:
    row = work.row(entity.key, record_id)
    record = (whole_record if whole else seen_record)(work, entity, row) if row is not None else Record(id=record_id, version=0)
    return Saved(record, tuple(work.changes), workspace=work.workspace)


def _one(ctx: Context, entity: str, index: int, raw: Raw, json: bool) -> RowResult:
    record_id = raw.get("id")
    given = {key: value for key, value in raw.items() if key not in ("id", "version")}
    try:
        with ctx.open.begin_nested():
            if record_id is None:
                saved = create(ctx, entity, given, json=json)
                return RowResult(index, "created", saved.id, saved.version)
            version = raw.get("version")
            if not is_id(record_id):
                raise Invalid("invalid", faults=(Fault("/id", "id_wrong"),))
            if not is_id(version):
                raise Invalid("invalid", faults=(Fault("/version", "version_required"),))
            saved = update(ctx, entity, record_id, given, version, json=json)
            return RowResult(index, "updated" if saved.changes else "unchanged", saved.id, saved.version)
    except LostRace:
        raise
    except (Invalid, Denied, NotFound, Conflict) as refusal:
        return refused(index, refusal)


def refused(index: int, refusal: Refusal) -> RowResult:
    """The result of a row that was refused."""
    faults = tuple(Fault(fault.pointer, fault.code, fault.params) for fault in refusal.faults)
    return RowResult(index, "refused", code=refusal.code, faults=faults, params=refusal.params)


def _digest(what: str, raw: Raw) -> str:
    return hashlib.sha256(orjson.dumps([what, raw], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)).hexdigest()


def _begin_once(ctx: Context, what: str, raw: Raw, key: str) -> Mapping[str, Any] | None:
    """Claim an idempotency key; gives the answer kept for it before. ``what``: the entity made, or what is done to which record. Raises Invalid when it came with other content."""
    if not 0 < len(key) <= 200:
        raise Invalid("idempotency_key_invalid")
    once, digest = tables.idempotency, _digest(what, raw)
    insert: Any = (sqlite if ctx.workspace.database.dialect == "sqlite" else postgresql).insert(once)
    fresh = {"digest": digest, "at": ctx.now, "answer": sa.null(), "status": None}
    claimed = ctx.open.execute(
        insert.values(caller=ctx.actor.caller, key=key, **fresh)
        .on_conflict_do_update(index_elements=[once.c.caller, once.c.key], set_=fresh, where=once.c.at < ctx.now - IDEMPOTENT_FOR)
        .returning(once.c.key)
    ).first()
    if claimed is not None:
        return None
    row = ctx.open.execute(sa.select(once.c.digest, once.c.answer).where(once.c.caller == ctx.actor.caller, once.c.key == key)).one()
    if row.digest != digest:
        raise Invalid("idempotency_key_reused", key=key)
    return dict(row.answer)


def _end_once(ctx: Context, key: str, kept: Raw, status: int) -> None:
    once = tables.idempotency
    ctx.open.execute(sa.update(once).where(once.c.caller == ctx.actor.caller, once.c.key == key).values(status=status, answer=kept))
