"""The twelve kinds of definition as frozen data, read from checked JSON documents. What they mean is the engine's business.

Every class keeps the document it was read from in ``body`` (never change it), so that nothing written there is lost to a later reader.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metadata.text import Label

Json = Any
Document = Mapping[str, Any]

#: kind -> folder of a preset; the two single documents stand beside the folders.
KINDS: Mapping[str, str] = {
    "preset": "preset.json",
    "settings": "settings.json",
    "choices": "choices",
    "entity": "entities",
    "form": "forms",
    "list": "lists",
    "rule": "rules",
    "decision": "decisions",
    "report": "reports",
    "dashboard": "dashboards",
    "role": "roles",
    "scenario": "scenarios",
}
SINGLE_KINDS = ("preset", "settings")

COLOURS = ("slate", "blue", "violet", "amber", "green", "red")
RESERVED_FIELDS = ("id", "version", "created_at", "created_by", "updated_at", "updated_by", "deleted_at")
#: Entities of the engine. ``person`` and ``team`` may be widened by a file of that name; the others can only be read.
ENGINE_ENTITIES = ("person", "team", "stage_log", "history", "reveal", "run", "ask", "notice")
WIDENED_ENTITIES = ("person", "team")
READ_ENTITIES = tuple(key for key in ENGINE_ENTITIES if key not in WIDENED_ENTITIES)
#: Actions the engine brings to every entity; granted like any other. ``reveal``: see one masked value in clear, with a reason. Of entities of persons:
#: ``subject_file``: all that is kept about one, in clear; ``erase``: empty whatever is personal for good.
RECORD_ACTIONS = ("reveal", "subject_file", "erase")
NAME_SPACES = ("record", "old", "param", "setting", "me", "lines", "run", "answer", "tally")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity. ``options`` holds the words only its type takes; constraint words are JSON Schema's."""

    key: str
    type: str
    title: Label = ""
    help: Label = ""
    required: bool | str = False  # True, or an expression
    default: Json = None  # a value, or {"value": EXPRESSION}
    read_only: bool | str = False  # on forms; True, or an expression
    once: bool = False  # written once, never changed after
    show: str = ""  # expression: shown (and kept) only while true
    unique: bool = False
    index: bool = False
    personal: str = "none"  # none | personal | sensitive
    mask: str = ""  # name of a mask: phone, id, name, tail, all
    encrypted: bool = False
    search: str = ""  # "" | name | text | phone : takes part in quick search
    retired: bool = False
    options: Document = field(default_factory=dict)
    body: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unique:
    """A uniqueness over typed columns, guaranteed by the database; rows with an empty field do not count."""

    key: str
    fields: tuple[str, ...]
    where: str = ""
    message: Label = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule over one record: when ``condition`` is true the record is refused at field ``at``."""

    condition: str
    at: str
    code: str
    message: Label = ""


@dataclass(frozen=True, slots=True)
class Move:
    """An allowed stage change; ``actions``: only through one of these."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    actions: tuple[str, ...] = ()
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Stages:
    """Which choice field holds the stage and which moves exist. A move not listed is refused."""

    field: str
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """What every kind has."""

    key: str
    title: Label
    body: Document


@dataclass(frozen=True, slots=True)
class Preset(Definition):
    """The application as a whole."""

    version: str = "0"
    extends: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    locale: str = "zh"
    menus: tuple[Document, ...] = ()  # {"key", "title", "icon", "list"|"dashboard"|"entity", "for": [roles], "module"}
    homes: Mapping[str, str] = field(default_factory=dict)  # role (or "else") -> menu key
    modules: Mapping[str, Document] = field(default_factory=dict)
    start: Mapping[str, Mapping[str, Document]] = field(default_factory=dict)  # entity -> key -> values of a record a new workspace begins with


@dataclass(frozen=True, slots=True)
class Setting:
    """One typed parameter of ``settings.json``."""

    key: str
    type: str
    title: Label
    default: Json
    by: str = ""  # for type map: the choices key
    of: str = ""  # for type map: the value's type
    body: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings(Definition):
    """All parameters of the workspace, by key."""

    values: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a set. ``parent``: options of the parent field's value it belongs to. ``also``: other spellings found in real lists."""

    code: str
    title: Label
    colour: str = ""
    parents: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Choices(Definition):
    """An option set, in the order people see."""

    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entity(Definition):
    """A kind of record."""

    plural: Label = ""
    icon: str = ""
    label: str = ""  # template of fields: "{name} {no}"
    fields: Mapping[str, Field] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    unique: Mapping[str, Unique] = field(default_factory=dict)
    stages: Stages | None = None
    lines_of: str = ""  # entity whose child lines these records are; the link field is ``parent_field``
    parent_field: str = ""
    append_only: bool = False
    subject: bool = False  # a record is about one natural person
    keep: str = ""  # retention as ISO duration
    module: str = ""
    imports: Document = field(default_factory=dict)
    ledger: Document = field(default_factory=dict)

    def live_fields(self) -> tuple[Field, ...]:
        """Fields that are not retired, in order."""
        return tuple(item for item in self.fields.values() if not item.retired)


