"""A garden whose rules tell people things: plants with sealed telephones, a hidden code, gardeners who see their own, and rules with placeholders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.actors import enter_id, enter_person
from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.fields.base import Value
from engine.home import Home
from engine.publishing import create_workspace, operator
from engine.records import service
from engine.records.work import Work
from engine.rules.effects import Handle
from engine.settings import Settings
from engine.workspace import Workspace
from metadata.bundle import Bundle
from renderer.serving import all_words
from tests.engine.homes import ADMIN, SMALL, new_name

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)  # Sunday 11:00 in Shanghai
EVERYTHING = ADMIN["grants"]["*"]
GARDEN: dict[tuple[str, str], Any] = {
    **SMALL,
    ("settings", "settings"): {
        "factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}},
        "hours": {"type": "calendar", "default": {"mon-fri": ["09:00-18:00"]}, "title": {"zh": "工作时间"}},
    },
    ("entity", "plant"): {
        "title": {"zh": "植物", "en": "Plant"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": {"zh": "名称"}, "required": True, "search": "name"},
            "code": {"type": "text", "title": {"zh": "编码"}},
            "phone": {"type": "phone", "title": {"zh": "电话"}, "encrypted": True, "mask": "phone"},
            "price": {"type": "money", "title": {"zh": "价格"}},
            "height": {"type": "integer", "title": {"zh": "高度"}},
            "stage": {"type": "choice", "choices": "stage", "title": {"zh": "阶段"}},
            "owner": {"type": "person", "title": {"zh": "负责人"}},
            "seen_at": {"type": "instant", "title": {"zh": "查看"}},
        },
    },
    ("entity", "person"): {
        "fields": {
            "mobile": {"type": "phone", "title": {"zh": "手机"}, "encrypted": True},
            "mail": {"type": "email", "title": {"zh": "邮箱"}},
            "chat": {"type": "text", "title": {"zh": "企业微信账号"}},
        }
    },
    ("role", "admin"): {**ADMIN, "grants": {"*": EVERYTHING, "plant": {**EVERYTHING, "actions": {"tell": True}}}},
    ("role", "gardener"): {
        "title": {"zh": "园丁"},
        "grants": {
            "plant": {"read": "owner == me", "fields": {"phone": {"mask": "stage != 'won'"}, "code": {"read": False}}},
            "person": {"read": True, "fields": {"mobile": {"read": False}}},
        },
    },
    ("rule", "tell_owner"): {
        "title": {"zh": "告诉负责人", "en": "Tell the owner"},
        "on": {"action": "plant.tell"},
        "then": [
            {"let": {"called": "concat('电话', name)"}},
            {
                "notify": "owner",
                "message": {
                    "zh": "{name}（{stage}）由 {owner} 负责，电话 {phone}，编码 {code}，价 {price}，{seen_at}，{called}，{owner.name}",
                    "en": "{name} ({stage}) of {owner}, phone {phone}, code {code}, price {price}, {seen_at}, {called}, {owner.name}",
                },
            },
        ],
    },
    ("rule", "lead_in"): {
        "title": {"zh": "线索进来", "en": "A lead came in"},
        "on": {
            "intake": "lead",
            "with": {"name": {"type": "text", "required": True, "maxLength": 20}, "phone": {"type": "phone"}, "height": {"type": "integer"}},
        },
        "then": [{"create": "plant", "values": {"name": "param.name", "phone": "param.phone", "height": "param.height"}}],
    },
    ("rule", "call_ended"): {
        "title": {"zh": "通话结束"},
        "on": {"event": "call_ended", "with": {"name": {"type": "text"}}},
        "then": [{"create": "plant", "values": {"name": "param.name"}}],
    },
}
VALUES: Mapping[str, Value] = {"name": "牡丹", "code": "X-1", "phone": "13800138000", "price": 328765432, "stage": "new", "owner": 1, "height": 7}


@dataclass
class Garden:
    """One workspace of it with its people by login."""

    home: Home
    name: str
    people: dict[str, int] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return self.home.look(self.name)[0]

    @property
    def ctx(self) -> Context:
        return operator(self.home, self.name)

    def as_(self, login: str, locale: str = "zh") -> Context:
        return enter_person(self.home, self.name, login, locale=locale)

    def by_id(self, person: int) -> Context:
        return enter_id(self.home, self.name, person)

    def person(self, login: str, *roles: str, **values: Value) -> int:
        made = service.create(self.ctx, "person", {"name": login.title(), "login": login, "roles": list(roles), **values})
        self.people[login] = made.id
        return made.id

    def plant(self, **values: Value) -> int:
        raw = {**VALUES, **values}
        return service.create(self.ctx, "plant", raw).id

    @contextmanager
    def acting(self) -> Iterator[Context]:
        """The open write transaction a rule's effects are applied in."""
        with self.ctx.writing() as ctx:
            yield ctx


def handle(ctx: Context, entity: str, record: int) -> Handle:
    """A record as rules carry it, its values as they stand."""
    found = Work(ctx).row(entity, record) or {}
    return Handle(entity, record, lambda *_: found)


def make_garden(home: Home, *, sandbox: bool = False, changes: Mapping[tuple[str, str], Any] | None = None) -> Garden:
    """A live garden (or a rehearsed one) with an administrator, two gardeners and one who left."""
    name = new_name()
    documents = {**GARDEN, **(changes or {})}
    create_workspace(home, name, Bundle(documents, DOCUMENTS), title="花园", sandbox=sandbox, now=NOW if sandbox else None)
    garden = Garden(home, name)
    garden.person("ada", "admin", mail="ada@example.org")
    garden.person("gil", "gardener", mobile="13900001111", mail="gil@example.org", chat="GilW")
    garden.person("gus", "gardener")
    garden.person("old", "gardener", active=False)
    return garden


@contextmanager
def garden_homes(folder: Path, postgres: Callable[[], Callable[[], str]], **words: str) -> Iterator[Callable[[str], Home]]:
    """Homes with the plugins' words, one per kind of database, opened when asked for."""
    made: dict[str, Home] = {}

    def home(kind: str) -> Home:
        if kind not in made:
            given = {"TANGRAM_HOME": str(folder / kind), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL", **words}
            if kind == "postgresql":
                given["TANGRAM_DATABASE_URL"] = postgres()()
            made[kind] = Home.open(Settings.from_environment(given), all_words(), migrate=True)
        return made[kind]

    yield home
    for one in made.values():
        one.close()
