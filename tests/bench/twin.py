"""The hand-written twin: the customer table of the benchmark as a good engineer would write it with FastAPI, SQLAlchemy Core and Jinja2.

Prebuilt statements, the product's driver settings, validation with all errors, row permission, masks, keyset pages, optimistic versions and a
history row on every write. It is the measure the generated product is held against (tests/bench), and shares no code with it.
"""

import base64
import hashlib
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from jinja2 import DictLoader, Environment
from sqlalchemy.dialects.postgresql import JSONB

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

GRADES = {"a": "A", "b": "B", "c": "C", "d": "D"}
STAGES = {"new": "新线索", "contacted": "初步沟通", "visited": "已到访", "reserved": "认筹", "signed": "签约", "lost": "战败"}
SOURCES = {"natural": "自然到访", "call": "来电", "online": "线上", "agency": "中介", "referral": "老带新"}
GENDERS = {"m": "男", "f": "女"}
FOCUS = {"school": "学区", "price": "价格", "layout": "户型", "traffic": "交通", "view": "景观"}
TEXTS = {"name": 60, "wechat": 60, "area": 60, "work_area": 60, "address": 200, "motive": 200, "rival": 60, "remark": 500}
ENUMS = {"grade": GRADES, "stage": STAGES, "source": SOURCES, "gender": GENDERS}
MONEYS = ("budget_min", "budget_max")
DATES = ("birth", "expected_on")
PHONES = ("phone", "phone2")
REFS = ("owner", "team", "helper")
FIELDS = (
    "name",
    "phone",
    "phone2",
    "gender",
    "grade",
    "stage",
    "source",
    "wechat",
    "area",
    "work_area",
    "address",
    "motive",
    "rival",
    "remark",
    "budget_min",
    "budget_max",
    "birth",
    "expected_on",
    "next_at",
    "owner",
    "team",
    "helper",
    "focus",
    "visits",
    "vip",
)
REQUIRED = ("name", "phone", "stage")
LIST_COLUMNS = ("name", "phone", "grade", "stage", "source", "budget_min", "owner", "expected_on", "next_at", "visits")
MOBILE = re.compile(r"^(?:\+?86)?(1[3-9]\d{9})$")


class Instant(sa.types.TypeDecorator[datetime]):
    """Microseconds since 1970 on SQLite, timestamptz on PostgreSQL."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.BigInteger() if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name != "sqlite" else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return value if value is None or dialect.name != "sqlite" else EPOCH + value * MICROSECOND


tables = sa.MetaData()
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
person = sa.Table(
    "person", tables, sa.Column("id", KEY, primary_key=True), sa.Column("name", sa.String), sa.Column("role", sa.String), sa.Column("team", sa.BigInteger)
)
token = sa.Table("token", tables, sa.Column("digest", sa.String, primary_key=True), sa.Column("person", sa.BigInteger, nullable=False))
customer = sa.Table(
    "customer",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("deleted_at", Instant),
    *(sa.Column(name, sa.String) for name in (*TEXTS, *ENUMS, *PHONES)),
    *(sa.Column(name, sa.BigInteger) for name in (*MONEYS, *REFS, "visits")),
    *(sa.Column(name, sa.Date) for name in DATES),
    sa.Column("next_at", Instant),
    sa.Column("vip", sa.Boolean),
    sa.Column("focus", sa.JSON().with_variant(JSONB(), "postgresql")),
    sqlite_autoincrement=True,
)
sa.Index("ix_customer_phone", customer.c.phone, unique=True, sqlite_where=customer.c.deleted_at.is_(None), postgresql_where=customer.c.deleted_at.is_(None))
sa.Index("ix_customer_owner", customer.c.owner, customer.c.expected_on, customer.c.id)
sa.Index("ix_customer_expected", customer.c.expected_on, customer.c.id)
sa.Index("ix_customer_stage", customer.c.stage, customer.c.expected_on, customer.c.id)
history = sa.Table(
    "history",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("record", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("at", Instant, nullable=False),
    sa.Column("person", sa.BigInteger),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
)
sa.Index("ix_history_record", history.c.record, history.c.id)

COLUMNS = [customer.c.id, customer.c.version, *(customer.c[name] for name in FIELDS)]
NAMES = [str(column.name) for column in COLUMNS]
ALIVE = customer.c.deleted_at.is_(None)
OWN = customer.c.owner == sa.bindparam("me")
WHO = (
    sa.select(person.c.id, person.c.name, person.c.role, person.c.team)
    .join(token, token.c.person == person.c.id)
    .where(token.c.digest == sa.bindparam("digest"))
)
PEOPLE = sa.select(person.c.id, person.c.name).where(person.c.id.in_(sa.bindparam("ids", expanding=True)))
ONE = sa.select(*COLUMNS).where(customer.c.id == sa.bindparam("key"), ALIVE)
LIST = sa.select(*COLUMNS).where(ALIVE, customer.c.stage == sa.bindparam("stage")).order_by(customer.c.expected_on, customer.c.id).limit(sa.bindparam("many"))
NEXT = LIST.where(sa.tuple_(customer.c.expected_on, customer.c.id) > sa.tuple_(sa.bindparam("after_on"), sa.bindparam("after_id")))
STATEMENTS = {
    (many, own): statement.where(OWN) if own else statement for many, statement in (("one", ONE), ("list", LIST), ("next", NEXT)) for own in (False, True)
}
UPDATE = sa.update(customer).where(customer.c.id == sa.bindparam("key"), customer.c.version == sa.bindparam("was"), ALIVE)
INSERT = sa.insert(customer)
REMEMBER = sa.insert(history)


def mask(phone: str | None) -> str | None:
    return phone and f"{phone[:3]}****{phone[-4:]}"


def read_record(raw: dict[str, Any], partial: bool) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Typed values and every error, as (field, code)."""
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, value in raw.items():
        reader = READERS.get(name)
        if reader is None:
            errors.append((name, "unknown"))
            continue
        try:
            values[name] = None if value is None or value == "" else reader(value)
        except (ValueError, TypeError) as wrong:
            errors.append((name, str(wrong) or "wrong"))
    for name in REQUIRED:
        if values.get(name) is None and (name in values or not partial):
            errors.append((name, "required"))
    if values.get("budget_min") and values.get("budget_max") and values["budget_max"] < values["budget_min"]:
        errors.append(("budget_max", "order"))
    return values, errors


