"""A small workspace in which everything a person may not see is a word found nowhere else, and much has happened with it: rules, messages, approvals, imports, replays.

What one person sees in clear and another masked, which rows are whose and which fields nobody but administrators reads stands in the roles below.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine import builtin, replay_kept
from engine.background import advance, worker_of
from engine.connections import keep_connection
from engine.errors import Refusal
from engine.exchange import batches
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from engine.records.record import ANY
from metadata.bundle import Bundle
from tests.inhabited import Inhabited

NAME = "sieve"
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
ALL = {"read": True, "create": True, "update": True, "delete": True, "export": True}
#: The person who looks: reads own rows only, telephones masked, neither ``secret`` nor ``debt``; keeps settings, looks after people, imports and designs.
WATCHER = "wanda"
#: What that person may meet nowhere, with where it stands.
CANARIES: Mapping[str, str] = {
    "13955501111": "the telephone of an own guest, masked",
    "QUIETSECRET1": "a field of an own guest that the role does not read",
    "7654321": "an amount of an own guest that the role does not read",
    "7,654,321": "the same amount as text",
    "76,543.21": "the same amount in its unit",
    "HIDDENNAME2": "the name of a guest who is another's",
    "HIDDENTAG2": "an open field of a guest who is another's",
    "13955502222": "the telephone of a guest who is another's",
    "QUIETSECRET2": "an unread field of a guest who is another's",
    "HIDDENCHORE": "a task of another",
    "HIDDENNOTE2": "what a rule wrote on another's guest",
    "HIDDENVISIT": "a visit by another",
    "IMPORTEDNAME": "a row another imported",
    "13955503333": "the telephone of a row another imported",
}
_GUEST = {
    "title": {"zh": "住客", "en": "Guest"},
    "label": "{name}",
    "fields": {
        "name": {"type": "text", "required": True, "search": "name", "title": {"zh": "姓名", "en": "Name"}},
        "phone": {"type": "phone", "mask": "phone", "encrypted": True, "last4": True, "search": "phone", "title": {"zh": "电话", "en": "Phone"}},
        "tag": {"type": "text", "title": {"zh": "标记", "en": "Tag"}},
        "note": {"type": "text", "title": {"zh": "备注", "en": "Note"}},
        "secret": {"type": "text", "title": {"zh": "内情", "en": "Secret"}},
        "debt": {"type": "money", "title": {"zh": "欠费", "en": "Debt"}},
        "keeper": {"type": "person", "title": {"zh": "负责人", "en": "Keeper"}},
        "state": {"type": "choice", "choices": "state", "required": True, "default": "in", "title": {"zh": "阶段", "en": "State"}},
        "seen_at": {"type": "instant", "title": {"zh": "最近查看", "en": "Seen"}},
        "release_at": {"type": "formula", "value": "add_days(seen_at, setting.idle_days)", "title": {"zh": "释放时间", "en": "Release at"}},
    },
    "stages": {"field": "state", "moves": [{"from": ["in"], "to": ["out"]}]},
    "personal": {"subject": True},
    "import": {
        "columns": {
            "name": {"headers": ["姓名"], "into": {"text": "name"}, "required": True},
            "phone": {"headers": ["电话"], "into": {"phone": "phone"}, "reader": "phone"},
        }
    },
}
_VISIT = {
    "title": {"zh": "查看", "en": "Visit"},
    "label": "{said}",
    "fields": {
        "guest": {"type": "link", "to": "guest", "required": True, "title": {"zh": "住客", "en": "Guest"}},
        "author": {"type": "person", "title": {"zh": "记录人", "en": "Author"}},
        "said": {"type": "text", "required": True, "title": {"zh": "所见", "en": "Said"}},
        "late": {"type": "boolean", "title": {"zh": "晚", "en": "Late"}},
    },
}
_CHORE = {
    "title": {"zh": "任务", "en": "Chore"},
    "label": "{what}",
    "fields": {
        "what": {"type": "text", "required": True, "title": {"zh": "内容", "en": "What"}},
        "who": {"type": "person", "title": {"zh": "谁", "en": "Who"}},
        "guest": {"type": "link", "to": "guest", "title": {"zh": "住客", "en": "Guest"}},
    },
}
_TOLD = "{guest.name} {guest.tag} {guest.phone} {guest.debt} {concat(guest.secret, '')} {concat(guest.tag, '')}"
#: What publishing lets be said to whoever saves: fields that are open in their own rows.
_OPEN = "{guest.name} {guest.tag} {concat(guest.tag, '')}"
DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("preset", "preset"): {
        "name": "sieve",
        "version": "1.0.0",
        "title": {"zh": "筛", "en": "Sieve"},
        "menus": [{"key": "guests", "title": {"zh": "住客", "en": "Guests"}, "icon": "users", "list": "guests"}],
    },
    ("settings", "settings"): {"idle_days": {"type": "integer", "minimum": 1, "default": 3, "title": {"zh": "天", "en": "Days"}}},
    ("choices", "state"): {"title": "阶段", "options": {"in": {"title": "在"}, "out": {"title": "离"}}},
    ("entity", "guest"): _GUEST,
    ("entity", "visit"): _VISIT,
    ("entity", "chore"): _CHORE,
    ("list", "guests"): {
        "entity": "guest",
        "title": {"zh": "住客", "en": "Guests"},
        "columns": ["name", "phone", "tag", "note", "secret", "debt", "keeper", "state"],
        "quick": ["state", "keeper"],
        "above": ["visits"],
        "buttons": ["look"],
        "bulk": ["look", "beg"],
        "actions": ["visit.new"],
    },
    ("list", "states"): {
        "entity": "guest",
        "title": {"zh": "看板", "en": "Board"},
        "view": "kanban",
        "kanban": "state",
        "columns": ["name", "phone", "tag", "debt"],
    },
    ("list", "days"): {"entity": "guest", "title": {"zh": "日历", "en": "Days"}, "view": "calendar", "calendar": "seen_at", "columns": ["name", "tag"]},
    ("list", "visits"): {
        "entity": "visit",
        "title": {"zh": "查看", "en": "Visits"},
        "columns": ["said", "guest", "guest.tag", "guest.phone", "guest.secret", "author"],
        "quick": ["guest"],
    },
    ("list", "chores"): {"entity": "chore", "title": {"zh": "任务", "en": "Chores"}, "columns": ["what", "guest", "guest.note"]},
    ("role", "watcher"): {
        "title": {"zh": "看的人", "en": "Watcher"},
        "can": ["settings", "people", "import", "export", "audit", "design"],
        "grants": {
            "guest": {
                "read": "keeper == me",
                "create": True,
                "update": "keeper == me",
                "export": True,
                "actions": {"look": True, "beg": True},
                "fields": {"phone": {"mask": True}, "secret": {"read": False}, "debt": {"read": False}},
            },
            "visit": {"read": "author == me", "create": True, "update": "author == me", "export": True, "actions": {"tell": True, "warn": True}},
            "chore": {"read": "who == me", "create": True},
            "person": {"read": True},
            "team": {"read": True},
        },
    },
    ("role", "admin"): {
        "title": {"zh": "管理员", "en": "Administrator"},
        "can": ["design", "people", "publish", "import", "export", "audit", "settings"],
        "grants": {"*": dict(ALL), "guest": {**ALL, "actions": {"look": True, "beg": True}}, "visit": {**ALL, "actions": {"tell": True, "warn": True}}},
    },
    ("rule", "judge"): {
        "title": {"zh": "登记查看", "en": "Judge"},
        "on": {"after": "create", "entity": "visit"},
        "if": "exists(guest.tag) and guest.debt > 0 and exists(guest.secret)",
        "then": [
            {"let": {"tagged": "guest.tag", "owed": "guest.debt", "whose": "guest.name"}},
            {"find": "guest", "as": "same", "where": "name == record.guest.name", "take": 5, "show": {"tag": "tag", "secret": "secret"}},
            {"find": "guest", "as": "owing", "where": "name == record.guest.name", "take": {"sum": "debt"}},
            {"set": {"note": "concat('HIDDEN', 'NOTE', id)"}, "in": "guest", "where": "name == record.guest.name and tag != '一号'"},
            {"create": "chore", "values": {"what": "concat('HIDDEN', 'CHORE ', guest.tag, guest.secret)", "guest": "guest"}},
            {"notify": "author", "message": {"zh": _TOLD}},
            {"do": "send", "with": {"connector": "'sms'", "to": "guest.phone", "key": "concat('v', id)", "text": "concat(guest.name, guest.tag)"}},
            {"key": "tell_out", "notify": "author", "channel": "sms", "message": {"zh": _TOLD}},
        ],
    },
    ("rule", "stop"): {
        "title": {"zh": "不可", "en": "Stop"},
        "on": {"before": "save", "entity": "visit"},
        "then": [{"refuse": "STOPPED", "if": "said == 'stop'", "message": {"zh": _OPEN}}],
    },
    ("rule", "fail"): {
        "title": {"zh": "事后", "en": "Fail"},
        "on": {"later": "create", "entity": "visit"},
        "then": [{"refuse": "FAILED", "if": "exists(guest.tag)", "message": {"zh": _TOLD}}],
    },
    ("rule", "release"): {
        "title": {"zh": "释放", "en": "Release"},
        "on": {"due": "guest.release_at"},
        "if": "exists(tag) and debt > 0",
        "then": [{"set": {"note": "concat('HIDDEN', 'NOTE', id)"}, "if": "id == 2"}, {"notify": "keeper", "message": {"zh": "{name} {tag} {debt}"}}],
    },
    ("rule", "look"): {
        "title": {"zh": "看一看", "en": "Look"},
        "on": {"action": "guest.look"},
        "if": "debt > 1",
        "then": [{"refuse": "LOOKED", "soft": True, "message": {"zh": "{name} {tag}"}}],
    },
    ("rule", "tell"): {"title": {"zh": "说出", "en": "Tell"}, "on": {"action": "visit.tell"}, "then": [{"let": {"it": "guest.tag"}}], "give": "it"},
    ("rule", "warn"): {
        "title": {"zh": "警告", "en": "Warn"},
        "on": {"action": "visit.warn"},
        "then": [{"let": {"it": "guest.tag"}}, {"refuse": "WARNED", "message": {"zh": "{it} {guest.tag}"}}],
    },
    ("rule", "beg"): {
        "title": {"zh": "求助", "en": "Beg"},
        "on": {"action": "guest.beg", "with": {"why": {"type": "text", "title": "原因"}}},
        "then": [
            {
                "ask": "beg",
                "as": "said",
                "who": "people('watcher')",
                "message": {"zh": "{name} {tag} {debt} {phone} {secret}"},
                "fields": {"left": {"type": "money", "title": "余"}},
                "approved": [{"set": {"note": "concat('HIDDEN', 'NOTE', id)"}}],
            }
        ],
    },
}


def make_sieve(home: Home, folder: Path) -> Inhabited:
    """Guest 1 is the watcher's, guest 2 another's; visits by both about both; everything that follows has been worked on."""
    create_workspace(home, NAME, Bundle(dict(DOCUMENTS), builtin.DOCUMENTS), title="筛子", sandbox=True, demo=True, now=NOW)
    for login, role in ((WATCHER, "watcher"), ("boss", "admin")):
        add_member(home, NAME, login, [role], name=login)
    sieve = Inhabited(home, NAME)
    wanda, boss = sieve.person(WATCHER), sieve.ctx("boss")
    keep_connection(sieve.ctx(), "sms", "sms", {"url": "https://sms.example.org/send", "fields": {"mobile": "{phone}", "content": "{text}"}}, secret="x")
    seen = (NOW - timedelta(days=2)).isoformat()
    for guest in (
        {"name": "钱一", "phone": "13955501111", "tag": "一号", "secret": "QUIETSECRET1", "debt": 7654321, "keeper": wanda, "seen_at": seen},
        {"name": "HIDDENNAME2", "phone": "13955502222", "tag": "HIDDENTAG2", "secret": "QUIETSECRET2", "debt": 7654321, "seen_at": seen},
    ):
        service.create(boss, "guest", guest)
    service.update(boss, "guest", 1, {"secret": "QUIETSECRET1 again", "phone": "13955501111"}, ANY)
    for guest, login in ((1, WATCHER), (2, WATCHER), (2, "boss")):
        said = "HIDDENVISIT" if login == "boss" else f"看过 {guest}"
        service.create(boss, "visit", {"guest": guest, "author": sieve.person(login), "said": said})
    service.update(boss, "visit", 1, {"guest": 2}, ANY)  # history of a link that led elsewhere
    service.update(boss, "visit", 1, {"guest": 1}, ANY)
    for guest in (1, 2):
        service.act(boss, "guest", guest, "beg", {"why": "QUIETSECRET2"} if guest == 2 else {})
    path = folder / "guests.csv"
    path.write_text("姓名,电话\nIMPORTEDNAME,13955503333\n,13955503333\n", encoding="utf-8")
    batch = batches.begin(boss, "guest", path, "guests.csv")
    batches.start(boss, batch.id)
    worker_of(home).drain(NAME)
    advance(home, NAME, NOW + timedelta(days=4))
    for rule in ("judge", "release", "stop"):
        replay_kept.ask(boss, replay_kept.Asked(rule, 30, "keeper" if rule == "release" else ""))
    worker_of(home).drain(NAME)
    for visit in (1, 2):
        for name in ("tell", "warn"):
            try:
                service.act(sieve.ctx(WATCHER), "visit", visit, name, {})
            except Refusal:
                continue  # told in the test; here it only leaves its trace
    return sieve
