"""What a scenario expects to be there: rows of an entity, or of the engine's own tables, as the operator or as somebody sees them, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.expressions.checking import names_for
from engine.expressions.language import Expression, ExpressionRefused, parse
from engine.expressions.types import BOOLEAN, INSTANT
from engine.fields.base import Value, Wrong, accepted
from engine.fields.values import Link, Masked, link_id
from engine.outbox_reading import OutgoingView, outbox
from engine.records import query
from engine.records.finding import Finder
from engine.records.work import Work
from engine.rules.effects import Find, Handle
from engine.rules.wording import Wording, told
from engine.system_entities import SYSTEM_ENTITIES
from engine.system_tables_rules import ask, notice
from metadata.text import Label
from metadata.vocabulary import ExpressionPlace

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledField

#: Before the key of an entity: the name of the record of it that a step spoke of last. No name of a scenario begins so.
NONE = "."
#: Most messages to the outside a scenario looks at.
_MOST_SENT = 1000


class Unmet(Exception):
    """Something of a scenario did not come out as it says: a code of engine/messages, the place, what fills the sentence."""

    def __init__(self, code: str, pointer: str, params: Mapping[str, object]) -> None:
        super().__init__(code)
        self.code = code
        self.pointer = pointer
        self.params = params


@dataclass(frozen=True, slots=True)
class Named:
    """A record a scenario has a name for."""

    entity: str
    id: int


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a scenario: its records and people, and its teams by their titles."""

    records: Mapping[str, Named]
    teams: Mapping[str, Named]

    def put(self, target: str, value: Any) -> Any:
        """A JSON value of a link to ``target`` ("": no link) with ids in place of names."""
        if not target:
            return value
        if isinstance(value, list):
            return [self.put(target, item) for item in value]
        found = (self.records.get(value) or (self.teams.get(value) if target == "team" else None)) if isinstance(value, str) else None
        return value if found is None or found.entity != target else found.id

    def anywhere(self, value: Any) -> Any:
        """A JSON value with the id of the record it is the name of, of whatever entity; as it is when it is none."""
        if isinstance(value, list):
            return [self.anywhere(item) for item in value]
        found = self.records.get(value) if isinstance(value, str) else None
        return value if found is None else found.id

    def tell(self, entity: str, number: int) -> str | None:
        """What a record is called here."""
        return next((name for name, named in {**self.records, **self.teams}.items() if named == Named(entity, number) and name[0] != NONE), None)


def expect(ctx: Context, names: Names, pointer: str, said: Label, step: Mapping[str, Any]) -> Named | None:
    """Hold what is there against a step: its ``count`` where given, else at least one; each of them with its ``values``. Gives the first. Raises Unmet."""
    entity, count, values = step["expect"], step.get("count"), step.get("values", {})
    with ctx.snapshot() as ctx:
        found = _found(ctx, names, pointer, said, step, entity)
        if count is not None and len(found) != count:
            raise Unmet("scenario_count", pointer, {"step": said, "expected": count, "found": len(found)})
        if not found and count is None:
            raise Unmet("scenario_none", pointer, {"step": said})
        for one in found:
            if entity in SYSTEM_ENTITIES:
                _system_values(names, pointer, said, entity, one, values)
            else:
                _values(ctx, names, pointer, said, Named(entity, one["id"]), values, step.get("as", ""))
        return Named(entity, found[0]["id"]) if found and entity not in SYSTEM_ENTITIES else None


def _found(ctx: Context, names: Names, pointer: str, said: Label, step: Mapping[str, Any], entity: str) -> Sequence[Mapping[str, Any]]:
    """The rows meant; for somebody those they may read, of notices their own."""
    work = Work(ctx)
    fields = ctx.workspace.book.fields(entity)
    known = {name: named for name, named in names.records.items() if name[0] != NONE and name not in fields}
    spaces = {name: Handle(named.entity, named.id, work.row) for name, named in known.items()}
    where = _where(ctx, entity, step.get("where"), {name: named.entity for name, named in known.items()}, pointer, said)
    who = step.get("as", "")
    finder = Finder(work, work.evaluator, lambda expression, spaces, row: None, ctx.actor)
    rows = finder.find(Find(entity, where=where, take="all", spaces=spaces, scope="me" if who and entity not in SYSTEM_ENTITIES else ""))
    if who and entity == "notice":
        rows = [row for row in rows if row["person"] == ctx.actor.person_id]
    return _saying(ctx, entity, rows, step["says"]) if "says" in step else rows


