"""A clinic that tells people things: an inbox with read and unread messages, an outbox with messages in every state, connections and a source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from engine import builtin, notices, outbox
from engine.actors import enter_as
from engine.clock import wall
from engine.connections import keep_connection
from engine.home import Home
from engine.intake import make_key
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from engine.records.work import Work
from engine.rules.effects import Handle, Notify, Send
from engine.system_tables_rules import notice, outgoing
from metadata.bundle import Bundle
from tests.renderer import clinic

NAME = "mailroom"
#: Messages in the inbox of the doctor, and how many of them are unread.
MESSAGES, UNREAD = 58, 3
DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    **clinic.DOCUMENTS,
    ("role", "admin"): {**clinic.DOCUMENTS["role", "admin"], "can": ["design", "people", "publish", "import", "export", "settings"]},
    ("rule", "return_visit"): {
        "title": {"zh": "复诊提醒", "en": "Reminder of a visit"},
        "on": {"action": "patient.remind"},
        "then": [{"notify": "owner", "message": {"zh": "病人 {name} 该复诊了，电话 {phone}，约在 {due}", "en": "{name} is due, phone {phone}, on {due}"}}],
    },
    ("rule", "web_lead"): {
        "title": {"zh": "网上预约", "en": "Booked online"},
        "on": {"intake": "website", "with": {"name": {"type": "text", "required": True}, "phone": {"type": "phone"}}},
        "then": [{"create": "patient", "values": {"name": "param.name", "phone": "param.phone", "stage": "'new'"}}],
    },
}


def make_mailroom(home: Home) -> None:
    """The demo workspace: mona (doctor) and adam (administrator)."""
    create_workspace(home, NAME, Bundle(DOCUMENTS, builtin.DOCUMENTS), title="青竹诊所消息", demo=True)
    for login, title, role in (("mona", "莫娜", "doctor"), ("adam", "亚当", "admin")):
        add_member(home, NAME, login, [role], name=title)
    ctx, now = enter_as(home, NAME, "operator"), wall()
    people = {"mona": 1, "adam": 2}
    patients = [
        service.create(ctx, "patient", {"name": name, "phone": f"1380000{number:04d}", "owner": owner, "due": (now + timedelta(days=number)).isoformat()}).id
        for number, (name, owner) in enumerate((("王一诺", 1), ("李清照", 1), ("赵子昂", 2)))
    ]
    text = DOCUMENTS["rule", "return_visit"]["then"][0]["message"]
    for number in range(MESSAGES):
        with ctx.writing() as inner:
            record = patients[number % 3]
            row = dict(Work(inner).row("patient", record) or {})
            about = Handle("patient", record, lambda *_, row=row: row)
            told = Notify(list(people.values()), text, {name: row[name] for name in ("name", "phone", "due")}, about=about)
            if number % 4 == 3:
                told = Notify(list(people.values()), {"zh": f"第 {number} 周排班已发布，请在周五之前核对。", "en": f"The plan of week {number} is out."})
            notices.notify(inner, told, rule="return_visit", run=number + 1)
    with ctx.writing() as inner:
        ids = [row.id for row in inner.open.execute(notice.select().where(notice.c.person == 1).order_by(notice.c.id.desc()))]
        inner.open.execute(notice.update().where(notice.c.id.in_(ids[UNREAD:])).values(read_at=now))
    keep_connection(ctx, "sms", "sms", {"url": "https://sms.example.org/send", "fields": {"mobile": "{phone}", "content": "【青竹】{text}"}}, secret="s3cret")
    keep_connection(ctx, "email", "email", {"host": "mail.example.org", "sender": "crm@example.org"}, active=False)
    make_key(ctx, "website")
    states = (("waiting", {}), ("sent", {}), ("sent", {}), ("dead", {"code": "builtin_status", "params": {"status": 503, "said": "busy"}}), ("captured", {}))
    for number, (state, error) in enumerate(states):
        with ctx.writing() as inner:
            put = Send("sms", f"1380000000{number}", f"visit-{number}", f"您好，您预约的复诊是明天 {9 + number}:30，请带好病历。", payload={"name": "王一诺"})
            made = outbox.send(inner, put, rule="return_visit", run=number + 1)
            words = {"state": state, "tries": number, "error": error or None, "job": None, "sent_at": now if state == "sent" else None}
            inner.open.execute(outgoing.update().where(outgoing.c.id == made).values(entity="patient", record=patients[0], **words))
