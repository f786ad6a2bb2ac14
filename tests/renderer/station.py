"""A small workspace that rules run in: settings of every type, a rule of every moment, runs that went well, were refused and failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

from engine import accounts, builtin, settings_values
from engine.actors import enter_as, enter_person
from engine.background import advance
from engine.context import Context
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from engine.rule_jobs import switch
from metadata.bundle import Bundle
from renderer.security import make_csrf

ALL = {"read": True, "create": True, "update": True, "delete": True, "export": True}
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)

DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("preset", "preset"): {
        "name": "station",
        "version": "1.0.0",
        "title": {"zh": "护理站", "en": "Station"},
        "modules": {"billing": {"title": {"zh": "收费", "en": "Billing"}, "description": {"zh": "押金与结算", "en": "Deposits and bills"}}},
        "menus": [{"key": "guests", "title": {"zh": "病人", "en": "Guests"}, "icon": "user-heart", "list": "guests"}],
    },
    ("settings", "settings"): {
        "idle_days": {
            "type": "map",
            "by": "level",
            "of": "integer",
            "minimum": 1,
            "maximum": 365,
            "default": {"a": 7, "b": None, "else": 30},
            "unit": {"zh": "天", "en": "days"},
            "title": {"zh": "无人看护多少天后释放", "en": "Days until release"},
            "help": {"zh": "从最近一次查看算起", "en": "Since the last visit"},
            "group": {"zh": "看护", "en": "Care"},
        },
        "least_words": {
            "type": "integer",
            "minimum": 0,
            "maximum": 200,
            "default": 4,
            "title": {"zh": "有效记录最少字数", "en": "Shortest note"},
            "group": {"zh": "看护", "en": "Care"},
        },
        "ask_first": {"type": "boolean", "default": False, "title": {"zh": "接管须审批", "en": "Taking needs approval"}, "group": {"zh": "看护", "en": "Care"}},
        "open_hours": {
            "type": "calendar",
            "default": {"mon-fri": ["08:30-17:30"], "sat": ["09:00-12:00"], "holidays": "cn"},
            "title": {"zh": "开放时间", "en": "Open hours"},
        },
        "deposit": {"type": "money", "minimum": 0, "default": 200000, "title": {"zh": "押金", "en": "Deposit"}},
        "rates": {
            "type": "table",
            "default": [{"least": 0, "rate": 100}, {"least": 1000000, "rate": 150}],
            "columns": {
                "least": {"type": "money", "minimum": 0, "title": {"zh": "起点", "en": "From"}},
                "rate": {"type": "percent", "title": {"zh": "费率", "en": "Rate"}},
            },
            "title": {"zh": "阶梯费率", "en": "Rates"},
        },
    },
    ("choices", "level"): {
        "title": {"zh": "护理", "en": "Level"},
        "options": {
            "a": {"title": {"zh": "特级", "en": "Special"}, "colour": "red"},
            "b": {"title": {"zh": "一级", "en": "First"}},
            "c": {"title": {"zh": "二级", "en": "Second"}},
        },
    },
    ("choices", "state"): {
        "title": {"zh": "阶段", "en": "State"},
        "options": {"in": {"title": {"zh": "在院", "en": "In"}, "colour": "blue"}, "out": {"title": {"zh": "出院", "en": "Out"}, "colour": "green"}},
    },
    ("entity", "guest"): {
        "title": {"zh": "病人", "en": "Guest"},
        "icon": "user-heart",
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "required": True, "search": "name", "title": {"zh": "姓名", "en": "Name"}},
            "phone": {"type": "phone", "mask": "phone", "encrypted": True, "title": {"zh": "电话", "en": "Phone"}},
            "level": {"type": "choice", "choices": "level", "required": True, "default": "a", "title": {"zh": "护理", "en": "Level"}},
            "state": {"type": "choice", "choices": "state", "required": True, "default": "in", "title": {"zh": "阶段", "en": "State"}},
            "nurse": {"type": "person", "title": {"zh": "责任护士", "en": "Nurse"}},
            "debt": {"type": "money", "title": {"zh": "欠费", "en": "Debt"}},
            "hold": {"type": "boolean", "default": False, "title": {"zh": "保留", "en": "Held"}},
            "seen_at": {"type": "instant", "title": {"zh": "最近查看", "en": "Last seen"}},
            "release_at": {"type": "formula", "value": "add_days(seen_at, setting.idle_days[level])", "title": {"zh": "释放时间", "en": "Release at"}},
        },
        "stages": {"field": "state", "moves": [{"from": ["in"], "to": ["out"]}]},
    },
    ("entity", "visit"): {
        "title": {"zh": "查看", "en": "Visit"},
        "icon": "clipboard-check",
        "label": "{at}",
        "fields": {
            "guest": {"type": "link", "to": "guest", "required": True, "title": {"zh": "病人", "en": "Guest"}},
            "at": {"type": "instant", "required": True, "default": {"value": "now()"}, "title": {"zh": "时间", "en": "Time"}},
            "said": {"type": "long_text", "required": True, "title": {"zh": "所见", "en": "Seen"}},
            "counts": {"type": "boolean", "title": {"zh": "有效", "en": "Counts"}},
        },
    },
    ("list", "guests"): {
        "entity": "guest",
        "title": {"zh": "病人", "en": "Guests"},
        "sort": ["-id"],
        "columns": ["name", "level", "state", "nurse", "seen_at"],
        "actions": ["visit.new"],
    },
    ("role", "nurse"): {
        "title": {"zh": "护士", "en": "Nurse"},
        "grants": {
            "guest": {
                "read": True,
                "create": True,
                "update": True,
                "fields": {"debt": {"read": False}, "phone": {"mask": "nurse != me"}},
                "actions": {"take": "empty(nurse)"},
            },
            "visit": {"read": True, "create": True, "update": True},
            "person": {"read": True},
        },
    },
    ("role", "admin"): {"title": {"zh": "管理员", "en": "Administrator"}, "can": ["design", "people", "publish", "settings"], "grants": {"*": dict(ALL)}},
    ("rule", "judge"): {
        "title": {"zh": "判定有效查看", "en": "Judge a visit"},
        "on": {"before": "create", "entity": "visit"},
        "then": [{"set": {"counts": "length(squeeze(said)) >= setting.least_words"}}],
    },
    ("rule", "seen"): {
        "title": {"zh": "记下最近查看", "en": "Note the visit"},
        "on": {"after": "create", "entity": "visit"},
        "if": "counts and guest.state == 'in'",
        "then": [{"set": {"seen_at": "at"}, "on": "guest"}],
    },
    ("rule", "release"): {
        "title": {"zh": "释放无人看护的病人", "en": "Release idle guests"},
        "on": {"due": "guest.release_at"},
        "if": "exists(nurse) and not hold and state == 'in'",
        "then": [
            {"let": {"was": "nurse", "owed": "debt"}},
            {"find": "visit", "as": "last", "take": "count", "where": "guest == record"},
            {"set": {"nurse": None}},
            {"notify": "was", "message": {"zh": "{name} 已释放，共查看 {last} 次", "en": "{name} is released after {last} visits"}},
        ],
    },
    ("rule", "warn"): {
        "title": {"zh": "释放前提醒", "en": "Warn before release"},
        "on": {"due": "guest.release_at", "shift": ["-P1D"]},
        "if": "exists(nurse) and not hold",
        "then": [{"notify": "nurse", "message": {"zh": "{name} 明天释放", "en": "{name} is released tomorrow"}}],
    },
    ("rule", "take"): {
        "title": {"zh": "接管病人", "en": "Take a guest"},
        "on": {"action": "guest.take", "with": {"why": {"type": "text", "title": {"zh": "原因", "en": "Why"}}}},
        "if": "empty(nurse) and state == 'in'",
        "then": [
            {"refuse": "IN_DEBT", "if": "debt > setting.deposit", "message": {"zh": "欠费超过押金", "en": "The debt is over the deposit"}},
            {"set": {"nurse": "me"}},
        ],
    },
    ("rule", "bill"): {
        "title": {"zh": "出院结算", "en": "Bill on leaving"},
        "on": {"later": "stage", "entity": "guest", "to": "out"},
        "then": [{"refuse": "NO_BILL", "if": "debt > 0", "message": {"zh": "还有欠费，不能结算", "en": "There is a debt left"}}, {"set": {"hold": "false"}}],
    },
}
PEOPLE = (("nora", "诺拉", "nurse"), ("nina", "妮娜", "nurse"), ("ada", "阿达", "admin"))


def make_station(home: Home, name: str = "station", mark: str = "") -> None:
    """A rehearsal of two weeks' work: three guests, visits, one taken; the clock stands two days before the first is released."""
    create_workspace(home, name, Bundle(dict(DOCUMENTS), builtin.DOCUMENTS), title="北山护理站", sandbox=True, demo=True, now=NOW)
    for login, title, role in PEOPLE:
        add_member(home, name, login + mark, [role], name=title)
    ctx = enter_as(home, name, "operator")
    nora = person(ctx, "nora" + mark)
    for words in (
        {"name": "钱一", "phone": "13900000001", "nurse": nora, "debt": 0},
        {"name": "孙二", "level": "c", "debt": 500000},
        {"name": "李三", "level": "b", "nurse": nora, "hold": True},
    ):
        service.create(ctx, "guest", words)
    service.create(ctx, "visit", {"guest": 1, "said": "精神很好，饮食正常", "at": (NOW - timedelta(days=5)).isoformat()})
    service.create(ctx, "visit", {"guest": 1, "said": "好"})
    settings_values.set_value(as_person(home, name, "ada" + mark), "least_words", 5, NOW + timedelta(days=1))


