"""Demo data: the same seed gives the same rows, shares and rhythms hold, and a description that cannot be read says where."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.demo.blocks import Made
from engine.demo.deeds import Deed
from engine.demo.generate import Generator
from engine.demo.recipes import VERBS
from engine.demo.times import Profile, Window
from engine.demo.words import Names, Numbers, pattern, sentences
from engine.errors import Invalid

NOW = datetime(2026, 3, 15, 3, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
CLINIC: Mapping[str, Any] = {
    "seed": 7,
    "scales": {"S": {"factor": 0.01, "months": 6}, "M": {"factor": 0.1, "months": 12}},
    "profiles": {"open": {"weekend": 3, "hours": {"9": 1, "15": 3}}},
    "names": {"surnames": "王李张", "given": {"m": "伟强", "f": "芳敏"}, "titles": {"f": ["女士"]}, "title_share": 0.2},
    "phrases": {"pain": ["头痛", "咳嗽"]},
    "people": [{"login": "a", "name": "A", "roles": ["doctor"]}, {"login": "b", "name": "B", "roles": ["doctor"], "only": ["M", "L"]}],
    "blocks": [
        {"entity": "ward", "rows": 100, "least": 3, "fields": {"kind": {"choose": ["eye", "ear"]}}},
        {
            "entity": "patient",
            "rows": 20_000,
            "let": {"came": {"moment": "anywhere"}, "step": {"funnel": {"seen": 1, "treated": 0.5, "cured": 0.1}}},
            "fields": {
                "sex": {"weights": {"m": 1, "f": 3}},
                "name": {"name": {}, "gender": "sex"},
                "phone": {"number": {}},
                "step": {"same": "step"},
                "doctor": {"person": "doctor"},
                "ward": {"link": "ward", "where": {"kind": "eye"}},
                "age": {"normal": [40, 15], "min": 0, "max": 99, "step": 1},
                "note": {"text": ["{pain}三天"], "chance": 0.5},
                "missing": None,
            },
            "children": [
                {
                    "entity": "stay",
                    "rows": {"cases": [{"if": {"step": "seen"}, "then": 0}, {"then": {"uniform": [1, 3]}}]},
                    "fields": {
                        "number": {"pattern": "{parent.step}-{nth:02}"},
                        "at": {"moment": {"between": ["parent.came", "now"]}},
                        "due": {"moment": {"after": "at", "days": 5}, "future": True},
                    },
                }
            ],
        },
    ],
}


class Memory:
    """A sink that keeps what it is given; refuses what a test tells it to."""

    def __init__(self, refused: str = "") -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.refused = refused

    def __call__(self, entity: str, rows: Sequence[dict[str, Any]], made: Sequence[Made]) -> Sequence[int | None]:
        if entity == self.refused:
            return [None] * len(rows)
        first = len(self.rows[entity]) + 1
        self.rows[entity] += rows
        return list(range(first, first + len(rows)))


def run(description: Mapping[str, Any] = CLINIC, *, scale: str = "S", seed: int | None = None, sink: Memory | None = None) -> Memory:
    generator = Generator(description, scale=scale, seed=seed, now=NOW, zone=ZONE, sample=lambda entity, field, random: f"{entity}.{field}")
    memory = sink or Memory()
    people: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(generator.people(), 1):
        for role in item["roles"]:
            people[role].append(number)
    made = generator.run(people, memory)
    assert {key: count for key, count in made.items() if count} == {key: len(rows) for key, rows in memory.rows.items() if rows}
    return memory


def test_the_same_seed_and_clock_give_the_same_rows_and_another_seed_gives_others() -> None:
    assert run().rows == run().rows
    assert run(seed=8).rows["patient"] != run().rows["patient"]


def test_sizes_follow_the_scale_and_never_fall_below_the_least() -> None:
    small, medium = run(), run(scale="M")
    assert (len(small.rows["ward"]), len(small.rows["patient"])) == (3, 200)
    assert (len(medium.rows["ward"]), len(medium.rows["patient"])) == (10, 2000)


def test_people_of_another_scale_are_left_out() -> None:
    assert {row["doctor"] for row in run().rows["patient"]} == {1}
    assert {row["doctor"] for row in run(scale="M").rows["patient"]} == {1, 2}


def test_shares_of_weights_and_funnels_come_out_as_described() -> None:
    rows = run(scale="M").rows["patient"]
    steps, sexes = Counter(row["step"] for row in rows), Counter(row["sex"] for row in rows)
    assert 0.05 < steps["cured"] / len(rows) < 0.15 and 0.44 < steps["seen"] / len(rows) < 0.56
    assert 0.70 < sexes["f"] / len(rows) < 0.80


def test_telephone_numbers_never_come_twice() -> None:
    rows = run(scale="M").rows["patient"]
    assert len({row["phone"] for row in rows}) == len(rows)
    one, other = Numbers(("130", "131"), 1), Numbers(("130", "131"), 2)
    assert not {one.draw() for _ in range(5000)} & {other.draw() for _ in range(5000)}


def test_children_know_their_parent_and_only_described_fields_are_handed_over() -> None:
    memory = run()
    patients = memory.rows["patient"]
    assert all(row["missing"] is None and "came" not in row for row in patients)
    assert memory.rows["stay"] and all(patients[row["patient"] - 1]["step"] == row["number"].split("-")[0] for row in memory.rows["stay"])
    assert all(patients[row["patient"] - 1]["step"] != "seen" for row in memory.rows["stay"])


def test_links_keep_to_their_condition() -> None:
    memory = run(scale="M")
    eyes = {number for number, row in enumerate(memory.rows["ward"], 1) if row["kind"] == "eye"}
    assert {row["ward"] for row in memory.rows["patient"]} <= eyes | {None}


def test_who_is_taken_once_is_taken_by_nobody_else_and_is_looked_at_and_counted() -> None:
    bed = {
        "entity": "bed",
        "grid": {"floor": {"S": [1, 2], "M": {"from": 1, "to": 4}}, "place": {"from": 1, "to": 40}},
        "let": {
            "cured": {"link": "patient", "where": {"step": "cured"}, "once": True},
            "other": {"link": "patient", "where": {"step": "treated"}, "once": True, "if": {"cured": None}},
            "who": {"cases": [{"if": {"cured": True}, "then": {"same": "cured"}}, {"then": {"same": "other"}}]},
        },
        "fields": {"patient": {"same": "who"}, "name": {"look": "patient.name", "of": "who"}, "no": {"next": "bed"}},
    }
    rows = run({**CLINIC, "blocks": [*CLINIC["blocks"], bed]}).rows
    patients, beds = rows["patient"], rows["bed"]
    taken = [row["patient"] for row in beds if row["patient"] is not None]
    steps = Counter(patients[number - 1]["step"] for number in taken)
    assert len(beds) == 80 == len(taken) == len(set(taken)) and set(steps) == {"cured", "treated"}
    assert steps["cured"] == sum(row["step"] == "cured" for row in patients)
    assert [row["name"] for row in beds] == [patients[row["patient"] - 1]["name"] for row in beds] and [row["no"] for row in beds] == list(range(1, 81))


def test_nothing_happens_after_now_unless_it_is_to_come() -> None:
    stays = run(scale="M").rows["stay"]
    assert all(row["at"] <= NOW for row in stays)
    assert any(row["due"] > NOW for row in stays) and all(row["due"] - row["at"] < timedelta(days=6) for row in stays)


def test_stays_of_one_patient_come_in_order() -> None:
    by_patient: dict[int, list[datetime]] = defaultdict(list)
    for row in run(scale="M").rows["stay"]:
        by_patient[row["patient"]].append(row["at"])
    assert all(times == sorted(times) or max(times) - min(times) < timedelta(days=1) for times in by_patient.values())


def test_children_of_refused_rows_are_not_made() -> None:
    memory = run(sink=Memory(refused="patient"))
    assert not memory.rows["stay"] and not memory.rows["patient"]


def test_weekends_and_hours_weigh_as_the_profile_says() -> None:
    window = Window(NOW - timedelta(days=364), NOW, ZONE)
    profile, random = Profile({"weekend": 3, "hours": {"9": 1, "15": 3}, "quiet": [{"from": "10-01", "to": "10-07", "factor": 0}]}, window), Random(1)
    drawn = [profile.anywhere(random).astimezone(ZONE) for _ in range(4000)]
    weekend = sum(moment.weekday() >= 5 for moment in drawn) / len(drawn)
    assert 0.50 < weekend < 0.60
    assert not [moment for moment in drawn if moment.year == 2025 and moment.month == 10 and moment.day <= 7]
    assert {moment.hour for moment in drawn} <= {9, 15, 8, 10, 7, 11, 6}


@pytest.mark.parametrize("year", [2026, 2041])
def test_quiet_days_come_every_year_over_new_year_too(year: int) -> None:
    now = datetime(year, 3, 15, 3, tzinfo=UTC)
    profile, random = Profile({"quiet": [{"from": "12-20", "to": "01-10", "factor": 0}]}, Window(now - timedelta(days=364), now, ZONE)), Random(1)
    drawn = [profile.anywhere(random).astimezone(ZONE) for _ in range(2000)]
    assert drawn and not [moment for moment in drawn if (moment.month, moment.day) >= (12, 20) or (moment.month, moment.day) <= (1, 10)]


@pytest.mark.parametrize(
    ("block", "pointer", "code"),
    [
        ({"entity": "x", "fields": {"a": {"wieghts": {"b": 1}}}}, "/blocks/0/fields/a", "demo_verb"),
        ({"entity": "x", "fields": {"a": {"weights": {"b": 1}, "same": "c"}}}, "/blocks/0/fields/a", "demo_verb"),
        ({"entity": "x", "fields": {"a": {"moment": "anywhere", "profile": "night"}}}, "/blocks/0/fields/a/moment/profile", "demo_profile"),
        ({"entity": "x", "fields": {"a": {"funnel": {"b": 0.5, "c": 1}}}}, "/blocks/0/fields/a/funnel", "demo_funnel"),
        ({"entity": "x", "fields": {"a": {"cases": [{"if": [], "then": 1}]}}}, "/blocks/0/fields/a/cases/0/if", "demo_condition"),
        ({"rows": 3}, "/blocks/0", "demo_block"),
        ({"entity": "x", "filds": {}}, "/blocks/0", "demo_block"),
    ],
)
def test_a_description_that_cannot_be_read_says_where(block: Mapping[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        run({"blocks": [block]})
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(pointer, code)]


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(Invalid):
        run(scale="XL")


def test_titles_stand_in_for_some_given_names() -> None:
    names, random = Names(CLINIC["names"]), Random(2)
    drawn = [names.draw(random, "f") for _ in range(1000)]
    assert 130 < sum(name.endswith("女士") for name in drawn) < 270
    assert not [name for name in (names.draw(random, "m") for _ in range(200)) if name.endswith("女士")]


def test_sentences_and_patterns_fill_their_places() -> None:
    assert sentences(["{pain}，{unknown}"], {"pain": ["头痛"]})(Random(1)) == "头痛，{unknown}"
    assert pattern("{a}-{b:03}", {"a": "x", "b": 7}.get) == "x-007"


def test_every_way_to_draw_a_value_is_in_the_handbook() -> None:
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f'"{verb}"' not in text] == []


DESK: Mapping[str, Any] = {
    **CLINIC,
    "blocks": [
        {"entity": "ward", "rows": 0, "least": 2, "fields": {"kind": "eye"}, "at": {"moment": {"ago": 90}, "profile": "open"}, "by": {"login": "a"}},
        {
            "entity": "patient",
            "act": "create",
            "rows": 0,
            "least": 3,
            "let": {"ward": {"link": "ward", "once": True}},
            "if": {"ward": True},
            "by": {"person": "doctor", "place": "nth"},
            "at": {"moment": {"ago": {"add": [300, {"multiply": ["nth", -60]}]}}, "profile": "open"},
            "fields": {"name": "x", "wards": {"list": [{"same": "ward"}, None]}, "seen": {"read": "ward.kind", "of": "ward"}},
            "children": [
                {"entity": "patient", "act": "discharge", "fields": {"month": {"period": "month", "of": "parent.born"}}, "let": {"born": {"same": "now"}}},
                {"entity": "stay", "act": "ask.approve", "on": {"find": "stay", "where": {"patient": {"same": "parent.id"}}}, "opinion": "ok", "fields": {}},
            ],
        },
        {"act": "due"},
    ],
}


class Diary:
    """Keeps what is done, gives each new record the next number."""

    def __init__(self) -> None:
        self.deeds: list[Deed] = []

    def __call__(self, deed: Deed) -> int | None:
        self.deeds.append(deed)
        return 100 + len(self.deeds) if deed.verb == "create" else deed.record

    def value(self, entity: str, record: int, name: str) -> Any:
        return f"{entity}{record}.{name}"

    def find(self, entity: str, where: Mapping[str, Any], sort: str) -> int | None:
        return where["patient"] * 10


def test_what_people_do_is_done_one_by_one_in_order_each_by_somebody_at_a_moment() -> None:
    generator = Generator(DESK, scale="S", seed=None, now=NOW, zone=ZONE, sample=lambda entity, field, random: "")
    diary = Diary()
    made = generator.run({"doctor": [5, 6]}, Memory(), logins={"a": 5}, doer=diary, store=diary)
    told = [(deed.verb, deed.record, deed.person) for deed in diary.deeds]
    first = [("create", None, 5), ("discharge", 101, None), ("ask.approve", 1010, None)]
    assert told == [*first, ("create", None, 6), ("discharge", 104, None), ("ask.approve", 1040, None), ("settle", None, None), ("due", None, None)]
    assert made["patient"] == 2  # the third found no ward left
    assert diary.deeds[0].values == {"name": "x", "wards": [1], "seen": "ward1.kind"} or diary.deeds[0].values["wards"] == [2]
    assert diary.deeds[2].opinion == "ok" and diary.deeds[0].at is not None and diary.deeds[3].at is not None and diary.deeds[0].at < diary.deeds[3].at


def test_moments_before_now_count_only_hours_in_which_something_happens() -> None:
    window = Window(NOW - timedelta(days=30), NOW, ZONE)  # now is 11:00 there
    profile = Profile({"hours": {"9": 1, "10": 1, "15": 1}}, window)
    assert profile.before(30) == NOW - timedelta(minutes=30)
    assert profile.before(150).astimezone(ZONE).hour == 15 and profile.before(150).astimezone(ZONE).day == 14
    assert profile.before(180 + 60) == (NOW - timedelta(days=1, minutes=60))


def test_loaded_rows_say_when_and_by_whom_they_were_made() -> None:
    class Book(Memory):
        made: Sequence[Made] = ()

        def __call__(self, entity: str, rows: Sequence[dict[str, Any]], made: Sequence[Made]) -> Sequence[int | None]:
            self.made = made
            return super().__call__(entity, rows, made)

    book = Book()
    generator = Generator({**DESK, "blocks": DESK["blocks"][:1]}, scale="S", seed=None, now=NOW, zone=ZONE, sample=lambda entity, field, random: "")
    generator.run({}, book, logins={"a": 5})
    assert [by for _, by in book.made] == [5, 5] and all(at is not None and at < NOW for at, _ in book.made)