def _text(limit: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("text")
        value = value.strip()
        if len(value) > limit or "\0" in value:
            raise ValueError("too_long")
        return value

    return read


def _enum(options: dict[str, str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in options:
            raise ValueError("choice")
        return str(value)

    return read


def _phone(value: Any) -> str:
    match = MOBILE.match(re.sub(r"[\s\-().]", "", value))
    if not match:
        raise ValueError("phone")
    return "+86" + match[1]


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("integer")
    number = int(value)
    if not -(2**53) < number < 2**53:
        raise ValueError("range")
    return number


def _focus(value: Any) -> list[str]:
    if not isinstance(value, list) or any(item not in FOCUS for item in value):
        raise ValueError("choice")
    return value


READERS: dict[str, Callable[[Any], Any]] = {
    **{name: _text(limit) for name, limit in TEXTS.items()},
    **{name: _enum(options) for name, options in ENUMS.items()},
    **dict.fromkeys(PHONES, _phone),
    **dict.fromkeys((*MONEYS, *REFS, "visits"), _integer),
    **dict.fromkeys(DATES, date.fromisoformat),
    "next_at": datetime.fromisoformat,
    "vip": bool,
    "focus": _focus,
}

TEMPLATES = Environment(
    autoescape=True,
    auto_reload=False,
    loader=DictLoader(
        {
            "list.html": """<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>客户</title></head><body><main><table><thead><tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr id="r{{ row.id }}"><td><a href="/customers/{{ row.id }}">{{ row.name }}</a></td>{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% if next %}<a href="?after={{ next }}">更多</a>{% endif %}</main></body></html>""",
            "form.html": """<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>客户</title></head><body><main><form method="post">
{% for name, kind, options, required in fields %}<div class="field"><label for="f-{{ name }}">{{ name }}{% if required %}<span class="star">*</span>{% endif %}</label>
{% if kind == "select" %}<select id="f-{{ name }}" name="{{ name }}"><option value=""></option>{% for code, title in options.items() %}<option value="{{ code }}"{% if values[name] == code %} selected{% endif %}>{{ title }}</option>{% endfor %}</select>
{% elif kind == "checks" %}{% for code, title in options.items() %}<label><input type="checkbox" name="{{ name }}" value="{{ code }}"{% if code in (values[name] or ()) %} checked{% endif %}>{{ title }}</label>{% endfor %}
{% elif kind == "area" %}<textarea id="f-{{ name }}" name="{{ name }}">{{ values[name] or "" }}</textarea>
{% else %}<input id="f-{{ name }}" name="{{ name }}" type="{{ kind }}" value="{{ values[name] if values[name] is not none else "" }}">{% endif %}</div>
{% endfor %}<button>保存</button></form></main></body></html>""",
        }
    ),
)
FORM = [
    (
        name,
        "select"
        if name in ENUMS
        else "checks"
        if name == "focus"
        else "area"
        if name in ("remark", "motive")
        else "date"
        if name in DATES
        else "datetime-local"
        if name == "next_at"
        else "checkbox"
        if name == "vip"
        else "text",
        ENUMS.get(name, FOCUS if name == "focus" else {}),
        name in REQUIRED,
    )
    for name in FIELDS
]


def make_app(url: str) -> FastAPI:
    """The twin on a database URL; tables must exist (``prepare``)."""
    reading, writing = connect(url)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def who(connection: sa.Connection, request: Request) -> Any:
        bearer = request.headers.get("authorization", "")[7:]
        return connection.execute(WHO, {"digest": hashlib.sha256(bearer.encode()).hexdigest()}).first()

    def shown(row: Any, own: bool) -> dict[str, Any]:
        record = dict(zip(NAMES, row, strict=True))
        if own:
            record["phone"], record["phone2"] = mask(record["phone"]), mask(record["phone2"])
        return record

    def named(connection: sa.Connection, records: list[dict[str, Any]]) -> None:
        ids = {record[name] for record in records for name in ("owner", "helper") if record[name]}
        names = {row[0]: row[1] for row in connection.execute(PEOPLE, {"ids": list(ids)})} if ids else {}
        for record in records:
            for name in ("owner", "helper"):
                record[name] = record[name] and {"id": record[name], "label": names.get(record[name])}

    def answer(body: Any, status: int = 200) -> Response:
        return Response(orjson.dumps(body), status_code=status, media_type="application/json")

    def many(connection: sa.Connection, me: Any, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        own = me.role != "admin"
        values = {"me": me.id, "stage": "visited", "many": 51}
        if after:
            on, key = base64.urlsafe_b64decode(after).decode().split("|")
            values |= {"after_on": date.fromisoformat(on), "after_id": int(key)}
        if not own:
            del values["me"]
        rows = connection.execute(STATEMENTS["next" if after else "list", own], values).all()
        records = [shown(row, own) for row in rows[:50]]
        named(connection, records)
        last = records[-1] if len(rows) > 50 else None
        return records, last and base64.urlsafe_b64encode(f"{last['expected_on']}|{last['id']}".encode()).decode()

    @app.get("/api/customers/{key}")
    def get_one(key: int, request: Request) -> Response:
        with reading.connect() as connection:
            me = who(connection, request)
            if me is None:
                return answer({"title": "unauthorised"}, 401)
            own = me.role != "admin"
            row = connection.execute(STATEMENTS["one", own], {"key": key, **({"me": me.id} if own else {})}).first()
            if row is None:
                return answer({"title": "not found"}, 404)
            record = shown(row, own)
            named(connection, [record])
            return answer(record)

    @app.get("/api/customers")
    def get_list(request: Request, after: str | None = None) -> Response:
        with reading.connect() as connection:
            me = who(connection, request)
            if me is None:
                return answer({"title": "unauthorised"}, 401)
            records, following = many(connection, me, after)
            return answer({"items": records, "next": following})

    @app.post("/api/customers")
    async def post(request: Request) -> Response:
        raw = orjson.loads(await request.body())
        return await run(lambda: create(raw, request))

    def create(raw: dict[str, Any], request: Request) -> Response:
        with writing.begin() as connection:
            me = who(connection, request)
            if me is None:
                return answer({"title": "unauthorised"}, 401)
            values, errors = read_record(raw, partial=False)
            if errors:
                return answer({"errors": errors}, 422)
            now = datetime.now(UTC)
            values.setdefault("owner", me.id)
            values["version"] = 1
            values["created_at"] = values["updated_at"] = now
            key = connection.execute(INSERT, values).inserted_primary_key[0]
            after = orjson.dumps({name: values[name] for name in values if name in READERS}).decode()
            connection.execute(REMEMBER, {"record": key, "version": 1, "at": now, "person": me.id, "before": None, "after": after})
            record = {"id": key, **dict.fromkeys(FIELDS), **values}
            named(connection, [record])
            return answer(record, 201)

    @app.patch("/api/customers/{key}")
    async def patch(key: int, request: Request) -> Response:
        raw = orjson.loads(await request.body())
        return await run(lambda: change(key, raw, request))

    def change(key: int, raw: dict[str, Any], request: Request) -> Response:
        with writing.begin() as connection:
            me = who(connection, request)
            if me is None:
                return answer({"title": "unauthorised"}, 401)
            own = me.role != "admin"
            version = raw.pop("version")
            row = connection.execute(STATEMENTS["one", own], {"key": key, **({"me": me.id} if own else {})}).first()
            if row is None:
                return answer({"title": "not found"}, 404)
            before = dict(zip(NAMES, row, strict=True))
            values, errors = read_record(raw, partial=True)
            if errors:
                return answer({"errors": errors}, 422)
            changed = {name: value for name, value in values.items() if value != before[name]}
            now = datetime.now(UTC)
            done = connection.execute(UPDATE.values(version=version + 1, updated_at=now, **changed), {"key": key, "was": version})
            if done.rowcount == 0:
                return answer({"title": "stale", "current": before}, 409)
            connection.execute(
                REMEMBER,
                {
                    "record": key,
                    "version": version + 1,
                    "at": now,
                    "person": me.id,
                    "before": orjson.dumps({name: before[name] for name in changed}).decode(),
                    "after": orjson.dumps(changed).decode(),
                },
            )
            record = {**before, **changed, "version": version + 1}
            named(connection, [record])
            return answer(record)

    @app.get("/customers")
    def html_list(request: Request, after: str | None = None) -> Response:
        with reading.connect() as connection:
            me = who(connection, request)
            records, following = many(connection, me, after)
        rows = [{"id": record["id"], "name": record["name"], "cells": cells(record)} for record in records]
        return Response(TEMPLATES.get_template("list.html").render(columns=LIST_COLUMNS, rows=rows, next=following), media_type="text/html")

    @app.get("/customers/new")
    def html_form(request: Request) -> Response:
        with reading.connect() as connection:
            who(connection, request)
        return Response(TEMPLATES.get_template("form.html").render(fields=FORM, values=dict.fromkeys(FIELDS)), media_type="text/html")

    return app


def cells(record: dict[str, Any]) -> list[str]:
    budget, on, at = record["budget_min"], record["expected_on"], record["next_at"]
    return [
        record["phone"] or "",
        GRADES.get(record["grade"], ""),
        STAGES.get(record["stage"], ""),
        SOURCES.get(record["source"], ""),
        f"{budget / 1_000_000:,.0f} 万" if budget else "",
        (record["owner"] or {}).get("label") or "",
        on.strftime("%m-%d") if on else "",
        at.strftime("%m-%d %H:%M") if at else "",
        str(record["visits"] or 0),
    ]


async def run(work: Callable[[], Response]) -> Response:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(work)


def connect(url: str) -> tuple[sa.Engine, sa.Engine]:
    """A reading engine in autocommit and a writing one; SQLite as the product sets it (WAL, FULL, IMMEDIATE)."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10), sa.create_engine(url, pool_size=10)
    reading = sa.create_engine(url, pool_size=10, connect_args={"isolation_level": None, "timeout": 30, "check_same_thread": False})
    writing = sa.create_engine(url, pool_size=10, connect_args={"isolation_level": None, "timeout": 30, "check_same_thread": False})

    def settle(connection: Any, _: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(reading, "connect", settle)
    sa.event.listen(writing, "connect", settle)
    sa.event.listen(writing, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return reading, writing


def prepare(url: str, records: list[dict[str, Any]], people: list[dict[str, Any]], tokens: dict[str, int]) -> None:
    """Make the tables and fill them: ``tokens`` maps bearer tokens to person ids."""
    _, writing = connect(url)
    tables.create_all(writing)
    now = datetime.now(UTC)
    with writing.begin() as connection:
        connection.execute(sa.insert(person), people)
        connection.execute(sa.insert(token), [{"digest": hashlib.sha256(text.encode()).hexdigest(), "person": who} for text, who in tokens.items()])
        for start in range(0, len(records), 5000):
            connection.execute(
                INSERT,
                [
                    {**dict.fromkeys(FIELDS), **read_record(record, True)[0], "version": 1, "created_at": now, "updated_at": now}
                    for record in records[start : start + 5000]
                ],
            )
    with writing.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    writing.dispose()


def serve(url: str, port: int) -> None:
    import uvicorn

    uvicorn.run(make_app(url), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    import sys

    start = time.perf_counter()
    serve(sys.argv[1], int(sys.argv[2]))
