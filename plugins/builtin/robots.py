"""Messages into WeCom (企业微信) and DingTalk (钉钉): to a colleague's account, or into a group by its robot."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote_plus, urlencode

from engine.api import Connector, Label, Outbound, OutgoingMessage, Reply, SendFailed, connector, option
from plugins.builtin.gateways import refuse_failure

WECOM, DINGTALK = "https://qyapi.weixin.qq.com", "https://oapi.dingtalk.com"
#: Answers of both services that pass by: busy, too often, a token that is over.
_PASSING = frozenset({-1, 40014, 42001, 45009, 45033, 130101, 410100})
_TOKEN_OVER = frozenset({40014, 42001})
#: Seconds before its end that a token is no longer used.
_MARGIN = 300
_JSON = {"Content-Type": "application/json; charset=utf-8"}


def _url(default: str) -> Mapping[str, object]:
    return option(
        {"type": "string", "format": "uri", "maxLength": 300, "default": default},
        ("服务地址", "Address of the service"),
        ("私有部署时填写，一般不用改", "For installations of one's own; seldom changed"),
    )


def _said(reply: Reply) -> dict[str, Any]:
    """The answer of a service; raises SendFailed for one that says no."""
    refuse_failure(reply)
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SendFailed("builtin_gateway_said", said=reply.body[:200].decode("utf-8", "replace"))
    code = found.get("errcode", 0)
    if code != 0:
        raise SendFailed(
            "builtin_errcode", again=code in _PASSING, number=code if isinstance(code, int) else str(code)[:20], said=str(found.get("errmsg", ""))[:200]
        )
    return found


def _text(message: OutgoingMessage) -> str:
    return f"{message.title}\n{message.text}" if message.title and message.title != message.text else message.text


@connector
class Wecom(Connector):
    """An application's message to a colleague by their WeCom account."""

    name = "wecom"
    title: ClassVar[Label] = {"zh": "企业微信应用消息", "en": "WeCom application"}
    help: ClassVar[Label] = {
        "zh": "以自建应用的名义发给员工；按人员的企业微信账号投递。",
        "en": "From an application of one's own to a colleague, by their WeCom account.",
    }
    icon = "message-2"
    reached = "account"
    secret: ClassVar[Label] = {"zh": "应用 Secret", "en": "Secret of the application"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "corp": option({"type": "string", "maxLength": 64, "minLength": 1}, ("企业 ID", "Corporation id")),
        "agent": option({"type": "integer", "minimum": 0, "maximum": 2147483647}, ("应用 AgentId", "AgentId of the application")),
        "url": _url(WECOM),
    }
    required_options = ("corp", "agent")

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        base = str(options.get("url") or WECOM).rstrip("/")
        kept = f"wecom {base} {options['corp']} {hashlib.sha256(secret.encode()).hexdigest()}"
        token = net.remembered(kept, lambda: _token(net, base, str(options["corp"]), secret))
        document = {
            "touser": message.address,
            "msgtype": "text",
            "agentid": options["agent"],
            "text": {"content": _text(message)},
            "enable_duplicate_check": 1,
            "duplicate_check_interval": 14400,
        }
        body = json.dumps(document, ensure_ascii=False).encode()
        try:
            found = _said(net.post(f"{base}/cgi-bin/message/send?{urlencode({'access_token': token})}", body, _JSON))
        except SendFailed as failed:
            if failed.params.get("number") in _TOKEN_OVER:
                net.forget(kept)
            raise
        if found.get("invaliduser"):
            raise SendFailed("builtin_no_account", again=False, account=message.address)
        return {"id": found.get("msgid")}


def _token(net: Outbound, base: str, corp: str, secret: str) -> tuple[str, float]:
    found = _said(net.get(f"{base}/cgi-bin/gettoken?{urlencode({'corpid': corp, 'corpsecret': secret})}"))
    return str(found.get("access_token", "")), max(0.0, float(found.get("expires_in", 7200)) - _MARGIN)


@connector
class WecomRobot(Connector):
    """A message into a WeCom group by its robot."""

    name = "wecom_robot"
    title: ClassVar[Label] = {"zh": "企业微信群机器人", "en": "WeCom group robot"}
    help: ClassVar[Label] = {
        "zh": "发到一个群；密钥是机器人 Webhook 地址里 key= 后面的部分。",
        "en": "Into one group; the secret is what follows key= in the robot's address.",
    }
    icon = "message-2"
    secret: ClassVar[Label] = {"zh": "机器人 key", "en": "Key of the robot"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"url": _url(WECOM)}

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        base = str(options.get("url") or WECOM).rstrip("/")
        body = json.dumps({"msgtype": "text", "text": {"content": _text(message)}}, ensure_ascii=False).encode()
        _said(net.post(f"{base}/cgi-bin/webhook/send?{urlencode({'key': secret})}", body, _JSON))
        return {}


@connector
class DingtalkRobot(Connector):
    """A message into a DingTalk group by its robot, signed where the robot asks for it."""

    name = "dingtalk"
    title: ClassVar[Label] = {"zh": "钉钉群机器人", "en": "DingTalk group robot"}
    help: ClassVar[Label] = {
        "zh": "发到一个群；密钥填 access_token，开了“加签”的再空一格填 SEC 开头的密钥。",
        "en": "Into one group; the secret is its access_token and, where it signs, a space and the key that begins with SEC.",
    }
    icon = "message-2"
    secret: ClassVar[Label] = {"zh": "access_token 与加签密钥", "en": "access_token and signing key"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"url": _url(DINGTALK)}

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        token, _, key = secret.strip().partition(" ")
        base = str(options.get("url") or DINGTALK).rstrip("/")
        query = urlencode({"access_token": token}) + (f"&{dingtalk_sign(key.strip(), int(message.now.timestamp() * 1000))}" if key.strip() else "")
        body = json.dumps({"msgtype": "text", "text": {"content": _text(message)}}, ensure_ascii=False).encode()
        _said(net.post(f"{base}/robot/send?{query}", body, _JSON))
        return {}


def dingtalk_sign(key: str, milliseconds: int) -> str:
    """The timestamp and sign of a call, as they stand in its address."""
    digest = hmac.new(key.encode(), f"{milliseconds}\n{key}".encode(), hashlib.sha256).digest()
    return f"timestamp={milliseconds}&sign={quote_plus(base64.b64encode(digest))}"
