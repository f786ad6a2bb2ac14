"""Searching records that have no searchable text of their own (contracts, payments), in lists and pickers: by their numbers, and by what those they link to are called.

Everything is asked under the reader's own grants: a link or a number they may see masked somewhere takes no part, a linked record is found as its own search finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.access import Grant, grant_of
from engine.records.filters import literal
from engine.records.query import Query, page

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

#: Linked records that are looked for by name; more than these say that the words were too few.
MOST_LINKED = 100
#: An entry is of a deal, which is called by its contract, which has a number: names three links away are the furthest anybody means.
FURTHEST = 3
_NUMBERS = ("serial", "text")
_LINKS = ("link", "person", "team")


def has_own_search(entity: CompiledEntity, grant: Grant) -> bool:
    """Whether the records are found by a searchable field of their own."""
    return any(item.definition.search and name in grant.readable for name, item in entity.fields.items())


def can_search(ctx: Context, entity: CompiledEntity, names: Sequence[str]) -> bool:
    """Whether words can find any record of a list that shows these fields."""
    grant = grant_of(ctx.workspace, ctx.actor, entity)
    return has_own_search(entity, grant) or any(_numbers(entity, grant, names)) or any(_links(ctx, entity, grant, names))


def condition(ctx: Context, entity: CompiledEntity, names: Sequence[str], words: str, furthest: int = FURTHEST) -> str:
    """What finds the words in records without searchable text: in the numbers among these fields, in the names of the records these link to. "false" for nothing."""
    grant = grant_of(ctx.workspace, ctx.actor, entity)
    parts = [f"contains(lower({name}), {literal(words.strip().lower())})" for name in _numbers(entity, grant, names)]
    for name in _links(ctx, entity, grant, names):
        found = _called(ctx, ctx.workspace.entities[entity.fields[name].target], words, furthest - 1)
        if found:
            parts.append(f"{name} in ({', '.join(map(str, found))},)")
    return " or ".join(parts) or "false"


def _called(ctx: Context, entity: CompiledEntity, words: str, furthest: int) -> list[int]:
    """The records of an entity that go by these words, by id."""
    grant = grant_of(ctx.workspace, ctx.actor, entity)
    if has_own_search(entity, grant):
        asked = Query(entity.key, search=words, fields=(), limit=MOST_LINKED)
    elif furthest > 0:
        asked = Query(entity.key, where=condition(ctx, entity, entity.label_fields(), words, furthest), fields=(), limit=MOST_LINKED)
    else:
        return []
    return [record["id"] for record in page(ctx, asked).items]


def _numbers(entity: CompiledEntity, grant: Grant, names: Sequence[str]) -> list[str]:
    """The short texts among the fields that this reader sees in clear in every record."""
    known = [(name, entity.fields[name]) for name in dict.fromkeys((*names, *entity.label_fields())) if name in entity.fields]
    return [name for name, item in known if item.definition.type in _NUMBERS and item.column is not None and not item.encrypted and name in grant.open]


def _links(ctx: Context, entity: CompiledEntity, grant: Grant, names: Sequence[str]) -> list[str]:
    """The single links among the fields that this reader sees in every record, to what they may read."""
    known = [(name, entity.fields[name]) for name in dict.fromkeys((*names, *entity.label_fields())) if name in entity.fields]
    return [
        name
        for name, item in known
        if item.definition.type in _LINKS
        and item.target
        and item.column is not None
        and name in grant.open
        and grant_of(ctx.workspace, ctx.actor, ctx.workspace.entities[item.target]).allowed("read")
    ]