@dataclass(frozen=True, slots=True)
class Item:
    """One field in a form's section: what this form says differently about it. Expressions narrow what the entity says, never widen it."""

    field: str
    span: int = 1
    required: bool | str = False
    read_only: bool | str = False
    show: str = ""
    title: Label = ""
    help: Label = ""
    where: str = ""  # of a link: which records are offered; of a choice: the options with which this holds are


@dataclass(frozen=True, slots=True)
class Section:
    """A block of a form: fields in 1-3 columns, or the child lines of ``lines``."""

    key: str
    title: Label = ""
    columns: int = 2
    items: tuple[Item, ...] = ()
    lines: str = ""
    show: str = ""
    tab: str = ""  # key of the tab it stands on; "" = no tabs
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Form(Definition):
    """A layout for making and changing records of one entity."""

    entity: str = ""
    audience: tuple[str, ...] = ()  # word "for": roles that get it; () = everybody
    use: str = "full"  # full | quick | phone
    opens: bool = False  # added from another record, the new one is opened when saved
    tabs: Mapping[str, Label] = field(default_factory=dict)
    layout: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Tint:
    """A colour for a cell while its condition holds."""

    condition: str
    colour: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Records as cells: a picture per value of ``sections`` ('' = one picture), rows and columns by fields, coloured by a choice."""

    rows: str
    columns: tuple[str, ...]
    colour: str
    cell: tuple[str, ...]
    sections: str = ""
    descending: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field it reads, each once."""
        return tuple(dict.fromkeys(name for name in (self.sections, self.rows, *self.columns, self.colour, *self.cell) if name))


@dataclass(frozen=True, slots=True)
class ListView(Definition):
    """A way to look at records of one entity."""

    entity: str = ""
    audience: tuple[str, ...] = ()
    where: str = ""
    sort: tuple[str, ...] = ()  # "field" or "-field"
    columns: tuple[str, ...] = ()  # field, or link.field
    quick: tuple[str, ...] = ()
    tints: Mapping[str, tuple[Tint, ...]] = field(default_factory=dict)
    mobile: Mapping[str, str] = field(default_factory=dict)  # lead, title, state, sub, due, note -> field
    kanban: str = ""  # choice field
    calendar: str = ""  # date or instant field
    grid: Grid | None = None
    view: str = "table"  # table | kanban | calendar | grid : the first one shown
    inline: tuple[str, ...] = ()  # fields edited in place
    actions: tuple[str, ...] = ()
    bulk: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()  # actions that stand on each record
    create: tuple[str, ...] = ()  # entities of which a new record can be begun here; () = the list's own
    above: tuple[str, ...] = ()  # lists whose first records stand above
    refresh: str = ""  # an ISO 8601 duration


@dataclass(frozen=True, slots=True)
class FieldGrant:
    """What a role may do with one field. ``mask``: True, or an expression that masks the rows for which it is true."""

    read: bool = True
    write: bool = True
    mask: bool | str = False


@dataclass(frozen=True, slots=True)
class EntityGrant:
    """What a role may do with one entity; expressions are row conditions, True = all rows, False = none."""

    read: bool | str = False
    create: bool | str = False
    update: bool | str = False
    delete: bool | str = False
    export: bool | str = False
    actions: Mapping[str, bool | str] = field(default_factory=dict)
    fields: Mapping[str, FieldGrant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Role(Definition):
    """Grants by entity. ``can``: rights beside records (design, people, publish, import, export, audit, settings). '*' as entity = all others."""

    grants: Mapping[str, EntityGrant] = field(default_factory=dict)
    can: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loose(Definition):
    """Rule, decision, report, dashboard, scenario: checked by their schema here; the engine reads ``body``."""

    kind: str = ""


def _read_field(key: str, doc: Document) -> Field:
    known = {
        "type",
        "title",
        "help",
        "description",
        "required",
        "default",
        "read_only",
        "once",
        "show",
        "unique",
        "index",
        "personal",
        "mask",
        "encrypted",
        "search",
        "retired",
    }
    return Field(
        key=key,
        type=doc["type"],
        title=doc.get("title", ""),
        help=doc.get("help", doc.get("description", "")),
        required=doc.get("required", False),
        default=doc.get("default"),
        read_only=doc.get("read_only", False),
        once=doc.get("once", False),
        show=doc.get("show", ""),
        unique=doc.get("unique", False),
        index=doc.get("index", False),
        personal=doc.get("personal", "none"),
        mask=doc.get("mask", ""),
        encrypted=doc.get("encrypted", False),
        search=doc.get("search", ""),
        retired=doc.get("retired", False),
        options={name: value for name, value in doc.items() if name not in known},
        body=doc,
    )


def read_fields(documents: Mapping[str, Document]) -> dict[str, Field]:
    """Fields by key, in the written order."""
    return {key: _read_field(key, doc) for key, doc in documents.items()}
