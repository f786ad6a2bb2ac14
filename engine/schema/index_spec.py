"""One index as the definitions ask for it: its columns, which rows it holds, why it is there."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.schema.tables import StoredField
from metadata.definitions import Entity
from metadata.text import Label, label_text

#: Kilobytes of new search tokens PostgreSQL may keep aside before it puts them into their index: every search reads what is kept aside, all of it.
TOKENS_ASIDE = 64
#: Columns behind the order of an index that only let rows be passed over, or values be read, inside it.
BESIDE_LIMIT = 3
NAME_CUT = 40


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an index exists: a code of engine/messages/publishing.json and what fills its sentence (labels, not keys)."""

    code: str
    subject: Label = ""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index of an entity's table. ``columns`` are physical; ``descending`` those of them that run down while others run up.

    Unique ones hold for rows that are not deleted, have no empty column and satisfy ``where`` (an expression over ``entity``).
    ``method`` is "" for a b-tree, "gin" for search tokens on PostgreSQL. ``filled``: only rows where the first column has a value.
    """

    entity: str
    columns: tuple[str, ...]
    descending: frozenset[str] = frozenset()
    unique: bool = False
    where: str = ""
    method: str = ""
    filled: bool = False
    key: str = ""  # of the unique definition or field
    fields: tuple[str, ...] = ()  # field keys of a unique, for its sentence
    reasons: tuple[Reason, ...] = ()

    @property
    def name(self) -> str:
        """``ix_<entity, cut>_<8 hex>``: the same columns and conditions always give the same name."""
        method = "".join((self.method, *(f" {word}={value}" for word, value in self.settings.items())))
        told = "|".join((self.entity, *self.columns, "desc", *sorted(self.descending), str(self.unique), self.where, method, str(self.filled)))
        return f"ix_{self.entity[:NAME_CUT]}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    @property
    def settings(self) -> Mapping[str, int]:
        """How PostgreSQL is to keep it, in its words."""
        return {"gin_pending_list_limit": TOKENS_ASIDE} if self.method == "gin" else {}

    def serves(self, other: "IndexSpec") -> bool:
        """True when whatever ``other`` is good for, this one is too: a plain index beginning with the same columns."""
        plain = not (self.where or self.method or self.filled or self.unique)
        same_way = self.descending & frozenset(other.columns) == other.descending
        if plain and not (other.unique or other.method) and same_way:
            return self.columns[: len(other.columns)] == other.columns
        lone_key = self.unique and not self.where and len(self.columns) == 1
        return lone_key and not other.unique and self.columns == other.columns


Stored = Mapping[tuple[str, str], StoredField]


def titles(entity: Entity, fields: Iterable[str]) -> dict[str, str]:
    """The titles of some fields by language, one after another."""
    keys = tuple(fields)
    return {
        locale: "、".join(parts) if locale == "zh" else ", ".join(parts)
        for locale in ("zh", "en")
        if (parts := [label_text(entity.fields[key].title, locale, key) if key in entity.fields else key for key in keys])
    }


def is_sortable(stored: StoredField) -> bool:
    """Lists and JSON values have no order: a b-tree over them helps nobody."""
    return type(stored.type).__name__ not in ("JsonList", "JsonValue", "JSON")
