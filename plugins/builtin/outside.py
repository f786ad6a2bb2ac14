"""What leaves a rule: messages to the outside, records for another workspace's intake, events for rules that wait. All of it after commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from engine.api import ActionContext, Connector, Effects, Emit, Handle, Label, Outbound, OutgoingMessage, Send, action, connector, option, signed_headers
from plugins.builtin.gateways import refuse_failure, webhook_id

_NAME = "^[a-z][a-z0-9_]{0,39}$"
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
    help={
        "zh": "作为消息进入那个工作区的接收入口，同一键只进一次；经名为“工作区_来源”的连接（类型：接收入口）",
        "en": "A message for that workspace's intake, once for its key; by the connection named WORKSPACE_SOURCE of the kind intake",
    },
    params={
        "workspace": option({"type": "string", "pattern": _NAME}, ("工作区", "Workspace")),
        "source": option({"type": "string", "pattern": _NAME}, ("来源", "Source")),
        "payload": _PAYLOAD,
        "key": _KEY,
    },
    required=("workspace", "source", "payload", "key"),
    result=_JOB,
    does=("send",),
    examples=({"workspace": "south", "source": "referral", "payload": {"name": "x"}, "key": "referral-7"},),
)
def intake_send(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Whoever runs the other workspace has given a key of that source: nothing enters it otherwise."""
    workspace, source = params["workspace"], params["source"]
    number = yield Send(f"{workspace}_{source}", f"{workspace}/{source}", params["key"], payload=params["payload"])
    return number


@connector
class Intake(Connector):
    """A workspace's intake, of this installation or another, behind the key of one source."""

    name = "intake"
    title: ClassVar[Label] = {"zh": "接收入口", "en": "Intake of a workspace"}
    help: ClassVar[Label] = {
        "zh": "把消息送进另一个工作区；密钥由那里的管理员为这个来源生成。",
        "en": "Messages into another workspace; its administrators make the key of the source.",
    }
    icon = "door-enter"
    secret: ClassVar[Label] = {"zh": "来源的密钥（whsec_…）", "en": "Key of the source (whsec_…)"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "url": option({"type": "string", "format": "uri", "maxLength": 1000, "minLength": 8}, ("系统地址", "Address of the installation"))
    }
    required_options = ("url",)

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        """The payload is the message: what the rule that waits there takes as its parameters."""
        body = json.dumps(message.payload, ensure_ascii=False, default=str).encode()
        number = webhook_id(message.key)
        headers = {"Content-Type": "application/json", **signed_headers(secret, number, message.now, body)}
        reply = net.post(f"{str(options['url']).rstrip('/')}/intake/{message.address}", body, headers)
        refuse_failure(reply)
        return {"id": number, "status": reply.status}


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
