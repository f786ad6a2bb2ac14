"""Which rules set which off: chains that never end, and how many statements the longest chain of a trigger costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.expressions.language import Expression
from engine.expressions.nodes import Arithmetic, Field, Literal, Node, Space, walk
from engine.rules.analysis_places import ARROW, Places, together
from engine.rules.book import CompiledRule, RuleBook, Step, every_step
from engine.rules.order import own_writes, sets_own
from metadata.vocabulary import Problem

if TYPE_CHECKING:
    from engine.workspace import Workspace

#: Statements of one trigger's longest chain above which people are warned, and what a save costs without any rule.
MANY_STATEMENTS = 60
PLAIN_SAVE = 5
_COSTS = {"find": 1, "lock": 1, "create": 1, "delete": 1, "notify": 1, "ask": 2, "each": 1}


@dataclass(frozen=True, slots=True)
class Edge:
    """One rule sets another off. ``kind``: do, create, update, delete; ``sure``: it does so whenever it runs."""

    target: str
    kind: str
    sure: bool
    step: str


def chains(workspace: Workspace, book: RuleBook, places: Places) -> Iterator[Problem]:
    """Loops and costs of a rule book."""
    edges = {key: tuple(_edges(workspace, book, rule)) for key, rule in book.rules.items()}
    yield from _loops(book, edges, places)
    yield from _costs(book, edges, places)


def _edges(workspace: Workspace, book: RuleBook, rule: CompiledRule) -> Iterator[Edge]:
    """What a rule sets off in its own transaction or later."""
    for step, sure in _steps(rule.steps, rule.condition is True):
        for kind, target in _targets(workspace, book, rule, step):
            yield Edge(target.key, kind, sure and target.condition is True and target.trigger.where is None, step.path)


def _steps(steps: Sequence[Step], sure: bool) -> Iterator[tuple[Step, bool]]:
    """Every step and whether it is always taken."""
    for step in steps:
        taken = sure and step.condition is True
        yield step, taken
        for branch in step.branches.values():
            yield from _steps(branch, False)


def _targets(workspace: Workspace, book: RuleBook, rule: CompiledRule, step: Step) -> Iterator[tuple[str, CompiledRule]]:
    body = step.body
    if step.verb == "do" and body["do"] in book.actions:
        yield "do", book.actions[body["do"]]
    elif step.verb == "create":
        yield from (("create", target) for target in _listening(book, str(body["create"]), "create"))
    elif step.verb == "set" and not (rule.trigger.kind == "before" and sets_own(step)):
        entity = str(body.get("in") or (rule.entity if sets_own(step) else ""))
        owner = workspace.entities.get(entity)
        written = set(step.under("set"))
        for target in _listening(book, entity, "update"):
            if not target.trigger.fields or target.trigger.fields & written:
                yield "update", target
        stage = owner.stages.field if owner is not None and owner.stages is not None else ""
        if stage in written:
            for target in _listening(book, entity, "stage"):
                value = _constant(step.under("set")[stage])
                if not target.trigger.targets or value is None or value in target.trigger.targets:
                    yield "update", target


def _constant(term: object) -> object:
    """The constant a term is; None when it is reckoned."""
    if isinstance(term, Expression):
        return term.tree.value if isinstance(term.tree, Literal) else None
    return term


def _listening(book: RuleBook, entity: str, verb: str) -> Iterator[CompiledRule]:
    for moments in (book.before, book.after, book.later):
        yield from moments.get((entity, verb), ())


# --- loops ---------------------------------------------------------------------------------------------------------------------------------


def _loops(book: RuleBook, edges: Mapping[str, Sequence[Edge]], places: Places) -> Iterator[Problem]:
    """Each loop once: an error where it surely never ends, a warning where it may."""
    told = set[frozenset[str]]()
    for start in sorted(edges):
        for loop in _from(start, edges):
            keys = frozenset(edge.target for edge in loop)
            if keys in told:
                continue
            code, severity = _judged(book, start, loop)
            if code:
                told.add(keys)
                spot = places.steps(book.rules[start]).get(loop[0].step, places.of("rule", start))
                chain = [book.rules[start].title or start, *(book.rules[edge.target].title or edge.target for edge in loop)]
                yield spot.problem(code, "error" if severity else "warning", chain=together(chain, ARROW))


def _from(start: str, edges: Mapping[str, Sequence[Edge]]) -> Iterator[tuple[Edge, ...]]:
    """The shortest way from a rule back to itself for each of its own edges; later rules are looked at from their own turn."""
    for first in edges[start]:
        ways: list[tuple[Edge, ...]] = [(first,)]
        seen = {first.target}
        while ways:
            way = ways.pop(0)
            if way[-1].target == start:
                yield way
                break
            for edge in edges[way[-1].target]:
                if edge.target >= start and edge.target not in seen:
                    seen.add(edge.target)
                    ways.append((*way, edge))


def _judged(book: RuleBook, start: str, loop: Sequence[Edge]) -> tuple[str, bool]:
    """(code, whether it is an error); '' for a loop that comes to rest by itself: the second time round nothing changes any more."""
    sure = all(edge.sure for edge in loop)
    kinds = {edge.kind for edge in loop}
    if kinds <= {"do"}:  # refused by the checker, which needs no compiled rule for it
        return "", False
    if "create" in kinds:
        once = any("once" in book.rules[key].step(edge.step).body for key, edge in zip(_sources(start, loop), loop, strict=True) if edge.kind == "create")
        return ("", False) if once else ("rule_loop", sure)
    grows, moves = _restless(book, start, loop)
    return ("rule_loop", sure and grows) if moves else ("", False)


def _sources(start: str, loop: Sequence[Edge]) -> list[str]:
    return [start, *(edge.target for edge in loop[:-1])]


def _restless(book: RuleBook, start: str, loop: Sequence[Edge]) -> tuple[bool, bool]:
    """Whether what a loop sets grows with every round, and whether it may: a value reckoned from what the loop itself sets."""
    rules = [book.rules[key] for key in _sources(start, loop)]
    written = {(rule.entity, name) for rule in rules for name in own_writes(rule)}
    written |= {(str(step.body["in"]), name) for rule in rules for step in every_step(rule.steps) if "in" in step.body for name in step.under("set")}
    grows = moves = False
    for rule, edge in zip(rules, loop, strict=True):
        if edge.kind != "update":
            continue
        step = rule.step(edge.step)
        for name, term in step.under("set").items():
            if not isinstance(term, Expression):
                continue
            reads = {(rule.entity, key) for key in _read(term.tree)}
            moves |= bool(reads & written)
            grows |= (
                sets_own(step) and name in _read(term.tree) and isinstance(term.tree, Arithmetic) and term.tree.op in ("add", "sub") and _step_of(term.tree)
            )
    return grows, moves


def _step_of(node: Arithmetic) -> bool:
    return any(isinstance(side, Literal) and side.value for side in (node.left, node.right))


def _read(node: Node) -> set[str]:
    found = set()
    for item in walk(node):
        if isinstance(item, Field):
            found.add(item.key)
        elif isinstance(item, Space) and item.path[0] == "record" and len(item.path) > 1:
            found.add(str(item.path[1]))
    return found


# --- costs ---------------------------------------------------------------------------------------------------------------------------------


def _costs(book: RuleBook, edges: Mapping[str, Sequence[Edge]], places: Places) -> Iterator[Problem]:
    """Triggers whose longest chain of rules takes many statements. Each body is counted once, whatever the number of its items."""
    triggers = {(entity, verb) for moments in (book.before, book.after) for entity, verb in moments}
    told = set[frozenset[str]]()
    for entity, verb in sorted(triggers):
        rules = [*book.before.get((entity, verb), ()), *book.after.get((entity, verb), ())]
        total = PLAIN_SAVE + sum(cost(book, edges, rule.key, frozenset()) for rule in rules)
        keys = frozenset(rule.key for rule in rules)
        if total > MANY_STATEMENTS and keys not in told:
            told.add(keys)
            worst = max(rules, key=lambda rule: cost(book, edges, rule.key, frozenset()))
            yield (places.of("rule", worst.key) / "on").problem("statements_many", "warning", statements=total, limit=MANY_STATEMENTS)
    for name, rule in book.actions.items():
        total = PLAIN_SAVE + cost(book, edges, rule.key, frozenset())
        if total > MANY_STATEMENTS and name:
            yield (places.of("rule", rule.key) / "on").problem("statements_many", "warning", statements=total, limit=MANY_STATEMENTS)


def cost(book: RuleBook, edges: Mapping[str, Sequence[Edge]], key: str, above: frozenset[str]) -> int:
    """Statements of a rule's longest path, what it sets off in the same transaction included; a loop is counted once."""
    rule = book.rules[key]
    if key in above or (rule.trigger.kind == "later" and above):
        return 0
    own = _path_cost(rule, rule.steps)
    return own + sum(cost(book, edges, edge.target, above | {key}) for edge in edges[key])


def _path_cost(rule: CompiledRule, steps: Sequence[Step]) -> int:
    total = 0
    for step in steps:
        if step.verb == "set":
            total += 0 if rule.trigger.kind == "before" and sets_own(step) else 2 if "in" in step.body else 1
        total += _COSTS.get(step.verb, 0)
        if step.verb in ("if", "ask"):
            total += max((_path_cost(rule, branch) for branch in step.branches.values()), default=0) if step.verb == "if" else 0
        else:
            total += sum(_path_cost(rule, branch) for branch in step.branches.values())
    return total
