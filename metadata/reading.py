"""Checked JSON documents become the frozen definitions of metadata/definitions.py. What is wrong with a document is check's business."""

from collections.abc import Callable, Mapping
from typing import Any

from metadata.definitions import (
    Check,
    Choices,
    Definition,
    Document,
    Entity,
    EntityGrant,
    FieldGrant,
    Form,
    Grid,
    Item,
    ListView,
    Loose,
    Move,
    Option,
    Preset,
    Role,
    Section,
    Setting,
    Settings,
    Stages,
    Tint,
    Unique,
    read_fields,
)


def read_definition(kind: str, key: str, document: Document) -> Definition:
    """The typed definition of a document that has passed its schema; unknown words stay in ``body``."""
    read: Callable[[str, Document], Definition] = _READERS[kind]
    return read(key, document)


def _read_entity(key: str, doc: Document) -> Entity:
    stages = doc.get("stages")
    personal = doc.get("personal", {})
    return Entity(
        key=key,
        title=doc.get("title", key),
        body=doc,
        plural=doc.get("plural", ""),
        icon=doc.get("icon", ""),
        label=doc.get("label", ""),
        fields=read_fields(doc.get("fields", {})),
        checks=tuple(Check(item["if"], item.get("at", ""), item["code"], item.get("message", "")) for item in doc.get("check", ())),
        unique={name: Unique(name, tuple(item["fields"]), item.get("where", ""), item.get("message", "")) for name, item in doc.get("unique", {}).items()},
        stages=Stages(
            stages["field"],
            tuple(Move(tuple(move["from"]), tuple(move["to"]), tuple(move.get("action", ())), move.get("if", "")) for move in stages.get("moves", ())),
        )
        if stages
        else None,
        lines_of=doc.get("lines_of", ""),
        parent_field=doc.get("parent_field", doc.get("lines_of", "")),
        append_only=doc.get("append_only", False) or bool(doc.get("ledger")),
        subject=personal.get("subject", False),
        keep=personal.get("keep", ""),
        module=doc.get("module", ""),
        imports=doc.get("import", {}),
        ledger=doc.get("ledger", {}),
    )


def _read_item(item: str | Document) -> Item:
    if isinstance(item, str):
        return Item(field=item)
    return Item(
        field=item["field"],
        span=item.get("span", 1),
        required=item.get("required", False),
        read_only=item.get("read_only", False),
        show=item.get("show", ""),
        title=item.get("title", ""),
        help=item.get("help", ""),
        where=item.get("where", ""),
    )


def _read_section(doc: Document) -> Section:
    return Section(
        key=doc["key"],
        title=doc.get("section", doc.get("title", "")),
        columns=doc.get("columns", 2),
        items=tuple(_read_item(item) for item in doc.get("items", ())),
        lines=doc.get("lines", ""),
        show=doc.get("show", ""),
        tab=doc.get("tab", ""),
        collapsed=doc.get("collapsed", False),
    )


def _read_form(key: str, doc: Document) -> Form:
    return Form(
        key=key,
        title=doc.get("title", key),
        body=doc,
        entity=doc["entity"],
        audience=tuple(doc.get("for", ())),
        use=doc.get("use", "full"),
        opens=bool(doc.get("opens", False)),
        tabs=doc.get("tabs", {}),
        layout=tuple(_read_section(section) for section in doc.get("layout", ())),
    )


def _read_list(key: str, doc: Document) -> ListView:
    return ListView(
        key=key,
        title=doc.get("title", key),
        body=doc,
        entity=doc["entity"],
        audience=tuple(doc.get("for", ())),
        where=doc.get("where", ""),
        sort=tuple(doc.get("sort", ())),
        columns=tuple(doc.get("columns", ())),
        quick=tuple(doc.get("quick", ())),
        tints={name: tuple(Tint(item["if"], item["colour"]) for item in items) for name, items in doc.get("tint", {}).items()},
        mobile=doc.get("mobile", {}),
        kanban=doc.get("kanban", ""),
        calendar=doc.get("calendar", ""),
        grid=_read_grid(doc["grid"]) if "grid" in doc else None,
        view=doc.get("view", "table"),
        inline=tuple(doc.get("inline", ())),
        actions=tuple(doc.get("actions", ())),
        bulk=tuple(doc.get("bulk", ())),
        buttons=tuple(doc.get("buttons", ())),
        create=tuple(doc.get("create", ())),
        above=tuple(doc.get("above", ())),
        refresh=doc.get("refresh", ""),
    )


def _read_grid(doc: Document) -> Grid:
    return Grid(doc["rows"], tuple(doc["columns"]), doc["colour"], tuple(doc["cell"]), doc.get("sections", ""), doc.get("descending", False))


def _read_grant(doc: Document) -> EntityGrant:
    return EntityGrant(
        read=doc.get("read", False),
        create=doc.get("create", False),
        update=doc.get("update", False),
        delete=doc.get("delete", False),
        export=doc.get("export", False),
        actions=doc.get("actions", {}),
        fields={name: FieldGrant(item.get("read", True), item.get("write", True), item.get("mask", False)) for name, item in doc.get("fields", {}).items()},
    )


def _read_role(key: str, doc: Document) -> Role:
    return Role(
        key=key,
        title=doc.get("title", key),
        body=doc,
        can=tuple(doc.get("can", ())),
        grants={name: _read_grant(item) for name, item in doc.get("grants", {}).items()},
    )


def _read_choices(key: str, doc: Document) -> Choices:
    def parents(value: str | list[str] | None) -> tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value or ())

    return Choices(
        key=key,
        title=doc.get("title", key),
        body=doc,
        options={
            code: Option(
                code, item.get("title", code), item.get("colour", ""), parents(item.get("parent")), tuple(item.get("also", ())), item.get("retired", False)
            )
            for code, item in doc.get("options", {}).items()
        },
    )


def _read_settings(key: str, doc: Document) -> Settings:
    return Settings(
        key=key,
        title="",
        body=doc,
        values={
            name: Setting(name, item["type"], item.get("title", name), item.get("default"), item.get("by", ""), item.get("of", ""), item)
            for name, item in doc.items()
            if not name.startswith("$")
        },
    )


def _read_preset(key: str, doc: Document) -> Preset:
    return Preset(
        key=doc.get("name", key),
        title=doc.get("title", key),
        body=doc,
        version=doc.get("version", "0"),
        extends=doc.get("extends", ""),
        requires=doc.get("requires", {}),
        locale=doc.get("locale", "zh"),
        menus=tuple(doc.get("menus", ())),
        homes=doc.get("home", {}),
        modules=doc.get("modules", {}),
        start=doc.get("start", {}),
    )


def _loose(kind: str) -> Any:
    return lambda key, doc: Loose(key=key, title=doc.get("title", key), body=doc, kind=kind)


_READERS: Mapping[str, Any] = {
    "preset": _read_preset,
    "settings": _read_settings,
    "choices": _read_choices,
    "entity": _read_entity,
    "form": _read_form,
    "list": _read_list,
    "role": _read_role,
    **{kind: _loose(kind) for kind in ("rule", "decision", "report", "dashboard", "scenario")},
}
