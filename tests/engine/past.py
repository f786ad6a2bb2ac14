"""A small workspace with a past made at random: items in boxes, changed by people and by rules while the clock moves; for tests of replays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import sqlalchemy as sa

from engine.actors import enter_as, enter_person
from engine.background import advance
from engine.context import Context
from engine.errors import Invalid, Refusal
from engine.jobs import table_for
from engine.records import service
from engine.records.record import ANY
from engine.replay import Replayed, replay
from engine.replay_looking import Question
from engine.rules.book import CompiledRule
from engine.rules.compile import rule_book
from engine.settings_values import set_value
from engine.system_tables import WORKSPACE
from engine.system_tables_rules import run
from tests.engine.homes import ADMIN, NOW, Homes, Place, small_place

WORLD: dict[tuple[str, str], Any] = {
    ("settings", "settings"): {
        "factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}},
        "limit": {"type": "integer", "default": 5, "title": {"zh": "上限"}},
        "days": {"type": "map", "by": "grade", "of": "integer", "default": {"a": 2, "b": 5, "else": None}, "title": {"zh": "天数"}},
    },
    ("choices", "grade"): {"title": "等级", "options": {code: {"title": code.upper()} for code in "abc"}},
    ("choices", "stage"): {"title": "阶段", "options": {code: {"title": code} for code in ("new", "won", "lost")}},
    ("entity", "box"): {
        "title": {"zh": "箱"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": "名称"},
            "level": {"type": "integer", "default": 0, "title": "层"},
            "items": {"type": "rollup", "from": "item.box", "measure": "count", "title": "件数"},
            "full": {"type": "formula", "value": "items > setting.limit", "title": "满"},
        },
    },
    ("entity", "item"): {
        "title": {"zh": "物件"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": "名称"},
            "phone": {"type": "phone", "encrypted": True, "personal": "personal", "title": "电话"},
            "grade": {"type": "choice", "choices": "grade", "default": "a", "title": "等级"},
            "stage": {"type": "choice", "choices": "stage", "default": "new", "title": "阶段"},
            "size": {"type": "integer", "title": "大小"},
            "count": {"type": "integer", "default": 0, "title": "次数"},
            "held": {"type": "boolean", "default": False, "title": "保留"},
            "note": {"type": "text", "title": "备注"},
            "owner": {"type": "person", "title": "负责人"},
            "box": {"type": "link", "to": "box", "title": "箱"},
            "at": {"type": "instant", "title": "时刻"},
            "day": {"type": "date", "title": "日期"},
            "weight": {"type": "formula", "value": "size * setting.factor", "title": "重量"},
            "due_at": {"type": "formula", "value": "add_days(at, setting.days[grade])", "title": "到期"},
        },
        "personal": {"subject": True},
        "stages": {"field": "stage", "moves": [{"from": ["new"], "to": ["won", "lost"]}, {"from": ["won", "lost"], "to": ["new"]}]},
    },
    ("role", "admin"): {**ADMIN, "grants": {"*": ADMIN["grants"]["*"], "item": {**ADMIN["grants"]["*"], "actions": {"mark": True}}}},
}
CONDITIONS = (
    "size > 4",
    "weight >= 8",
    "grade == 'a'",
    "grade in ('b', 'c') and not held",
    "held",
    "exists(owner)",
    "empty(note)",
    "box.level >= 2",
    "box.items > 1 or box.full",
    "size >= setting.limit",
    "stage != 'lost' and count < 6",
    "phone == '13900000001'",
)
STEPS: tuple[dict[str, Any], ...] = (
    {"set": {"note": "concat('n', count)"}},
    {"set": {"count": "coalesce(count, 0) + 1"}},
    {"set": {"held": "not held"}},
    {"set": {"size": "coalesce(size, 0) + 1"}, "if": "coalesce(size, 0) < 9"},
    {"set": {"owner": None}},
)
BOX_STEP: dict[str, Any] = {"set": {"level": "box.level + 1"}, "on": "box", "if": "exists(box) and box.level < 5"}


def random_rules(random: Random) -> dict[tuple[str, str], Any]:
    """A rule or two of every moment; none sets itself off without end."""

    def condition(*more: str) -> dict[str, str]:
        text = random.choice((*CONDITIONS, *more, ""))
        if random.random() < 0.3 and text:
            text = f"({text}) or ({random.choice(CONDITIONS)})"
        return {"if": text} if text else {}

    def then(*more: dict[str, Any]) -> list[dict[str, Any]]:
        return random.sample((*STEPS, *more), random.choice((1, 1, 2)))

    refuse = {"refuse": "TOO_BIG", "if": "size > 8 and held", "message": {"zh": "太大"}}
    listened = random.choice(("size", "grade", "owner", "held"))
    hours = random.choice(("0 8 * * *", "30 1 * * MON", "0 */6 * * *"))
    rules: dict[str, dict[str, Any]] = {
        "b_save": {"on": {"before": "save", "entity": "item"}, **condition(), "then": [refuse, *then()]},
        "b_update": {"on": {"before": "update", "entity": "item", "fields": [listened]}, **condition("size > old.size"), "then": then()},
        "a_create": {"on": {"after": "create", "entity": "item"}, **condition(), "then": [*then(), BOX_STEP]},
        "a_update": {"on": {"after": "update", "entity": "item", "fields": ["size", "grade"]}, **condition("size < old.size"), "then": then()[:1]},
        "a_weight": {"on": {"after": "update", "entity": "item", "fields": ["weight"]}, **condition(), "then": [{"set": {"note": "'heavy'"}}]},
        "a_stage": {"on": {"after": "stage", "entity": "item", "to": random.choice((["won"], ["won", "lost"]))}, **condition(), "then": [BOX_STEP]},
        "a_box": {"on": {"after": "update", "entity": "box", "fields": ["items", "level"]}, "if": random.choice(("full", "items > 1", "level > 1")),
                  "then": [{"set": {"name": "concat(items, '.', level)"}}]},
        "a_delete": {"on": {"after": "delete", "entity": "item"}, **condition(), "then": [{"notify": "owner", "message": {"zh": "没了"}}]},
        "l_update": {"on": {"later": "update", "entity": "item", "fields": ["note", "held"]}, **condition("count > old.count"), "then": [{"set": {"day": "today()"}}]},
        "l_create": {"on": {"later": "create", "entity": "item"}, **condition(), "then": then()},
        "d_due": {"on": {"due": "item.due_at"}, **condition(), "then": then()},
        "d_day": {"on": {"due": ["item.day", "item.at"], "shift": random.choice((["P0D"], ["-P1D", "P1D"], ["PT6H"]))}, **condition(), "then": then()},
        "d_again": {"on": {"due": "item.at", "repeat": "P1D"}, **condition(), "then": [{"set": {"count": "coalesce(count, 0) + 1"}, "if": "count < 20"}]},
        "c_each": {"on": {"cron": hours, "for_each": "item", "where": random.choice(CONDITIONS[:6])}, **condition(), "then": then()},
        "c_one": {"on": {"cron": "0 9 * * *"}, "then": [{"create": "box", "values": {"name": "'daily'"}, "if": "setting.limit > 4"}]},
        "mark": {"on": {"action": "item.mark"}, "if": random.choice(CONDITIONS), "then": then(BOX_STEP)},
        "b_mark": {"on": {"before": "action", "actions": ["item.*"], "entity": "item"}, **condition(), "then": [{"let": {"was": "size"}}]},
        "a_mark": {"on": {"after": "action", "actions": ["item.mark"], "entity": "item"}, **condition(), "then": [{"set": {"note": "'marked'"}}]},
    }  # fmt: skip
    return {("rule", key): {"title": key, **body} for key, body in rules.items()}


@dataclass
class Life:
    """A workspace in which people and rules live on."""

    place: Place
    random: Random

    @property
    def ctx(self) -> Context:
        return enter_as(self.place.home, self.place.name, "operator")

    def enter(self, login: str) -> Context:
        return enter_person(self.place.home, self.place.name, login)

    def person(self) -> Context:
        return self.enter(self.random.choice(("p1", "p2")))

    def go(self, **words: float) -> None:
        """Move the clock, running what falls due."""
        advance(self.place.home, self.place.name, self.ctx.now + timedelta(**words))

    def ids(self, entity: str) -> list[int]:
        table = self.place.workspace.entities[entity].table
        with self.place.workspace.database.read() as connection:
            return list(connection.execute(sa.select(table.c.id).where(table.c.deleted_at.is_(None)).execution_options(scoped=True)).scalars())

    def values(self) -> dict[str, Any]:
        """What somebody might enter."""
        random, boxes = self.random, self.ids("box")
        ahead = (self.ctx.now + timedelta(hours=random.randrange(-30, 60))).isoformat()
        every: dict[str, Any] = {
            "name": random.choice(("甲", "乙")),
            "phone": random.choice(("13900000001", "13900000002", None)),
            "grade": random.choice("abc"),
            "size": random.choice((None, 1, 3, 5, 7, 9)),
            "held": random.random() < 0.4,
            "note": random.choice((None, "x", "y")),
            "owner": random.choice((None, 1, 2)),
            "box": random.choice((None, *boxes)) if boxes else None,
            "at": random.choice((None, ahead, ahead)),
            "day": random.choice((None, ahead[:10])),
        }
        return {name: every[name] for name in random.sample(sorted(every), random.choice((1, 2, 4)))}

    def step(self) -> None:
        """One thing that happens."""
        items, choice = self.ids("item"), self.random.random()
        try:
            if choice < 0.1 or not self.ids("box"):
                service.create(self.person(), "box", {"name": "b", "level": self.random.randrange(4)})
            elif choice < 0.25 or not items:
                service.create(self.person(), "item", {**self.values(), "name": "甲"})
            elif choice < 0.65:
                service.update(self.person(), "item", self.random.choice(items), self.values(), ANY)
            elif choice < 0.72:
                service.update(self.person(), "item", self.random.choice(items), {"stage": self.random.choice(("won", "lost", "new"))}, ANY)
            elif choice < 0.8:
                service.update(self.person(), "box", self.random.choice(self.ids("box")), {"level": self.random.randrange(4)}, ANY)
            elif choice < 0.9:
                service.act(self.person(), "item", self.random.choice(items), "mark", {})
            elif choice < 0.94:
                service.delete(self.person(), "item", self.random.choice(items), ANY)
            else:
                set_value(self.enter("p1"), *self.random.choice((("limit", 3), ("limit", 7), ("factor", 3), ("factor", 1))), confirmed=True)
        except Refusal:
            return

    def live(self, steps: int) -> None:
        """So many things happen, with time between."""
        for _ in range(steps):
            self.step()
            self.go(**self.random.choice(({"seconds": 7}, {"minutes": 50}, {"hours": 7}, {"hours": 26})))

    # --- looking back -----------------------------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> dict[str, CompiledRule]:
        return dict(rule_book(self.place.workspace).rules)

    def ask(self, rule: CompiledRule | str, **words: Any) -> Replayed:
        """Replay over the whole past."""
        asked = self.rules[rule] if isinstance(rule, str) else rule
        since = words.pop("since", NOW - timedelta(days=1))
        return replay(self.ctx, Question(asked, since, words.pop("until", self.ctx.now + timedelta(seconds=1)), **words))

    def done(self, rule: str) -> list[dict[str, Any]]:
        """The runs of a rule that ended well."""
        with self.place.workspace.database.read() as connection:
            return [dict(row) for row in connection.execute(sa.select(run).where(run.c.rule == rule, run.c.state == "done").order_by(run.c.id)).mappings()]

    def everything(self) -> dict[str, list[str]]:
        """Every row of every table, records and jobs too."""
        database = self.place.workspace.database
        tables = [*WORKSPACE.sorted_tables, table_for(database.dialect), *(entity.table for entity in self.place.workspace.entities.values())]
        with database.read() as connection:
            return {table.name: sorted(map(repr, connection.execute(sa.select(table).execution_options(scoped=True)).all())) for table in tables}


@contextmanager
def life(homes: Homes, kind: str, seed: int, rules: Callable[[Random], dict[tuple[str, str], Any]] = random_rules) -> Iterator[Life]:
    """A workspace of two people with rules made at random."""
    random = Random(seed)
    place = _place(homes, kind, random, rules)
    for login in ("p1", "p2"):
        service.create(enter_as(place.home, place.name, "operator"), "person", {"name": login, "login": login, "roles": ["admin"]})
    yield Life(place, random)


def _place(homes: Homes, kind: str, random: Random, rules: Callable[[Random], dict[tuple[str, str], Any]]) -> Place:
    """A workspace with the first rules that can be published: some would each have to run before the other."""
    while True:
        try:
            return small_place(homes.home(kind), changes=WORLD | rules(random))
        except Invalid as refusal:
            if any(fault.code != "rule_order_cycle" for fault in refusal.faults):
                raise
