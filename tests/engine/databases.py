"""Empty databases of either kind for the core's own tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.database import Database
from engine.database_postgresql import PostgresServer
from engine.database_sqlite import create_file, open_sqlite
from engine.settings import Settings


@contextmanager
def opened(kind: str, folder: Path, postgres: Callable[[], str], **words: object) -> Iterator[Database]:
    """An empty database: a SQLite file in ``folder``, or a schema of a new PostgreSQL database."""
    if kind == "sqlite":
        create_file(folder / "things.db")
        database, server = open_sqlite(folder / "things.db", Settings(home=folder, **words)), None
    else:
        server = PostgresServer(Settings(home=folder, database_url=postgres(), secret_key="x" * 32, **words))
        server.create_schema("ws_things")
        database = server.database("ws_things")
    yield database
    database.close()
    if server is not None:
        server.close()