def _saying(ctx: Context, entity: str, rows: Sequence[Mapping[str, Any]], text: str) -> Sequence[Mapping[str, Any]]:
    """Those notices and approvals that say something, as whoever expects it reads them; of anything else none says anything."""
    columns = {"notice": (notice.c.id, notice.c.text, notice.c.frame), "ask": (ask.c.id, ask.c.title, ask.c.title_frame)}.get(entity)
    if columns is None:
        return []
    found = ctx.open.execute(sa.select(*columns).where(columns[0].in_([row["id"] for row in rows]))).all()
    texts = told(ctx, [Wording(row[1], row[2]) for row in found])
    saying = {row[0] for row, read in zip(found, texts, strict=True) if text in read}
    return [row for row in rows if row["id"] in saying]


def expect_sent(ctx: Context, names: Names, pointer: str, said: Label, step: Mapping[str, Any]) -> None:
    """Hold the messages to the outside against a step: its ``count`` where given, else at least one. Raises Unmet."""
    to = names.records.get(step.get("to", ""))
    items, _ = outbox(ctx, connector=step["sent"], limit=_MOST_SENT)
    found = [
        item for item in items if (item.person == to.id if to is not None else step.get("to", "") in item.address) and step.get("says", "") in _words(item)
    ]
    if len(found) != step["count"] if "count" in step else not found:
        raise Unmet("scenario_count", pointer, {"step": said, "expected": step.get("count", "≥ 1"), "found": len(found)})


def _words(item: OutgoingView) -> str:
    return "\n".join([item.title, item.text, *(str(value) for value in item.payload.values())])


def _where(ctx: Context, entity: str, text: str | bool | None, names: Mapping[str, str], pointer: str, said: Label) -> Expression | None:
    if text is None or text is True:
        return None
    book = ctx.workspace.book
    source = "true == false" if text is False else text
    try:
        return parse(source, names_for(book, ExpressionPlace(entity, "boolean", frozenset({"me"}), names=names)), BOOLEAN, book.functions)
    except ExpressionRefused as refused:
        raise Unmet("scenario_where", pointer, {"step": said, "text": source, "column": refused.problems[0].column}) from refused


def _values(ctx: Context, names: Names, pointer: str, said: Label, record: Named, values: Mapping[str, Any], who: str) -> None:
    """Typed values as their reader sees them against those given as JSON."""
    if not values:
        return
    entity = ctx.workspace.entities[record.entity]
    there = query.get(ctx, record.entity, record.id, lines=False)
    scope = ctx.workspace.scope.of(record.entity)
    for key, wanted in values.items():
        item = entity.fields[key]
        words = {"step": said, "field": item.definition.title or key, "expected": wanted}
        if key not in there:
            raise Unmet("scenario_hidden", f"{pointer}/values/{key}", {**words, "who": who or "-"})
        if not _same(item, names.put(item.target, wanted), there[key], scope):
            raise Unmet("scenario_value", f"{pointer}/values/{key}", {**words, "found": _told(item, names, there[key], scope)})


def _same(item: CompiledField, wanted: Any, found: Value, scope: Any) -> bool:
    if isinstance(found, Masked):
        return bool(wanted == found.text)
    if item.target:
        return bool(_ids(wanted) == _ids(found))
    try:
        typed = accepted(item.type.json_reader(item.value, scope), wanted)
    except Wrong:
        return False
    return typed == found or (typed in (None, [], "") and found in (None, [], ""))


def _ids(value: Any) -> Any:
    """Ids without labels or order; what is no id is left, so that it is like none."""
    if isinstance(value, list):
        return sorted(str(_ids(item)) for item in value)
    number = link_id(value)
    return value if number is None else number


def _told(item: CompiledField, names: Names, found: Value, scope: Any) -> Any:
    """A value for a sentence: names of the scenario, labels, JSON."""
    if isinstance(found, Masked):
        return found.text
    if isinstance(found, list) and item.target:
        return [_told(item, names, one, scope) for one in found]
    if item.target and found is not None:
        number = link_id(found)
        name = names.tell(item.target, number) if number is not None else None
        return name or (found.label if isinstance(found, Link) and found.label else f"#{number}")
    return found if found is None else item.type.to_json(found, item.value, scope)


def _system_values(names: Names, pointer: str, said: Label, entity: str, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Values of a row of the engine's own tables."""
    for key, wanted in values.items():
        type = SYSTEM_ENTITIES[entity].fields[key]
        given = names.put(type.entity or "", wanted)
        given = _instant(given) if type == INSTANT and isinstance(given, str) else given
        if given != row[key]:
            found = row[key].isoformat() if isinstance(row[key], datetime) else row[key]
            raise Unmet("scenario_value", f"{pointer}/values/{key}", {"step": said, "field": key, "expected": wanted, "found": found})


def _instant(text: str) -> datetime | str:
    """An instant; a text that is none stays one, and is like no instant."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
