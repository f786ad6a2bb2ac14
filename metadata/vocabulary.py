"""What the engine tells metadata: the words definitions may use, and how a problem with a definition is reported.

Metadata never imports the engine. The engine hands in a Vocabulary; plugins widen it by registering words with the engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from metadata.text import Label

Severity = Literal["error", "warning"]
FieldFamily = Literal["value", "link", "derived"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition: where, and a code with its parameters; the sentence is made at the edge (metadata/messages.json).

    ``file`` is relative to the bundle's folder (``entities/KEY.json``), ``pointer`` an RFC 6901 JSON pointer into it,
    ``line`` and ``column`` are 1-based in the file, ``column`` inside an expression is 1-based in the expression; 0 = not known.
    """

    code: str
    file: str = ""
    pointer: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    line: int = 0
    column: int = 0
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class FieldWord:
    """A field type as definitions see it. ``options`` is a JSON Schema ``properties`` mapping of the words only this type takes."""

    name: str
    title: Label
    family: FieldFamily
    group: str
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    required_options: tuple[str, ...] = ()
    help: Label = ""
    sortable: bool = True


@dataclass(frozen=True, slots=True)
class FunctionWord:
    """An expression function: its signature in words and whether it has an SQL face."""

    name: str
    signature: str
    help: Label
    sql: bool = True


@dataclass(frozen=True, slots=True)
class ActionWord:
    """A built-in or plugin action that rules may ``do``. ``params`` is a JSON Schema object, ``result`` the JSON Schema of what it gives ({}: anything).

    Formats of parameters beside JSON Schema's: ``entity`` and ``field`` (constants), ``record``, ``list`` (rows made earlier or written out), ``person``,
    ``people``, ``money`` (minor units), ``values`` (of the fields of the entity that the parameter ``x-of`` names). ``pure``: computes a result and does nothing.
    ``reads``: entities it reads, ``writes``: "VERB ENTITY" (create, update, delete, merge), ``{param}`` standing for the entity a parameter names or
    is a record of, ``*`` for any. ``does``: what it has done besides ("send", "notify", "ask", "lock", "emit", "engine NAME").
    """

    name: str
    params: Mapping[str, object]
    title: Label = ""
    result: Mapping[str, object] = field(default_factory=dict)
    pure: bool = False
    help: Label = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    does: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectorWord:
    """A way for messages to leave: ``options`` is a JSON Schema object an administrator fills in, ``secret`` what its secret is called ('' = none)."""

    name: str
    options: Mapping[str, object]
    title: Label = ""
    help: Label = ""
    secret: Label = ""
    reached: str = "fixed"


@dataclass(frozen=True, slots=True)
class PanelWord:
    """A panel on the pages of an entity's records ('*': of all)."""

    name: str
    entity: str
    title: Label = ""


@dataclass(frozen=True, slots=True)
class ReaderWord:
    """A reader of messy cells for imports: the parts it yields, by name."""

    name: str
    parts: tuple[str, ...]
    help: Label = ""


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """A problem inside one expression: 1-based column, code and params, as Problem has them."""

    column: int
    code: str
    params: Mapping[str, object] = field(default_factory=dict)


# (bundle, where the expression stands, its text) -> problems. ``ExpressionPlace`` says which names exist there and what type is wanted.
@dataclass(frozen=True, slots=True)
class ExpressionPlace:
    """Where an expression stands.

    ``entity``: bare names are its fields (None: none). ``wants``: the type the place needs ('boolean', a field type name, or '' for any).
    ``spaces``: name spaces open there besides ``setting`` (``me old param record run lines answer tally``).
    ``params``: the types of ``param.X`` as field documents. ``names``: carried step names -> entity key, or '' when a plain value.
    ``sql``: the expression must have an SQL face (row permissions, list filters, due searches). ``stored``: may not use now(), today(), me.
    ``encrypted``: the result is kept encrypted, so encrypted fields may be read in full.
    """

    entity: str | None = None
    wants: str = ""
    spaces: frozenset[str] = frozenset({"me"})
    params: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    sql: bool = False
    stored: bool = False
    encrypted: bool = False


ExpressionCheck = Callable[["object", ExpressionPlace, str], Sequence[ExpressionProblem]]


# (bundle, where the expression stands, its text) -> the entity of the one record it gives, the type of an amount; '' for any other value.
KindOf = Callable[["object", ExpressionPlace, str], str]


def _no_expressions(bundle: object, place: ExpressionPlace, source: str) -> Sequence[ExpressionProblem]:
    return ()


def _no_kind(bundle: object, place: ExpressionPlace, source: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All words an engine offers, frozen. ``check_expression`` type-checks one expression against a bundle, ``kind_of`` tells what it gives where its value would not tell."""

    field_types: Mapping[str, FieldWord] = field(default_factory=dict)
    functions: Mapping[str, FunctionWord] = field(default_factory=dict)
    actions: Mapping[str, ActionWord] = field(default_factory=dict)
    readers: Mapping[str, ReaderWord] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    check_expression: ExpressionCheck = _no_expressions
    kind_of: KindOf = _no_kind
    connectors: Mapping[str, ConnectorWord] = field(default_factory=dict)
    panels: Mapping[str, PanelWord] = field(default_factory=dict)
