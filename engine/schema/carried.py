"""Carried values: hidden stored copies of what a link leads to, where a role sees a list's rows by it, so that an index leads to these rows in the list's order.

``LINK.owner == me`` reads ``LINK__owner``. No field: nobody enters, sees, filters by or is granted it. Decided here; kept true by records/carried.py.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from engine.fields.computed import target_of
from engine.schema.conditions import branches, fixed, hop, terms, tree_of
from engine.schema.ledger import Shape
from metadata.bundle import Bundle
from metadata.definitions import Entity, Field
from metadata.text import label_text

Shapes = Mapping[tuple[str, str], Shape]
_LINKS = ("link", "person", "team")


def carried_key(link: str, field: str) -> str:
    """The key of a carried value; no field's key contains two underscores in a row."""
    return f"{link}__{field}"


def carried_shapes(bundle: Bundle, shapes: Shapes) -> dict[tuple[str, str], Shape]:
    """As what each value is kept that rows of a listed entity carry; ``shapes``: the fields'."""
    found: dict[tuple[str, str], Shape] = {}
    for entity, source in _listed_rows(bundle):
        for link, field in _led_over_links(bundle.entities[entity], source):
            target = target_of(bundle.entities[entity].fields[link])
            shape = shapes.get((target, field))
            if shape is not None and _is_plain(shape):
                key = carried_key(link, field)
                titles = _title(bundle.entities[entity].fields[link], shape.field)
                found[entity, key] = replace(shape, field=Field(key=key, type=shape.field.type, title=titles), derived=True, carried=(link, target, field))
    return found


def _listed_rows(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """The row conditions of roles on the entities whose lists they get."""
    for view in bundle.lists.values():
        for role in bundle.roles.values():
            grant = role.grants.get(view.entity) or role.grants.get("*")
            if view.entity in bundle.entities and grant is not None and isinstance(grant.read, str) and (not view.audience or role.key in view.audience):
                yield view.entity, grant.read


def _led_over_links(entity: Entity, source: str) -> Iterator[tuple[str, str]]:
    """(link, field beyond it) of the alternatives that no link of the row itself leads to."""
    for branch in branches(tree_of(source)):
        parts = terms(branch)
        if _links(entity, [name for part in parts if (name := fixed(part)) is not None]):
            continue
        for path in map(hop, parts):
            if path is not None and _links(entity, path[:1]):
                yield path


def _links(entity: Entity, names: Collection[str]) -> bool:
    return any(name in entity.fields and not entity.fields[name].retired and entity.fields[name].type in _LINKS for name in names)


def _is_plain(shape: Shape) -> bool:
    """Whether a value can be copied and put in order as it is kept: stored, not sealed, one value."""
    kind = shape.type.column(shape.value)
    return shape.stored and not shape.value.encrypted and kind is not None and type(kind).__name__ not in ("JsonList", "JsonValue", "JSON")


def _title(link: Field, field: Field) -> dict[str, str]:
    return {locale: f"{label_text(link.title, locale, link.key)} · {label_text(field.title, locale, field.key)}" for locale in ("zh", "en")}
