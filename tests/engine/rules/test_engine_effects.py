"""What only the engine does for actions: ledger sums in SQL, records as stored, a person's ways in ended. On both databases."""

from typing import Any

import pytest
import sqlalchemy as sa

from engine.actors import enter_person
from engine.api_tokens import create_token, enter_with_token, tokens_of
from engine.context import Context
from engine.errors import Conflict, Denied, NotFound
from engine.frozen import digest
from engine.records import service
from engine.records.query import get
from engine.records.record import ANY
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules.effects import CreateRecord, Effect, Engine, Handle
from engine.rules.engine_effects import ENGINE_EFFECTS, MOST_FROZEN
from plugins.builtin.ledgers import reach
from plugins.builtin.records import freeze, person_disable
from tests.plugins.calls import CTX, call

DOCUMENTS: dict[tuple[str, str], Any] = {
    ("entity", "deal"): {
        "title": "成交",
        "label": "{name}",
        "fields": {
            "name": {"type": "text"},
            "phone": {"type": "phone", "encrypted": True},
            "at": {"type": "instant"},
            "day": {"type": "date"},
            "total": {"type": "rollup", "from": "entry.deal", "measure": "sum", "of": "amount"},
        },
    },
    ("entity", "entry"): {
        "title": "分录",
        "label": "{account}",
        "fields": {
            "deal": {"type": "link", "to": "deal", "required": True},
            "payee": {"type": "person", "required": True},
            "account": {"type": "text", "required": True},
            "amount": {"type": "money", "required": True},
        },
        "ledger": {"about": "deal", "who": "payee", "account": "account", "amount": "amount"},
    },
    ("role", "clerk"): {"title": "员工", "grants": {"deal": {"read": True}}},
}


class Desk:
    """Actions done as a rule would: effects applied in one transaction through the one writer."""

    def __init__(self, home: Any, make: Any, enter: Any) -> None:
        self.home, self.workspace = home, make(DOCUMENTS)
        self.ctx: Context = enter(self.workspace)
        self.people = [service.create(self.ctx, "person", {"name": name}).id for name in "甲乙丙"]
        self.deal = service.create(self.ctx, "deal", {"name": "一", "phone": "13900000001", "at": "2026-03-01T09:00:00+08:00", "day": "2026-03-01"}).id

    def do(self, action: Any, params: dict[str, Any]) -> Any:
        with self.ctx.writing() as ctx:
            saving = Saving(Work(ctx))

            def answer(effect: Effect) -> Any:
                if isinstance(effect, Engine):
                    return ENGINE_EFFECTS[effect.name](saving, effect.params)
                if isinstance(effect, CreateRecord):
                    row = saving.create(saving.work.entity(effect.entity), effect.values)
                    return Handle(effect.entity, row["id"], saving.work.row)
                return None

            about = {name: Handle("deal", value, saving.work.row) for name, value in params.items() if name in ("about",)}
            known = CTX.__class__(ctx.now, ctx.workspace.timezone, entities=ctx.workspace.bundle.entities)
            found, _ = call(action, {**params, **about}, answer, ctx=known)
            saving.finish()
        return found


@pytest.fixture
def desk(home, make_workspace, enter) -> Desk:
    return Desk(home, make_workspace, enter)


def test_a_ledger_is_brought_to_its_targets_and_roll_ups_follow(desk):
    one, two, _ = desk.people
    params = {"ledger": "entry", "about": desk.deal, "account": "earned", "targets": [{"who": one, "amount": 9 * 10**15}, {"who": two, "amount": 30}]}
    assert desk.do(reach, params)["posted"] == [{"who": one, "amount": 9 * 10**15}, {"who": two, "amount": 30}]
    assert desk.do(reach, params)["posted"] == []
    assert desk.do(reach, {**params, "targets": [{"who": one, "amount": 5}]})["posted"] == [{"who": one, "amount": 5 - 9 * 10**15}]
    assert get(desk.ctx, "deal", desk.deal)["total"] == 35
    other = service.create(desk.ctx, "deal", {"name": "二"}).id
    assert desk.do(reach, {**params, "about": other, "account": "paid", "targets": [{"who": one, "amount": 1}]})["total"] == 1


def test_entries_of_a_ledger_are_never_changed_or_deleted(desk):
    made = desk.do(reach, {"ledger": "entry", "about": desk.deal, "account": "earned", "targets": [{"who": desk.people[0], "amount": 7}]})["entries"][0]
    with pytest.raises(Denied, match="append_only"):
        service.update(desk.ctx, "entry", made.id, {"amount": 8}, ANY)
    with pytest.raises(Denied, match="append_only"):
        service.delete(desk.ctx, "entry", made.id, ANY)


def test_balances_are_read_by_an_index_of_their_own(desk):
    entity = desk.workspace.entities["entry"]
    wanted = [str(entity.fields[field].column.key) for field in ("deal", "account", "payee")]
    with desk.ctx.reading() as ctx:
        indexes = sa.inspect(ctx.open).get_indexes("r_entry", schema=desk.workspace.database.schema)
    assert wanted in [index["column_names"][:3] for index in indexes]


def test_evidence_is_the_record_as_stored_and_the_same_each_time(desk):
    def frozen() -> dict[str, Any]:
        with desk.ctx.writing() as ctx:
            saving = Saving(Work(ctx))
            record = Handle("deal", desk.deal, saving.work.row)
            found, _ = call(
                freeze,
                {"of": {"deal": record, "rows": [{"who": 1, "day": ctx.now.date()}]}},
                lambda effect: ENGINE_EFFECTS["stored"](saving, effect.params),  # type: ignore[attr-defined]
                ctx=CTX,
            )
        return dict(found)

    first, again = frozen(), frozen()
    assert first == again and first["counts"] == {"deal": 1, "rows": 1} and first["sha256"] == digest(first["json"])
    kept = first["json"]["of"]["deal"][0]
    assert kept["entity"] == "deal" and kept["values"]["name"] == "一" and kept["values"]["day"] == "2026-03-01"
    assert "139" not in str(kept["values"]["phone"]) and len(str(kept["values"]["phone"])) > 30
    service.update(desk.ctx, "deal", desk.deal, {"name": "改"}, ANY)
    assert frozen()["sha256"] != first["sha256"]


def test_no_more_is_frozen_than_one_record_can_hold(desk):
    with desk.ctx.writing() as ctx:
        saving = Saving(Work(ctx))
        with pytest.raises(Conflict, match="evidence_too_large"):
            ENGINE_EFFECTS["stored"](saving, {"of": {"all": [Handle("deal", desk.deal, saving.work.row)] * (MOST_FROZEN + 1)}})


def test_a_disabled_persons_ways_in_end_with_the_commit(desk):
    person = service.create(desk.ctx, "person", {"name": "丁", "login": f"ding{desk.workspace.name}", "roles": ["clerk"]}).id
    login = f"ding{desk.workspace.name}"
    token = create_token(desk.home, desk.workspace.name, login)
    assert enter_with_token(desk.home, desk.workspace.name, token).actor.person_id == person
    assert desk.do(person_disable, {"person": person}) is True
    for way in (lambda: enter_with_token(desk.home, desk.workspace.name, token), lambda: enter_person(desk.home, desk.workspace.name, login)):
        with pytest.raises(NotFound):
            way()
    assert tokens_of(desk.ctx, [person]) == []
    assert desk.do(person_disable, {"person": person}) is False
    service.update(desk.ctx, "person", person, {"active": True}, ANY)
    with pytest.raises(NotFound):
        enter_with_token(desk.home, desk.workspace.name, token)
