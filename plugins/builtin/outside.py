"""What leaves a rule: messages to the outside, records for another workspace's intake, events for rules that wait. All of it after commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.api import ActionContext, Effects, Emit, Handle, Send, action, option

_KEY = option({"type": "string", "minLength": 1, "maxLength": 200}, ("键", "Key"), ("同一键在接收方只算一次", "The same key counts once at the receiver"))
_PAYLOAD = option({"type": "object"}, ("内容", "Payload"))
_JOB = option({"type": ["integer", "null"]}, ("编号", "its number"))


@action(
    "send",
    title={"zh": "向外发送", "en": "Send to the outside"},
    help={"zh": "提交之后发出，失败重试，键不变", "en": "After commit, tried again with the same key"},
    params={
        "connector": option({"type": "string", "minLength": 1}, ("连接", "Connection")),
        "to": option({"type": "string", "minLength": 1, "maxLength": 500}, ("收件地址", "Address")),
        "key": _KEY,
        "text": option({"type": "string", "maxLength": 4000}, ("文字", "Text")),
        "template": option({"type": "string", "maxLength": 80}, ("模板", "Template"), ("对方系统里的模板", "The service's own")),
        "payload": _PAYLOAD,
    },
    required=("connector", "to", "key"),
    result=_JOB,
    does=("send",),
    examples=({"connector": "sms", "to": "13900000001", "key": "due-7", "template": "T1", "payload": {"name": "x"}},),
)
def send(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """To an address; to people a rule sends by ``notify`` with a channel."""
    number = yield Send(params["connector"], params["to"], params["key"], params.get("text", ""), params.get("template", ""), params.get("payload", {}))
    return number


@action(
    "intake.send",
    title={"zh": "送到另一工作区", "en": "Send to another workspace"},
    help={"zh": "作为消息进入那个工作区的接收入口，同一键只进一次", "en": "A message for that workspace's intake; the same key enters once"},
    params={
        "workspace": option({"type": "string", "minLength": 1, "maxLength": 40}, ("工作区", "Workspace")),
        "source": option({"type": "string", "minLength": 1, "maxLength": 40}, ("来源", "Source")),
        "payload": _PAYLOAD,
        "key": _KEY,
    },
    required=("workspace", "source", "payload", "key"),
    result=_JOB,
    does=("send",),
    examples=({"workspace": "south", "source": "referral", "payload": {"name": "x"}, "key": "referral-7"},),
)
def intake_send(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """By the connection named ``intake``, whose address is WORKSPACE/SOURCE."""
    number = yield Send("intake", f"{params['workspace']}/{params['source']}", params["key"], payload=params["payload"])
    return number


@action(
    "emit",
    title={"zh": "发出事件", "en": "Emit an event"},
    help={"zh": "等待这个事件的规则在提交后各自执行", "en": "Rules that wait for it run after commit, each in its own transaction"},
    params={
        "event": option({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"}, ("事件", "Event")),
        "values": option({"type": "object"}, ("参数", "Parameters")),
        "key": option({"type": "string", "maxLength": 200}, ("键", "Key"), ("同一键只发一次", "The same key is emitted once")),
    },
    required=("event",),
    does=("emit",),
    examples=({"event": "call_ended", "values": {"seconds": 30}, "key": "call-7"},),
)
def emit(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Gives nothing: who waits is not known here."""
    yield Emit(params["event"], params.get("values", {}), params.get("key", ""))
    return None
