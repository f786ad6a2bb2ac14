"""The one way out: no address that is not meant, no redirect, no call without an end, nothing large read back."""

from __future__ import annotations

import socket
import time
from email.message import EmailMessage

import pytest

from engine.connectors import SendFailed
from engine.messages import sentence
from engine.outbound import MOST_BYTES, Outbound
from tests.receivers import dripping, http_receiver, mail_receiver, make_certificate, raw_server

HERE = Outbound(("127.0.0.0/8",))
FORBIDDEN = (
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f.1",
    "127.1",
)


@pytest.mark.parametrize("host", FORBIDDEN)
def test_this_machine_and_private_networks_are_not_reached_however_they_are_written(host):
    with pytest.raises(SendFailed) as caught:
        Outbound().post(f"http://{host}:9/", b"", {})
    assert caught.value.reason in ("outbound_forbidden", "outbound_unknown_host") and (caught.value.reason == "outbound_unknown_host" or not caught.value.again)
    assert "{" not in sentence(caught.value.reason, caught.value.params)


def test_a_name_that_leads_anywhere_private_is_refused_even_when_it_also_leads_elsewhere(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("93.184.216.34", "192.168.0.9")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(SendFailed, match="outbound_forbidden"):
        Outbound().checked("two-faced.example", 80)


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    asked = []
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))], [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))

    def connect(address, timeout=None):
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(SendFailed, match="outbound_unreachable"):
        Outbound().post("http://rebinding.example/", b"", {})
    assert asked == [("93.184.216.34", 80)]


def test_an_allowed_network_is_reached_and_the_body_arrives_as_it_was_sent():
    with http_receiver() as receiver:
        reply = HERE.post(f"{receiver.url}/hook?x=1", "你好".encode(), {"Content-Type": "text/plain", "webhook-id": "k1"})
    assert reply.status == 200 and reply.body == b"{}"
    assert (receiver.requests[0].path, receiver.requests[0].body.decode(), receiver.keys()["k1"]) == ("/hook?x=1", "你好", 1)


def test_a_redirect_is_an_answer_and_is_not_followed():
    with http_receiver() as inner, http_receiver() as receiver:
        receiver.answers, receiver.location = [302], f"{inner.url}/secret"
        assert HERE.post(receiver.url, b"", {}).status == 302
        assert inner.requests == []


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "file:///etc/passwd", "http://", "https://u:p@example.org/", "example.org", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"]
)
def test_what_is_no_plain_web_address_is_refused_for_good(url):
    with pytest.raises(SendFailed, match="outbound_address") as caught:
        HERE.post(url, b"", {})
    assert not caught.value.again


def test_a_line_break_in_a_header_or_path_sends_nothing():
    with http_receiver() as receiver:
        for url, headers in ((receiver.url, {"X-A": "b\r\nEvil: 1"}), (f"{receiver.url}/a b\r\nEvil: 1", {})):
            with pytest.raises(SendFailed):
                HERE.post(url, b"", headers)
        assert [request for request in receiver.requests if "evil" in request.headers] == []


def test_an_answer_that_drips_is_cut_off_at_the_deadline():
    with raw_server(dripping) as port:
        began = time.monotonic()
        with pytest.raises(SendFailed, match="outbound_too_slow"):
            Outbound(("127.0.0.1/32",), seconds=0.6).post(f"http://127.0.0.1:{port}/", b"", {})
        assert time.monotonic() - began < 3


def test_a_server_that_takes_the_connection_and_says_nothing_is_left():
    with raw_server(lambda connection: time.sleep(3)) as port, pytest.raises(SendFailed, match="outbound_too_slow"):
        Outbound(("127.0.0.1/32",), seconds=0.4).post(f"http://127.0.0.1:{port}/", b"", {})


def test_of_a_large_answer_no_more_than_the_limit_is_read_and_nothing_larger_is_sent():
    with http_receiver() as receiver:
        receiver.reply = b"x" * (MOST_BYTES + 500_000)
        assert len(HERE.post(receiver.url, b"", {}).body) == MOST_BYTES
        with pytest.raises(SendFailed, match="outbound_too_large"):
            HERE.post(receiver.url, b"x" * (MOST_BYTES + 1), {})


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "crm@example.org", "li@example.org", "到访提醒"
    message.set_content("您好")
    return message


def test_mail_goes_over_starttls_with_a_login(tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_receiver(certificate) as receiver:
        receiver.accounts["crm"] = "secret"
        assert HERE.mail("127.0.0.1", receiver.port, letter(), login="crm", password="secret") == {}
    assert receiver.secured == [True] and receiver.logins == ["crm"] and b"From: crm@example.org" in receiver.mails[0]


def test_mail_is_not_sent_in_clear_when_starttls_was_asked_for(tmp_path):
    with mail_receiver() as receiver, pytest.raises(SendFailed, match="mail_failed"):
        HERE.mail("127.0.0.1", receiver.port, letter())
    assert receiver.mails == []


def test_an_unknown_certificate_is_not_trusted(tmp_path):
    with mail_receiver(make_certificate(tmp_path)) as receiver, pytest.raises(SendFailed):
        HERE.mail("127.0.0.1", receiver.port, letter())
    assert receiver.mails == []


@pytest.mark.parametrize(("code", "again"), [(450, True), (550, False)])
def test_a_refused_receiver_is_tried_again_only_where_the_server_says_later(code, again):
    with mail_receiver() as receiver:
        receiver.refuse = (code, "no such box")
        with pytest.raises(SendFailed, match="mail_refused") as caught:
            HERE.mail("127.0.0.1", receiver.port, letter(), security="none")
    assert caught.value.again is again and "no such box" in sentence(caught.value.reason, caught.value.params)


def test_a_wrong_mail_login_is_final():
    with mail_receiver() as receiver, pytest.raises(SendFailed, match="mail_refused") as caught:
        HERE.mail("127.0.0.1", receiver.port, letter(), security="none", login="crm", password="wrong")
    assert not caught.value.again


def test_mail_servers_are_held_to_the_same_addresses():
    with pytest.raises(SendFailed, match="outbound_forbidden"):
        Outbound().mail("127.0.0.1", 25, letter())
