"""A designer's desk: the documents under one gesture, and what gestures do to fields and labels. Pure; drafts_operations.py arranges layouts with it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import Invalid, NotFound
from metadata.text import Label
from metadata.words import name_problem

Json = Any
Place = tuple[str, str]
#: Options a fresh choice field starts with, so that the canvas shows a real control.
FRESH_OPTIONS = {"one": {"title": {"zh": "选项一", "en": "Option 1"}}, "two": {"title": {"zh": "选项二", "en": "Option 2"}}}


@dataclass(slots=True)
class Desk:
    """Documents under one gesture: ``read`` gives a document as drafted now, ``changed`` collects what the gesture did (None = removed).

    ``published`` tells whether a field of an entity is live already; ``field_titles`` are the palette's names of field types.
    """

    place: Place
    read: Callable[[str, str], Mapping[str, Json] | None]
    inherited: Callable[[str], Mapping[str, Json]]
    published: Callable[[str, str], bool]
    field_titles: Mapping[str, Label]
    changed: dict[Place, dict[str, Json] | None]

    def document(self, kind: str, key: str) -> dict[str, Json]:
        """A private copy of a document, the same one for the whole gesture. Raises NotFound."""
        if (kind, key) not in self.changed:
            found = self.read(kind, key)
            if found is None:
                raise NotFound("draft_no_definition", kind=kind, key=key)
            self.changed[kind, key] = copy.deepcopy(dict(found))
        document = self.changed[kind, key]
        if document is None:
            raise NotFound("draft_no_definition", kind=kind, key=key)
        return document

    def entity(self) -> dict[str, Json]:
        """The entity behind the form or list; an own document is begun for an entity of the engine."""
        key = str(self.document(*self.place)["entity"])
        if ("entity", key) not in self.changed and self.read("entity", key) is None and self.inherited(key):
            self.changed["entity", key] = {"fields": {}}
        return self.document("entity", key)

    def entity_key(self) -> str:
        """The key of that entity."""
        return str(self.document(*self.place)["entity"])

    def field_keys(self) -> set[str]:
        """Every field key the entity knows, retired and inherited ones included."""
        return {*self.entity().get("fields", {}), *self.inherited(self.entity_key()).get("fields", {})}


def _new_key(desk: Desk, stem: str) -> str:
    known, number, stem = desk.field_keys(), 1, stem[:36].rstrip("_")
    while f"{stem}_{number}" in known:
        number += 1
    return f"{stem}_{number}"


def _new_field(desk: Desk, operation: Mapping[str, Json]) -> str:
    """Create a field of the palette's type in the entity's draft; a choice brings an option set of its own."""
    kind = str(operation["type"])
    if kind not in desk.field_titles:
        raise Invalid("draft_unknown_type", type=kind[:40])
    key = str(operation.get("key") or _new_key(desk, kind))
    if problem := name_problem(key):
        raise Invalid(f"draft_{problem}", key=key[:60])
    if key in desk.field_keys():
        raise Invalid("draft_key_taken", key=key)
    field: dict[str, Json] = {"type": kind, "title": operation.get("title") or desk.field_titles[kind], **_options(operation)}
    if kind in ("choice", "choices") and "choices" not in field:
        field["choices"] = _new_choices(desk, key, field["title"])
    desk.entity().setdefault("fields", {})[key] = field
    return key


def _options(operation: Mapping[str, Json]) -> dict[str, Json]:
    given = operation.get("options") or {}
    if not isinstance(given, dict):
        raise Invalid("draft_bad_value", name="options")
    return {str(name): value for name, value in given.items() if name not in ("type", "title")}


def _new_choices(desk: Desk, field: str, title: Label) -> str:
    stem, number = f"{desk.entity_key()}_{field}"[:36].rstrip("_"), 1
    key = stem
    while desk.read("choices", key) is not None or ("choices", key) in desk.changed:
        number += 1
        key = f"{stem}_{number}"
    desk.changed["choices", key] = {"title": title, "options": copy.deepcopy(FRESH_OPTIONS)}
    return key


def field_for(desk: Desk, operation: Mapping[str, Json]) -> str:
    """The field an ``add`` puts down: a new one of a type, or one that exists; a retired one comes back with its values."""
    if operation.get("type"):
        return _new_field(desk, operation)
    key = str(operation.get("field", ""))
    if key.partition(".")[0] not in desk.field_keys():
        raise NotFound("draft_no_field", field=key[:60])
    field = desk.entity().get("fields", {}).get(key)
    if field is not None and field.get("retired"):
        field.pop("retired")
    return key


def _set_field(desk: Desk, key: str, name: str, value: Json) -> None:
    """Set or clear (None, "", False) one property of a field."""
    entity = desk.entity()
    field = entity.get("fields", {}).get(key)
    if field is None:
        code = "draft_inherited_field" if key in desk.field_keys() else "draft_no_field"
        raise NotFound(code, field=key[:60])
    if name == "type":
        if str(value) not in desk.field_titles:
            raise Invalid("draft_unknown_type", type=str(value)[:40])
        field["type"] = value
    else:
        put(field, name, value)


def put(holder: dict[str, Json], name: str, value: Json) -> None:
    if not name or name.startswith("$"):
        raise Invalid("draft_bad_value", name=name[:40])
    if value is None or value == "" or value is False:
        holder.pop(name, None)
    else:
        holder[name] = value


def put_label(holder: dict[str, Json], name: str, value: Json, locale: str) -> None:
    """A label typed in one language leaves the others alone."""
    if locale and isinstance(value, str):
        now = holder.get(name)
        label: dict[str, str] = dict(now) if isinstance(now, dict) else {"zh": now} if isinstance(now, str) and now else {}
        if value:
            label[locale] = value
        else:
            label.pop(locale, None)
        put(holder, name, label or None)
    else:
        put(holder, name, value)


def forget_if_new(desk: Desk, key: str) -> None:
    """A field that lives in this draft only goes with the item that showed it; a published field stays, whatever a layout does."""
    entity = desk.entity()
    if key in entity.get("fields", {}) and not desk.published(desk.entity_key(), key):
        del entity["fields"][key]


def key_of(item: Json) -> str:
    return str(item if isinstance(item, str) else item.get("field", ""))


def position(operation: Mapping[str, Json], length: int) -> int:
    at = operation.get("at")
    if at is None:
        return length
    if isinstance(at, bool) or not isinstance(at, int):
        raise Invalid("draft_bad_value", name="at")
    return max(0, min(at, length))


def keys_of(operation: Mapping[str, Json]) -> list[str]:
    given = operation.get("items", operation.get("item"))
    return [str(item) for item in given] if isinstance(given, list) else [str(given)]


def copied(desk: Desk, item: Json) -> Json:
    """A field like the item's under a new key, and an item showing it as the first is shown."""
    key = key_of(item)
    known = desk.entity().get("fields", {}).get(key) or desk.inherited(desk.entity_key()).get("fields", {}).get(key)
    if known is None:
        raise NotFound("draft_no_field", field=key)
    fresh = _new_key(desk, key)
    field = {name: value for name, value in copy.deepcopy(known).items() if name not in ("unique", "retired")}
    field["title"] = _copy_title(field.get("title", key))
    desk.entity().setdefault("fields", {})[fresh] = field
    return fresh if isinstance(item, str) else {**item, "field": fresh}


def _copy_title(title: Label) -> Label:
    if isinstance(title, str):
        return f"{title}（副本）"
    return {locale: f"{text}（副本）" if locale.startswith("zh") else f"{text} (copy)" for locale, text in title.items()}


def set_of_field(desk: Desk, operation: Mapping[str, Json], key: str) -> None:
    name, locale = str(operation.get("name", "")), str(operation.get("locale", ""))
    field = desk.entity().get("fields", {}).get(key)
    if field is not None and name in ("title", "help") and locale:
        put_label(field, name, operation.get("value"), locale)
    else:
        _set_field(desk, key, name, operation.get("value"))
