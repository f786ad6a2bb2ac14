"""A small site whose rules are those of the language's own examples: held customers, a public pool, follow-ups judged, visits attributed, spells of ownership."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine import system_tables_rules as tables
from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from metadata.bundle import Bundle
from tests.inhabited import Inhabited

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
ANYTHING = {"read": True, "create": True, "update": True, "delete": True}

ENTITIES: dict[str, Any] = {
    "customer": {
        "title": {"zh": "客户", "en": "Customer"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "required": True, "maxLength": 20, "title": {"zh": "姓名", "en": "Name"}},
            "phone": {"type": "phone", "encrypted": True, "mask": "phone", "title": "电话"},
            "grade": {"type": "choice", "choices": "grade", "default": "C", "title": {"zh": "等级", "en": "Grade"}},
            "stage": {"type": "choice", "choices": "stage", "default": "new", "title": "阶段"},
            "budget": {"type": "money", "title": "预算"},
            "note": {"type": "text", "title": "备注"},
            "calls": {"type": "integer", "title": "通话"},
            "code": {"type": "text", "required": True, "title": "编码"},
            "owner": {"type": "rollup", "from": "spell.customer", "measure": "latest", "of": "person", "where": "empty(end_at)", "title": "归属人"},
            "spells": {"type": "rollup", "from": "spell.customer", "measure": "count", "title": "归属次数"},
            "pooled": {"type": "formula", "value": "empty(owner)", "title": "在公海"},
            "followed": {"type": "rollup", "from": "follow_up.customer", "measure": "max", "of": "at", "where": "effective", "title": "最近有效跟进"},
            "release_at": {"type": "formula", "value": "case(exists(owner), end_of_day_after(followed, setting.idle_days[grade]), null)", "title": "释放时间"},
            "seen": {"type": "integer", "default": 0, "title": "次数"},
        },
        "unique": {"phone_one": {"fields": ["phone"], "message": {"zh": "该号码已登记"}}},
        "stages": {
            "field": "stage",
            "moves": [
                {"from": ["new"], "to": ["met", "lost"]},
                {"from": ["met"], "to": ["won", "lost"]},
                {"from": ["lost"], "to": ["new"], "action": ["customer.reopen"]},
            ],
        },
    },
    "spell": {
        "title": {"zh": "归属"},
        "label": "{customer}",
        "fields": {
            "customer": {"type": "link", "to": "customer", "required": True, "title": "客户"},
            "person": {"type": "person", "required": True, "title": "顾问"},
            "kind": {"type": "text", "title": "方式"},
            "start_at": {"type": "instant", "required": True, "title": "开始"},
            "end_at": {"type": "instant", "title": "结束"},
            "end_reason": {"type": "text", "title": "原因"},
        },
    },
    "follow_up": {
        "title": {"zh": "跟进"},
        "label": "{method}",
        "fields": {
            "customer": {"type": "link", "to": "customer", "required": True, "title": "客户"},
            "author": {"type": "person", "default": {"value": "me"}, "title": "跟进人"},
            "at": {"type": "instant", "default": {"value": "now()"}, "title": "时间"},
            "method": {"type": "text", "title": "方式"},
            "call_result": {"type": "text", "title": "通话结果"},
            "content": {"type": "long_text", "required": True, "title": "内容"},
            "why_not": {"type": "text", "title": "无效原因"},
            "effective": {"type": "boolean", "title": "有效"},
        },
    },
    "task": {
        "title": {"zh": "任务"},
        "label": "{title}",
        "fields": {
            "customer": {"type": "link", "to": "customer", "title": "客户"},
            "owner": {"type": "person", "title": "执行人"},
            "title": {"type": "text", "required": True, "maxLength": 12, "title": "标题"},
            "key": {"type": "text", "unique": True, "title": "键"},
            "status": {"type": "text", "default": "open", "title": "状态"},
            "amount": {"type": "money", "title": "金额"},
        },
    },
    "claim": {
        "title": {"zh": "捞取"},
        "label": "{month}",
        "fields": {
            "customer": {"type": "link", "to": "customer", "required": True, "title": "客户"},
            "applicant": {"type": "person", "required": True, "title": "申请人"},
            "reason": {"type": "long_text", "title": "理由"},
            "month": {"type": "text", "title": "月份"},
        },
    },
    "visit": {
        "title": {"zh": "来访"},
        "label": "{name}",
        "fields": {
            "customer": {"type": "link", "to": "customer", "title": "客户"},
            "name": {"type": "text", "required": True, "title": "姓名"},
            "phone": {"type": "phone", "encrypted": True, "title": "电话"},
            "at": {"type": "instant", "default": {"value": "now()"}, "title": "时间"},
            "channel": {"type": "choice", "choices": "channel", "title": "渠道"},
            "verdict": {"type": "text", "title": "判定"},
            "row": {"type": "integer", "title": "行号"},
        },
    },
}

RULES: dict[str, Any] = {
    "judge_follow_up": {
        "title": {"zh": "判定有效跟进"},
        "on": {"before": "create", "entity": "follow_up"},
        "then": [
            {
                "find": "follow_up",
                "take": 5,
                "as": "last",
                "where": "customer == record.customer and author == record.author",
                "sort": ["-at"],
                "show": {"said": "squeeze(content)"},
            },
            {
                "set": {
                    "why_not": "case(method == 'phone' and call_result != 'connected', 'not_connected', length(squeeze(content)) < setting.follow_up_min, "
                    "'too_short', squeeze(content) in last.said, 'copied', hours_between(at, now()) > 24, 'late', null)"
                }
            },
            {"set": {"effective": "empty(why_not)"}},
        ],
    },
    "code_of_customer": {
        "title": {"zh": "编码"},
        "on": {"before": "save", "entity": "customer"},
        "if": "empty(code)",
        "then": [{"set": {"code": "concat('K-', name)"}}],
    },
    "take_over": {
        "title": {"zh": "换归属"},
        "on": {"action": "customer.take_over", "with": {"to": {"type": "person", "required": True}, "kind": {"type": "text"}, "why": {"type": "text"}}},
        "then": [
            {"let": {"was": "owner"}},
            {"set": {"end_at": "now()", "end_reason": "coalesce(param.why, 'transfer')"}, "in": "spell", "where": "customer == record and empty(end_at)"},
            {"create": "spell", "as": "spell", "values": {"customer": "record", "person": "param.to", "kind": "param.kind", "start_at": "now()"}},
            {"set": {"owner": "param.to"}, "in": "task", "where": "customer == record and status == 'open'"},
        ],
        "give": "spell",
    },
    "claim": {
        "title": {"zh": "捞取公海客户"},
        "on": {"action": "customer.claim", "with": {"reason": {"type": "long_text", "required": True, "minLength": 5, "title": "理由"}}},
        "if": "pooled",
        "then": [
            {"lock": ["'quota'", "me"]},
            {"find": "claim", "take": "count", "as": "used", "where": "applicant == me and month == period_of(now(), 'month')"},
            {
                "refuse": "QUOTA",
                "if": "used >= setting.claim_quota",
                "message": {"zh": "每月最多捞取 {setting.claim_quota} 个，{name} 不能再捞", "en": "At most {setting.claim_quota}"},
            },
            {
                "create": "claim",
                "as": "claim",
                "values": {"customer": "record", "applicant": "me", "reason": "param.reason", "month": "period_of(now(), 'month')"},
            },
            {"do": "customer.take_over", "with": {"customer": "record", "to": "claim.applicant", "kind": "'claim'"}},
        ],
        "give": "claim",
    },
    "reopen": {"title": {"zh": "重开"}, "on": {"action": "customer.reopen"}, "if": "stage == 'lost'", "then": [{"set": {"stage": "'new'"}}]},
    "greet": {
        "title": {"zh": "见面后派任务"},
        "on": {"after": "stage", "entity": "customer", "to": "met"},
        "then": [{"create": "task", "once": "key", "values": {"customer": "record", "owner": "owner", "title": "'24小时回访'", "key": "concat('24h-', name)"}}],
    },
    "judge_visit": {
        "title": {"zh": "来客判定"},
        "on": {"after": "create", "entity": "visit"},
        "then": [
            {"find": "customer", "as": "known", "where": "phone == record.phone"},
            {"decide": "attribution", "as": "judged", "with": {"known": "exists(known)", "held": "exists(known.owner)"}},
            {"create": "customer", "as": "made", "if": "empty(known)", "values": {"name": "record.name", "phone": "record.phone"}},
            {"let": {"who": "coalesce(known, made)"}},
            {"set": {"customer": "who", "verdict": "judged.explain", "channel": "judged.channel", "row": "judged.row"}},
            {"set": {"seen": "who.seen + 1"}, "on": "who"},
        ],
    },
    "count_owner": {
        "title": {"zh": "归属变化计数"},
        "on": {"after": "update", "entity": "customer", "fields": ["owner"]},
        "then": [{"set": {"calls": "coalesce(calls, 0) + 1"}}],
    },
}
DECISION = {
    "title": {"zh": "判客"},
    "inputs": {"known": "boolean", "held": "boolean"},
    "outputs": {"row": "integer", "channel": {"choice": "channel"}},
    "rows": [
        {"key": "held", "title": {"zh": "已有归属"}, "if": "held", "then": {"row": 1, "channel": "old"}},
        {"key": "known", "title": {"zh": "老客户"}, "if": "known", "then": {"row": 2, "channel": "old"}, "flags": ["pool"]},
        {"key": "new", "title": {"zh": "新客户"}, "if": True, "then": {"row": {"value": "case(known, 9, 3)"}, "channel": "natural"}},
    ],
    "explain": {"zh": "第{row}条：{title}"},
}
SELLER = {
    "title": {"zh": "销售"},
    "grants": {
        "customer": {
            "read": "owner == me or pooled",
            "create": True,
            "update": "owner == me",
            "fields": {"phone": {"mask": "owner != me"}, "budget": {"read": False}},
            "actions": {"claim": "pooled", "reopen": "owner == me"},
        },
        "follow_up": {"read": True, "create": "customer.owner == me"},
        "visit": {"read": True, "create": True},
        "task": {"read": "owner == me"},
        "claim": {"read": "applicant == me"},
        "person": {"read": True},
    },
}
BOSS = {
    "title": {"zh": "经理"},
    "can": ["people", "publish"],
    "grants": {"*": ANYTHING, "customer": {**ANYTHING, "actions": {"take_over": True, "claim": "pooled"}}},
}

DOCUMENTS_OF_SITE: dict[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "site", "title": "小案场", "version": "1"},
    ("settings", "settings"): {
        "idle_days": {"type": "map", "by": "grade", "of": "integer", "default": {"A": 3, "B": 7, "else": 15}, "title": "天数"},
        "follow_up_min": {"type": "integer", "default": 10, "title": "最少字数"},
        "claim_quota": {"type": "integer", "default": 2, "title": "每月捞取数"},
    },
    ("choices", "grade"): {"title": "等级", "options": {code: {"title": {"zh": f"{code}级", "en": f"Grade {code}"}} for code in "ABC"}},
    ("choices", "stage"): {"title": "阶段", "options": {code: {"title": code} for code in ("new", "met", "won", "lost")}},
    ("choices", "channel"): {"title": "渠道", "options": {code: {"title": code} for code in ("natural", "old")}},
    **{("entity", key): body for key, body in ENTITIES.items()},
    **{("rule", key): body for key, body in RULES.items()},
    ("decision", "attribution"): DECISION,
    ("role", "seller"): SELLER,
    ("role", "boss"): BOSS,
}


class Site(Inhabited):
    """A workspace with people s1, s2 (sellers) and b1 (boss)."""

    def customer(self, name: str = "张三", **values: Any) -> int:
        """A customer made without anybody's rights."""
        return service.create(self.ctx(), "customer", {"name": name, **values}).id

    def held(self, login: str, name: str = "张三", **values: Any) -> int:
        """A customer of a seller."""
        found = self.customer(name, **values)
        service.act(self.ctx("b1"), "customer", found, "take_over", {"to": self.person(login), "kind": "test"})
        return found

    def rows(self, entity: str) -> list[dict[str, Any]]:
        """Every live row of an entity, by id."""
        table = self.workspace.entities[entity].table
        with self.workspace.database.read() as connection:
            select = sa.select(table).where(table.c.deleted_at.is_(None)).order_by(table.c.id).execution_options(scoped=True)
            return [dict(row) for row in connection.execute(select).mappings()]

    def row(self, entity: str, record: int) -> dict[str, Any]:
        return next(row for row in self.rows(entity) if row["id"] == record)

    def runs(self, rule: str = "") -> list[dict[str, Any]]:
        """The log, oldest first."""
        with self.workspace.database.read() as connection:
            found = [dict(row) for row in connection.execute(sa.select(tables.run).order_by(tables.run.c.id)).mappings()]
        return [row for row in found if not rule or row["rule"] == rule]

    def later(self, **words: float) -> None:
        """Move the clock."""
        self.home.move_clock(self.name, self.ctx().now + timedelta(**words))


_count = iter(range(1, 100_000))


@pytest.fixture
def make_site(open_home: Callable[[str], Home]) -> Callable[..., Site]:
    """Makes a site on a kind of database, with changed or added documents."""

    def make(kind: str = "sqlite", documents: dict[tuple[str, str], Any] | None = None) -> Site:
        home, name = open_home(kind), f"ruled{next(_count)}"
        create_workspace(home, name, Bundle({**DOCUMENTS_OF_SITE, **(documents or {})}, DOCUMENTS), title="小案场", sandbox=True, now=NOW)
        site = Site(home, name)
        for login, role in (("s1", "seller"), ("s2", "seller"), ("b1", "boss")):
            service.create(site.ctx(), "person", {"name": f"人{login}", "login": login, "roles": [role]})
        return site

    return make


@pytest.fixture
def site(make_site: Callable[..., Site], database_kind: str) -> Site:
    """A site on each database."""
    return make_site(database_kind)
