"""The built-in connectors against real receivers on this machine: what arrives, how it is signed, and which failures are worth another try."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from email import message_from_bytes, policy
from urllib.parse import parse_qs, urlsplit

import pytest

from engine import webhooks
from engine.api import Outbound, OutgoingMessage, SendFailed
from engine.messages import sentence
from plugins.builtin.gateways import Sms, Webhook
from plugins.builtin.mail import Mail
from plugins.builtin.outside import Intake
from plugins.builtin.robots import DingtalkRobot, Wecom, WecomRobot
from tests.receivers import HttpReceiver, http_receiver, mail_receiver

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MESSAGE = OutgoingMessage("msg_1", "13800138000", "客户张三到访", "到访提醒", "T100", {"name": '张"三', "fee": 350}, workspace="demo", at=NOW, now=NOW)


@pytest.fixture
def net() -> Outbound:
    return Outbound(("127.0.0.0/8",))


@pytest.fixture
def receiver():
    with http_receiver() as found:
        yield found


def letter(**changed: object) -> OutgoingMessage:
    words = {name: getattr(MESSAGE, name) for name in ("key", "address", "text", "title", "template", "payload", "workspace", "at", "now")}
    return OutgoingMessage(**{**words, **changed})  # type: ignore[arg-type]


# --- webhook -------------------------------------------------------------------------------------------------------------------------------------


def test_a_webhook_is_accepted_by_a_receiver_that_verifies_as_the_standard_says(net, receiver):
    secret = webhooks.new_secret()
    Webhook().send(MESSAGE, {"url": f"{receiver.url}/in"}, secret, net)
    request = receiver.requests[0]
    assert webhooks.verified(secret, request.headers, request.body, NOW) == "msg_1"
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body  # once more, by hand
    expected = base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(request.body) == {
        "type": "T100",
        "timestamp": "2026-03-01T03:00:00+00:00",
        "workspace": "demo",
        "data": {"name": '张"三', "fee": 350, "to": "13800138000", "title": "到访提醒", "text": "客户张三到访"},
    }


def test_a_message_for_an_intake_is_what_the_waiting_rule_takes_and_signed_with_its_sources_key(net, receiver):
    secret = webhooks.new_secret()
    Intake().send(letter(address="south/referral", key="referral-7"), {"url": f"{receiver.url}/"}, secret, net)
    request = receiver.requests[0]
    assert request.path == "/intake/south/referral" and webhooks.verified(secret, request.headers, request.body, NOW) == "referral-7"
    assert json.loads(request.body) == {"name": '张"三', "fee": 350}


def test_every_try_has_the_same_id_whatever_the_key_is_made_of(net, receiver):
    for attempt in (1, 2, 3):
        Webhook().send(letter(key="客户 7\r\n到访", attempt=attempt), {"url": receiver.url}, "", net)
    assert len(receiver.keys()) == 1 and next(iter(receiver.keys())).startswith("key_")


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (404, True), (302, True), (429, True), (410, False)])
def test_only_a_receiver_that_is_gone_for_good_is_not_tried_again(net, receiver, status, again):
    receiver.answers = [status]
    with pytest.raises(SendFailed, match="builtin_status") as caught:
        Webhook().send(MESSAGE, {"url": receiver.url}, "", net)
    assert caught.value.again is again and str(status) in sentence(caught.value.reason, caught.value.params)


# --- SMS -----------------------------------------------------------------------------------------------------------------------------------------


def test_an_sms_gateway_gets_the_fields_of_its_table(net, receiver):
    receiver.reply = b'{"code": 0}'
    options = {
        "url": receiver.url,
        "fields": {"mobile": "{phone}", "content": "【示例】{text}", "vars": "{payload}", "name": "{name}", "extra": "{unknown}"},
        "headers": {"Authorization": "Bearer {secret}", "Idempotency-Key": "{key}"},
        "success": '"code":0',
    }
    Sms().send(MESSAGE, options, "s3cret", net)
    request = receiver.requests[0]
    assert json.loads(request.body) == {
        "mobile": "13800138000",
        "content": "【示例】客户张三到访",
        "vars": '{"name": "张\\"三", "fee": 350}',
        "name": '张"三',
        "extra": "",
    }
    assert (request.headers["authorization"], request.headers["idempotency-key"]) == ("Bearer s3cret", "msg_1")


def test_what_a_value_holds_is_not_filled_in_again(net, receiver):
    Sms().send(
        letter(text="{secret}", payload={"name": "{key}"}), {"url": receiver.url, "fields": {"a": "{text}", "b": "{name}"}, "format": "form"}, "s3cret", net
    )
    assert parse_qs(receiver.requests[0].body.decode()) == {"a": ["{secret}"], "b": ["{key}"]}


def test_a_gateway_that_answers_200_without_its_mark_of_success_did_not_send(net, receiver):
    receiver.reply = '{"code":17,"msg":"余额不足"}'.encode()
    with pytest.raises(SendFailed, match="builtin_gateway_said") as caught:
        Sms().send(MESSAGE, {"url": receiver.url, "fields": {"a": "{text}"}, "success": '"code": 0'}, "", net)
    assert "余额不足" in sentence(caught.value.reason, caught.value.params)


# --- WeCom, DingTalk ---------------------------------------------------------------------------------------------------------------------------


def test_wecom_gets_its_token_once_and_asks_anew_when_it_is_over(net):
    with http_receiver() as receiver:
        receiver.reply = b'{"errcode":0,"access_token":"T","expires_in":7200,"msgid":"m1"}'
        options = {"corp": "ww1", "agent": 7, "url": receiver.url}
        for _ in range(2):
            assert Wecom().send(letter(address="ZhangSan"), options, "s", net) == {"id": "m1"}
        assert [urlsplit(request.path).path for request in receiver.requests] == ["/cgi-bin/gettoken", "/cgi-bin/message/send", "/cgi-bin/message/send"]
        assert parse_qs(urlsplit(receiver.requests[0].path).query) == {"corpid": ["ww1"], "corpsecret": ["s"]}
        sent = json.loads(receiver.requests[1].body)
        assert (sent["touser"], sent["agentid"], sent["text"]["content"]) == ("ZhangSan", 7, "到访提醒\n客户张三到访")
        receiver.reply = b'{"errcode":42001,"errmsg":"access_token expired"}'
        with pytest.raises(SendFailed, match="builtin_errcode") as caught:
            Wecom().send(letter(address="ZhangSan"), options, "s", net)
        assert caught.value.again
        receiver.reply, before = b'{"errcode":0,"access_token":"U","expires_in":7200}', len(receiver.requests)
        Wecom().send(letter(address="ZhangSan"), options, "s", net)
        assert [urlsplit(request.path).path for request in receiver.requests[before:]] == ["/cgi-bin/gettoken", "/cgi-bin/message/send"]


def test_wecom_names_an_account_that_does_not_exist_and_does_not_try_again(net, receiver):
    receiver.reply = b'{"errcode":0,"access_token":"T","invaliduser":"nobody"}'
    with pytest.raises(SendFailed, match="builtin_no_account") as caught:
        Wecom().send(letter(address="nobody"), {"corp": "c", "agent": 1, "url": receiver.url}, "s", net)
    assert not caught.value.again


def test_robots_speak_as_their_services_want_it(net, receiver):
    receiver.reply = b'{"errcode":0,"errmsg":"ok"}'
    WecomRobot().send(MESSAGE, {"url": receiver.url}, "KEY-1", net)
    DingtalkRobot().send(MESSAGE, {"url": receiver.url}, "TOKEN SECabc", net)
    DingtalkRobot().send(MESSAGE, {"url": receiver.url}, "TOKEN", net)
    wecom, signed, plain = receiver.requests
    assert wecom.path == "/cgi-bin/webhook/send?key=KEY-1"
    assert json.loads(wecom.body) == json.loads(signed.body) == {"msgtype": "text", "text": {"content": "到访提醒\n客户张三到访"}}
    query = parse_qs(urlsplit(signed.path).query)
    stamp = str(int(NOW.timestamp() * 1000))
    digest = hmac.new(b"SECabc", f"{stamp}\nSECabc".encode(), hashlib.sha256).digest()
    assert query == {"access_token": ["TOKEN"], "timestamp": [stamp], "sign": [base64.b64encode(digest).decode()]}
    assert plain.path == "/robot/send?access_token=TOKEN"


@pytest.mark.parametrize(
    ("reply", "again"), [(b'{"errcode":45009,"errmsg":"freq"}', True), (b'{"errcode":310000,"errmsg":"sign not match"}', False), (b"<html>", True)]
)
def test_what_a_service_refuses_is_told_in_its_words(net, receiver, reply, again):
    receiver.reply = reply
    with pytest.raises(SendFailed) as caught:
        DingtalkRobot().send(MESSAGE, {"url": receiver.url}, "T", net)
    assert caught.value.again is again


# --- mail ----------------------------------------------------------------------------------------------------------------------------------------


def test_a_mail_says_what_the_message_says_with_one_message_id_for_all_tries(net):
    with mail_receiver() as receiver:
        options = {"host": "127.0.0.1", "port": receiver.port, "security": "none", "sender": "crm@example.org", "sender_name": "示例项目"}
        for attempt in (1, 2):
            Mail().send(letter(address="li@example.org", title="到访\r\nBcc: evil@example.org", attempt=attempt), options, "", net)
    first, second = (message_from_bytes(mail, policy=policy.default) for mail in receiver.mails)
    assert first["Message-ID"] == second["Message-ID"] and first["Message-ID"].endswith("@example.org>")
    assert (first["To"], first["Bcc"], first["Subject"]) == ("li@example.org", None, "到访 Bcc: evil@example.org")
    assert first["From"].addresses[0].display_name == "示例项目" and first.get_content().strip() == "客户张三到访"


@pytest.mark.parametrize("address", ["", "li", "a@b@c", "a@b.c,d@e.f", "a@b.c\r\nBcc: x@y.z", "<a@b.c>", "a b@c.d"])
def test_what_is_no_single_mail_address_gets_no_mail(net, address):
    with pytest.raises(SendFailed, match="builtin_mail_address") as caught:
        Mail().send(letter(address=address), {"host": "127.0.0.1", "sender": "crm@example.org"}, "", net)
    assert not caught.value.again


@pytest.mark.parametrize("make", [Mail, Sms, Webhook, Wecom, WecomRobot, DingtalkRobot])
def test_every_option_of_a_connector_can_be_drawn_in_both_languages(make):
    word = make().word()
    assert set(word.options["required"]) <= set(word.options["properties"])  # type: ignore[call-overload,arg-type]
    for option in make.options.values():
        assert option["title"] and option["x-en"]["title"] and ("enum" in option or option["type"] in ("string", "integer", "object"))


def test_no_connector_reaches_this_machine_unless_it_is_allowed():
    receiver = HttpReceiver(url="http://127.0.0.1:9")
    for send in (
        lambda net: Webhook().send(MESSAGE, {"url": receiver.url}, "", net),
        lambda net: Sms().send(MESSAGE, {"url": receiver.url, "fields": {"a": "b"}}, "", net),
        lambda net: WecomRobot().send(MESSAGE, {"url": receiver.url}, "k", net),
        lambda net: Mail().send(letter(address="a@b.c"), {"host": "127.0.0.1", "sender": "c@d.e"}, "", net),
    ):
        with pytest.raises(SendFailed, match="outbound_forbidden"):
            send(Outbound())
