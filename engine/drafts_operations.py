"""What one gesture of a designer does: form layouts, list columns, single properties. Pure; drafts.py keeps the results.

Every operation is a JSON object with ``op``. The functions change copies lying on a Desk; nothing is edited in place.
"""

import copy
from collections.abc import Callable, Mapping

from engine.drafts_desk import Desk, Json, copied, field_for, forget_if_new, key_of, keys_of, position, put, put_label, set_of_field
from engine.errors import Invalid, NotFound

MAX_SECTIONS = 60


def perform(desk: Desk, operation: Mapping[str, Json]) -> None:
    """Do one operation. Raises Invalid for an operation that makes no sense here, NotFound for an item or section that is gone."""
    table = _FORM if desk.place[0] == "form" else _LIST if desk.place[0] == "list" else _ANY
    act = table.get(str(operation.get("op"))) or _ANY.get(str(operation.get("op")))
    if act is None:
        raise Invalid("draft_unknown_operation", op=str(operation.get("op"))[:40])
    act(desk, operation)


def subject(operation: Mapping[str, Json]) -> str:
    """What typing coalesces by: the same property of the same thing; "" for operations that stand alone."""
    if operation.get("op") not in ("set", "section_rename", "section_set", "tab_rename", "title"):
        return ""
    return "|".join(str(operation.get(word, "")) for word in ("op", "item", "section", "tab", "name", "on"))


# --- forms ---------------------------------------------------------------------------------------------------------------------------------


def _sections(desk: Desk) -> list[dict[str, Json]]:
    layout: list[dict[str, Json]] = desk.document(*desk.place).setdefault("layout", [])
    return layout


def _section(desk: Desk, key: object) -> dict[str, Json]:
    for section in _sections(desk):
        if section["key"] == key:
            return section
    raise NotFound("draft_no_section", section=str(key)[:60])


def _find(desk: Desk, key: str) -> tuple[dict[str, Json], int]:
    for section in _sections(desk):
        for number, item in enumerate(section.get("items", ())):
            if key_of(item) == key:
                return section, number
    raise NotFound("draft_no_item", item=key[:60])


def _form_add(desk: Desk, operation: Mapping[str, Json]) -> None:
    sections = _sections(desk)
    if not sections:
        _section_add(desk, {"title": ""})
    section = _section(desk, operation["section"]) if operation.get("section") else sections[-1]
    key = field_for(desk, operation)
    if any(key_of(item) == key for other in sections for item in other.get("items", ())):
        raise Invalid("draft_on_form_already", field=key)
    items = section.setdefault("items", [])
    items.insert(position(operation, len(items)), key)


def _form_move(desk: Desk, operation: Mapping[str, Json]) -> None:
    target = _section(desk, operation["section"]).setdefault("items", [])
    taken = []
    for key in keys_of(operation):
        section, number = _find(desk, key)
        taken.append(section["items"].pop(number))
    at = position(operation, len(target))
    target[at:at] = taken


def _form_remove(desk: Desk, operation: Mapping[str, Json]) -> None:
    for key in keys_of(operation):
        section, number = _find(desk, key)
        section["items"].pop(number)
        forget_if_new(desk, key)


def _form_duplicate(desk: Desk, operation: Mapping[str, Json]) -> None:
    key = str(operation.get("item"))
    section, number = _find(desk, key)
    section["items"].insert(number + 1, copied(desk, section["items"][number]))


def _form_set(desk: Desk, operation: Mapping[str, Json]) -> None:
    key, name, value = str(operation.get("item", "")), str(operation.get("name", "")), operation.get("value")
    if not key:
        put_label(desk.document(*desk.place), name, value, str(operation.get("locale", "")))
    elif operation.get("on") == "item":
        section, number = _find(desk, key)
        item = section["items"][number]
        item = {"field": key} if isinstance(item, str) else item
        put_label(item, name, value, str(operation.get("locale", "")))
        section["items"][number] = item if len(item) > 1 else key
    else:
        set_of_field(desk, operation, key)


