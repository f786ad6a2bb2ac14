"""Sandboxes of a preset for its scenarios, on either database: published once; a copy is laid under the same home for each. SQLite copies a file, PostgreSQL what was written."""

import os
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from engine.home import Home
from engine.publishing import create_workspace
from engine.registry import Registry
from engine.scenarios import BEGIN, OWN, Stage, lay_folder
from engine.settings import Settings
from metadata.bundle import Bundle

from .contents import Contents

WORKSPACE = "stage"
_SECRET = "k" * 40


class Theatre:
    """A preset published in a home of its own. ``server``: the URL of the PostgreSQL server it lies on, "" for SQLite. ``stage`` plays its scenarios."""

    def __init__(self, folder: Path, registry: Registry, bundle: Bundle, server: str, *, now: datetime = BEGIN, title: str = WORKSPACE) -> None:
        self.bundle = bundle
        self._folder, self._registry = folder, registry
        self._server: URL | None = make_url(server).set(drivername="postgresql") if server else None
        self._database = f"s_{os.getpid()}_{id(self)}"
        self._home = self._open()
        create_workspace(self._home, WORKSPACE, bundle, title=title, sandbox=True, now=now)
        self._contents = Contents(self._url("postgresql", self._database)) if self._server is not None else None
        self.stage = Stage(self._home, WORKSPACE, self._lay)

    def close(self) -> None:
        """Take it all away; the database goes with the server of the tests, which knows no other use."""
        self._home.close()
        if self._contents is not None:
            self._contents.close()

    def _lay(self, source: str, target: str) -> None:
        """Put a copy of one installation in the other's place."""
        lay_folder(self._folder / source, self._folder / target)
        if self._contents is not None:
            if source == OWN:
                self._contents.keep(target)
            else:
                self._contents.bring(source)

    def _open(self) -> Home:
        (self._folder / OWN).mkdir(parents=True)
        words = {"TANGRAM_HOME": str(self._folder / OWN), "TANGRAM_SECRET_KEY": _SECRET, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
        if self._server is not None:
            with psycopg.connect(self._url("postgresql"), autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))
            words["TANGRAM_DATABASE_URL"] = self._url("postgresql+psycopg", self._database)
        return Home.open(Settings.from_environment(words), self._registry, migrate=True)

    def _url(self, driver: str, database: str | None = None) -> str:
        assert self._server is not None
        return self._server.set(drivername=driver, database=database or self._server.database).render_as_string(hide_password=False)
