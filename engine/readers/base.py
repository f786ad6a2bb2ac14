"""What a reader of messy cells is: one or more cells of a foreign sheet in, named parts, warnings and what was left over out. Trade-neutral, no database.

Imports call readers by name (the ``import`` block of an entity says which column is read by which); plugins register more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from engine.fields.scope import FieldScope
from metadata.text import Label
from metadata.vocabulary import ReaderWord


@dataclass(frozen=True, slots=True)
class ReadingScope:
    """The surroundings of a reading: the field scope (choices, time zone) and the workspace's now (bare dates resolve to the latest past one)."""

    fields: FieldScope
    now: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader understood. ``parts`` are raw inputs for fields (JSON form: money in minor units, choices by code, instants as text or datetime);
    list parts (``others``, ``more_phones``) hold mappings of parts or plain values. ``warnings`` are codes, ``rest`` is text left over,
    ``differs``: the value was recognised though it was not written as the value itself is (B+ for B)."""

    parts: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    rest: str = ""
    differs: bool = False


class CellReader:
    """One way to read messy cells. Raises engine.fields.base.Wrong (code, params; ``part`` names the part at fault) when nothing can be made of them."""

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]
    help: ClassVar[Label] = ""

    def word(self) -> ReaderWord:
        """This reader as metadata's vocabulary sees it."""
        return ReaderWord(self.name, self.parts, self.help)

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Parts of the cells (never empty; text, int, float, bool, datetime). ``options``: the column's ``with`` plus ``fields`` {part: Field}."""
        raise NotImplementedError
