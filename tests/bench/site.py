"""A site of the real-estate preset as large as asked: some thousand customers with all that belongs to them through the product's own writer, then copied."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.records.values import seal_row
from engine.settings import Settings
from engine.storage import Instant
from engine.workspace import CompiledEntity, Workspace
from metadata.bundle import Bundle
from renderer.serving import all_words
from tests.bench.data import GIVEN, SURNAMES, phone

PRESET = Path(__file__).parents[2] / "presets" / "real_estate"
SITE = "site"
NOW = datetime(2026, 3, 15, 3, tzinfo=UTC)
#: Customers made through the writer, and what belongs to so many of them; the rest are copies, each some minutes earlier and with a number of its own.
BASE = 10_000
CHILDREN = {"follow_up": 6_000, "visit": 2_000, "appointment": 1_000, "call": 2_000, "task": 2_000, "review": 500}
COPY_EARLIER = timedelta(minutes=7)
TEAMS, CONSULTANTS = 20, 200
#: One login per role that a list is for; the consultant and the supervisor work in the first team.
PEOPLE = {
    "con": "consultant",
    "sup": "supervisor",
    "man": "manager",
    "dir": "director",
    "rec": "receptionist",
    "sal": "sales_admin",
    "cha": "channel_manager",
    "fin": "finance",
    "mar": "marketing",
    "aud": "auditor",
    "adm": "admin",
}


def open_site(folder: str, url: str = "") -> Home:
    """The installation in a folder (or in the PostgreSQL database of ``url``)."""
    environment = {"TANGRAM_HOME": folder, "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_LOG_LEVEL": "warning", "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
    return Home.open(Settings.from_environment({**environment, **({"TANGRAM_DATABASE_URL": url} if url else {})}), all_words(), migrate=True)


def build(home: Home, rows: int) -> None:
    """Make the site's workspace with ``rows`` customers, a multiple of BASE."""
    bundle, problems = Bundle.read_folder(PRESET, DOCUMENTS)
    if problems:
        raise RuntimeError(f"the preset's definitions are wrong: {problems}")
    create_workspace(home, SITE, bundle, title="云溪府", sandbox=True, now=NOW)
    made = load_base(enter_as(home, SITE, "operator"), random.Random(5))
    workspace = home.workspace(SITE)
    for entity in ("customer", *CHILDREN):
        copy(workspace, workspace.entities[entity], made[entity], rows // BASE)
    with workspace.database.write() as connection:
        connection.exec_driver_sql("ANALYZE")


def load_base(ctx: Context, chance: random.Random) -> dict[str, int]:
    """BASE customers and their children; gives the last id of each entity."""
    teams = [service.create(ctx, "team", {"name": f"组{number}"}).id for number in range(TEAMS)]
    for login, role in PEOPLE.items():
        service.create(ctx, "person", {"name": login, "login": login, "roles": [role], "team": teams[0]})
    owners = [
        service.create(ctx, "person", {"name": f"顾问{number}", "login": f"c{number}", "roles": ["consultant"], "team": teams[number % TEAMS]}).id
        for number in range(CONSULTANTS)
    ]
    customers = [_customer(chance, number, owners) for number in range(BASE)]
    found = {"customer": _load(ctx, "customer", customers)}
    for entity, many in CHILDREN.items():
        found[entity] = _load(ctx, entity, [_child(entity, chance, customer, owners) for customer in chance.sample(range(1, BASE + 1), many)])
    return found


def _load(ctx: Context, entity: str, given: list[dict[str, Any]]) -> int:
    results = service.load(ctx, entity, given, trusted=True)
    refused = [item for item in results if item.refused]
    if refused:
        raise RuntimeError(f"{len(refused)} rows of {entity} refused: {refused[0]}")
    ids = [item.id for item in results if item.id is not None]
    if ids != list(range(1, len(given) + 1)):
        raise RuntimeError(f"{entity} does not begin with id 1")
    return len(ids)


def _some(chance: random.Random, first: int, last: int) -> str:
    return (NOW + timedelta(minutes=chance.randint(first, last))).isoformat()


def _customer(chance: random.Random, number: int, owners: list[int]) -> dict[str, Any]:
    state = chance.choices(["pool", "private", "lost", "deal"], [30, 45, 20, 5])[0]
    return {
        "name": chance.choice(SURNAMES) + chance.choice(GIVEN) + (chance.choice(GIVEN) if chance.random() < 0.75 else ""),
        "phone": phone(number),
        "grade": chance.choice("ABC"),
        "stage": {"pool": "contacted", "lost": "lost", "deal": "signed"}.get(state) or chance.choice(["new", "contacted", "invited", "first_visit"]),
        "source": chance.choice(["natural", "call", "online", "agency", "distribution"]),
        "pool_state": state,
        "owner": None if state == "pool" else chance.choice(owners),
        "owned_since": None if state == "pool" else _some(chance, -20_000, -1),
        "protect_until": _some(chance, -10_000, 40_000) if state == "private" else None,
    }


def _child(entity: str, chance: random.Random, customer: int, owners: list[int]) -> dict[str, Any]:
    who, past = chance.choice(owners), _some(chance, -500_000, -1)
    ahead = _some(chance, -20_000, 20_000)
    kinds: Mapping[str, dict[str, Any]] = {
        "follow_up": {"author": who, "method": "wechat", "intent_change": "same", "content": "聊了很久，周末再来看房", "at": past, "next_contact_at": ahead},
        "visit": {"kind": chance.choice(["first", "re"]), "at": past, "receiver": who},
        "appointment": {"visit_at": ahead, "host": who, "status": chance.choice(["waiting", "came", "no_show"])},
        "call": {"phone": phone(customer), "caller": who, "started_at": past, "seconds": chance.randint(0, 600)},
        "task": {"title": "回访", "kind": "callback", "owner": who, "due_at": ahead, "status": chance.choice(["open", "open", "done"])},
        "review": {"field": "budget_min", "kept": "100", "given": "200", "status": chance.choice(["open", "kept"])},
    }
    return {"customer": customer, **kinds[entity]}


def copy(workspace: Workspace, entity: CompiledEntity, many: int, times: int) -> None:
    """The first ``many`` rows again and again until there are ``times`` as many, each set a little earlier; inside the database."""
    table, schema = entity.table, workspace.database.schema
    for turn in range(1, times):
        with workspace.database.write() as connection:
            columns = {str(column.key): _copied(entity, column, turn, workspace.database.dialect) for column in table.c}
            columns["id"] = table.c.id + turn * many
            source = sa.select(*columns.values()).where(table.c.id <= many).execution_options(scoped=True)
            if entity.key == "customer":
                source = _with_numbers(connection, workspace, entity, columns, turn * many, many)
            connection.execute(sa.insert(table).from_select(list(columns), source), execution_options={"scoped": True})
            if entity.search_table is not None:
                name = entity.search_table.name
                connection.exec_driver_sql(
                    f"INSERT INTO {name} (rowid, tokens) SELECT rowid + {turn * many}, tokens FROM {name} WHERE rowid <= {many}",
                    execution_options={"scoped": True},
                )
    if schema:
        with workspace.database.write() as connection:
            owner = f'"{schema}"."{table.name}"'
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{owner}', 'id'), {many * times})", execution_options={"scoped": True})


def _copied(entity: CompiledEntity, column: sa.Column[Any], turn: int, dialect: str) -> sa.ColumnElement[Any]:
    """What a copy has in a column: its own customer, an earlier moment, else the same."""
    if str(column.key) == "customer" and entity.key != "customer":
        return column + turn * BASE
    if isinstance(column.type, Instant) and str(column.key) not in ("created_at", "updated_at", "deleted_at"):
        if dialect == "sqlite":
            return sa.type_coerce(column, sa.BigInteger) - turn * COPY_EARLIER // timedelta(microseconds=1)
        return sa.type_coerce(column, sa.DateTime(timezone=True)) - turn * COPY_EARLIER
    return column


def _with_numbers(
    connection: sa.Connection, workspace: Workspace, entity: CompiledEntity, columns: dict[str, sa.ColumnElement[Any]], start: int, many: int
) -> sa.Select[Any]:
    """The source of copied customers, each with a telephone number of its own."""
    item, table = entity.fields["phone"], entity.table
    names = [str(column.key) for column in (item.column, item.bi_column, item.bi4_column) if column is not None]
    numbers = sa.table("bench_numbers", sa.column("n", sa.BigInteger), *(sa.column(name, sa.Text) for name in names))
    connection.exec_driver_sql("DROP TABLE IF EXISTS bench_numbers")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE bench_numbers (n BIGINT PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})")
    given = []
    for number in range(start, start + many):
        cells = seal_row(entity.key, item, f"+86{phone(number)}", workspace.cipher)
        given.append({"n": number + 1, **{name: cells[name] for name in names}})
    connection.execute(sa.insert(numbers), given)
    columns.update({name: numbers.c[name] for name in names})
    joined = sa.select(*columns.values()).join_from(table, numbers, numbers.c.n == table.c.id + start)
    return joined.where(table.c.id <= many).execution_options(scoped=True)