def _columns(desk: Desk, operation: Mapping[str, Json]) -> None:
    count = operation.get("columns")
    if count not in (1, 2, 3):
        raise Invalid("draft_bad_value", name="columns")
    _section(desk, operation.get("section"))["columns"] = count


def _section_add(desk: Desk, operation: Mapping[str, Json]) -> None:
    sections = _sections(desk)
    if len(sections) >= MAX_SECTIONS:
        raise Invalid("draft_too_many_sections", limit=MAX_SECTIONS)
    known = {section["key"] for section in sections}
    number = next(number for number in range(1, MAX_SECTIONS + 2) if f"section_{number}" not in known)
    section: dict[str, Json] = {
        "key": f"section_{number}",
        "section": operation.get("title") or {"zh": "新分组", "en": "New section"},
        "columns": 2,
        "items": [],
    }
    if operation.get("tab"):
        section["tab"] = _tab(desk, operation["tab"])
    sections.insert(position(operation, len(sections)), section)


def _section_move(desk: Desk, operation: Mapping[str, Json]) -> None:
    section, sections = _section(desk, operation.get("section")), _sections(desk)
    sections.remove(section)
    sections.insert(position(operation, len(sections)), section)


def _section_remove(desk: Desk, operation: Mapping[str, Json]) -> None:
    """With ``keep`` its items go to the neighbouring section, else they leave the form."""
    section, sections = _section(desk, operation.get("section")), _sections(desk)
    place, items = sections.index(section), section.get("items", [])
    sections.remove(section)
    if operation.get("keep") and sections and not section.get("lines"):
        sections[max(0, place - 1)].setdefault("items", []).extend(items)
    elif not section.get("lines"):
        for item in items:
            forget_if_new(desk, key_of(item))


def _section_rename(desk: Desk, operation: Mapping[str, Json]) -> None:
    put_label(_section(desk, operation.get("section")), "section", operation.get("title"), str(operation.get("locale", "")))


def _section_set(desk: Desk, operation: Mapping[str, Json]) -> None:
    name = str(operation.get("name", ""))
    if name in ("key", "items"):
        raise Invalid("draft_bad_value", name=name)
    if name == "tab" and operation.get("value"):
        _tab(desk, operation["value"])
    put(_section(desk, operation.get("section")), name, operation.get("value"))


def _tabs(desk: Desk) -> dict[str, Json]:
    tabs: dict[str, Json] = desk.document(*desk.place).setdefault("tabs", {})
    return tabs


def _tab(desk: Desk, key: object) -> str:
    if key not in _tabs(desk):
        raise NotFound("draft_no_tab", tab=str(key)[:60])
    return str(key)


def _tab_add(desk: Desk, operation: Mapping[str, Json]) -> None:
    """The first tab takes all sections, so that none is left without one."""
    tabs = _tabs(desk)
    key = next(f"tab_{number}" for number in range(1, len(tabs) + 2) if f"tab_{number}" not in tabs)
    if not tabs:
        for section in _sections(desk):
            section["tab"] = key
    tabs[key] = operation.get("title") or {"zh": "新标签页", "en": "New tab"}


def _tab_move(desk: Desk, operation: Mapping[str, Json]) -> None:
    tabs, key = _tabs(desk), _tab(desk, operation.get("tab"))
    order = [name for name in tabs if name != key]
    order.insert(position(operation, len(order)), key)
    desk.document(*desk.place)["tabs"] = {name: tabs[name] for name in order}


def _tab_remove(desk: Desk, operation: Mapping[str, Json]) -> None:
    """Its sections go to the first tab left; without tabs they stand one below the other."""
    tabs, key = _tabs(desk), _tab(desk, operation.get("tab"))
    del tabs[key]
    heir = next(iter(tabs), None)
    for section in _sections(desk):
        if section.get("tab") == key:
            put(section, "tab", heir)
    if not tabs:
        desk.document(*desk.place).pop("tabs")


