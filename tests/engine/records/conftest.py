"""A small world for the records room: customers with masked phones, visits rolled up, orders with lines; people of three roles."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from metadata.bundle import Bundle
from tests.engine.homes import sent
from tests.inhabited import Inhabited

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

CUSTOMER: dict[str, Any] = {
    "title": {"zh": "客户"},
    "label": "{name}",
    "fields": {
        "no": {"type": "serial", "template": "K{yyyy}{mm}-{0000}", "title": "编号"},
        "name": {"type": "text", "required": True, "maxLength": 60, "search": "name", "mask": "name", "title": "姓名"},
        "phone": {"type": "phone", "encrypted": True, "last4": True, "mask": "phone", "search": "phone", "title": "电话"},
        "grade": {"type": "choice", "choices": "grade", "title": "等级", "default": "C"},
        "stage": {"type": "choice", "choices": "stage", "title": "阶段", "default": "new"},
        "budget": {"type": "money", "title": "预算"},
        "budget_max": {"type": "money", "title": "预算上限"},
        "next_at": {"type": "instant", "title": "下次联系"},
        "born": {"type": "date", "title": "生日"},
        "lucky": {"type": "integer", "title": "幸运数"},
        "tags": {"type": "tags", "title": "标签"},
        "owner": {"type": "person", "title": "归属", "default": {"value": "case(has(me.roles, 'seller'), me, null)"}},
        "team": {"type": "lookup", "from": "owner.team", "title": "团队"},
        "secret": {"type": "text", "title": "底价"},
        "channel": {"type": "choice", "choices": "channel", "title": "渠道"},
        "detail": {
            "type": "choice",
            "choices": "detail",
            "parent": "channel",
            "show": "channel == 'online'",
            "required": "channel == 'online'",
            "title": "明细",
        },
        "first_source": {"type": "text", "once": True, "title": "首次来源"},
        "merged": {"type": "link", "to": "customer", "title": "并入", "read_only": True},
        "visits": {"type": "rollup", "from": "visit.customer", "measure": "count", "title": "来访次数"},
        "good_visits": {"type": "rollup", "from": "visit.customer", "measure": "count", "where": "score >= 5", "title": "好评次数"},
        "score_sum": {"type": "rollup", "from": "visit.customer", "measure": "sum", "of": "score", "title": "评分合计"},
        "score_min": {"type": "rollup", "from": "visit.customer", "measure": "min", "of": "score", "title": "最低"},
        "score_max": {"type": "rollup", "from": "visit.customer", "measure": "max", "of": "score", "title": "最高"},
        "spent": {"type": "rollup", "from": "visit.customer", "measure": "average", "of": "cost", "title": "均次花费"},
        "first_kind": {"type": "rollup", "from": "visit.customer", "measure": "earliest", "of": "kind", "by": "at", "title": "首访方式"},
        "last_kind": {"type": "rollup", "from": "visit.customer", "measure": "latest", "of": "kind", "by": "at", "title": "最近方式"},
        "last_at": {"type": "rollup", "from": "visit.customer", "measure": "max", "of": "at", "title": "最近来访"},
        "warm": {"type": "formula", "value": "visits >= 2 or grade == 'A'", "title": "热"},
        "due_at": {"type": "formula", "value": "end_of_day_after(last_at, setting.days)", "title": "到期"},
        "overdue": {"type": "formula", "value": "exists(due_at) and due_at < now()", "title": "已逾期"},
    },
    "check": [{"if": "budget_max < budget", "at": "budget_max", "code": "budget_order", "message": {"zh": "上限低于下限"}}],
    "unique": {"phone_active": {"fields": ["phone"], "where": "empty(merged)", "message": {"zh": "该号码已登记"}}},
    "stages": {
        "field": "stage",
        "moves": [
            {"from": ["new"], "to": ["met", "lost"]},
            {"from": ["met"], "to": ["won", "lost"], "if": "exists(budget)"},
            {"from": ["lost"], "to": ["new"], "action": ["customer.reopen"]},
        ],
    },
}
VISIT: dict[str, Any] = {
    "title": {"zh": "来访"},
    "label": "{kind}",
    "fields": {
        "customer": {"type": "link", "to": "customer", "required": True, "title": "客户"},
        "at": {"type": "instant", "title": "时间", "default": {"value": "now()"}},
        "kind": {"type": "text", "title": "方式"},
        "score": {"type": "integer", "title": "评分"},
        "cost": {"type": "money", "title": "花费"},
        "author": {"type": "person", "title": "记录人", "default": {"value": "me"}},
        "grade": {"type": "lookup", "from": "customer.grade", "title": "等级"},
        "owner_team": {"type": "lookup", "from": "customer.team", "title": "团队"},
        "hint": {"type": "formula", "value": "concat(customer.name, kind)", "title": "提示"},
    },
}
ORDER: dict[str, Any] = {
    "title": {"zh": "订单"},
    "label": "{title}",
    "fields": {
        "title": {"type": "text", "required": True},
        "share_sum": {"type": "rollup", "from": "share.order", "measure": "sum", "of": "bp", "title": "合计"},
        "shares": {"type": "rollup", "from": "share.order", "measure": "count", "title": "份数"},
    },
    "check": [{"if": "shares > 0 and share_sum != 10000", "at": "share_sum", "code": "shares_sum", "message": {"zh": "比例合计须为 100%"}}],
}
SHARE: dict[str, Any] = {
    "title": {"zh": "分成"},
    "label": "{who}",
    "lines_of": "order",
    "fields": {
        "order": {"type": "link", "to": "order", "required": True, "title": "订单"},
        "who": {"type": "text", "required": True, "title": "谁"},
        "bp": {"type": "percent", "required": True, "title": "比例"},
    },
}
LOG: dict[str, Any] = {"title": {"zh": "流水"}, "label": "{text}", "append_only": True, "fields": {"text": {"type": "text", "required": True, "title": "内容"}}}

MASKED = {"name": {"mask": "owner != me"}, "phone": {"mask": "owner != me"}, "secret": {"read": False}, "owner": {"write": False}}
SELLER = {
    "title": {"zh": "销售"},
    "grants": {
        "customer": {
            "read": "owner == me or empty(owner)",
            "create": True,
            "update": "owner == me",
            "delete": "owner == me",
            "fields": MASKED,
            "actions": {"reveal": "empty(owner)"},
        },
        "visit": {"read": "customer.owner == me or author == me", "create": "customer.owner == me", "update": "author == me", "delete": "author == me"},
        "order": {"read": True, "create": True, "update": True},
        "share": {"read": True, "create": True, "update": True, "delete": True},
        "person": {"read": True, "fields": {"login": {"read": False}}},
        "team": {"read": True},
    },
}
LEAD = {
    "title": {"zh": "主管"},
    "grants": {
        "customer": {"read": "team in me.teams", "update": "team in me.teams", "fields": {"secret": {"write": False}}},
        "visit": {"read": "customer.team in me.teams"},
        "person": {"read": True},
        "team": {"read": True},
    },
}
ADMIN = {
    "title": {"zh": "管理员"},
    "can": ["people", "design", "publish"],
    "grants": {"*": {"read": True, "create": True, "update": True, "delete": True, "export": True}},
}

DOCUMENTS_OF_WORLD: dict[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "small", "title": "小世界", "version": "1"},
    ("settings", "settings"): {"days": {"type": "integer", "default": 3, "title": "天数"}},
    ("choices", "grade"): {"title": "等级", "options": {code: {"title": code} for code in "ABC"}},
    ("choices", "stage"): {"title": "阶段", "options": {code: {"title": code} for code in ("new", "met", "won", "lost")}},
    ("choices", "channel"): {"title": "渠道", "options": {code: {"title": code} for code in ("online", "walk_in")}},
    ("choices", "detail"): {"title": "明细", "options": {"site": {"title": "网站", "parent": "online"}, "street": {"title": "路过", "parent": "walk_in"}}},
    ("entity", "customer"): CUSTOMER,
    ("entity", "visit"): VISIT,
    ("entity", "order"): ORDER,
    ("entity", "share"): SHARE,
    ("entity", "log"): LOG,
    ("rule", "reopen"): {"title": {"zh": "重开"}, "on": {"action": "customer.reopen"}, "then": [{"set": {"stage": "'new'"}}]},
    ("role", "seller"): SELLER,
    ("role", "lead"): LEAD,
    ("role", "admin"): ADMIN,
}


class World(Inhabited):
    """A workspace with people s1, s2 (team a), s3 (team b), l1 (lead of a), a1 (admin)."""


_count = iter(range(1, 100_000))


@pytest.fixture(scope="module")
def make_module_world(open_home: Callable[[str], Home]) -> Callable[..., World]:
    """As ``make_world``, for worlds that several tests only read."""
    return _maker(open_home)


@pytest.fixture
def make_world(open_home: Callable[[str], Home]) -> Callable[..., World]:
    """Makes a world on a kind of database, with changed or added documents."""
    return _maker(open_home)


def _maker(open_home: Callable[[str], Home]) -> Callable[..., World]:
    def make(kind: str = "sqlite", documents: dict[tuple[str, str], Any] | None = None) -> World:
        home = open_home(kind)
        name = f"w{next(_count)}"
        create_workspace(home, name, Bundle({**DOCUMENTS_OF_WORLD, **(documents or {})}, DOCUMENTS), title="小世界", sandbox=True, now=NOW)
        world = World(home, name)
        ctx = world.ctx()
        team_a, team_b = (service.create(ctx, "team", {"name": title}).id for title in ("甲组", "乙组"))
        for login, role, team in (
            ("s1", "seller", team_a),
            ("s2", "seller", team_a),
            ("s3", "seller", team_b),
            ("l1", "lead", team_a),
            ("a1", "admin", team_b),
        ):
            service.create(ctx, "person", {"name": f"人{login}", "login": login, "roles": [role], "team": team})
        return world

    return make


@pytest.fixture
def world(make_world: Callable[..., World], database_kind: str) -> World:
    """A world on each database."""
    return make_world(database_kind)


@pytest.fixture
def statements() -> Callable[[World], Any]:
    """Notes the statements a world is sent."""
    return lambda world: sent()
