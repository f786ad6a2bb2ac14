"""Typed values that are more than plain Python: a link with its label, a file, a value shown masked."""

from dataclasses import dataclass
from typing import NamedTuple


class Link(NamedTuple):
    """A link as read for a person: the record's id and its label under that person's grant (None: not known or not theirs to see)."""

    id: int
    label: str | None = None


class FileValue(NamedTuple):
    """A stored file as records show it. ``size`` in bytes, ``type`` the media type found by content."""

    id: int
    name: str
    size: int
    type: str
    url: str


#: What stands for a value its reader may not see.
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Masked:
    """A value its reader may see only masked: ``text`` is all there is of it."""

    text: str

    def __str__(self) -> str:
        return self.text


def link_id(value: object) -> int | None:
    """The id of a link value, whether it was read with a label or not."""
    if isinstance(value, Link):
        return value.id
    return value if isinstance(value, int) and not isinstance(value, bool) else None
