"""A small workspace whose forms do everything forms can: conditions, child lines, files, limited links, masks with a reason, a stay with events and open things."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from engine import builtin
from engine.actors import enter_as
from engine.clock import wall
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from metadata.bundle import Bundle

ALL = {"read": True, "create": True, "update": True, "delete": True, "export": True}

DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("preset", "preset"): {
        "name": "ward",
        "version": "1.0.0",
        "title": {"zh": "病区", "en": "Ward"},
        "menus": [{"key": "stays", "title": {"zh": "住院", "en": "Stays"}, "icon": "stethoscope", "list": "stays"}],
    },
    ("choices", "level"): {"title": "护理", "options": {"a": {"title": "A 特级", "colour": "red"}, "b": {"title": "B 一级", "colour": "amber"}}},
    ("choices", "state"): {
        "title": "阶段",
        "options": {"in": {"title": {"zh": "在院", "en": "In"}, "colour": "blue"}, "out": {"title": {"zh": "出院", "en": "Out"}, "colour": "green"}},
    },
    ("choices", "wing"): {"title": "楼区", "options": {"east": {"title": "东区"}, "west": {"title": "西区"}}},
    ("choices", "room"): {
        "title": "房间",
        "options": {"e1": {"title": "东一", "parent": "east"}, "w1": {"title": "西一", "parent": "west"}, "w2": {"title": "西二", "parent": "west"}},
    },
    ("entity", "stay"): {
        "title": {"zh": "住院", "en": "Stay"},
        "icon": "stethoscope",
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "required": True, "maxLength": 40, "search": "name", "title": {"zh": "姓名", "en": "Name"}},
            "phone": {"type": "phone", "mask": "phone", "encrypted": True, "title": {"zh": "电话", "en": "Phone"}},
            "level": {"type": "choice", "choices": "level", "title": {"zh": "护理", "en": "Level"}},
            "state": {"type": "choice", "choices": "state", "required": True, "default": "in", "title": {"zh": "阶段", "en": "State"}},
            "insured": {"type": "boolean", "title": {"zh": "有医保", "en": "Insured"}},
            "insurer": {"type": "text", "show": "insured", "required": "insured", "title": {"zh": "承保机构", "en": "Insurer"}},
            "wing": {"type": "choice", "choices": "wing", "title": {"zh": "楼区", "en": "Wing"}},
            "room": {"type": "choice", "choices": "room", "parent": "wing", "title": {"zh": "房间", "en": "Room"}},
            "from_day": {"type": "date", "title": {"zh": "入院", "en": "From"}},
            "to_day": {"type": "date", "title": {"zh": "出院日", "en": "To"}},
            "deposit": {"type": "money", "minimum": 0, "read_only": "state == 'out'", "title": {"zh": "押金", "en": "Deposit"}},
            "review_at": {"type": "instant", "ends": "day", "title": {"zh": "复核到期", "en": "Review"}},
            "papers": {"type": "files", "title": {"zh": "资料", "en": "Papers"}},
            "note": {"type": "long_text", "title": {"zh": "备注", "en": "Note"}},
        },
        "check": [{"if": "to_day < from_day", "at": "to_day", "code": "days_order", "message": {"zh": "出院早于入院", "en": "Left before arriving"}}],
        "stages": {"field": "state", "moves": [{"from": ["in"], "to": ["out"]}]},
        "import": {
            "key": ["phone"],
            "on_match": "fill",
            "columns": {
                "name": {"headers": ["姓名", "病人"], "into": {"text": "name"}, "required": True},
                "phone": {"headers": ["电话"], "into": {"phone": "phone"}, "reader": "phone"},
                "note": {"headers": ["备注"], "into": {"text": "note"}},
            },
        },
    },
    ("entity", "kin"): {
        "title": {"zh": "家属", "en": "Kin"},
        "label": "{name}",
        "lines_of": "stay",
        "parent_field": "stay",
        "fields": {
            "stay": {"type": "link", "to": "stay", "required": True, "title": "住院"},
            "name": {"type": "text", "required": True, "title": {"zh": "家属姓名", "en": "Kin name"}},
            "mobile": {"type": "phone", "title": {"zh": "手机", "en": "Mobile"}},
            "bond": {"type": "text", "once": True, "title": {"zh": "关系", "en": "Bond"}},
            "calls": {"type": "integer", "read_only": True, "title": {"zh": "来电", "en": "Calls"}},
        },
    },
    ("entity", "round"): {
        "title": {"zh": "查房", "en": "Round"},
        "icon": "clipboard-check",
        "label": "{at}",
        "fields": {
            "stay": {"type": "link", "to": "stay", "required": True, "title": {"zh": "住院", "en": "Stay"}},
            "at": {"type": "instant", "required": True, "default": {"value": "now()"}, "title": {"zh": "时间", "en": "Time"}},
            "level": {"type": "choice", "choices": "level", "title": {"zh": "判断", "en": "Finding"}},
            "said": {"type": "long_text", "required": True, "title": {"zh": "所见", "en": "Seen"}},
            "nurse": {"type": "person", "default": {"value": "me"}, "title": {"zh": "护士", "en": "Nurse"}},
            "after": {"type": "link", "to": "round", "where": "stay == record.stay", "title": {"zh": "接续", "en": "After"}},
        },
    },
    ("entity", "chore"): {
        "title": {"zh": "医嘱", "en": "Order"},
        "icon": "checkbox",
        "label": "{title} {stay}",
        "fields": {
            "title": {"type": "text", "required": True, "title": {"zh": "内容", "en": "What"}},
            "stay": {"type": "link", "to": "stay", "title": {"zh": "住院", "en": "Stay"}},
            "due": {"type": "instant", "required": True, "title": {"zh": "截止", "en": "Due"}},
            "done": {"type": "boolean", "default": False, "title": {"zh": "完成", "en": "Done"}},
        },
    },
    ("form", "stay_full"): {
        "entity": "stay",
        "title": {"zh": "住院登记", "en": "Stay"},
        "tabs": {"who": {"zh": "病人", "en": "Patient"}, "where": {"zh": "安排", "en": "Place"}},
        "layout": [
            {
                "key": "basics",
                "section": {"zh": "基本", "en": "Basics"},
                "tab": "who",
                "columns": 2,
                "items": ["name", "phone", "level", "state", "insured", "insurer"],
            },
            {"key": "kin", "section": {"zh": "家属", "en": "Kin"}, "tab": "who", "lines": "kin", "items": ["name", "mobile", "bond", "calls"]},
            {
                "key": "place",
                "section": {"zh": "床位", "en": "Bed"},
                "tab": "where",
                "columns": 3,
                "items": ["wing", "room", "deposit", "from_day", "to_day", "review_at"],
            },
            {"key": "rest", "section": {"zh": "其他", "en": "Rest"}, "tab": "where", "columns": 2, "items": ["papers", {"field": "note", "span": 2}]},
        ],
    },
    ("form", "stay_phone"): {
        "entity": "stay",
        "title": {"zh": "住院登记", "en": "Stay"},
        "use": "phone",
        "layout": [{"key": "all", "items": ["name", "phone"]}],
    },
    ("form", "round_quick"): {
        "entity": "round",
        "title": {"zh": "写查房", "en": "Write a round"},
        "use": "quick",
        "layout": [{"key": "all", "columns": 2, "items": ["stay", "level", "after", {"field": "said", "span": 2}]}],
    },
    ("list", "stays"): {
        "entity": "stay",
        "title": {"zh": "住院", "en": "Stays"},
        "sort": ["-id"],
        "columns": ["name", "phone", "level", "state", "review_at"],
        "quick": ["level", "wing"],
        "tint": {"review_at": [{"if": "state == 'in' and days_until(review_at) <= 3", "colour": "amber"}]},
        "mobile": {"lead": "level", "title": "name", "state": "state", "sub": "phone", "due": "review_at"},
        "actions": ["round.new", "chore.new"],
    },
    ("list", "rounds"): {
        "entity": "round",
        "title": {"zh": "查房", "en": "Rounds"},
        "sort": ["-at"],
        "columns": ["at", "stay", "level", "said", "nurse"],
        "quick": ["stay"],
    },
    ("list", "chores"): {
        "entity": "chore",
        "title": {"zh": "待办医嘱", "en": "Open orders"},
        "where": "not done",
        "sort": ["due"],
        "columns": ["title", "stay", "due"],
        "tint": {"due": [{"if": "due < now()", "colour": "red"}]},
    },
    ("role", "nurse"): {
        "title": {"zh": "护士", "en": "Nurse"},
        "grants": {
            "stay": {**ALL, "fields": {"phone": {"mask": True, "write": False}}, "actions": {"reveal": True}},
            "kin": {**ALL, "delete": False},
            "round": dict(ALL),
            "chore": dict(ALL),
            "person": {"read": True},
            "team": {"read": True},
        },
    },
    ("role", "admin"): {
        "title": {"zh": "管理员", "en": "Administrator"},
        "can": ["design", "people", "publish", "import", "export"],
        "grants": {"*": dict(ALL)},
    },
}
PEOPLE = (("wanda", "婉达", "nurse"), ("willi", "威利", "nurse"), ("wally", "沃力", "admin"))
ROUNDS = 26


def make_ward(home: Home, name: str = "ward") -> None:
    """The demo workspace: three stays, the first with rounds, an open order that is late and one that is done."""
    create_workspace(home, name, Bundle(DOCUMENTS, builtin.DOCUMENTS), title="南山病区", demo=True)
    for login, title, role in PEOPLE:
        add_member(home, name, login, [role], name=title)
    ctx, now = enter_as(home, name, "operator"), wall()
    review = (now + timedelta(days=2)).isoformat()
    stays = [
        {
            "name": "钱一",
            "phone": "13900000001",
            "level": "a",
            "wing": "east",
            "review_at": review,
            "from_day": "2026-01-05",
            "kin": [{"name": "钱父", "mobile": "13900000009", "bond": "父亲"}],
        },
        {"name": "孙二", "phone": "13900000002", "level": "b"},
        {"name": "李三"},
    ]
    for stay in stays:
        service.create(ctx, "stay", stay)
    rounds = [
        {
            "stay": 1 if number % 13 else 2,
            "at": (now - timedelta(hours=number + 1)).isoformat(),
            "level": "ab"[number % 2],
            "said": f"查房记录 {number}",
            "nurse": 1,
        }
        for number in range(ROUNDS)
    ]
    chores = [{"title": "换药", "stay": 1, "due": (now - timedelta(days=1)).isoformat()}, {"title": "拆线", "stay": 1, "due": now.isoformat(), "done": True}]
    results = [*service.load(ctx, "round", rounds), *service.load(ctx, "chore", chores)]
    assert all(not row.refused for row in results), [row for row in results if row.refused][:3]
