"""A workspace under test and ways to act in it: as one of its people, or as the operator of the installation."""

from __future__ import annotations

from dataclasses import dataclass

from engine.actors import enter_as, enter_person
from engine.context import Context
from engine.home import Home
from engine.workspace import Workspace


@dataclass(frozen=True)
class Inhabited:
    """A workspace of an installation by its name."""

    home: Home
    name: str

    @property
    def workspace(self) -> Workspace:
        """The published version."""
        return self.home.workspace(self.name)

    def ctx(self, login: str = "") -> Context:
        """A context of that person; without a login, the operator's."""
        return enter_person(self.home, self.name, login) if login else enter_as(self.home, self.name, "operator")

    def person(self, login: str) -> int:
        """The id of the person of a login."""
        found = self.ctx(login).actor.person_id
        assert found is not None
        return found