def _tab_rename(desk: Desk, operation: Mapping[str, Json]) -> None:
    put_label(_tabs(desk), _tab(desk, operation.get("tab")), operation.get("title"), str(operation.get("locale", "")))


# --- lists ---------------------------------------------------------------------------------------------------------------------------------


def _list_columns(desk: Desk) -> list[str]:
    columns: list[str] = desk.document(*desk.place).setdefault("columns", [])
    return columns


def _list_add(desk: Desk, operation: Mapping[str, Json]) -> None:
    columns, key = _list_columns(desk), field_for(desk, operation)
    if key in columns:
        raise Invalid("draft_in_list_already", field=key)
    columns.insert(position(operation, len(columns)), key)


def _list_take(desk: Desk, operation: Mapping[str, Json]) -> list[str]:
    columns = _list_columns(desk)
    for key in keys_of(operation):
        if key not in columns:
            raise NotFound("draft_no_item", item=key[:60])
        columns.remove(key)
    return columns


def _list_move(desk: Desk, operation: Mapping[str, Json]) -> None:
    columns = _list_take(desk, operation)
    at = position(operation, len(columns))
    columns[at:at] = keys_of(operation)


def _list_remove(desk: Desk, operation: Mapping[str, Json]) -> None:
    _list_take(desk, operation)
    for key in keys_of(operation):
        forget_if_new(desk, key)


def _list_duplicate(desk: Desk, operation: Mapping[str, Json]) -> None:
    columns, key = _list_columns(desk), str(operation.get("item"))
    if key not in columns:
        raise NotFound("draft_no_item", item=key[:60])
    columns.insert(columns.index(key) + 1, copied(desk, key))


def _list_set(desk: Desk, operation: Mapping[str, Json]) -> None:
    if operation.get("item"):
        set_of_field(desk, operation, str(operation["item"]))
    else:
        put_label(desk.document(*desk.place), str(operation.get("name", "")), operation.get("value"), str(operation.get("locale", "")))


# --- any definition ------------------------------------------------------------------------------------------------------------------------


def _put(desk: Desk, operation: Mapping[str, Json]) -> None:
    """The whole document at once (an editor of JSON, the API); None takes the definition out."""
    document = operation.get("document")
    if document is not None and not isinstance(document, dict):
        raise Invalid("draft_bad_value", name="document")
    desk.changed[desk.place] = copy.deepcopy(document)


def _any_set(desk: Desk, operation: Mapping[str, Json]) -> None:
    """A property of the document, or of one of its fields or options."""
    document, name = desk.document(*desk.place), str(operation.get("name", ""))
    if operation.get("item"):
        group = document.get({"entity": "fields", "choices": "options"}.get(desk.place[0], ""), {})
        if operation["item"] not in group:
            raise NotFound("draft_no_item", item=str(operation["item"])[:60])
        document = group[operation["item"]]
    put_label(document, name, operation.get("value"), str(operation.get("locale", "")))


Act = Callable[[Desk, Mapping[str, Json]], None]
_FORM: Mapping[str, Act] = {
    "add": _form_add,
    "move": _form_move,
    "remove": _form_remove,
    "duplicate": _form_duplicate,
    "set": _form_set,
    "columns": _columns,
    "section_add": _section_add,
    "section_move": _section_move,
    "section_remove": _section_remove,
    "section_rename": _section_rename,
    "section_set": _section_set,
    "tab_add": _tab_add,
    "tab_move": _tab_move,
    "tab_remove": _tab_remove,
    "tab_rename": _tab_rename,
}
_LIST: Mapping[str, Act] = {"add": _list_add, "move": _list_move, "remove": _list_remove, "duplicate": _list_duplicate, "set": _list_set}
_ANY: Mapping[str, Act] = {"put": _put, "set": _any_set}
