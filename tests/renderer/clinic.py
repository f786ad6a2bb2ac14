"""A small workspace of another trade than the preset's, for tests of pages: patients with stages, owners, due dates; appointments on a calendar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine import builtin
from engine.actors import enter_as
from engine.clock import wall
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from engine.settings import Settings
from engine.workspace_load import load_workspace
from metadata.bundle import Bundle
from renderer.serving import all_words

GRADES = {"a": {"title": "A 急", "colour": "red"}, "b": {"title": "B 常规", "colour": "amber"}, "c": {"title": "C 复查", "colour": "blue"}}
STAGES = {
    "new": {"title": {"zh": "新登记", "en": "New"}, "colour": "slate"},
    "seen": {"title": {"zh": "已就诊", "en": "Seen"}, "colour": "blue"},
    "healed": {"title": {"zh": "已康复", "en": "Healed"}, "colour": "green"},
}
ALL = {"read": True, "create": True, "update": True, "delete": True, "export": True}

DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("preset", "preset"): {
        "name": "clinic",
        "version": "1.0.0",
        "title": {"zh": "诊所", "en": "Clinic"},
        "menus": [
            {"key": "mine", "title": {"zh": "我的病人", "en": "My patients"}, "icon": "users", "list": "my_patients", "for": ["doctor"]},
            {"key": "all", "title": {"zh": "病人", "en": "Patients"}, "icon": "users", "list": "patients", "for": ["chief", "admin"]},
            {"key": "board", "title": {"zh": "进度", "en": "Board"}, "icon": "layout-kanban", "list": "board"},
            {"key": "days", "title": {"zh": "预约", "en": "Appointments"}, "icon": "calendar", "list": "days"},
        ],
        "home": {"doctor": "mine", "else": "all"},
    },
    ("choices", "grade"): {"title": {"zh": "等级", "en": "Grade"}, "options": GRADES},
    ("choices", "stage"): {"title": {"zh": "阶段", "en": "Stage"}, "options": STAGES},
    ("entity", "patient"): {
        "title": {"zh": "病人", "en": "Patient"},
        "icon": "user-heart",
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "required": True, "maxLength": 40, "search": "name", "title": {"zh": "姓名", "en": "Name"}},
            "phone": {"type": "phone", "mask": "phone", "encrypted": True, "last4": True, "search": "phone", "title": {"zh": "电话", "en": "Phone"}},
            "grade": {"type": "choice", "choices": "grade", "title": {"zh": "等级", "en": "Grade"}},
            "stage": {"type": "choice", "choices": "stage", "required": True, "default": "new", "title": {"zh": "阶段", "en": "Stage"}},
            "owner": {"type": "person", "title": {"zh": "医生", "en": "Doctor"}},
            "fee": {"type": "money", "minimum": 0, "title": {"zh": "费用", "en": "Fee"}},
            "due": {"type": "instant", "title": {"zh": "复诊", "en": "Next visit"}},
            "tags": {"type": "tags", "title": {"zh": "标签", "en": "Tags"}},
            "note": {"type": "long_text", "title": {"zh": "备注", "en": "Note"}},
        },
        "stages": {"field": "stage", "moves": [{"from": ["new"], "to": ["seen"]}, {"from": ["seen"], "to": ["healed", "new"]}]},
    },
    ("entity", "appointment"): {
        "title": {"zh": "预约", "en": "Appointment"},
        "icon": "calendar-event",
        "label": "{topic}",
        "fields": {
            "topic": {"type": "text", "required": True, "search": "name", "title": {"zh": "事由", "en": "Topic"}},
            "patient": {"type": "link", "to": "patient", "title": {"zh": "病人", "en": "Patient"}},
            "at": {"type": "instant", "required": True, "title": {"zh": "时间", "en": "Time"}},
        },
    },
    ("list", "my_patients"): {
        "entity": "patient",
        "title": {"zh": "我的病人", "en": "My patients"},
        "for": ["doctor"],
        "where": "owner == me",
        "sort": ["due", "-id"],
        "columns": ["name", "phone", "grade", "stage", "fee", "due"],
        "quick": ["stage", "grade", "due"],
        "tint": {"due": [{"if": "due < now()", "colour": "red"}]},
        "mobile": {"lead": "grade", "title": "name", "state": "stage", "sub": "phone", "due": "due"},
        "inline": ["grade", "fee"],
        "actions": ["appointment.new"],
    },
    ("list", "patients"): {
        "entity": "patient",
        "title": {"zh": "全部病人", "en": "All patients"},
        "for": ["chief", "admin"],
        "sort": ["-id"],
        "columns": ["name", "phone", "grade", "stage", "owner", "owner.team", "fee", "due"],
        "quick": ["stage", "owner"],
        "mobile": {"lead": "grade", "title": "name", "state": "stage", "sub": "owner", "due": "due"},
        "inline": ["grade"],
    },
    ("list", "board"): {
        "entity": "patient",
        "title": {"zh": "进度", "en": "Board"},
        "view": "kanban",
        "kanban": "stage",
        "columns": ["name", "grade", "fee", "due"],
        "mobile": {"lead": "grade", "title": "name", "state": "stage", "due": "due"},
    },
    ("list", "days"): {
        "entity": "appointment",
        "title": {"zh": "预约", "en": "Appointments"},
        "view": "calendar",
        "calendar": "at",
        "columns": ["topic", "patient", "patient.stage", "at"],
    },
    ("role", "doctor"): {
        "title": {"zh": "医生", "en": "Doctor"},
        "grants": {
            "patient": {"read": "owner == me or empty(owner)", "create": True, "update": "owner == me", "fields": {"phone": {"mask": "owner != me"}}},
            "appointment": {"read": True, "create": True, "update": True},
            "person": {"read": True},
            "team": {"read": True},
        },
    },
    ("role", "chief"): {
        "title": {"zh": "主任", "en": "Chief"},
        "grants": {"patient": {**ALL, "fields": {"phone": {"mask": True}}}, "appointment": dict(ALL), "person": {"read": True}, "team": {"read": True}},
    },
    ("role", "admin"): {
        "title": {"zh": "管理员", "en": "Administrator"},
        "can": ["design", "people", "publish", "import", "export", "settings"],
        "grants": {"*": dict(ALL)},
    },
}
PEOPLE = (("dora", "多拉", "doctor"), ("denis", "丹尼", "doctor"), ("carl", "卡尔", "chief"), ("anna", "安娜", "admin"))
SURNAMES = "王李张刘陈杨赵黄周吴徐孙"


def open_home(folder: Path) -> Home:
    """An embedded installation in a folder."""
    return Home.open(
        Settings.from_environment({"TANGRAM_HOME": str(folder), "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}), all_words(), load_workspace, migrate=True
    )


def make_clinic(home: Home, name: str = "clinic", *, patients: int = 70) -> None:
    """The demo workspace with its people, patients of the first doctor and the pool, and appointments around now."""
    create_workspace(home, name, Bundle(DOCUMENTS, builtin.DOCUMENTS), title="青竹诊所", demo=True)
    for login, title, role in PEOPLE:
        add_member(home, name, login, [role], name=title)
    ctx, now = enter_as(home, name, "operator"), wall()
    rows = [
        {
            "name": f"{SURNAMES[number % 12]}{'一二三四五六七八九'[number % 9]}{number}",
            "phone": f"1380000{number:04d}",
            "grade": "abc"[number % 3],
            "stage": "new",
            "owner": 1 if number % 7 else None,
            "fee": 10_000 * (number + 1),
            "due": (now + timedelta(hours=5 * number - 40)).isoformat(),
            "tags": ["重点"] if number % 5 == 0 else [],
        }
        for number in range(patients)
    ]
    results = [
        *service.load(ctx, "patient", rows),
        *service.load(
            ctx,
            "appointment",
            [{"topic": f"检查 {number}", "patient": number + 1, "at": (now + timedelta(hours=3 * number)).isoformat()} for number in range(12)],
        ),
    ]
    assert all(not row.refused for row in results), [row for row in results if row.refused][:3]
