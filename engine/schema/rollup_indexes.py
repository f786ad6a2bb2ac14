"""Which indexes roll-ups need: an end of a link's rows is looked up, counts and sums are reckoned without the rows themselves."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from engine.schema.conditions import tree_of
from engine.schema.index_spec import BESIDE_LIMIT, IndexSpec, Reason, Stored, is_sortable, titles
from metadata.bundle import Bundle
from metadata.definitions import Entity, Field

_RECKONED = ("count", "sum", "average")


def of_rollups(bundle: Bundle, stored: Stored) -> Iterator[IndexSpec]:
    """Earliest, latest, least and greatest of a link's rows are found at an end of (link, value); counts and sums are reckoned inside one index."""
    for (child, link), rollups in _by_link(bundle, stored).items():
        column = stored[child, link].column
        for entity, field in rollups:
            end = _end(field)
            if end and (child, end) in stored:
                yield IndexSpec(child, (column, stored[child, end].column), reasons=(_reason(entity, field),))
        beside = _reckoned(child, [field for _, field in rollups], stored)
        if beside is not None:
            reasons = tuple(_reason(entity, field) for entity, field in rollups)
            yield IndexSpec(child, tuple(dict.fromkeys((column, *beside, "deleted_at"))), reasons=reasons)


def _by_link(bundle: Bundle, stored: Stored) -> dict[tuple[str, str], list[tuple[Entity, Field]]]:
    """The roll-ups over each (entity, link)."""
    found: dict[tuple[str, str], list[tuple[Entity, Field]]] = {}
    for entity in bundle.entities.values():
        for field in entity.live_fields():
            child, _, link = str(field.options.get("from", "")).partition(".")
            if field.type == "rollup" and (child, link) in stored:
                found.setdefault((child, link), []).append((entity, field))
    return found


def _reason(entity: Entity, field: Field) -> Reason:
    return Reason("index_rollup", titles(entity, (field.key,)))


def _end(field: Field) -> str:
    """The field whose least or greatest value a roll-up looks for; '' for one that needs all rows, or goes by their ids."""
    word = {"min": "of", "max": "of", "earliest": "by", "latest": "by"}.get(str(field.options.get("measure")), "")
    return str(field.options.get(word) or "")


def _reckoned(child: str, fields: Sequence[Field], stored: Stored) -> tuple[str, ...] | None:
    """The columns that counts and sums over a link read besides; None where its rows are read anyway for an end, or for more than is worth carrying."""
    if any(field.options.get("measure") not in _RECKONED for field in fields):
        return None
    places = [stored[child, name] for name in sorted({name for field in fields for name in _read(field)}) if (child, name) in stored]
    if len(places) > BESIDE_LIMIT or any(place.blind or not is_sortable(place) for place in places):
        return None
    return tuple(place.column for place in places)


def _read(field: Field) -> Iterable[str]:
    """The fields of the rows gathered from that a roll-up reads."""
    tree = tree_of(str(field.options.get("where") or ""))
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)] if tree is not None else []
    return [*names, *([str(field.options["of"])] if field.options.get("of") else [])]
