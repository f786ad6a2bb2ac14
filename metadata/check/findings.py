"""What the checks of all kinds share: the sound part of the definitions, looking up names with "did you mean", and collecting problems with their places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from metadata.bundle import ROLE_CHOICES, Bundle, file_of
from metadata.definitions import ENGINE_ENTITIES, READ_ENTITIES, RESERVED_FIELDS, Field
from metadata.documents import pointer
from metadata.shape import Path
from metadata.vocabulary import ExpressionPlace, ExpressionProblem, Problem, Severity, Vocabulary
from metadata.words import closest

_SYSTEM_TYPES = {"id": "integer", "version": "integer", "created_by": "person", "updated_by": "person"}
#: The fields every record has, as definitions would write them.
SYSTEM_FIELDS: Mapping[str, Field] = {key: Field(key, _SYSTEM_TYPES.get(key, "instant")) for key in RESERVED_FIELDS}
#: The entity that fields of a type lead to without saying so.
TARGETS = {"person": "person", "people": "person", "team": "team"}
LINK_TYPES = ("link", "person", "team")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in one document. ``spot / "fields" / key`` goes deeper."""

    findings: Findings
    kind: str
    key: str
    path: Path = ()

    def __truediv__(self, token: str | int) -> Spot:
        return replace(self, path=(*self.path, token))

    def report(self, code: str, severity: Severity = "error", column: int = 0, **params: object) -> None:
        """Note a problem here."""
        self.findings.note(self, code, severity, column, params)

    def relay(self, problem: Problem | ExpressionProblem) -> None:
        """Note here what somebody else found."""
        self.findings.note(self, problem.code, "error", problem.column, problem.params)


