"""Messages to services that take an HTTP call: SMS gateways by a table of fields, and any program by a signed webhook."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from engine.api import Connector, Label, Outbound, OutgoingMessage, Reply, SendFailed, connector, option, signed_headers

_PLACE = re.compile(r"\{([a-z][a-z0-9_.]*)\}")
_SHOWN = 200
_LONGEST_WAIT = 3600.0


def refuse_failure(reply: Reply) -> None:
    """Raises SendFailed for an answer that is no success; one that says Gone is final, one that says when is tried then."""
    if 200 <= reply.status < 300:
        return
    after = reply.headers.get("retry-after", "")
    wait = min(float(after), _LONGEST_WAIT) if after.isascii() and after.isdigit() else None
    raise SendFailed("builtin_status", again=reply.status != 410, wait=wait, status=reply.status, said=reply.body[:_SHOWN].decode("utf-8", "replace"))


@connector
class Sms(Connector):
    """Any SMS gateway that takes one HTTP call per message: which fields it wants, and from what they are filled, is a table."""

    name = "sms"
    title: ClassVar[Label] = {"zh": "短信", "en": "SMS"}
    help: ClassVar[Label] = {
        "zh": "通用短信网关：按服务商文档填写字段，值中可用 {phone} {text} {title} {template} {key} {secret} 和模板参数 {名称}。",
        "en": "Any SMS gateway: fields as its documentation says; values may use {phone} {text} {title} {template} {key} {secret} and {PARAMETER}.",
    }
    icon = "device-mobile"
    reached = "phone"
    secret: ClassVar[Label] = {"zh": "网关密钥（值中写作 {secret}）", "en": "Key of the gateway ({secret} in values)"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "url": option({"type": "string", "format": "uri", "maxLength": 1000, "minLength": 8}, ("网关地址", "Address of the gateway")),
        "format": option(
            {"enum": ["json", "form"], "default": "json", "x-enum": {"json": "JSON", "form": {"zh": "表单", "en": "Form"}}}, ("内容格式", "Format of the body")
        ),
        "fields": option(
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1000}, "maxProperties": 30, "minProperties": 1},
            ("字段", "Fields"),
            ("每行一个：字段名=值，例如 mobile={phone}", "One a line: NAME=VALUE, such as mobile={phone}"),
        ),
        "headers": option(
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1000}, "maxProperties": 10},
            ("请求头", "Headers"),
            ("每行一个：名称=值，例如 Authorization=Bearer {secret}", "One a line: NAME=VALUE, such as Authorization=Bearer {secret}"),
        ),
        "success": option(
            {"type": "string", "maxLength": 200},
            ("成功标志", "Mark of success"),
            ('答复中必须出现的文字，例如 "code":0', 'A text the answer must hold, such as "code":0'),
        ),
    }
    required_options = ("url", "fields")

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        known = {**{name: _text(value) for name, value in message.payload.items()}, **_own(message, secret)}
        values = {name: _filled(text, known) for name, text in options["fields"].items()}
        form = options.get("format") == "form"
        body = urlencode(values) if form else json.dumps(values, ensure_ascii=False)
        headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json; charset=utf-8"}
        reply = net.post(str(options["url"]), body.encode(), {**headers, **{name: _filled(text, known) for name, text in options.get("headers", {}).items()}})
        refuse_failure(reply)
        said = reply.body.decode("utf-8", "replace")
        if (mark := options.get("success", "")) and mark.replace(" ", "") not in said.replace(" ", ""):
            raise SendFailed("builtin_gateway_said", said=said[:_SHOWN])
        return {"said": said[:_SHOWN]}


def _own(message: OutgoingMessage, secret: str) -> dict[str, str]:
    return {
        "phone": message.address,
        "text": message.text,
        "title": message.title,
        "template": message.template,
        "key": message.key,
        "secret": secret,
        "payload": json.dumps(dict(message.payload), ensure_ascii=False, default=str),
    }


def _filled(text: str, known: Mapping[str, str]) -> str:
    """The text with its places filled in, once: what was put in is not looked at again."""
    return _PLACE.sub(lambda match: known.get(match[1], ""), text)


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@connector
class Webhook(Connector):
    """A JSON document to another program, signed as the Standard Webhooks have it; its id is the key of the message."""

    name = "webhook"
    title: ClassVar[Label] = {"zh": "Webhook", "en": "Webhook"}
    help: ClassVar[Label] = {
        "zh": "把消息作为 JSON 发给另一个程序，按 Standard Webhooks 签名。",
        "en": "The message as JSON to another program, signed as the Standard Webhooks have it.",
    }
    icon = "api"
    secret: ClassVar[Label] = {"zh": "签名密钥（whsec_…）", "en": "Signing secret (whsec_…)"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "url": option({"type": "string", "format": "uri", "maxLength": 1000, "minLength": 8}, ("接收地址", "Address of the receiver"))
    }
    required_options = ("url",)

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        data = {**message.payload, **{name: value for name, value in (("to", message.address), ("title", message.title), ("text", message.text)) if value}}
        document = {"type": message.template or "message", "timestamp": (message.at or message.now).isoformat(), "workspace": message.workspace, "data": data}
        body = json.dumps(document, ensure_ascii=False, default=str).encode()
        number = webhook_id(message.key)
        headers = signed_headers(secret, number, message.now, body) if secret else {"webhook-id": number}
        reply = net.post(str(options["url"]), body, {"Content-Type": "application/json", **headers})
        refuse_failure(reply)
        return {"id": number, "status": reply.status}


def webhook_id(key: str) -> str:
    """The id a message has at its receiver: its key, or a digest of one that cannot stand in a header."""
    fits = 0 < len(key) <= 120 and key.isascii() and key.isprintable() and " " not in key
    return key if fits else "key_" + hashlib.sha256(key.encode()).hexdigest()
