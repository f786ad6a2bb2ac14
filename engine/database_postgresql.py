"""The schemas of one PostgreSQL database: pools of connections they share, healed when the server dropped them."""

from time import monotonic
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from engine.database import Database, Engines
from engine.database_faults import refuse_unscoped, told_plainly
from engine.database_ready import behind_put_off, execute_anew
from engine.database_resting import Resting
from engine.settings import Settings
from engine.storage import to_json

_NO_DISC_ARM = "-c random_page_cost=1.1"  # PostgreSQL's own 4 weighs an index against a walk as if a disc had to turn to each row
_PING_AFTER = 1.0  # seconds a pooled connection may rest before it is asked whether it still lives


def _keep_alive(engine: sa.Engine) -> None:
    """Ask a connection that rested whether it lives; cheaper than asking at every checkout, and a restart of the server heals itself."""

    def given_back(connection: Any, record: Any) -> None:
        record.info["rested"] = monotonic()

    def taken(connection: psycopg.Connection[Any], record: Any, proxy: Any) -> None:
        if "rested" in record.info and monotonic() - record.info["rested"] >= _PING_AFTER:
            _ask(connection)

    sa.event.listen(engine, "checkin", given_back)
    sa.event.listen(engine, "checkout", taken)


def _ask(connection: psycopg.Connection[Any]) -> None:
    """Raises DisconnectionError when the server no longer knows the connection."""
    try:
        autocommit = connection.autocommit
        connection.autocommit = True
        connection.execute("SELECT 1").close()
        connection.autocommit = autocommit
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error


def _alive(connection: sa.Connection) -> bool:
    try:
        _ask(connection.connection.driver_connection)  # type: ignore[arg-type]
    except sa.exc.DisconnectionError:
        return False
    return True


def _execute_anew(cursor: psycopg.Cursor[Any], statement: Any, parameters: Any, context: Any) -> bool:
    """Event ``do_execute`` of the read engine."""
    execute_anew(cursor, statement, parameters)
    return True


class PostgresServer:
    """The connections to one PostgreSQL database, shared by the schemas in it."""

    def __init__(self, settings: Settings) -> None:
        limit = f"-c statement_timeout={round(settings.statement_timeout * 1000)}"
        pools = {"pool_size": settings.pool_size, "max_overflow": settings.pool_overflow, "pool_timeout": 30}
        self._read = self._engine(settings, settings.database_url, limit, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **pools)
        self._write = self._engine(settings, settings.database_url, "", **pools)
        self._direct = self._engine(settings, settings.direct_database_url or settings.database_url, "", poolclass=NullPool)
        for engine in (self._read, self._write):
            _keep_alive(engine)
        self._resting = Resting(settings.pool_size // 2, _alive, _PING_AFTER)
        sa.event.listen(self._read, "do_execute", _execute_anew)

    @staticmethod
    def _engine(settings: Settings, url: str, options: str, **words: Any) -> sa.Engine:
        # A transaction pooler neither takes start-up options nor keeps our prepared statements apart (it returned another workspace's row).
        arguments: dict[str, Any] = {"connect_timeout": 5, "prepare_threshold": None if settings.pooler else 5}
        if not settings.pooler:
            arguments["options"] = f"{make_url(url).query.get('options', '')} -c timezone=UTC {_NO_DISC_ARM} {options}".strip()
        engine = sa.create_engine(url, connect_args=arguments, json_serializer=to_json, json_deserializer=orjson.loads, query_cache_size=2000, **words)
        for listener in (refuse_unscoped, behind_put_off):
            sa.event.listen(engine, "before_cursor_execute", listener)
        return engine

    def database(self, schema: str) -> Database:
        """The database in one schema: unqualified tables are looked up there, by name, in every statement."""

        def at(engine: sa.Engine, **options: Any) -> sa.Engine:
            return engine.execution_options(schema_translate_map={None: schema}, **options)

        one_state = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        engines = Engines(at(self._read), at(self._write, **one_state), at(self._write), at(self._direct))
        return Database("postgresql", engines, self._resting, schema=schema)

    def schemas(self) -> set[str]:
        """The schemas there are. Raises Unavailable when the server cannot be reached."""
        with told_plainly(), self._read.connect() as connection:
            return set(sa.inspect(connection).get_schema_names())

    def version(self) -> int:
        """The server's major version."""
        with told_plainly(), self._read.connect() as connection:
            return int(connection.dialect.server_version_info[0]) if connection.dialect.server_version_info else 0

    def create_schema(self, name: str) -> None:
        """Make a schema unless it is there."""
        with told_plainly(), self._direct.begin() as connection:
            connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))

    def drop_schema(self, name: str) -> None:
        """Remove a schema with everything in it."""
        with told_plainly(), self._direct.begin() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))

    def close(self) -> None:
        """Close idle connections."""
        self._resting.let_go()
        for engine in (self._read, self._write):
            engine.dispose()
