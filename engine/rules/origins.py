"""From which fields of which records the value of an expression comes, so that it can be shown to those who may see them. Reads definitions; shows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Node, Space, walk
from engine.fields.base import Value
from engine.fields.values import link_id
from engine.rules.book import CompiledRule, every_step
from engine.rules.effects import Handle

#: Spaces whose values are nobody's secret: parameters of the workspace, and what the run knows of itself.
_OPEN = frozenset({"setting", "run", "tally", "answer"})
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """A field of a record ('' = the record itself, its existence). ``record`` None: some record of the entity, which one is not known."""

    entity: str
    record: int | None
    field: str = ""


@dataclass(frozen=True, slots=True)
class Origins:
    """How names lead to records in one run. ``about``: the rule's own record; ``sources``: records by the name that carries them (``reg``, ``param.to``)."""

    rule: CompiledRule | None
    about: Handle | None = None
    me: int | None = None
    sources: Mapping[str, Handle] = field(default_factory=dict)

    def of(self, expression: Expression) -> tuple[Origin, ...]:
        """Everything the value of an expression was made of."""
        return tuple(dict.fromkeys(self._of(expression.tree, 0)))

    def single(self, expression: Expression) -> Origin | None:
        """The one field an expression shows as it stands, when it does no more than that."""
        if not isinstance(expression.tree, Field | Hop | Space):
            return None
        found = self.of(expression)
        return found[-1] if found and found[-1].field else None

    def _of(self, tree: Node, depth: int) -> Iterator[Origin]:
        for node in walk(tree):
            if isinstance(node, Field):
                yield from self._step(self._own(), node.key)
            elif isinstance(node, Hop):
                yield from self._step(self._own(), node.link)
                yield from self._step(self._after(self._own(), node.link, node.entity), node.key)
            elif isinstance(node, Space) and node.path[0] not in _OPEN:
                yield from self._space(node, depth)

    def _own(self) -> Origin | None:
        if self.about is not None:
            return Origin(self.about.entity, self.about.id or None)
        return Origin(self.rule.entity, None) if self.rule is not None and self.rule.entity else None

    def _step(self, start: Origin | None, key: str) -> Iterator[Origin]:
        if start is not None:
            yield Origin(start.entity, start.record, "" if key == "id" else key)

    def _after(self, start: Origin | None, link: str, entity: str) -> Origin | None:
        """The record a link of a record leads to."""
        holder = self._handle(start)
        found: Value = holder.get(link) if holder is not None else None
        if isinstance(found, Handle):
            return Origin(found.entity, found.id)
        return Origin(entity, link_id(found)) if entity else None

    def _handle(self, start: Origin | None) -> Handle | None:
        if start is None or start.record is None:
            return None
        known = (self.about, *self.sources.values())
        return next((one for one in known if one is not None and (one.entity, one.id) == (start.entity, start.record)), None)

    def _space(self, node: Space, depth: int) -> Iterator[Origin]:
        path = node.path
        if path[0] in ("record", "old", "lines"):
            start, rest = self._own(), path[1:] if path[0] != "lines" else ()
        elif path[0] == "me":
            start, rest = Origin("person", self.me), path[1:]
        else:
            start, rest = self._carried(node)
        if start is None:
            yield from self._let(path[0], depth)
            if node.hop:
                yield Origin(node.hop, None, path[-1])
            return
        if not rest:
            yield start
            return
        yield from self._step(start, rest[0])
        if len(rest) > 1:
            yield from self._step(self._after(start, rest[0], node.hop), rest[1])

    def _carried(self, node: Space) -> tuple[Origin | None, tuple[str, ...]]:
        """The record a carried name or parameter is, and what is read of it."""
        path = node.path
        for length in (2, 1):
            handle = self.sources.get(".".join(path[:length]))
            if handle is not None and len(path) >= length:
                return Origin(handle.entity, handle.id), path[length:]
        if node.root:
            return Origin(node.root, None), path[1:]
        if path[0] == "param" and len(path) == 2 and node.type.linked:
            return Origin(node.type.entity, None), ()
        return None, ()

    def _let(self, name: str, depth: int) -> Iterator[Origin]:
        """What a name given by ``let`` was made of; of a find that shows columns, the fields they show."""
        if self.rule is None or depth >= _DEEPEST:
            return
        for step in every_step(self.rule.steps):
            term = step.terms.get(f"let/{name}")
            if isinstance(term, Expression):
                yield from self._of(term.tree, depth + 1)
            if step.verb == "find" and step.body.get("as") == name:
                yield from self._columns(step.under("show").values(), str(step.body["find"]))
                yield from self._columns((term for place, term in step.terms.items() if place.startswith("take/")), str(step.body["find"]))
                yield from self._let(str(step.body["find"]), depth + 1)  # a list made earlier: what it was made of

    @staticmethod
    def _columns(terms: Iterable[object], entity: str) -> Iterator[Origin]:
        for term in terms:
            if isinstance(term, Expression):
                yield from (Origin(entity, None, name) for name in sorted(term.fields))


def sources_of(expressions: Iterable[Expression], spaces: Mapping[str, Value]) -> dict[str, Handle]:
    """The records the values of some expressions may be of, by the name that carries them: a name of a step, or a parameter (``param.to``)."""
    found: dict[str, Handle] = {}
    for expression in expressions:
        for node in walk(expression.tree):
            if not isinstance(node, Space) or node.path[0] not in spaces:
                continue
            value, name = spaces[node.path[0]], node.path[0]
            if not isinstance(value, Handle) and isinstance(value, Mapping) and len(node.path) > 1:
                value, name = value.get(node.path[1]), f"{name}.{node.path[1]}"
            entity = node.hop or node.type.entity
            if isinstance(value, Handle):
                found[name] = value
            elif entity and (record := link_id(value)) is not None:
                found[name] = Handle(entity, record, lambda *_: None)
    return found
