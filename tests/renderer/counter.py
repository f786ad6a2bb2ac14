"""The station with more to press: a form of every kind of parameter, soft refusals, a button that asks for approval, lists with actions for one row and many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.testclient import TestClient

from engine import builtin
from engine.actors import enter_as
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from metadata.bundle import Bundle
from tests.renderer import station
from tests.renderer.station import as_person

NAME = "counter"
PEOPLE = (("rosa", "罗莎", "nurse"), ("rita", "丽塔", "nurse"), ("dana", "黛娜", "admin"))
_NURSE = station.DOCUMENTS["role", "nurse"]
_GUEST = station.DOCUMENTS["entity", "guest"]
_VISIT = station.DOCUMENTS["entity", "visit"]

DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    **station.DOCUMENTS,
    ("entity", "guest"): {
        **_GUEST,
        "personal": {"subject": True},
        "fields": {
            **{name: {**field, **({"personal": "personal"} if name in ("name", "phone") else {})} for name, field in _GUEST["fields"].items()},
            "ward": {"type": "text", "read_only": True, "default": {"value": "concat('东', '二')"}, "title": {"zh": "病区", "en": "Ward"}},
            "bill": {"type": "text", "default": "未结", "title": {"zh": "结账", "en": "Bill"}},
            "chart": {"type": "json", "title": {"zh": "图表数据", "en": "Chart"}},
        },
    },
    ("entity", "visit"): {
        **_VISIT,
        "fields": {
            **_VISIT["fields"],
            "ward": {"type": "text", "read_only": True, "default": {"value": "guest.ward"}, "title": {"zh": "病区", "en": "Ward"}},
            "room": {"type": "text", "default": {"value": "guest.ward"}, "title": {"zh": "房间", "en": "Room"}},
            "report": {"type": "link", "to": "report", "where": "not closed", "title": {"zh": "报告", "en": "Report"}},
            "follows": {"type": "link", "to": "visit", "show": "counts", "title": {"zh": "接着", "en": "Follows"}},
        },
    },
    ("entity", "remark"): {
        "title": {"zh": "叮嘱", "en": "Remark"},
        "label": "{said}",
        "fields": {
            "guest": {
                "type": "link",
                "to": "guest",
                "required": True,
                "flags": "startswith(said, '防')",
                "beside": "level",
                "title": {"zh": "病人", "en": "Guest"},
            },
            "said": {"type": "text", "title": {"zh": "叮嘱", "en": "Remark"}},
        },
    },
    ("entity", "report"): {
        "title": {"zh": "报告", "en": "Report"},
        "label": "{title}",
        "fields": {
            "title": {"type": "text", "title": {"zh": "标题", "en": "Title"}},
            "of": {"type": "text", "title": {"zh": "科室", "en": "Of"}},
            "closed": {"type": "boolean", "title": {"zh": "已归档", "en": "Closed"}},
        },
    },
    ("entity", "bill"): {
        "title": {"zh": "账单", "en": "Bill"},
        "label": "{amount}",
        "fields": {
            "guest": {"type": "link", "to": "guest", "required": True, "title": {"zh": "病人", "en": "Guest"}},
            "at": {"type": "instant", "required": True, "default": {"value": "now()"}, "title": {"zh": "时间", "en": "Time"}},
            "least": {"type": "money", "title": {"zh": "最低", "en": "Least"}},
            "amount": {"type": "money", "required": True, "title": {"zh": "应付", "en": "Owed"}},
        },
    },
    ("entity", "person"): {
        "fields": {
            "caring": {"type": "rollup", "title": {"zh": "在护病人", "en": "Caring"}, "from": "guest.nurse", "measure": "count"},
            "heavy": {
                "type": "rollup",
                "title": {"zh": "重症", "en": "Heavy"},
                "from": "guest.nurse",
                "measure": "count",
                "where": "level in ('a', 'b') and not hold",
            },
            "owing": {"type": "rollup", "title": {"zh": "欠费", "en": "Owing"}, "from": "guest.nurse", "measure": "count", "where": "debt > 0"},
        }
    },
    ("list", "nurses"): {"entity": "person", "title": {"zh": "护士", "en": "Nurses"}, "sort": ["id"], "columns": ["name", "caring", "heavy", "owing"]},
    ("list", "guests"): {
        **station.DOCUMENTS["list", "guests"],
        "columns": [*station.DOCUMENTS["list", "guests"]["columns"], "debt"],
        "actions": ["visit.new", "move"],
        "bulk": ["move"],
    },
    ("form", "guest_entry"): {
        "entity": "guest",
        "title": {"zh": "入院登记", "en": "Admit"},
        "use": "quick",
        "layout": [
            {
                "key": "basic",
                "items": ["name", {"field": "level", "where": "level != 'c' or exists(phone)"}, {"field": "phone", "required": "level == 'a'"}, "ward", "bill"],
            }
        ],
    },
    ("form", "visit"): {
        "entity": "visit",
        "title": {"zh": "查看", "en": "Visit"},
        "layout": [
            {
                "key": "basic",
                "items": [{"field": "guest", "where": "state == 'in' and (not hold or name != record.said)"}, "at", "said", "counts", "ward", "room", "report"],
            }
        ],
    },
    ("form", "visit_report"): {
        "entity": "visit",
        "title": {"zh": "会诊", "en": "Consultation"},
        "use": "phone",
        "opens": True,
        "layout": [{"key": "basic", "items": ["guest", "ward", "at", "said"]}],
    },
    ("list", "desk"): {
        "entity": "guest",
        "title": {"zh": "接待台", "en": "Desk"},
        "where": "state == 'in'",
        "sort": ["id"],
        "columns": ["name", "level", "nurse"],
        "mobile": {"title": "name", "state": "level", "sub": "nurse"},
        "view": "kanban",
        "kanban": "level",
        "buttons": ["leave", "guest.move", "waive"],
        "create": ["visit"],
        "above": ["mine"],
        "refresh": "PT1S",
    },
    ("list", "debts"): {
        "entity": "guest",
        "title": {"zh": "欠费", "en": "Debts"},
        "sort": ["id"],
        "columns": ["name", "level", "hold"],
        "mobile": {"title": "name", "state": "hold", "sub": "level"},
        "view": "kanban",
        "kanban": "level",
        "buttons": ["remit"],
    },
    ("list", "mine"): {
        "entity": "guest",
        "title": {"zh": "我的病人", "en": "Mine"},
        "where": "nurse == me",
        "empty": {"zh": "没有交给您照看的病人", "en": "Nobody is in your care"},
        "sort": ["id"],
        "columns": ["name", "level", "state"],
        "buttons": ["leave"],
    },
    ("list", "consults"): {
        "entity": "visit",
        "title": {"zh": "会诊", "en": "Consultations"},
        "sort": ["id"],
        "columns": ["guest", "said"],
        "mobile": {"title": "guest", "note": "said"},
    },
    ("list", "reports"): {
        "entity": "report",
        "title": {"zh": "报告", "en": "Reports"},
        "sort": ["id"],
        "columns": ["title"],
        "mobile": {"title": "title", "sub": "of"},
        "refresh": "PT20S",
    },
    ("role", "nurse"): {
        **_NURSE,
        "grants": {
            **_NURSE["grants"],
            "report": {"read": True, "fields": {"closed": {"read": False}}},
            "remark": {"read": True, "create": "guest.nurse == me and guest.name != 'guest.x'"},
            "guest": {
                **_NURSE["grants"]["guest"],
                "fields": {**_NURSE["grants"]["guest"]["fields"], "bill": {"write": False}},
                "actions": {
                    "take": True,
                    "move": True,
                    "waive": "nurse == me",
                    "leave": True,
                    "lend": True,
                    "remit": True,
                    "settle": True,
                    "erase": "nurse == me",
                    "subject_file": True,
                },
            },
        },
    },
    ("role", "admin"): {
        **station.DOCUMENTS["role", "admin"],
        "grants": {"*": dict(station.ALL), "guest": {**station.ALL, "actions": {"move": True, "settle": True}}},
    },
    ("rule", "move"): {
        "title": {"zh": "转床", "en": "Move"},
        "icon": "arrows-exchange",
        "description": {"zh": "换一个责任护士和护理级别。", "en": "Another nurse, another level."},
        "on": {
            "action": "guest.move",
            "with": {
                "to": {"type": "person", "required": True, "title": {"zh": "接收护士", "en": "To"}},
                "level": {"type": "choice", "choices": "level", "default": "b", "title": {"zh": "护理级别", "en": "Level"}},
                "guard": {"type": "text", "title": {"zh": "陪护人", "en": "Guard"}, "show": "level == 'a'", "required": "level == 'a'"},
                "why": {"type": "long_text", "required": True, "minLength": 2, "title": {"zh": "原因", "en": "Why"}},
            },
        },
        "if": "state == 'in'",
        "then": [
            {"refuse": "HELD", "if": "hold", "message": {"zh": "{name} 正在保留，不能转床", "en": "{name} is held"}},
            {"refuse": "SHORT", "if": "length(param.why) < 4", "at": "why", "message": {"zh": "请写清原因", "en": "Say more"}},
            {
                "refuse": "SPECIAL",
                "if": "level == 'a' and param.level != 'a'",
                "soft": True,
                "message": {"zh": "{name} 是特级护理，确定降级？", "en": "Lower {name}?"},
            },
            {"set": {"nurse": "param.to", "level": "param.level"}},
        ],
    },
    ("rule", "leave"): {
        "title": {"zh": "出院", "en": "Leave"},
        "icon": "check",
        "on": {"action": "guest.leave"},
        "if": "state == 'in' and not hold",
        "then": [{"set": {"state": "'out'"}}],
    },
    ("rule", "remit"): {
        "title": {"zh": "催缴", "en": "Ask to pay"},
        "description": {"zh": "护士随即收到通知", "en": "The nurse is told at once"},
        "on": {"action": "guest.remit", "sure": True},
        "if": "debt > 0",
        "then": [{"notify": "nurse", "message": {"zh": "请催缴", "en": "Ask to pay"}}],
    },
    ("rule", "settle"): {
        "title": {"zh": "结清", "en": "Settle"},
        "on": {
            "action": "guest.settle",
            "with": {
                "paid": {"type": "money", "required": True, "default": {"value": "debt"}, "title": {"zh": "实收", "en": "Paid"}},
                "level": {"type": "choice", "choices": "level", "default": {"value": "record.level"}, "title": {"zh": "护理级别", "en": "Level"}},
                "quiet": {"type": "boolean", "default": False, "show": "false", "title": {"zh": "不通知", "en": "Quiet"}},
                "nurse": {"type": "text", "default": {"value": "nurse.name"}, "title": {"zh": "经手", "en": "By"}},
            },
        },
        "then": [{"set": {"debt": "debt - param.paid", "level": "param.level"}}],
    },
    ("rule", "waive"): {
        "title": {"zh": "申请减免欠费", "en": "Ask to waive the debt"},
        "icon": "gavel",
        "on": {"action": "guest.waive", "with": {"reason": {"type": "text", "required": True, "title": {"zh": "理由", "en": "Reason"}}}},
        "then": [
            {
                "ask": "waive",
                "as": "said",
                "who": "people('admin')",
                "not": "me",
                "opinion": "required",
                "within": "PT48H",
                "message": {"zh": "减免 {name} 的欠费：{param.reason}", "en": "Waive the debt of {name}: {param.reason}"},
                "fields": {"left": {"type": "money", "required": True, "minimum": 0, "title": {"zh": "减免后欠费", "en": "Debt left"}}},
                "approved": [{"set": {"debt": "said.left"}}],
            }
        ],
    },
    ("rule", "lend"): {
        "title": {"zh": "借用轮椅", "en": "Lend a chair"},
        "icon": "clipboard-check",
        "on": {"action": "guest.lend"},
        "then": [
            {
                "ask": "lend",
                "who": "people('admin')",
                "not": "me",
                "message": {"zh": "{name} 借用轮椅", "en": "A chair for {name}"},
                "approved": [{"set": {"hold": "true"}}],
            }
        ],
    },
    ("rule", "remind"): {
        "title": {"zh": "没有电话", "en": "No phone"},
        "on": {"before": "save", "entity": "guest"},
        "then": [
            {
                "refuse": "NO_PHONE",
                "if": "level == 'a' and empty(phone)",
                "soft": True,
                "message": {"zh": "特级护理没有电话，仍然保存？", "en": "Save without a phone?"},
            },
            {"refuse": "NAMELESS", "if": "name == '无名'", "at": "name", "message": {"zh": "请问清姓名", "en": "Ask for the name"}},
        ],
    },
}


def make_counter(home: Home, name: str = NAME) -> None:
    """Four guests: 1 with rosa, 2 in debt with rosa, 3 held, 4 free; approvals wait for dana (two to decide with one press, one with a value)."""
    create_workspace(home, name, Bundle(dict(DOCUMENTS), builtin.DOCUMENTS), title="北山接待处", demo=True)
    for login, title, role in PEOPLE:
        add_member(home, name, login, [role], name=title)
    ctx = enter_as(home, name, "operator")
    rosa = station.person(ctx, "rosa")
    for words in (
        {"name": "钱一", "phone": "13900000001", "nurse": rosa, "level": "a"},
        {"name": "孙二", "level": "c", "debt": 500000, "nurse": rosa},
        {"name": "李三", "level": "b", "nurse": rosa, "hold": True},
        {"name": "周四", "level": "c"},
    ):
        service.create(ctx, "guest", words)
    nurse = as_person(home, name, "rosa")
    service.act(nurse, "guest", 2, "waive", {"reason": "家庭困难，已核实低保证明"})
    service.act(nurse, "guest", 1, "lend", {})
    service.act(nurse, "guest", 4, "lend", {})


def post(client: TestClient, path: str, part: str = "", **form: Any) -> Any:
    """Post a form; ``part``: the element an htmx request is for. ``x__`` stands for the name ``x:``."""
    token = client.get(f"/w/{NAME}/inbox").text.split('<meta name="csrf" content="')[1].split('"')[0]
    headers = {"X-CSRF-Token": token, "Origin": "http://127.0.0.1", "Host": "127.0.0.1"}
    if part:
        headers |= {"HX-Request": "true", "HX-Target": part}
    return client.post(f"/w/{NAME}{path}", data={name.replace("__", ":"): value for name, value in form.items()} | {"csrf": token}, headers=headers)
