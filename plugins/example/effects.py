"""What rules may do: the action ``example.hand_over``; and how a message may leave: the connector ``example_post``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from engine.api import ActionContext, Connector, Effects, Handle, Label, Notify, OutgoingMessage, SendFailed, SetValues, action, connector, option


@action(
    "example.hand_over",
    title={"zh": "转交并告知", "en": "Hand over"},
    help={"zh": "把一条记录交给某人，并告诉他", "en": "Gives a record to somebody and tells them"},
    params={
        "what": option({"type": "integer", "format": "record"}, ("记录", "Record")),
        "to": option({"type": "integer", "format": "person"}, ("给谁", "To")),
        "field": option({"type": "string", "format": "field", "x-of": "what", "default": "owner"}, ("负责人字段", "Field")),
    },
    required=("what", "to"),
    result=option({"type": "integer"}, ("告知了几个人", "how many were told")),
    writes=("update {what}",),
    does=("notify",),
    examples=({"what": 1, "to": 7},),
)
def hand_over(ctx: ActionContext, record: Handle | None, params: Mapping[str, Any]) -> Effects:
    """Effects are yielded, in order; each gives its result."""
    yield SetValues(params["what"], {params.get("field", "owner"): params["to"]})
    told = yield Notify([params["to"]], {"zh": "有一条记录交给了你", "en": "A record was handed to you"}, about=params["what"])
    return int(told)


@connector
class Post(Connector):
    """Posts each message as JSON to one address."""

    name = "example_post"
    title: ClassVar[Label] = {"zh": "示例：提交 JSON", "en": "Example: post JSON"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"url": option({"type": "string", "pattern": "^https://"}, ("地址", "Address"))}
    required_options = ("url",)
    secret: ClassVar[Label] = {"zh": "令牌", "en": "Token"}

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Any) -> Mapping[str, Any]:
        """At least once, each time with the same key: the receiver drops what it knows."""
        body = json.dumps({"key": message.key, "to": message.address, "text": message.text}).encode()
        reply = net.post(options["url"], body, {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"})
        if reply.status >= 400:
            raise SendFailed(f"HTTP {reply.status}", again=reply.status >= 500)
        return {"status": reply.status}
