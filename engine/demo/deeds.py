"""What people of a demo do: a record made by somebody, a button pressed, an approval answered, each at a moment; here as data, done by whoever runs the description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.demo.kitchen import Draw, Kitchen, Row, reader, refused

#: Verbs that are no action of an entity.
CREATE, UPDATE = "create", "update"
APPROVE, REJECT, RETURN, WITHDRAW = "ask.approve", "ask.reject", "ask.return", "ask.withdraw"
ANSWERS = frozenset({APPROVE, REJECT, RETURN, WITHDRAW})
#: What the workspace itself does: the jobs that deeds left, and also all that has fallen due by its clock.
SETTLE, DUE = "settle", "due"


@dataclass(frozen=True, slots=True)
class Act:
    """What a block does with each row. ``verb``: create, update, an answer to the approval that waits about the record, or an action of the entity.

    ``on``: the record's id; ``confirm``: codes of soft refusals gone on against.
    """

    verb: str
    on: Draw
    opinion: Draw
    confirm: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing done. ``person``: None for whoever is asked (of answers) or nobody in particular; ``at``: None for now. ``values``: of the new record, the changed fields, or the parameters; ``confirm``: codes of soft refusals gone on against."""

    verb: str
    entity: str
    record: int | None
    person: int | None
    at: datetime | None
    values: Row
    opinion: str | None = None
    confirm: tuple[str, ...] = ()


#: Does a deed; gives the id of the record it made or was about, None when the definitions refused it.
Doer = Callable[[Deed], int | None]


def read_act(doc: Mapping[str, Any], kitchen: Kitchen, pointer: str) -> Act:
    """The act of a block; without ``on`` it is about the record of the block above. Raises Invalid with a pointer."""
    verb = doc["act"]
    if not isinstance(verb, str) or not verb:
        raise refused(f"{pointer}/act", "demo_act")
    on = _on(doc, kitchen, pointer, verb)
    return Act(verb, on, kitchen.recipe(doc.get("opinion"), f"{pointer}/opinion"), tuple(doc.get("confirm", ())))


def _on(doc: Mapping[str, Any], kitchen: Kitchen, pointer: str, verb: str) -> Draw:
    given = doc.get("on", "parent.id")
    if verb == CREATE:
        return lambda row: None
    return reader(given, kitchen.world) if isinstance(given, str) else kitchen.recipe(given, f"{pointer}/on")
