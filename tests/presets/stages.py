"""Sandboxes of a preset for its scenarios, on either database: published once; a copy is laid under the same home for each. SQLite copies a folder, PostgreSQL a database."""

import os
from datetime import datetime
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from engine.home import Home
from engine.publishing import create_workspace
from engine.registry import Registry
from engine.scenarios import BEGIN, OWN, Stage, lay_folder
from engine.settings import Settings
from metadata.bundle import Bundle

WORKSPACE = "stage"
_SECRET = "k" * 40


class Theatre:
    """A preset published in a home of its own. ``server``: the URL of the PostgreSQL server it lies on, "" for SQLite. ``stage`` plays its scenarios."""

    def __init__(self, folder: Path, registry: Registry, bundle: Bundle, server: str, *, now: datetime = BEGIN, title: str = WORKSPACE) -> None:
        self.bundle = bundle
        self._folder, self._registry = folder, registry
        self._server: URL | None = make_url(server).set(drivername="postgresql") if server else None
        self._connection = psycopg.connect(self._server.render_as_string(hide_password=False), autocommit=True) if self._server is not None else None
        self._home = self._open(OWN)
        self._names = {OWN}
        create_workspace(self._home, WORKSPACE, bundle, title=title, sandbox=True, now=now)
        self.stage = Stage(self._home, WORKSPACE, self._lay)

    def close(self) -> None:
        """Take it all away."""
        self._home.close()
        if self._connection is not None:
            for name in self._names:
                self._admin(f'DROP DATABASE IF EXISTS "{self._database(name)}" WITH (FORCE)')
            self._connection.close()

    def _lay(self, source: str, target: str) -> None:
        """Put a copy of one installation in the other's place."""
        lay_folder(self._folder / source, self._folder / target)
        self._names.add(target)
        if self._server is not None:
            self._admin(f'DROP DATABASE IF EXISTS "{self._database(target)}" WITH (FORCE)')
            self._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database(source)}'")  # what its pool kept open
            self._admin(f'CREATE DATABASE "{self._database(target)}" TEMPLATE "{self._database(source)}" STRATEGY FILE_COPY')

    def _open(self, name: str) -> Home:
        (self._folder / name).mkdir(parents=True)
        if self._server is not None:
            self._admin(f'CREATE DATABASE "{self._database(name)}"')
        words = {"TANGRAM_HOME": str(self._folder / name), "TANGRAM_SECRET_KEY": _SECRET, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
        if self._server is not None:
            url = self._server.set(drivername="postgresql+psycopg", database=self._database(name))
            words["TANGRAM_DATABASE_URL"] = url.render_as_string(hide_password=False)
        return Home.open(Settings.from_environment(words), self._registry, migrate=True)

    def _database(self, name: str) -> str:
        return f"s_{os.getpid()}_{id(self)}_{name}"

    def _admin(self, statement: str) -> None:
        assert self._connection is not None
        self._connection.execute(statement)
