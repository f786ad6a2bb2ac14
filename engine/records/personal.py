"""Whose data a record is: a person's own record and all that belongs to it; and which fields hold something of a person. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.access import remember
from engine.errors import Conflict
from engine.records.derived_graph import graph
from engine.scope import engine_select

if TYPE_CHECKING:
    from engine.records.work import Work
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: Most records of one person: more of them would be somebody else's as well.
MOST = 20_000
_CHUNK = 500


def personal_fields(workspace: Workspace) -> Mapping[str, frozenset[str]]:
    """By entity, the fields that hold something of a person: those said to be personal, and stored values derived from them."""
    return remember(workspace, ("personal", "fields"), lambda: _personal_fields(workspace))


def _personal_fields(workspace: Workspace) -> Mapping[str, frozenset[str]]:
    known = graph(workspace)
    found: set[tuple[str, str]] = set()
    waiting = [(entity.key, name) for entity in workspace.entities.values() for name, item in entity.fields.items() if item.definition.personal != "none"]
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        found.add(place)
        key, name = place
        waiting += [(key, other) for (of, other), reads in known.reads.items() if of == key and name in reads]
        waiting += [(entity, field) for (entity, _link), fields in known.links.get(place, {}).items() for field in fields]
        for place_of in known.rollups.get(place, ()):
            rollup = workspace.entities[place_of.entity].fields[place_of.field].rollup
            if rollup is not None and rollup.of == name:
                waiting.append((place_of.entity, place_of.field))
    grouped: dict[str, set[str]] = {}
    for key, name in found:
        grouped.setdefault(key, set()).add(name)
    return {key: frozenset(names) for key, names in grouped.items()}


def ways_to(workspace: Workspace, subject: str) -> Sequence[tuple[CompiledEntity, CompiledField]]:
    """The links by which records belong to one of these persons. Of persons themselves only those that are named: who was brought by another is not that other."""
    return remember(workspace, ("personal", "ways", subject), lambda: _ways_to(workspace, subject))


def _ways_to(workspace: Workspace, subject: str) -> Sequence[tuple[CompiledEntity, CompiledField]]:
    found = []
    for entity in workspace.entities.values():
        said = entity.definition.body.get("personal", {}).get("of")
        for name, item in entity.fields.items():
            counts = name in said if said is not None else not entity.definition.subject
            if item.definition.type == "link" and item.target == subject and item.column is not None and counts:
                found.append((entity, item))
    return tuple(found)


def belonging(work: Work, entity: CompiledEntity, record: int) -> dict[str, list[int]]:
    """By entity, the records of one person, deleted ones included: their own, those that lead to it, and the lines of these. Raises Conflict for too many."""
    found: dict[str, set[int]] = {entity.key: {record}}
    waiting = [(entity.key, [record])]
    count = 1
    while waiting:
        key, ids = waiting.pop()
        owner = work.entity(key)
        ways = list(ways_to(work.workspace, key)) if owner.definition.subject else []
        ways += [(line, line.fields[line.parent_field]) for line in map(work.entity, owner.lines)]
        for other, link in ways:
            fresh = sorted(set(_pointing(work, other, link, ids)) - found.setdefault(other.key, set()))
            count += len(fresh)
            if count > MOST:
                raise Conflict("personal_too_many", limit=MOST)
            if fresh:
                found[other.key].update(fresh)
                waiting.append((other.key, fresh))
    return {key: sorted(ids) for key, ids in found.items() if ids}


def _pointing(work: Work, entity: CompiledEntity, link: CompiledField, targets: Sequence[int]) -> list[int]:
    assert link.column is not None
    found: list[int] = []
    for start in range(0, len(targets), _CHUNK):
        select = engine_select(entity, entity.table.c.id, deleted=True).where(link.column.in_(targets[start : start + _CHUNK]))
        found += work.connection.execute(select).scalars()
    return found
