"""Definitions under which the rules of LANGUAGE's text stand, told in Chinese and English, and a way to read a folder's rules without a database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine.builtin import DOCUMENTS
from engine.fields.scope import SHANGHAI
from engine.registry import engine_registry
from engine.rules.book import RuleBook
from engine.rules.compile import compile_rules, decision_of
from engine.rules.decisions import Decision
from engine.workspace_checking import with_expressions
from engine.workspace_types import TypeBook
from metadata.bundle import Bundle

EXAMPLES = Path(__file__).parents[2] / "metadata" / "language"


def _choices(zh: str, **options: str) -> dict[str, Any]:
    return {"title": {"zh": zh}, "options": {code: {"title": {"zh": title}} for code, title in options.items()}}


def _entity(zh: str, en: str, label: str, **fields: Any) -> dict[str, Any]:
    made = {}
    for key, (kind, title) in fields.items():
        name, _, of = kind.partition(":")
        option = {"choice": "choices", "choices": "choices", "link": "to"}.get(name)
        made[key] = {"type": name, "title": {"zh": title}, **({option: of} if option else {})}
    return {"title": {"zh": zh, "en": en}, "label": label, "fields": made}


TRADE: dict[tuple[str, str], Any] = {
    ("choices", "reg_status"): _choices("报备状态", valid="有效", rejected="驳回"),
    ("choices", "reject_code"): _choices("驳回原因", REG_TOO_LATE="报备过晚"),
    ("choices", "owner_by"): _choices("归属方式", keep="维持", turn="轮派"),
    ("choices", "channel"): _choices("渠道", natural="自然到访", partner="渠道"),
    ("choices", "spell_kind"): _choices("归属种类", visit="到访", call="来电", lead="线索", claim="捞取"),
    ("choices", "end_reason"): _choices("结束原因", transfer="转移"),
    ("choices", "pool_state"): _choices("公海状态", pool="公海", owned="私海"),
    ("choices", "claim_status"): _choices("申请状态", pending="待批", approved="已批", rejected="已拒", expired="已过期"),
    ("choices", "task_status"): _choices("任务状态", open="未完成", done="已完成"),
    ("choices", "method"): _choices("跟进方式", phone="电话", meet="面谈"),
    ("choices", "call_result"): _choices("通话结果", connected="接通", missed="未接"),
    ("choices", "why_not"): _choices("无效原因", not_connected="未接通", too_short="太短", copied="与前次雷同", late="补录过晚"),
    ("entity", "customer"): _entity(
        "客户",
        "Customer",
        "{name}",
        name=("text", "姓名"),
        phone=("phone", "电话"),
        source=("text", "来源"),
        owner=("person", "归属顾问"),
        last_owner=("person", "前任顾问"),
        pool_state=("choice:pool_state", "公海状态"),
        pool_since=("instant", "进入公海时间"),
        deals=("integer", "成交数"),
        protected=("boolean", "受保护"),
    ),
    ("entity", "touch"): _entity(
        "接触",
        "Touch",
        "{name}",
        name=("text", "姓名"),
        phone=("phone", "电话"),
        source=("text", "来源"),
        kind=("choice:spell_kind", "方式"),
        at=("instant", "接触时间"),
    ),
    ("entity", "registration"): _entity(
        "报备",
        "Registration",
        "{phone}",
        phone=("phone", "电话"),
        status=("choice:reg_status", "状态"),
        reject_code=("choice:reject_code", "驳回原因"),
        reg_at=("instant", "报备时间"),
    ),
    ("entity", "verdict"): _entity(
        "判定",
        "Verdict",
        "{row}",
        touch=("link:touch", "接触"),
        customer=("link:customer", "客户"),
        row=("integer", "第几条"),
        channel=("choice:channel", "渠道"),
        owner=("person", "归属"),
        flags=("tags", "标记"),
        explain=("text", "说明"),
        version=("integer", "规则版本"),
    ),
    ("entity", "ownership_spell"): _entity(
        "归属期",
        "Spell",
        "{kind}",
        customer=("link:customer", "客户"),
        consultant=("person", "顾问"),
        kind=("choice:spell_kind", "种类"),
        start_at=("instant", "开始"),
        end_at=("instant", "结束"),
        end_reason=("choice:end_reason", "结束原因"),
        protect_until=("instant", "保护至"),
    ),
    ("entity", "task"): _entity(
        "任务", "Task", "{status}", customer=("link:customer", "客户"), owner=("person", "负责人"), status=("choice:task_status", "状态")
    ),
    ("entity", "pool_claim"): _entity(
        "捞取申请",
        "Claim",
        "{month}",
        customer=("link:customer", "客户"),
        applicant=("person", "申请人"),
        reason=("long_text", "理由"),
        month=("text", "月份"),
        status=("choice:claim_status", "状态"),
        opinion=("text", "意见"),
    ),
    ("entity", "follow_up"): _entity(
        "跟进",
        "Follow-up",
        "{content}",
        customer=("link:customer", "客户"),
        author=("person", "跟进人"),
        content=("long_text", "内容"),
        at=("instant", "时间"),
        method=("choice:method", "方式"),
        call_result=("choice:call_result", "通话结果"),
        why_not=("choice:why_not", "无效原因"),
        is_effective=("boolean", "有效跟进"),
    ),
    ("entity", "deal"): _entity("成交", "Deal", "{no}", no=("text", "编号")),
    ("entity", "allocation"): _entity(
        "分成", "Share", "{share_bp}", deal=("link:deal", "成交"), person=("person", "得者"), share_bp=("percent", "比例"), seq=("integer", "次序")
    ),
    ("settings", "settings"): {
        "follow_up_min": {"type": "integer", "default": 10, "title": {"zh": "有效跟进最少字数"}},
        "cooldown_days": {"type": "integer", "default": 7, "title": {"zh": "冷却天数"}},
        "claim_quota": {"type": "integer", "default": 30, "title": {"zh": "每月捞取上限"}},
        "claim_approval": {"type": "boolean", "default": True, "title": {"zh": "捞取须审批"}},
        "reg_lead_minutes": {"type": "integer", "default": 30, "title": {"zh": "报备提前分钟数"}},
        "protect_days": {"type": "map", "by": "spell_kind", "of": "integer", "default": {"else": 30}, "title": {"zh": "保护天数"}},
    },
    ("decision", "attribution"): json.loads((EXAMPLES / "decision.json").read_text(encoding="utf-8")),
    **{("rule", path.stem.removeprefix("rule-")): json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("rule-*.json"))},
}
for entity in TRADE:
    if entity[0] == "entity" and "phone" in TRADE[entity]["fields"]:
        TRADE[entity]["fields"]["phone"] |= {"encrypted": True, "mask": "phone"}


def read_rules(documents: Mapping[tuple[str, str], Any]) -> tuple[Bundle, RuleBook, Mapping[str, Decision]]:
    """The rules and decision tables of some definitions, compiled as a workspace would have them."""
    registry = with_expressions(engine_registry()).freeze()
    bundle = Bundle(documents, DOCUMENTS)
    book = TypeBook(bundle, registry.field_types, SHANGHAI, registry.functions)
    workspace: Any = SimpleNamespace(bundle=bundle, book=book, registry=registry, cache={}, scope=book.scope, entities={}, is_off=lambda document: False)
    return bundle, compile_rules(workspace, bundle), {key: decision_of(workspace, key) for key in bundle.decisions}
