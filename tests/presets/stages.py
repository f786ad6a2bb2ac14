"""Sandboxes of a preset for its scenarios, on either database: published once, copied for each. SQLite copies a folder, PostgreSQL a database."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from engine.home import Home
from engine.publishing import create_workspace
from engine.registry import Registry
from engine.scenarios import BEGIN
from engine.settings import Settings
from metadata.bundle import Bundle

WORKSPACE = "stage"
_numbers = count(1)
_SECRET = "k" * 40


class Stage:
    """A preset published in a home of its own kind of database. ``copy`` opens a home that is as that one was, and lets it go again."""

    def __init__(self, folder: Path, registry: Registry, bundle: Bundle, server: Callable[[], str] | None) -> None:
        self.bundle = bundle
        self._folder, self._registry = folder, registry
        self._server: URL | None = make_url(server()).set(drivername="postgresql") if server is not None else None
        self._template = self._make("template")
        create_workspace(self._template, WORKSPACE, bundle, sandbox=True, now=BEGIN)
        self._template.close()

    @contextmanager
    def copy(self) -> Iterator[Home]:
        """A home that holds the preset and nothing else."""
        name = f"copy{next(_numbers)}"
        shutil.copytree(self._folder / "template", self._folder / name)
        if self._server is not None:
            self._admin(f'CREATE DATABASE "{self._database(name)}" TEMPLATE "{self._database("template")}" STRATEGY FILE_COPY')
        home = self._open(name)
        try:
            yield home
        finally:
            home.close()
            shutil.rmtree(self._folder / name)
            if self._server is not None:
                self._admin(f'DROP DATABASE "{self._database(name)}"')

    def close(self) -> None:
        """Take the template away."""
        if self._server is not None:
            self._admin(f'DROP DATABASE "{self._database("template")}"')

    def _make(self, name: str) -> Home:
        (self._folder / name).mkdir(parents=True)
        if self._server is not None:
            self._admin(f'CREATE DATABASE "{self._database(name)}"')
        return self._open(name)

    def _open(self, name: str) -> Home:
        words = {"TANGRAM_HOME": str(self._folder / name), "TANGRAM_SECRET_KEY": _SECRET, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
        if self._server is not None:
            url = self._server.set(drivername="postgresql+psycopg", database=self._database(name))
            words["TANGRAM_DATABASE_URL"] = url.render_as_string(hide_password=False)
        return Home.open(Settings.from_environment(words), self._registry, migrate=True)

    def _database(self, name: str) -> str:
        return f"s_{os.getpid()}_{id(self)}_{name}"

    def _admin(self, statement: str) -> None:
        assert self._server is not None
        with psycopg.connect(self._server.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement)
