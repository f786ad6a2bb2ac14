"""E-mail through a mail server, by STARTTLS unless told otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Any, ClassVar

from engine.api import Connector, Label, Outbound, OutgoingMessage, SendFailed, connector, option

_TITLE = 200


@connector
class Mail(Connector):
    """One text mail per message. Its Message-ID is made of the key: a repetition is known for one."""

    name = "email"
    title: ClassVar[Label] = {"zh": "电子邮件", "en": "E-mail"}
    help: ClassVar[Label] = {"zh": "经由邮件服务器（SMTP）发送。", "en": "Through a mail server (SMTP)."}
    icon = "send"
    reached = "email"
    secret: ClassVar[Label] = {"zh": "邮箱密码或授权码", "en": "Password of the mailbox"}
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "host": option({"type": "string", "format": "hostname", "maxLength": 200, "minLength": 1}, ("邮件服务器", "Mail server")),
        "port": option({"type": "integer", "minimum": 1, "maximum": 65535, "default": 587}, ("端口", "Port")),
        "security": option(
            {
                "enum": ["starttls", "tls", "none"],
                "default": "starttls",
                "x-enum": {
                    "starttls": {"zh": "STARTTLS（587）", "en": "STARTTLS (587)"},
                    "tls": {"zh": "TLS（465）", "en": "TLS (465)"},
                    "none": {"zh": "不加密（仅内网）", "en": "None (private networks only)"},
                },
            },
            ("加密", "Encryption"),
        ),
        "login": option({"type": "string", "maxLength": 200}, ("登录名", "Login"), ("留空则不登录", "Empty: no login")),
        "sender": option({"type": "string", "format": "email", "maxLength": 200, "minLength": 3}, ("发件地址", "Sender's address")),
        "sender_name": option({"type": "string", "maxLength": 100}, ("发件人名称", "Sender's name")),
    }
    required_options = ("host", "sender")

    def send(self, message: OutgoingMessage, options: Mapping[str, Any], secret: str, net: Outbound) -> Mapping[str, Any]:
        letter = _letter(message, str(options["sender"]), str(options.get("sender_name", "")))
        security, login = options.get("security", "starttls"), str(options.get("login", ""))
        net.mail(str(options["host"]), int(options.get("port", 587)), letter, security=security, login=login, password=secret)
        return {"message_id": letter["Message-ID"]}


def _letter(message: OutgoingMessage, sender: str, name: str) -> EmailMessage:
    if message.address.count("@") != 1 or not message.address.isprintable() or any(sign in message.address for sign in ' ,;<>"'):
        raise SendFailed("builtin_mail_address", again=False)
    letter = EmailMessage()
    letter["From"] = formataddr((name, sender))
    letter["To"] = message.address
    letter["Subject"] = " ".join((message.title or message.text).split())[:_TITLE]
    letter["Date"] = format_datetime(message.now)
    letter["Message-ID"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()[:40]}@{sender.partition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    return letter
