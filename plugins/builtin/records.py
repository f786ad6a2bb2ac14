"""What reaches across all records and people: evidence frozen as it stands, two records made one and parted again, a person's ways in ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from engine.api import ActionContext, Effects, Engine, Handle, Value, WithdrawAsks, action, digest, option

_RECORD: Mapping[str, object] = {"type": "integer", "format": "record"}


@action(
    "evidence.freeze",
    title={"zh": "固定证据", "en": "Freeze evidence"},
    help={
        "zh": "把记录按原样写成规范 JSON 并取摘要；放进只写一次的字段。加密的值仍是密文",
        "en": "Records as canonical JSON with its digest, for a field written once. Encrypted values stay sealed",
    },
    params={
        "of": option(
            {"type": "object", "additionalProperties": {"type": ["array", "object", "integer", "string", "boolean", "null"]}},
            ("内容", "Contents"),
            ("名称: 记录、列表或值", "NAME: records, a list or a value"),
        )
    },
    required=("of",),
    result=option(
        {
            "type": "object",
            "properties": {"json": {"type": "object"}, "sha256": {"type": "string"}, "counts": {"type": "object"}},
            "required": ["json", "sha256", "counts"],
        },
        ("内容、摘要、条数", "contents, digest, counts"),
    ),
    does=("engine stored",),
    examples=({"of": {"rows": [{"who": 1, "amount": 2}], "note": "x"}},),
)
def freeze(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """All fields of every record, as the database has them."""
    given: Mapping[str, Value] = params["of"]
    lists = {name: _listed(value) for name, value in given.items()}
    records = {name: [item for item in items if isinstance(item, Handle)] for name, items in lists.items()}
    found: Mapping[str, Any] = yield Engine("stored", {"of": {name: items for name, items in records.items() if items}})
    kept = {name: found[name] if name in (found or {}) else [_plain(item) for item in items] for name, items in lists.items()}
    contents = {"at": ctx.now.isoformat(), "of": kept}
    return {"json": contents, "sha256": digest(contents), "counts": {name: len(items) for name, items in kept.items()}}


def _listed(value: Value) -> list[Value]:
    if isinstance(value, Handle) or not isinstance(value, list | tuple):
        return [] if value is None else [value]
    return list(value)


def _plain(value: Value) -> Any:
    """A value of rows that were made for showing, as JSON."""
    if isinstance(value, Handle):
        return {"entity": value.entity, "id": value.id}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


_PAIR: Mapping[str, Mapping[str, object]] = {"keep": option(_RECORD, ("保留", "Keep")), "drop": option(_RECORD, ("并入", "Drop"))}
_MOVED: Mapping[str, object] = {"type": "object", "additionalProperties": {"type": "integer"}}


@action(
    "merge",
    title={"zh": "合并两条记录", "en": "Merge two records"},
    help={
        "zh": "所有实体里指向被并入者的关联都改为指向保留者；30 天内可以原样撤销",
        "en": "Every link of every entity moves to the kept record; can be taken back exactly for 30 days",
    },
    params=_PAIR,
    required=("keep", "drop"),
    result=option(
        {"type": "object", "properties": {"moved": _MOVED, "fields": {"type": "array"}}}, ("移动的关联数、改变的字段", "links moved by entity, fields changed")
    ),
    writes=("merge {keep}",),
    does=("engine merge",),
    examples=({"keep": 1, "drop": 2},),
)
def merge(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """What may be merged, and which values win, says the entity's word ``merge``."""
    found = yield Engine("merge", {"keep": params["keep"], "drop": params["drop"]})
    return dict(found)


@action(
    "merge.undo",
    title={"zh": "撤销合并", "en": "Take a merge back"},
    help={"zh": "两条记录和所有关联恢复原样；合并后有人改过的保持不动", "en": "Both records and every link as they were; what people changed since is left"},
    params=_PAIR,
    required=("keep", "drop"),
    result=option(
        {"type": "object", "properties": {"moved": _MOVED, "left": {"type": "array"}}}, ("移回的关联数、没有动的字段", "links moved back, what was left")
    ),
    writes=("merge {keep}",),
    does=("engine merge.undo",),
    examples=({"keep": 1, "drop": 2},),
)
def merge_undo(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Within 30 days, and while the kept record stands."""
    found = yield Engine("merge.undo", {"keep": params["keep"], "drop": params["drop"]})
    return dict(found)


@action(
    "person.disable",
    title={"zh": "停用人员", "en": "Disable a person"},
    help={"zh": "会话、令牌、导出即刻失效", "en": "Sessions, tokens and exports end at once"},
    params={"person": option({"type": "integer", "format": "record"}, ("人员", "Person"))},
    required=("person",),
    result=option({"type": "boolean"}, ("原来是否在岗", "whether the person was active")),
    writes=("update person",),
    does=("engine person.disable",),
    examples=({"person": 1},),
)
def person_disable(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """From the next request on nothing of theirs gets further in this workspace."""
    person = params["person"]
    done = yield Engine("person.disable", {"person": person.id if isinstance(person, Handle) else person})
    return bool(done)


@action(
    "ask.withdraw",
    title={"zh": "撤回审批", "en": "Withdraw approvals"},
    help={"zh": "关于这条记录的未决审批以撤回结束", "en": "The open approvals about a record end as withdrawn"},
    params={"about": option(_RECORD, ("关于", "About"))},
    required=("about",),
    result=option({"type": "integer"}, ("几个", "how many")),
    does=("ask",),
    examples=({"about": 1},),
)
def ask_withdraw(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Their branch ``withdrawn`` runs."""
    count = yield WithdrawAsks(params["about"])
    return int(count)
