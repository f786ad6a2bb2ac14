"""Random typed expressions: text of the language over the fields of world.py, weighted so that rare operators and edges come often enough."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from tests.faces.world import TEXTS

Draw = Callable[[st.SearchStrategy[int]], int]
_BELOW = [st.integers(0, max(0, number - 1)) for number in range(64)]

_FIELDS = {
    "integer": ("n", "m", "rank", "id", "place.size", "owner.level", "me.level", "setting.limit", "setting.days[grade]", "param.n", "record.n", "place.id"),
    "money": ("amount", "price", "setting.cap", "record.amount"),
    "percent": ("share",),
    "decimal": ("area", "ratio", "place.area"),
    "text": ("name", "note", "place.name", "owner.name", "me.name", "setting.word", "setting.labels[kind]", "record.name"),
    "grade": ("grade", "place.grade", "param.code"),
    "kind": ("kind",),
    "boolean": ("flag", "done", "place.flag", "owner.active", "param.on"),
    "date": ("day", "due", "place.opened", "owner.joined", "me.joined", "setting.start"),
    "instant": ("at", "end", "place.at", "setting.since", "record.at"),
    "person": ("owner", "owner.boss", "place.keeper", "me.lead", "record.owner"),
    "team": ("owner.team", "me.team"),
    "tags": ("tags", "place.tags"),
    "marks": ("marks",),
    "people": ("helpers",),
    "teams": ("me.teams",),
    "sealed": ("phone", "mobile", "place.phone"),
}
_INTEGERS = ("0", "1", "2", "3", "-1", "7", "10", "30", "100", "2500", "-7", "1000000000000000")
_DECIMALS = ("0.5", "1.25", "2.5", "0.01", "-0.1", "10.0", "1234.5678")
_GRADES = ("'A'", "'B'", "'C'")
_KINDS = ("'call'", "'visit'", "'到访'")
_DATES = ("'2026-03-15'", "'2026-03-14'", "'2024-02-29'", "'1969-12-31'")
_INSTANTS = ("'2026-03-15T00:00'", "'2026-03-15T03:30:00+00:00'", "'2025-11-02T01:30'", "'2026-03-08T02:30'")
_PHONES = ("'13900000001'", "'139 0000 0001'", "'02188886666'", "'x'")
_UNITS = ("'day'", "'week'", "'month'", "'quarter'", "'year'")
_EQUAL = ("==", "!=")
_ORDER = ("<", "<=", ">", ">=")
_MONTHS = ("1", "-1", "12", "param.n", "setting.limit", "setting.days[grade]", "owner.level - owner.level + 1")
_DURATIONS = ("'PT1H'", "'P1D'", "'-P30D'", "span")


class Grammar:
    """Draws expressions of a wanted type, ``depth`` operators deep at most; ``below`` draws a number under its argument."""

    def __init__(self, below: Callable[[int], int]) -> None:
        self._below = below

    def pick(self, options: tuple[str, ...]) -> str:
        return options[self._below(len(options))]

    def _one(self, *makers: Callable[[], str]) -> str:
        return makers[self._below(len(makers))]()

    def field(self, kind: str) -> str:
        return self.pick(_FIELDS[kind])

    def text_literal(self) -> str:
        return repr(self.pick(TEXTS))

    # values

    def integer(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("integer"), lambda: self.field("integer"), lambda: self.pick(_INTEGERS))
        below = depth - 1
        return self._one(
            lambda: f"({self.integer(below)} {self.pick(('+', '-', '*'))} {self.integer(below)})",
            lambda: f"{self.integer(below)} {self.pick(('+', '-'))} {self.integer(below)} {self.pick(('*', '-'))} {self.integer(below)}",
            lambda: f"{self.integer(0)} - ({self.integer(0)} {self.pick(('+', '-'))} {self.integer(0)})",
            lambda: f"-{self.integer(0)}",
            lambda: f"length({self.text(below)})",
            lambda: f"size({self.list(below)})",
            lambda: f"coalesce({self.integer(below)}, {self.integer(0)})",
            lambda: f"{self.pick(('min', 'max'))}({self.integer(below)}, {self.integer(0)}, {self.integer(0)})",
            lambda: f"case({self.boolean(below)}, {self.integer(below)}, {self.integer(0)})",
            lambda: f"({self.integer(0)} if {self.boolean(below)} else {self.integer(0)})",
            lambda: self.elapsed(below),
            lambda: self.elapsed(below),
        )

    def elapsed(self, depth: int) -> str:
        return self._one(
            lambda: f"{self.pick(('days_since', 'days_until', 'hours_since'))}({self.instant(depth)})",
            lambda: f"{self.pick(('days_since', 'days_until'))}({self.date(depth)})",
            lambda: f"{self.pick(('minutes_between', 'hours_between', 'days_between'))}({self.instant(depth)}, {self.instant(0)})",
            lambda: f"days_between({self.date(0)}, {self.date(depth)})",
            lambda: f"overlap_days({self.date(0)}, {self.date(0)}, {self.date(0)}, {self.date(0)})",
        )

    def money(self, depth: int) -> str:
        if depth <= 0:
            return self.field("money")
        below = depth - 1
        return self._one(
            lambda: f"({self.money(below)} {self.pick(('+', '-'))} {self.money(below)})",
            lambda: f"({self.money(below)} * {self.integer(0)})",
            lambda: f"coalesce({self.money(below)}, 0)",
            lambda: f"case({self.boolean(below)}, {self.money(0)}, null)",
            lambda: f"{self.pick(('min', 'max'))}({self.money(0)}, {self.money(0)})",
        )

    def decimal(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("decimal"), lambda: self.pick(_DECIMALS))
        below = depth - 1
        return self._one(
            lambda: f"({self.decimal(below)} {self.pick(('+', '-'))} {self.decimal(0)})",
            lambda: f"({self.decimal(0)} * {self.integer(0)})",
            lambda: f"(area * {self.decimal(0)})",
            lambda: f"coalesce({self.decimal(below)}, {self.integer(0)})",
            lambda: f"case({self.boolean(below)}, {self.decimal(0)}, {self.integer(0)})",
            lambda: f"{self.pick(('min', 'max'))}({self.decimal(0)}, {self.integer(0)})",
        )

    def double(self, depth: int) -> str:
        below = max(depth - 1, 0)
        return self._one(
            lambda: f"{self.integer(0)} / {self.integer(0)}",
            lambda: f"{self.pick(('n', 'm', 'rank'))} / {self.pick(('2', '3', '7', '-7'))}",
            lambda: f"({self.money(below)} / {self.integer(0)})",
            lambda: f"{self.money(0)} / {self.money(0)}",
            lambda: f"{self.decimal(0)} / {self.pick(('3', 'm', 'area'))}",
            lambda: f"({self.integer(below)} - {self.integer(0)} / {self.integer(0)})",
            lambda: f"{self.integer(0)} / ({self.integer(0)} - {self.integer(0)})",
            lambda: f"overlap_days({self.instant(0)}, {self.instant(0)}, {self.instant(0)}, {self.instant(0)})",
            lambda: f"coalesce({self.integer(0)} / {self.integer(0)}, {self.integer(0)}, 0.5)",
            lambda: f"({self.integer(0)} / 7 * {self.integer(0)})",
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("text"), lambda: self.field("text"), self.text_literal)
        below = depth - 1
        return self._one(
            lambda: f"concat({self.text(below)}, {self.text(0)})",
            lambda: f"squeeze({self.text(below)})",
            lambda: f"lower({self.text(below)})",
            lambda: f"head({self.text(below)}, {self.pick(('1', '2', '0', '-1', 'param.n'))})",
            lambda: f"tail({self.text(below)}, {self.pick(('1', '2', '0', '5'))})",
            lambda: f"coalesce({self.text(below)}, {self.text(0)})",
            lambda: f"case({self.boolean(below)}, {self.text(0)}, {self.boolean(0)}, {self.text(0)}, null)",
            lambda: f"period_of({self.instant(below)}, {self.pick(_UNITS)})",
            lambda: f"period_of({self.date(below)}, {self.pick(_UNITS)})",
            lambda: f"concat({self.text(0)}, n, grade)",
        )

    def grade(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("grade"), lambda: self.pick(_GRADES))
        return self._one(lambda: f"coalesce({self.grade(0)}, {self.grade(0)})", lambda: f"case({self.boolean(depth - 1)}, {self.grade(0)}, {self.grade(0)})")

    def date(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("date"), lambda: self.field("date"), lambda: "today()")
        below = depth - 1
        return self._one(
            lambda: f"date_of({self.instant(below)})",
            lambda: f"add_days({self.date(below)}, {self.integer(0)})",
            lambda: f"add_months({self.date(below)}, {self.pick(_MONTHS)})",
            lambda: f"{self.pick(('start_of', 'end_of'))}({self.date(below)}, {self.pick(_UNITS)})",
            lambda: f"coalesce({self.date(below)}, {self.date(0)})",
            lambda: f"{self.pick(('min', 'max'))}({self.date(0)}, {self.date(0)})",
        )

    def instant(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("instant"), lambda: self.field("instant"), lambda: "now()")
        below = depth - 1
        return self._one(
            lambda: f"add_days({self.instant(below)}, {self.integer(0)})",
            lambda: f"add_months({self.instant(0)}, {self.pick(_MONTHS)})",
            lambda: f"add_time({self.instant(below)}, {self.pick(_DURATIONS)}, null)",
            lambda: f"{self.pick(('start_of', 'end_of'))}({self.instant(0)}, {self.pick(_UNITS)})",
            lambda: f"end_of_day_after({self.instant(0)}, {self.integer(0)})",
            lambda: f"coalesce({self.instant(below)}, {self.instant(0)})",
            lambda: f"{self.pick(('min', 'max'))}({self.instant(0)}, {self.instant(0)})",
            lambda: f"case({self.boolean(below)}, {self.instant(0)}, null)",
        )

    def list(self, depth: int) -> str:
        return self._one(
            lambda: self.field("tags"),
            lambda: self.field("marks"),
            lambda: self.field("people"),
            lambda: f"list(name, tags, {self.text_literal()})",
            lambda: "list(owner, me, helpers)",
            lambda: "list(me.teams, owner.team)",
        )

    # conditions

    def boolean(self, depth: int) -> str:
        if depth <= 0:
            return self._one(lambda: self.field("boolean"), lambda: self.compare(0), lambda: self.compare(0), lambda: self.member(0), lambda: self.emptiness(0))
        below = depth - 1
        return self._one(
            lambda: self.compare(below),
            lambda: self.compare(below),
            lambda: self.compare(below),
            lambda: self.member(below),
            lambda: self.emptiness(below),
            lambda: self.textual(below),
            lambda: self.timed(below),
            lambda: self.timed(below),
            self.divided,
            self.local,
            self.bracketed,
            lambda: f"({self.boolean(below)} {self.pick(('and', 'or'))} {self.boolean(below)})",
            lambda: f"({self.boolean(below)} and {self.boolean(below)} or {self.boolean(0)})",
            lambda: f"not {self.boolean(below)}" if below else f"not ({self.boolean(0)})",
            lambda: f"not ({self.boolean(below)})",
            lambda: f"case({self.boolean(below)}, {self.boolean(0)}, {self.boolean(0)})",
            lambda: f"{self.field('boolean')} {self.pick(_EQUAL)} {self.pick(('true', 'False'))}",
        )

    def local(self) -> str:
        """Days of the time zone, which only a zone's own midnight tells apart."""
        at, end = self.pick(("at", "end", "place.at")), self.pick(("at", "end", "now()"))
        return self._one(
            lambda: f"date_of({at}) {self.pick((*_ORDER, *_EQUAL))} {self.pick(('day', 'due', 'today()'))}",
            lambda: f"start_of({at}, {self.pick(_UNITS)}) {self.pick(_ORDER)} {end}",
            lambda: f"period_of({at}, {self.pick(_UNITS)}) == {self.pick(('period_of(day, ', 'period_of(end, '))}{self.pick(_UNITS)})",
            lambda: f"{end} {self.pick(_ORDER)} end_of_day_after({at}, {self.pick(('0', '1', '-1', '7'))})",
        )

    def bracketed(self) -> str:
        """Sums taken away as a whole, of numbers near each other."""
        small = ("n", "m", "rank", "id", "place.id", "size(tags)", "2", "30")
        return f"{self.pick(small)} - ({self.pick(small)} {self.pick(('+', '-'))} {self.pick(small)}) {self.pick((*_ORDER, *_EQUAL))} {self.pick(small)}"

    def divided(self) -> str:
        """Integer division, where databases differ most."""
        return f"{self.pick(('n', 'm', 'rank', 'amount', 'share'))} / {self.pick(('2', '3', '7', 'm'))} {self.pick((*_ORDER, *_EQUAL))} {self.pick(('0.5', '1.5', '3.5', '0', 'rank', '-3.5'))}"

    def compare(self, depth: int) -> str:
        same, order = self.pick(_EQUAL), self.pick((*_ORDER, *_EQUAL))
        return self._one(
            lambda: f"{self.integer(depth)} {order} {self.integer(depth)}",
            lambda: f"{self.integer(depth)} {order} {self.pick((*_INTEGERS, 'null'))}",
            lambda: f"{self.money(depth)} {order} {self.money(0)}",
            lambda: f"{self.money(depth)} {order} {self.integer(0)}",
            lambda: f"share {order} {self.integer(0)}",
            lambda: f"{self.decimal(depth)} {order} {self.decimal(0)}",
            lambda: f"{self.decimal(0)} {order} {self.integer(depth)}",
            lambda: f"{self.double(depth)} {order} {self.decimal(0)}",
            lambda: f"{self.double(depth)} {order} {self.double(0)}",
            lambda: f"{self.text(depth)} {same} {self.text(depth)}",
            lambda: f"{self.field('text')} {same} {self.text_literal()}",
            lambda: f"{self.grade(depth)} {same} {self.grade(0)}",
            lambda: f"kind {same} {self.pick((*_KINDS, 'null'))}",
            lambda: f"{self.date(depth)} {order} {self.date(depth)}",
            lambda: f"{self.date(depth)} {order} {self.pick(_DATES)}",
            lambda: f"{self.instant(depth)} {order} {self.instant(depth)}",
            lambda: f"{self.instant(0)} {order} {self.pick(_INSTANTS)}",
            lambda: f"{self.field('person')} {same} {self.pick((*_FIELDS['person'], 'me', '3', 'null'))}",
            lambda: f"{self.field('team')} {same} {self.pick((*_FIELDS['team'], '2', 'null'))}",
            lambda: f"place.keeper {same} {self.field('person')}",
            lambda: f"place {same} {self.pick(('3', 'null', 'record.place'))}",
            lambda: f"{self.field('sealed')} {same} {self.pick((*_PHONES, *_FIELDS['sealed'], 'record.phone', 'null'))}",
            lambda: f"{self.integer(0)} {self.pick(_ORDER)} {self.integer(depth)} {self.pick(_ORDER)} {self.integer(0)}",
        )

    def member(self, depth: int) -> str:
        word = self.pick(("in", "not in"))
        return self._one(
            lambda: f"{self.grade(depth)} {word} ('A', 'B')",
            lambda: f"{self.integer(depth)} {word} (1, 2, n, null)",
            lambda: f"{self.integer(0)} {word} (1, 7, 100)",
            lambda: f"{self.text(depth)} {word} (note, 'a', '张三')",
            lambda: f"{self.text(0)} {word} {self.field('tags')}",
            lambda: f"{self.field('team')} {word} me.teams",
            lambda: f"owner {word} {self.pick(('helpers', '(me, 1)', 'list(me, helpers)'))}",
            lambda: f"{self.pick(('has', 'not has'))}({self.field('tags')}, {self.text(depth)})",
            lambda: f"has(marks, {self.pick(('kind', *_KINDS))})",
            lambda: f"has(helpers, {self.pick(('me', 'owner', '3', 'me.lead'))})",
            lambda: "has(me.roles, 'boss')",
            lambda: f"{self.field('sealed')} {word} ('13900000001', '021 8888 6666')",
            lambda: f"phone {word} (mobile, '13900000002')",
            lambda: f"has(owner.roles, {self.pick(('me.role', chr(39) + 'clerk' + chr(39)))})",
        )

    def emptiness(self, depth: int) -> str:
        word = self.pick(("empty", "exists", "not empty"))
        return self._one(
            lambda: f"{word}({self.field(self.pick(tuple(_FIELDS)))})",
            lambda: f"{word}({self.text(depth)})",
            lambda: f"{word}({self.integer(depth)})",
            lambda: f"{word}({self.list(depth)})",
            lambda: f"{word}({self.instant(depth)})",
            lambda: f"{self.field(self.pick(tuple(_FIELDS)))} {self.pick(('is', 'is not', '==', '!='))} null",
        )

    def textual(self, depth: int) -> str:
        return f"{self.pick(('contains', 'startswith'))}({self.text(depth)}, {self.text(max(depth - 1, 0))})"

    def timed(self, depth: int) -> str:
        order = self.pick((*_ORDER, *_EQUAL))
        return self._one(
            lambda: f"{self.elapsed(0)} {order} {self.pick((*_INTEGERS, 'setting.limit', 'n', 'null'))}",
            lambda: f"{self.pick((*_INTEGERS, 'setting.limit'))} {order} {self.elapsed(0)}",
            lambda: f"date_of({self.instant(depth)}) {order} {self.date(0)}",
            lambda: f"period_of(at, {self.pick(_UNITS)}) {self.pick(_EQUAL)} period_of(now(), {self.pick(_UNITS)})",
            lambda: f"between({self.instant(0)}, {self.instant(0)}, {self.instant(0)})",
            lambda: f"between({self.date(depth)}, {self.date(0)}, {self.date(0)})",
            lambda: f"between(n, {self.integer(0)}, {self.integer(0)})",
        )

    def value(self, depth: int) -> str:
        """An expression of any type but condition."""
        return self._one(
            lambda: self.integer(depth),
            lambda: self.money(depth),
            lambda: self.decimal(depth),
            lambda: self.double(depth),
            lambda: self.text(depth),
            lambda: self.grade(depth),
            lambda: self.date(depth),
            lambda: self.instant(depth),
            lambda: self.elapsed(depth),
        )


@st.composite
def conditions(draw: Draw, depth: int = 2) -> str:
    """Text of a random condition."""
    return Grammar(lambda number: draw(_BELOW[number])).boolean(depth)


@st.composite
def values(draw: Draw, depth: int = 2) -> str:
    """Text of a random value expression."""
    return Grammar(lambda number: draw(_BELOW[number])).value(depth)
