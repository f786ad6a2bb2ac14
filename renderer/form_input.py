"""A posted form as raw input of the writer: names with an index become child lines, marks of the page itself stay out. Understands no value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_LINE_NAME = re.compile(r"^([a-z][a-z0-9_]{0,39})\[(\d{1,4})\]\.([a-z][a-z0-9_]{0,39})$")
_LINE = re.compile(r"^([a-z][a-z0-9_]{0,39})\[(\d{1,4})\]$")


def read_form(raw: Mapping[str, Any], lines: Iterable[str], *, empty_lines: bool = False) -> dict[str, Any]:
    """A posted form as raw input: ``member[0].name`` becomes a line of ``member``; a posted ``member[]`` alone says that no line is left.

    ``empty_lines``: lines in which nothing stands yet are kept, because the form goes back to the person.
    """
    found: dict[str, Any] = {}
    rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in lines if f"{name}[]" in raw}
    for name, value in raw.items():
        match = _LINE_NAME.match(name)
        if match and match[1] in rows:
            rows[match[1]].setdefault(int(match[2]), {})[match[3]] = value
        elif "[" not in name and ":" not in name:
            found[name] = value
    for name, items in rows.items():
        found[name] = [_line(item) for _, item in sorted(items.items()) if empty_lines or any(value not in ("", [], "false") for key, value in item.items())]
    return found


def _line(given: dict[str, Any]) -> dict[str, Any]:
    found = dict(given)
    for name in ("id", "version"):
        text = str(found.pop(name, ""))
        if text.isdigit():
            found[name] = int(text)
    return found


def one_each(found: dict[str, Any], single: Callable[[str, str], bool]) -> dict[str, Any]:
    """Fields that hold one value keep the last one posted: a switch posts what it means when off, then, when on, what it means when on.

    ``single(line, name)`` says whether a field of the record (line "") or of one of its lines is such a field.
    """

    def last(line: str, name: str, value: Any) -> Any:
        return (value[-1] if value else "") if isinstance(value, list) and single(line, name) else value

    return {
        name: [{key: last(name, key, part) for key, part in row.items()} for row in value]
        if isinstance(value, list) and value and isinstance(value[0], dict)
        else last("", name, value)
        for name, value in found.items()
    }


def drop_line(found: dict[str, Any], place: str) -> None:
    """Take the line ``member[1]`` out of what was read."""
    match = _LINE.match(place)
    if match and match[1] in found:
        found[match[1]] = [row for index, row in enumerate(found[match[1]]) if index != int(match[2])]
