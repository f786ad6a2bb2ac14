"""What a field type may know of the workspace while it reads, shows or describes a value. No database, no clock, no person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from metadata.definitions import Choices, Field, Option

if TYPE_CHECKING:
    from engine.fields.base import FieldType
    from metadata.bundle import Bundle

#: The option set whose codes are the workspace's own roles; it needs no file.
ROLE_CHOICES = "role"
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class FieldScope:
    """The surroundings of a field: the published definitions, the workspace's time zone, whose field it is, and the registered types.

    ``entity`` is the key of the entity the fields belong to ('' = none): cascades and lookups are resolved against it.
    ``types`` is the registry's shelf of field types; derived fields find the type of the value they carry there.
    """

    bundle: Bundle
    timezone: ZoneInfo = SHANGHAI
    entity: str = ""
    types: Mapping[str, FieldType] = field(default_factory=dict)

    def of(self, entity: str) -> FieldScope:
        """The same surroundings seen from another entity."""
        return replace(self, entity=entity)

    def choices(self, key: str) -> Choices:
        """The option set of that key; the roles of the bundle for ``role``; an empty set when there is none."""
        found = self.bundle.choices.get(key)
        if found is not None:
            return found
        if key == ROLE_CHOICES:
            return Choices(key=key, title=key, body={}, options={code: Option(code, role.title) for code, role in self.bundle.roles.items()})
        return Choices(key=key, title=key, body={}, options={})

    def field(self, entity: str, key: str) -> Field | None:
        """A field of any entity of the bundle; None when there is none."""
        owner = self.bundle.entities.get(entity)
        return owner.fields.get(key) if owner else None
