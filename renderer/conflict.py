"""A save that met another person's: what both say, field by field, for the one who came later to choose. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from engine.errors import Conflict
from engine.fields.base import Wrong, accepted
from engine.records.record import Record
from metadata.text import label_text
from renderer.bound_field import shown_text
from renderer.bound_record import around
from renderer.requests import Visit


def conflict_page(visit: Visit, entity: str, raw: Mapping[str, Any], conflict: Conflict, here: str) -> Response:
    """Both values of every field that two people changed, to choose from; ``here``: the record's address."""
    current: Record = conflict.params["current"]  # type: ignore[assignment]
    compiled = visit.ctx.workspace.entities[entity]
    surroundings = around(visit.ctx, entity, visit.base)
    rows, same = [], {}
    for name, given in raw.items():
        item = compiled.fields.get(name)
        if item is None or item.reader is None or name not in current:
            same[name] = given
            continue
        theirs = shown_text(item, current[name], surroundings)
        try:
            mine = shown_text(item, accepted(item.reader, given), surroundings)
        except Wrong:
            mine = str(given)
        if mine == theirs or (isinstance(current[name], tuple) and str(current[name][0]) == str(given)):
            same[name] = given
        else:
            rows.append({"name": name, "label": label_text(item.definition.title, visit.locale, name), "mine": mine, "theirs": theirs, "values": _texts(given)})
    lines = compiled.lines
    data: dict[str, Any] = {
        "rows": rows,
        "same": [(name, _texts(given)) for name, given in same.items() if name not in lines],
        "lines": [
            (f"{name}[{index}].{key}", _texts(value)) for name in lines if name in raw for index, row in enumerate(raw[name]) for key, value in row.items()
        ],
        "line_names": [name for name in lines if name in raw],
        "version": current.version,
        "action": f"{here}/edit",
        "cancel": here,
        "title": label_text(compiled.title, visit.locale, entity),
    }
    if visit.wants_part:
        return visit.part("_conflict.html", status=409, **data)
    return visit.page("conflict.html", status=409, **data)


def _texts(given: Any) -> list[str]:
    return [str(item) for item in given] if isinstance(given, list) else ["" if given is None else str(given)]
