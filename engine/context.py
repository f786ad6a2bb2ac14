"""This request: who acts, where, when, why, and the open connection. Passed as the first argument, never global."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from engine.clock import State, read_state
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.home import Home


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is written. ``kind``: person, api, import, rule, system, publish; ``name``: of the form, rule or job; ``detail``: anything JSON.

    Of a rule, ``detail`` holds its ``run``, the ``chain`` of rules that led to it and the ``actions`` under way, outermost first.
    """

    kind: str = "person"
    name: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As history keeps it."""
        return {"kind": self.kind, **({"name": self.name} if self.name else {}), **({"detail": dict(self.detail)} if self.detail else {})}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in one workspace: a person, or a named system principal (``kind`` system, ``person_id`` None, every grant).

    ``team`` is the own team, ``teams`` it and all below, ``lead`` the team's lead; ``fields`` the person's typed values (``me.X``).
    ``permission_version``: the one these rights were read at. ``rights``: what the roles can do beside records.
    """

    person_id: int | None
    name: str
    roles: tuple[str, ...] = ()
    team: int | None = None
    teams: tuple[int, ...] = ()
    lead: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    account_id: int | None = None
    kind: Literal["person", "system"] = "person"
    permission_version: int = 0
    rights: frozenset[str] = frozenset()
    me: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """``me`` as expressions know it, made once for all requests of these rights."""
        known = {
            **self.fields,
            "id": self.person_id,
            "name": self.name,
            "team": self.team,
            "teams": list(self.teams),
            "lead": self.lead,
            "roles": list(self.roles),
            "role": self.roles[0] if self.roles else None,
        }
        object.__setattr__(self, "me", known)

    def acting_as(self, principal: str) -> Actor:
        """A named principal with this person's ``me``: what it does has its authority, what it says names the person."""
        found = replace(self, name=principal, kind="system")
        object.__setattr__(found, "me", self.me)
        return found

    @property
    def caller(self) -> str:
        """A short stable name of this actor, for idempotency keys and rates."""
        return f"person:{self.person_id}" if self.kind == "person" else f"system:{self.name}"


#: Reads an actor anew in an open transaction; raises NotFound when the person may no longer enter.
Refresh = Callable[[sa.Connection, Workspace, State, Actor], Actor]
#: Looks, on the first connection that is opened, who asks and what stands; raises NotLoggedIn for somebody who may not any more.
Look = Callable[[sa.Connection], tuple[Workspace, State, Actor]]


@dataclass(frozen=True, slots=True)
class Context:
    """``now`` is the workspace's clock, one value for the whole transaction. ``connection`` is open inside ``reading``, ``snapshot``, ``writing``.

    ``confirmed``: codes of soft refusals the person has seen and goes on against. ``looked``: what those who look through one snapshot share.
    ``look``: until a connection is open, workspace, actor and time are those of the request before; it makes them those of this one.
    """

    home: Home
    workspace: Workspace
    actor: Actor
    now: datetime
    locale: str = "zh"
    cause: Cause = field(default_factory=Cause)
    ip: str = ""
    connection: sa.Connection | None = None
    transaction: Literal["", "read", "snapshot", "write"] = ""
    background: bool = False
    refresh: Refresh | None = None
    confirmed: frozenset[str] = frozenset()
    look: Look | None = None
    looked: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def open(self) -> sa.Connection:
        """The open connection; RuntimeError outside a ``with``."""
        if self.connection is None:
            raise RuntimeError("no connection is open: use ctx.reading(), ctx.snapshot() or ctx.writing()")
        return self.connection

    @contextmanager
    def reading(self) -> Iterator[Context]:
        """An open connection for single statements; the one already open, if any."""
        if self.connection is not None:
            yield self
            return
        with self.workspace.database.read() as connection:
            yield self._looking(connection, "read")

    @contextmanager
    def snapshot(self, *, long: bool = False) -> Iterator[Context]:
        """One consistent state for several statements; the transaction already open, if any. ``long``: without a request's time limit."""
        if self.connection is not None and self.transaction != "read":
            yield self
            return
        with self.workspace.database.snapshot(long=long) as connection:
            yield self._looking(connection, "snapshot")

    @contextmanager
    def writing(self, *, lasting: bool = True) -> Iterator[Context]:
        """The write transaction: the one already open, or a new one committed at the end (``lasting`` as for ``Database.write``).

        A new one reads the workspace's state first: a version published or a right changed since this context was made counts from here on.
        """
        if self.transaction == "write":
            yield self
            return
        with self.workspace.database.write(background=self.background, lasting=lasting) as connection:
            yield self.within(connection)

    def within(self, connection: sa.Connection, state: State | None = None) -> Context:
        """This context in a write transaction opened elsewhere (publishing, jobs), with workspace, rights and time as they are there (``state``: read already)."""
        if self.look is not None:
            return self._looking(connection, "write")
        state = state or read_state(connection)
        workspace = self.workspace if state.version == self.workspace.version else self.home.at(connection, self.workspace, state)
        actor = self.actor
        if actor.kind == "person" and self.refresh is not None and (actor.permission_version != state.permission_version or workspace is not self.workspace):
            actor = self.refresh(connection, workspace, state, actor)
        return self._on(connection, "write", workspace, actor, state.now)

    def _looking(self, connection: sa.Connection, transaction: Literal["read", "snapshot", "write"]) -> Context:
        if self.look is None:
            return self._on(connection, transaction)
        workspace, state, actor = self.look(connection)
        return self._on(connection, transaction, workspace, actor, state.now)

    def _on(
        self,
        connection: sa.Connection,
        transaction: Literal["read", "snapshot", "write"],
        workspace: Workspace | None = None,
        actor: Actor | None = None,
        now: datetime | None = None,
    ) -> Context:
        """The same on an open connection, spelled out: every request does it several times, and ``replace`` costs three times as much."""
        return Context(
            self.home,
            workspace or self.workspace,
            actor or self.actor,
            now or self.now,
            self.locale,
            self.cause,
            self.ip,
            connection,
            transaction,
            self.background,
            self.refresh,
            self.confirmed,
        )

    def because(self, cause: Cause) -> Context:
        """The same context with another cause."""
        return replace(self, cause=cause)