def person(ctx: Context, login: str) -> int:
    """The id of a person."""
    with ctx.reading() as inner:
        table = ctx.workspace.entities["person"].table
        return int(
            inner.open.execute(table.select().with_only_columns(table.c.id).where(table.c.login == login), execution_options={"scoped": True}).scalar_one()
        )


def as_person(home: Home, name: str, login: str) -> Context:
    """A context of a person."""
    return enter_person(home, name, login)


def work_station(home: Home, name: str = "worked") -> None:
    """The same four days later: one guest released after a warning, one billed in vain and given up on, one rule switched off."""
    make_station(home, name, "2")
    ctx = enter_as(home, name, "operator")
    service.create(as_person(home, name, "nora2"), "visit", {"guest": 3, "said": "伤口愈合良好，情绪稳定"})
    service.update(as_person(home, name, "nina2"), "guest", 2, {"state": "out"}, service.ANY)
    advance(home, name, NOW + timedelta(days=4))
    switch(ctx, "warn", on=False)


def posting_client(home: Home, application: object, login: str) -> TestClient:
    """A client of a person whose every request carries what a form of theirs would."""
    client = TestClient(application, base_url="http://127.0.0.1", follow_redirects=False, client=("127.0.0.1", 50000))  # type: ignore[arg-type]
    account = accounts.find_account(home, login)
    assert account is not None
    token = accounts.start_session(home, account.id)
    client.cookies.set("tangram", token)
    client.headers.update({"x-csrf-token": make_csrf(token), "origin": "http://127.0.0.1", "accept-language": "zh"})
    return client


def words(text: str) -> str:
    """What a page says, without its tags, spaced once."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).strip()
