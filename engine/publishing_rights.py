"""What a publish changes in people's rights, in words and with numbers: who gains, who loses, over what. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from engine.schema.tables import plain_table
from engine.schema.words import say
from engine.storage import JsonList
from metadata.bundle import Bundle
from metadata.definitions import EntityGrant, FieldGrant, Role
from metadata.text import Label, label_text

VERBS = ("read", "create", "update", "delete", "export")
Direction = Literal["gains", "loses", "changes"]


@dataclass(frozen=True, slots=True)
class RightChange:
    """One right of one role that a publish changes. ``people``: how many active people hold the role now."""

    direction: Direction
    role: str
    role_title: Label
    verb: str  # read create update delete export see mask write action right
    subject: Label
    people: int
    before: str = ""
    after: str = ""

    def sentence(self, locale: str = "zh") -> str:
        """For the administrator who confirms."""
        return say(
            f"right_{self.direction}",
            locale,
            people=self.people,
            role=label_text(self.role_title, locale, self.role),
            verb=say(f"verb_{self.verb}", locale),
            subject=label_text(self.subject, locale),
            before=self.before or say("rows_none", locale),
            after=self.after or say("rows_none", locale),
        )


def people_by_role(connection: sa.Connection) -> dict[str, int]:
    """How many active people hold each role."""
    people = plain_table("person", sa.Column("roles", JsonList()), sa.Column("active", sa.Boolean))
    found: dict[str, int] = {}
    rows = connection.execute(
        sa.select(people.c.roles).where(people.c.deleted_at.is_(None), people.c.active.is_not(sa.false())), execution_options={"scoped": True}
    )
    for (roles,) in rows:
        for role in roles or ():
            found[role] = found.get(role, 0) + 1
    return found


def right_changes(old: Bundle, new: Bundle, people: Mapping[str, int]) -> list[RightChange]:
    """Every right that differs, role by role."""
    found: list[RightChange] = []
    for key in dict.fromkeys((*old.roles, *new.roles)):
        before, after = old.roles.get(key), new.roles.get(key)
        if before is not None and after is not None and before.body == after.body and old.entities.keys() == new.entities.keys():
            continue
        found += _of_role(key, before, after, old, new, people.get(key, 0))
    return found


def _of_role(key: str, before: Role | None, after: Role | None, old: Bundle, new: Bundle, people: int) -> Iterator[RightChange]:
    title = (after or before or Role(key, key, {})).title or key
    for entity in dict.fromkeys((*old.entities, *new.entities)):
        known = new.entities.get(entity) or old.entities[entity]
        was = _granted(before, entity) if entity in old.entities else EntityGrant()
        now = _granted(after, entity) if entity in new.entities else EntityGrant()
        for verb in VERBS:
            yield from _changed(key, title, verb, known.title, _rows(getattr(was, verb)), _rows(getattr(now, verb)), people)
        for action in dict.fromkeys((*was.actions, *now.actions)):
            subject = {locale: f"{label_text(known.title, locale, entity)} · {action}" for locale in ("zh", "en")}
            yield from _changed(key, title, "action", subject, _rows(was.actions.get(action, False)), _rows(now.actions.get(action, False)), people)
        if was.read is not False and now.read is not False:
            for name in dict.fromkeys((*was.fields, *now.fields)):
                field = known.fields.get(name)
                subject = {
                    locale: f"{label_text(known.title, locale, entity)} · {label_text(field.title if field else name, locale, name)}" for locale in ("zh", "en")
                }
                yield from _of_field(key, title, subject, was.fields.get(name, FieldGrant()), now.fields.get(name, FieldGrant()), people)
    for right in dict.fromkeys((*(before.can if before else ()), *(after.can if after else ()))):
        yield from _changed(key, title, "right", right, "*" if before and right in before.can else "", "*" if after and right in after.can else "", people)


def _granted(role: Role | None, entity: str) -> EntityGrant:
    """The grant of an entity, or the one for all others."""
    if role is None:
        return EntityGrant()
    return role.grants.get(entity) or role.grants.get("*") or EntityGrant()


def _rows(value: bool | str) -> str:
    """A row condition as text: "*" for all rows, "" for none."""
    return value if isinstance(value, str) else "*" if value else ""


def _changed(role: str, title: Label, verb: str, subject: Label, before: str, after: str, people: int) -> Iterator[RightChange]:
    if before == after:
        return
    direction: Direction = "gains" if not before or after == "*" else "loses" if not after or before == "*" else "changes"
    yield RightChange(direction, role, title, verb, subject, people, before, after)


def _of_field(role: str, title: Label, subject: Label, was: FieldGrant, now: FieldGrant, people: int) -> Iterator[RightChange]:
    yield from _changed(role, title, "see", subject, "*" if was.read else "", "*" if now.read else "", people)
    yield from _changed(role, title, "write", subject, "*" if was.write else "", "*" if now.write else "", people)
    clear_before, clear_after = _clear(was), _clear(now)
    if was.read and now.read:
        yield from _changed(role, title, "clear", subject, clear_before, clear_after, people)


def _clear(grant: FieldGrant) -> str:
    """Where a field is shown unmasked: everywhere, nowhere, or but for some rows."""
    if isinstance(grant.mask, str):
        return f"not ({grant.mask})"
    return "" if grant.mask else "*"
