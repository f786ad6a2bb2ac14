"""The hand-written twin: the customer table of the benchmark as a good engineer would write it with FastAPI, SQLAlchemy Core and Jinja2.

Prebuilt statements, the product's driver settings, validation with all errors, row permission, masks, keyset pages, optimistic versions, history in
the writing transaction, conflicts told apart, the same answer for the same idempotency key. It is the measure the generated product is held against
(tests/bench), and shares no code with it.
"""

import base64
import hashlib
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Annotated, Any, Literal

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import HTTPException
from sqlalchemy.dialects import postgresql, sqlite
from starlette.concurrency import run_in_threadpool

from tests.bench.twin_pages import draw_form, draw_list
from tests.bench.twin_words import DATES, ENUMS, FIELDS, FOCUS, LINKS, MONEYS, PHONES, REFS, REQUIRED, TEXTS

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NOTHING: dict[str, Any] = {}
EMPTY = dict.fromkeys(FIELDS)
LARGEST_BODY = 1_000_000
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
team = sa.Table("team", tables, sa.Column("id", KEY, primary_key=True), sa.Column("name", sa.String))
person = sa.Table(
    "person",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String),
    sa.Column("role", sa.String),
    sa.Column("team", sa.ForeignKey("team.id")),
    sa.Column("ended_at", Instant),
)
token = sa.Table(
    "token",
    tables,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("person", sa.ForeignKey("person.id"), nullable=False),
    sa.Column("expires_at", Instant),
)
view = sa.Table(
    "view",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("list", sa.String, nullable=False),
    sa.Column("person", sa.ForeignKey("person.id"), nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
)
sa.Index("ix_view_list", view.c.list, view.c.person)
notice = sa.Table(
    "notice",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("person", sa.ForeignKey("person.id"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("read_at", Instant),
)
sa.Index("ix_notice_person", notice.c.person, notice.c.read_at, notice.c.at)
idempotency = sa.Table(
    "idempotency",
    tables,
    sa.Column("person", sa.ForeignKey("person.id"), primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("record", sa.BigInteger),
)
customer = sa.Table(
    "customer",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", sa.BigInteger),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("updated_by", sa.BigInteger),
    sa.Column("deleted_at", Instant),
    *(sa.Column(name, sa.String) for name in (*TEXTS, *ENUMS, *PHONES)),
    *(sa.Column(name, sa.BigInteger) for name in (*MONEYS, "visits")),
    *(sa.Column(name, sa.ForeignKey("team.id" if name == "team" else "person.id")) for name in REFS),
    *(sa.Column(name, sa.Date) for name in DATES),
    sa.Column("next_at", Instant),
    sa.Column("vip", sa.Boolean),
    sa.Column("focus", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
    sqlite_autoincrement=True,
)
sa.Index("ix_customer_phone", customer.c.phone, unique=True, sqlite_where=customer.c.deleted_at.is_(None), postgresql_where=customer.c.deleted_at.is_(None))
sa.Index("ix_customer_owner", customer.c.owner, customer.c.stage, customer.c.expected_on, customer.c.id)
sa.Index("ix_customer_helper", customer.c.helper)
sa.Index("ix_customer_team", customer.c.team)
sa.Index("ix_customer_stage", customer.c.stage, customer.c.expected_on, customer.c.id)
history = sa.Table(
    "history",
    tables,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("record", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("verb", sa.String),
    sa.Column("at", Instant, nullable=False),
    sa.Column("person", sa.BigInteger),
    sa.Column("cause", sa.String),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
)
sa.Index("ix_history_record", history.c.record, history.c.id)
sa.Index("ix_history_at", history.c.at)

COLUMNS = [customer.c.id, customer.c.version, *(customer.c[name] for name in FIELDS)]
NAMES = [str(column.name) for column in COLUMNS]
ALIVE = customer.c.deleted_at.is_(None)
OWN = customer.c.owner == sa.bindparam("me")
WHO = (
    sa.select(person.c.id, person.c.name, person.c.role, person.c.team)
    .join(token, token.c.person == person.c.id)
    .where(
        token.c.digest == sa.bindparam("digest"),
        sa.or_(token.c.expires_at.is_(None), token.c.expires_at > sa.bindparam("now", type_=Instant)),
        person.c.ended_at.is_(None),
    )
)
VIEWS = (
    sa.select(view.c.id, view.c.title, view.c.shared)
    .where(view.c.list == sa.bindparam("list"), sa.or_(view.c.person == sa.bindparam("person"), view.c.shared))
    .order_by(view.c.title)
)
WAITING = (
    sa.select(notice.c.id)
    .where(notice.c.person == sa.bindparam("person"), notice.c.read_at.is_(None), notice.c.at <= sa.bindparam("now", type_=Instant))
    .limit(100)
)
UNREAD = sa.select(sa.func.count()).select_from(WAITING.subquery())
PEOPLE = sa.select(person.c.id, person.c.name).where(person.c.id.in_(sa.bindparam("ids", expanding=True)))
ONE = sa.select(*COLUMNS).where(customer.c.id == sa.bindparam("key"), ALIVE)
LIST = sa.select(*COLUMNS).where(ALIVE, customer.c.stage == sa.bindparam("stage")).order_by(customer.c.expected_on, customer.c.id).limit(sa.bindparam("many"))
NEXT = LIST.where(sa.tuple_(customer.c.expected_on, customer.c.id) > sa.tuple_(sa.bindparam("after_on"), sa.bindparam("after_id")))
STATEMENTS = {
    (many, own): statement.where(OWN) if own else statement for many, statement in (("one", ONE), ("list", LIST), ("next", NEXT)) for own in (False, True)
}
COUNTED = sa.select(customer.c.id).where(ALIVE, customer.c.stage == sa.bindparam("stage")).limit(1001)
COUNTS = {own: sa.select(sa.func.count()).select_from((COUNTED.where(OWN) if own else COUNTED).subquery()) for own in (False, True)}
Stage = Literal["new", "contacted", "visited", "reserved", "signed", "lost"]
HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    }.items()
]
UPDATE = sa.update(customer).where(customer.c.id == sa.bindparam("key"), customer.c.version == sa.bindparam("was"), ALIVE)
INSERT = sa.insert(customer)
REMEMBER = sa.insert(history)
WRITTEN = ("id", "version", *FIELDS, "created_at", "created_by", "updated_at", "updated_by")
TOUCHED = sa.select(*(customer.c[name] for name in WRITTEN)).where(customer.c.id == sa.bindparam("key"), ALIVE)
HELD = {False: TOUCHED, True: TOUCHED.where(OWN)}
TEAMS = sa.select(team.c.id, team.c.name).where(team.c.id.in_(sa.bindparam("ids", expanding=True)))
ASKED = sa.select(idempotency.c.digest, idempotency.c.record, idempotency.c.at).where(
    idempotency.c.person == sa.bindparam("person"), idempotency.c.key == sa.bindparam("key")
)
CLAIM = {"sqlite": sqlite.insert(idempotency), "postgresql": postgresql.insert(idempotency)}
CLAIM = {
    name: statement.on_conflict_do_update(
        index_elements=[idempotency.c.person, idempotency.c.key],
        set_={"digest": statement.excluded.digest, "at": statement.excluded.at, "record": None},
        where=idempotency.c.at < sa.bindparam("too_old", type_=Instant),
    ).returning(idempotency.c.key)
    for name, statement in CLAIM.items()
}
FULFIL = sa.update(idempotency).where(idempotency.c.person == sa.bindparam("who"), idempotency.c.key == sa.bindparam("what"))
WRITERS = ("admin", "member")


@lru_cache(maxsize=512)
def updating(names: tuple[str, ...]) -> sa.Update:
    return UPDATE.values({name: sa.bindparam(f"to_{name}", type_=customer.c[name].type) for name in names})


def mask(phone: str | None) -> str | None:
    return phone and f"{phone[:3]}****{phone[-4:]}"


def read_record(raw: dict[str, Any], partial: bool, before: dict[str, Any] = NOTHING) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Typed values and every error, as (field, code). ``before``: the record a change is laid over."""
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, value in raw.items():
        reader = READERS.get(name)
        if reader is None:
            errors.append((name, "unknown"))
            continue
        try:
            found = None if value is None else reader(value)
            values[name] = None if found == "" else found
        except (ValueError, TypeError) as wrong:
            errors.append((name, str(wrong) or "wrong"))
    for name in REQUIRED:
        if values.get(name) is None and (name in values or not (partial or name in raw)):
            errors.append((name, "required"))
    least, most = (values.get(name, before.get(name)) for name in MONEYS)
    if least is not None and most is not None and most < least and not values.keys().isdisjoint(MONEYS):
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


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("offset")
    return moment.astimezone(UTC)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("boolean")
    return value


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
    "next_at": _moment,
    "vip": _boolean,
    "focus": _focus,
}


def make_app(url: str) -> FastAPI:
    """The twin on a database URL; tables must exist (``prepare``)."""
    reading, writing = connect(url)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    pace = Pace()

    def who(connection: sa.Connection, request: Request) -> Any:
        return bearer_of(connection, request.headers.get("authorization", "")[7:])

    def bearer_of(connection: sa.Connection, bearer: str) -> Any:
        found = connection.execute(WHO, {"digest": hashlib.sha256(bearer.encode()).hexdigest(), "now": datetime.now(UTC)}).first()
        if found is not None:
            pace.take(found.id)
        return found

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

    def answer(body: Any, status: int = 200, **headers: str) -> Response:
        return secured(Response(orjson.dumps(body), status_code=status, media_type="application/json", headers={"Cache-Control": "no-store", **headers}))

    def many(connection: sa.Connection, me: Any, stage: str, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        own = me.role != "admin"
        values = {"me": me.id, "stage": stage, "many": limit + 1}
        if after:
            on, key = base64.urlsafe_b64decode(after).decode().split("|")
            values |= {"after_on": date.fromisoformat(on), "after_id": int(key)}
        if not own:
            del values["me"]
        rows = connection.execute(STATEMENTS["next" if after else "list", own], values).all()
        records = [shown(row, own) for row in rows[:limit]]
        named(connection, records)
        last = records[-1] if len(rows) > limit else None
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
            return answer(record, ETag=f'"{record["version"]}"')

    @app.get("/api/customers")
    def get_list(request: Request, stage: Stage, limit: Annotated[int, Query(ge=1, le=200)] = 50, after: str | None = None) -> Response:
        with reading.connect() as connection:
            me = who(connection, request)
            if me is None:
                return answer({"title": "unauthorised"}, 401)
            records, following = many(connection, me, stage, limit, after)
            return answer({"items": records, "next": following})

    @app.post("/api/customers")
    async def post(request: Request) -> Response:
        return await run(create, await request.body(), request)

    def create(body: bytes, request: Request) -> Response:
        with writing.begin() as connection:
            me = who(connection, request)
            raw = allowed(me, body)
            asked = request.headers.get("idempotency-key")
            earlier = claim(connection, me, asked, body) if asked else None
            if earlier is not None:
                return answer_written(connection, me, row_of(connection, earlier), 201)
            values, errors = read_record(raw, partial=False)
            values.setdefault("owner", me.id)
            names = linked(connection, values, errors)
            if errors:
                raise Refused(422, errors=errors)
            now = datetime.now(UTC)
            record = {**EMPTY, **values, "version": 1, "created_at": now, "created_by": me.id, "updated_at": now, "updated_by": me.id}
            record["id"] = connection.execute(INSERT, record).inserted_primary_key[0]
            noted = {name: value for name in FIELDS if (value := record[name]) is not None}
            remember(connection, me, record, "create", None, noted)
            if asked:
                connection.execute(FULFIL, {"who": me.id, "what": asked, "record": record["id"]})
            return answer_written(connection, me, record, 201, names)

    @app.patch("/api/customers/{key}")
    async def patch(key: int, request: Request) -> Response:
        return await run(change, await request.body(), request, key)

    def change(body: bytes, request: Request, key: int) -> Response:
        with writing.begin() as connection:
            me = who(connection, request)
            raw = allowed(me, body)
            version = version_of(request, raw)
            own = me.role != "admin"
            row = connection.execute(HELD[own], {"key": key, **({"me": me.id} if own else {})}).first()
            if row is None:
                raise Refused(404)
            before = dict(zip(WRITTEN, row, strict=True))
            if before["version"] != version:
                raise Refused(409, code="stale", current=shown_to(me, before))
            values, errors = read_record(raw, partial=True, before=before)
            changed = {name: value for name, value in values.items() if value != before[name]}
            names = linked(connection, changed, errors)
            if errors:
                raise Refused(422, errors=errors)
            if not changed:
                return answer_written(connection, me, before, 200)
            written = {**changed, "version": version + 1, "updated_at": datetime.now(UTC), "updated_by": me.id}
            binds = {f"to_{name}": value for name, value in written.items()}
            if connection.execute(updating(tuple(written)), {"key": key, "was": version, **binds}).rowcount == 0:
                raise Refused(409, code="stale")
            record = {**before, **written}
            remember(connection, me, record, "update", {name: before[name] for name in changed}, changed)
            return answer_written(connection, me, record, 200, names)

    def linked(connection: sa.Connection, values: dict[str, Any], errors: list[tuple[str, str]]) -> dict[tuple[str, int], str]:
        """The labels of what is pointed to, by table and id; a link that leads nowhere is an error."""
        people = {values[name] for name in ("owner", "helper") if values.get(name)}
        names = {("person", row[0]): row[1] for row in connection.execute(PEOPLE, {"ids": list(people)})} if people else {}
        if values.get("team"):
            names |= {("team", row[0]): row[1] for row in connection.execute(TEAMS, {"ids": [values["team"]]})}
        errors += [(name, "unknown_link") for name in REFS if values.get(name) and (LINKS[name], values[name]) not in names]
        return names

    def remember(connection: sa.Connection, me: Any, record: dict[str, Any], verb: str, before: Any, after: Any) -> None:
        history_row = {"record": record["id"], "version": record["version"], "verb": verb, "at": record["updated_at"], "person": me.id, "cause": "api"}
        texts = {"before": before and orjson.dumps(before).decode(), "after": orjson.dumps(after).decode()}
        connection.execute(REMEMBER, {**history_row, **texts})

    def claim(connection: sa.Connection, me: Any, key: str, body: bytes) -> int | None:
        """The record this key already made, if any. The same key with another body is refused."""
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        fresh = {"person": me.id, "key": key, "digest": digest, "at": now, "too_old": now - timedelta(hours=24)}
        if connection.execute(CLAIM[connection.dialect.name], fresh).first() is not None:
            return None
        earlier = connection.execute(ASKED, {"person": me.id, "key": key}).one()
        if earlier.digest != digest:
            raise Refused(422, errors=[("idempotency-key", "reused")])
        return int(earlier.record)

    def row_of(connection: sa.Connection, key: int) -> dict[str, Any]:
        return dict(zip(WRITTEN, connection.execute(TOUCHED, {"key": key}).one(), strict=True))

    def answer_written(connection: sa.Connection, me: Any, record: dict[str, Any], status: int, names: dict[tuple[str, int], str] | None = None) -> Response:
        """The record as its writer may see it; labels not yet known are looked up."""
        seen = shown_to(me, record)
        if len(seen) > 2:
            wanted = {record[name] for name in ("owner", "helper") if record[name]}
            known = {key: label for (table, key), label in (names or {}).items() if table == "person"}
            if wanted - known.keys():
                known |= {row[0]: row[1] for row in connection.execute(PEOPLE, {"ids": list(wanted - known.keys())})}
            for name in ("owner", "helper"):
                seen[name] = record[name] and {"id": record[name], "label": known.get(record[name])}
        headers = {"ETag": f'"{record["version"]}"', "Cache-Control": "no-store"}
        if status == 201:
            headers["Location"] = f"/api/customers/{record['id']}"
        return secured(Response(orjson.dumps(seen), status_code=status, media_type="application/json", headers=headers))

    def html(text: str) -> Response:
        return secured(Response(text, media_type="text/html", headers={"Cache-Control": "no-store", "Vary": "Cookie"}))

    @app.get("/customers")
    def html_list(request: Request, after: str | None = None) -> Response:
        session = request.cookies.get("session", "")
        with reading.connect() as connection:
            me = bearer_of(connection, session)
            if me is None:
                return Response(status_code=303, headers={"Location": "/login"})
            unread = connection.execute(UNREAD, {"person": me.id, "now": datetime.now(UTC)}).scalar_one()
            records, following = many(connection, me, "visited", 50, after)
            views = connection.execute(VIEWS, {"list": "visited", "person": me.id}).all()
            own = me.role != "admin"
            count = connection.execute(COUNTS[own], {"stage": "visited", **({"me": me.id} if own else {})}).scalar_one()
        return html(draw_list(me, session, unread, records, following, views, count))

    @app.get("/customers/new")
    def html_form(request: Request) -> Response:
        session = request.cookies.get("session", "")
        with reading.connect() as connection:
            me = bearer_of(connection, session)
            if me is None:
                return Response(status_code=303, headers={"Location": "/login"})
            unread = connection.execute(UNREAD, {"person": me.id, "now": datetime.now(UTC)}).scalar_one()
        return html(draw_form(me, session, unread))

    return app


def secured(response: Response) -> Response:
    """The headers every answer carries."""
    response.raw_headers.extend(HEADERS)
    return response


class Pace:
    """At most 600 requests a minute of each person."""

    def __init__(self) -> None:
        self.times: dict[int, deque[float]] = defaultdict(deque)
        self.mutex = Lock()

    def take(self, person: int) -> None:
        now = time.monotonic()
        with self.mutex:
            times = self.times[person]
            while times and times[0] <= now - 60:
                times.popleft()
            if len(times) >= 600:
                raise HTTPException(429, headers={"Retry-After": str(max(1, round(times[0] + 60 - now)))})
            times.append(now)


class Refused(Exception):
    """A request that is not granted; raised inside the transaction, which it rolls back."""

    def __init__(self, status: int, **said: Any) -> None:
        super().__init__(status)
        self.status, self.said = status, said


def allowed(me: Any, body: bytes) -> dict[str, Any]:
    """The body of somebody who may write."""
    if me is None:
        raise Refused(401)
    if me.role not in WRITERS:
        raise Refused(403)
    if len(body) > LARGEST_BODY:
        raise Refused(413)
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(422, errors=[("", "not_json")]) from None
    if not isinstance(raw, dict):
        raise Refused(422, errors=[("", "object")])
    return raw


def version_of(request: Request, raw: dict[str, Any]) -> int:
    """The version a change is made on: ``If-Match`` or the body's."""
    given, tag = raw.pop("version", None), request.headers.get("if-match")
    if tag is not None:
        given = int(tag.strip('"')) if tag.strip('"').isdigit() else None
    if given is None:
        raise Refused(428)
    if type(given) is not int:
        raise Refused(422, errors=[("version", "integer")])
    return given


def shown_to(me: Any, record: dict[str, Any]) -> dict[str, Any]:
    """A record as this person may see it: all of it, with masked numbers, or only that it is there."""
    if me.role == "admin":
        return dict(record)
    if record["owner"] != me.id:
        return {"id": record["id"], "version": record["version"]}
    return {**record, "phone": mask(record["phone"]), "phone2": mask(record["phone2"])}


async def run(work: Callable[..., Response], *given: Any) -> Response:
    """The work in a thread; what it refuses becomes an answer."""
    try:
        return await run_in_threadpool(work, *given)
    except Refused as refused:
        return Response(orjson.dumps({"status": refused.status, **refused.said}), status_code=refused.status, media_type="application/problem+json")
    except sa.exc.IntegrityError as broken:
        taken = "unique" in str(broken.orig).lower()
        said = {"code": "duplicate", "errors": [("phone", "duplicate")]} if taken else {"code": "link_gone"}
        return Response(orjson.dumps({"status": 409, **said}), status_code=409, media_type="application/problem+json")


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

    uvicorn.run(make_app(url), host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False, proxy_headers=False)


if __name__ == "__main__":
    import sys

    start = time.perf_counter()
    serve(sys.argv[1], int(sys.argv[2]))