class Findings:
    """The definitions being checked and what was found. ``bundle`` holds only what is sound; names of the rest are known, so that they do not dangle."""

    def __init__(self, bundle: Bundle, vocabulary: Vocabulary) -> None:
        self.whole = bundle
        self.bundle = bundle
        self.vocabulary = vocabulary
        self.problems: list[Problem] = []
        #: Names whose own definition is at fault: what mentions them is not blamed again.
        self.broken: set[str] = set()
        self._fields: dict[str, frozenset[str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        places = {*bundle.documents, *bundle.base, *bundle.unread}
        for kind in {kind for kind, _ in places}:
            self._names[kind] = frozenset(key for of, key in places if of == kind)
        #: Whether the names of all actions are known.
        self.all_actions = not any(kind == "rule" for kind, _ in bundle.unread)

    # -- noting

    def spot(self, kind: str, key: str) -> Spot:
        """The root of a document."""
        return Spot(self, kind, key)

    def note(self, spot: Spot, code: str, severity: Severity, column: int, params: Mapping[str, object]) -> None:
        """Collect one problem; its line comes from the file the document was read from."""
        at = pointer(*spot.path)
        positions = self.whole.positions.get((spot.kind, spot.key))
        line, file_column = positions.place(at) if positions else (0, 0)
        self.problems.append(Problem(code, file_of(spot.kind, spot.key), at, params, line, column or file_column, severity))

    # -- names of definitions

    def names(self, kind: str) -> frozenset[str]:
        """Keys of a kind, those with faults of their own included."""
        found = self._names.get(kind, frozenset())
        if kind == "entity":
            return found | set(ENGINE_ENTITIES)
        return found | {ROLE_CHOICES} if kind == "choices" else found

    def refer(self, spot: Spot, kind: str, name: str) -> bool:
        """Whether ``name`` is a definition of this kind; reported when it is not."""
        return self.among(spot, kind, name, self.names(kind))

    def among(self, spot: Spot, what: str, name: object, known: Iterable[str]) -> bool:
        """Whether ``name`` is one of the known; reported as ``unknown_<what>`` when it is not."""
        names = known if isinstance(known, (set, frozenset, dict)) else set(known)
        if name in names or (what == "action" and not self.all_actions):
            return True
        spot.report(f"unknown_{what}", name=str(name)[:80], meant=closest(name, sorted(names)))
        return False

    def roles(self, spot: Spot, roles: Iterable[tuple[int, str]]) -> None:
        """Every role of an audience exists."""
        for number, role in roles:
            self.refer(spot / number, "role", role)

    # -- fields

    def field_names(self, entity: str) -> frozenset[str]:
        """All field keys of an entity, the engine's and faulty ones included; empty when the entity's fields are not known."""
        if entity not in self._fields:
            names, place = set[str](), ("entity", entity)
            for documents in (self.whole.base, self.whole.documents):
                document = documents.get(place)
                fields = document.get("fields") if isinstance(document, Mapping) else None
                names |= {str(key) for key in fields} if isinstance(fields, Mapping) else set()
            known = place in self.whole.documents or (place in self.whole.base and place not in self.whole.unread)
            self._fields[entity] = frozenset({*names, *RESERVED_FIELDS}) if known else frozenset()
        return self._fields[entity]

    def field(self, entity: str, name: str) -> Field | None:
        """A sound field of an entity."""
        owner = self.bundle.entities.get(entity)
        found = owner.fields.get(name) if owner else None
        return found or (SYSTEM_FIELDS.get(name) if owner else None)

    def own_field(self, spot: Spot, entity: str, name: str) -> Field | None:
        """A field by its key; reported when the entity is known and has none."""
        names = self.field_names(entity)
        if names and name not in names:
            spot.report("unknown_field", name=name[:80], entity=entity, meant=closest(name, sorted(names)))
            return None
        return self.field(entity, name)

    def path(self, spot: Spot, entity: str, path: str) -> Field | None:
        """A field, or LINK.FIELD one hop away; reported when there is none."""
        first, dot, rest = path.partition(".")
        found = self.own_field(spot, entity, first)
        if not dot or found is None:
            return found
        if "." in rest:
            spot.report("too_many_hops", path=path[:100])
            return None
        target = self.target(found) if found.type in LINK_TYPES else ""
        if not target:
            spot.report("hop_not_a_link", name=first, type=found.type)
            return None
        return self.own_field(spot, target, rest)

    def target(self, field: Field) -> str:
        """The entity a link, person or team field points to; '' for other fields."""
        return str(field.options.get("to", "")) if field.type in ("link", "links") else TARGETS.get(field.type, "")

    def carried(self, entity: str, field: Field, depth: int = 0) -> Field | None:
        """The field whose kind of value a derived field carries; None when it cannot be told (formulas, faults)."""
        if depth > 8 or field.type == "formula":
            return None
        source, _, name = str(field.options.get("from", "")).partition(".")
        if field.type == "lookup":
            link = self.field(entity, source)
            owner = self.target(link) if link else ""
        elif field.type == "rollup":
            if field.options.get("measure") == "count":
                return Field(field.key, "integer")
            owner, name = source, str(field.options.get("of", ""))
        else:
            return field
        found = self.field(owner, name) if owner else None
        return self.carried(owner, found, depth + 1) if found else None

    def codes(self, choices: str) -> frozenset[str] | None:
        """Option codes of a set; None when the set is not sound."""
        found = self.bundle.choices.get(choices)
        return frozenset(found.options) if found else None

    # -- expressions

    def expression(self, spot: Spot, source: object, place: ExpressionPlace) -> None:
        """Check one expression where it stands; booleans, numbers and null are themselves."""
        if not isinstance(source, str):
            return
        if place.entity is not None and place.entity not in self.bundle.entities and place.entity not in READ_ENTITIES:
            return
        for problem in self.vocabulary.check_expression(self.bundle, place, source):
            if not self.broken & {str(value) for value in problem.params.values()}:
                spot.relay(problem)

    def template(self, spot: Spot, text: object, place: ExpressionPlace) -> None:
        """Check the {expressions} of a text or of each language of a label."""
        if isinstance(text, Mapping):
            for language, part in text.items():
                self.template(spot / language, part, place)
        elif isinstance(text, str):
            for part in _PLACEHOLDER.findall(text):
                self.expression(spot, part, place)


_SAME_TYPE = ("text", "integer", "money", "percent", "boolean", "date", "instant", "duration", "person", "people", "team")
_TYPE_OF = {"choice": "choices", "choices": "choices", "link": "to", "links": "to"}


def notation(field: Mapping[str, Any]) -> str:
    """The type an expression must have to fill a field of this document, in the notation of expressions; '' = any."""
    kind = str(field.get("type", ""))
    if kind in _SAME_TYPE:
        return kind
    if kind in _TYPE_OF:
        return f"{kind}:{field[_TYPE_OF[kind]]}" if isinstance(field.get(_TYPE_OF[kind]), str) else ""
    if kind == "decimal":
        return f"decimal:{field.get('scale', 2)}"
    return "text" if kind == "long_text" else ""


def placeholders(text: object) -> list[str]:
    """What stands in braces in a text."""
    return _PLACEHOLDER.findall(text) if isinstance(text, str) else []


def own_documents(findings: Findings, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Sound own documents of a kind, by key."""
    return [(key, document) for (of, key), document in sorted(findings.bundle.documents.items()) if of == kind]
