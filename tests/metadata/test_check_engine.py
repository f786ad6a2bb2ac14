"""With the engine's own words: expressions of definitions are typed where they stand, the presets are sound, random changes break nothing."""

import random
from typing import Any

import pytest

from engine.builtin import DOCUMENTS
from engine.messages import catalogue as engine_catalogue
from engine.registry import engine_registry
from engine.workspace_checking import with_expressions
from metadata.bundle import Bundle
from metadata.check import check
from metadata.messages import catalogue, describe
from metadata.vocabulary import ActionWord, Vocabulary
from renderer.serving import all_words
from tests.metadata.samples import GOOD, HERE, edited
from tests.metadata.test_check_total import mutate
from tests.metadata.vocabulary import REACH


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    offered = with_expressions(engine_registry()).freeze().vocabulary()
    return Vocabulary(
        offered.field_types,
        offered.functions,
        {**offered.actions, REACH.name: REACH, "allocate": ActionWord("allocate", {})},
        offered.readers,
        {"sms": "1.4.0"},
        offered.check_expression,
    )


def engine_good() -> Bundle:
    return Bundle.read_folder(GOOD, DOCUMENTS)[0]


def found(words: Vocabulary, place: tuple[str, str], sets: dict[str, Any]) -> list[tuple[str, str]]:
    bundle = engine_good()
    return [(item.pointer, item.code) for item in check(bundle.replace({place: edited(bundle.documents[place], sets, [])}), words)]


def test_good_definitions_are_good_in_the_engines_words(words: Vocabulary) -> None:
    assert check(engine_good(), words) == []


def test_the_presets_have_no_error() -> None:
    bundle, problems = Bundle.read_folder(HERE.parents[1] / "presets" / "real_estate", DOCUMENTS)
    assert [*problems, *(item for item in check(bundle, all_words().vocabulary()) if item.severity == "error")] == []


@pytest.mark.parametrize(
    ("place", "pointer", "source"),
    [
        (("entity", "customer"), "/fields/release_at/value", "nam + 1"),
        (("entity", "customer"), "/fields/detail/required", "name"),
        (("entity", "customer"), "/fields/detail/show", "grade == 'Z'"),
        (("entity", "customer"), "/check/0/if", "budget_min + name"),
        (("entity", "customer"), "/fields/owner/default/value", "name"),
        (("entity", "customer"), "/fields/owner/default/value", "record.owner"),
        (("entity", "customer"), "/unique/phone_active/where", "now() > owned_since"),
        (("entity", "customer"), "/fields/last_visit/where", "at < now()"),
        (("entity", "customer"), "/fields/merged_into/where", "record.nope == 1"),
        (("entity", "visit"), "/fields/customer/flags", "nobody == 1"),
        (("entity", "visit"), "/fields/customer/beside", "nobody"),
        (("list", "mine"), "/where", "owner.team.lead == me"),
        (("list", "mine"), "/where", "pick(name, 1, 2, 3)"),
        (("list", "mine"), "/tint/release_at/0/if", "name"),
        (("role", "seller"), "/grants/customer/read", "owner = me"),
        (("role", "seller"), "/grants/customer/read", "__import__('os')"),
        (("role", "seller"), "/grants/customer/fields/phone/mask", "name.upper()"),
        (("form", "customer_full"), "/layout/1/show", "stage"),
        (("rule", "reopen"), "/if", "stage == 'gone'"),
        (("rule", "reopen"), "/on/with/reason/default", {"value": "budget_min + 1"}),
        (("rule", "reopen"), "/on/with/reason/default", {"value": "record.nobody"}),
        (("rule", "reopen"), "/on/with/reason/default", {"value": "param.reason"}),
        (("rule", "reopen"), "/then/2/if", "used >= setting.quotas"),
        (("rule", "reopen"), "/then/3/set/stage", "'gone'"),
        (("rule", "reopen"), "/then/4/values/at", "name"),
        (("rule", "release"), "/if", "owner == me"),
        (("rule", "morning"), "/on/where", "me.active"),
        (("decision", "attribution"), "/rows/0/if", "minutes"),
        (("decision", "attribution"), "/rows/0/if", "seconds > 1"),
        (("report", "turns"), "/sets/came/at", "note"),
        (("report", "turns"), "/sets/came/where", "param.sinc > at"),
        (("settings", "settings"), "/x", ""),
    ],
)
def test_a_wrong_expression_is_refused_where_it_stands(words: Vocabulary, place: tuple[str, str], pointer: str, source: Any) -> None:
    value: Any = source or {"type": "integer", "default": "a"}
    problems = found(words, place, {pointer: value})
    assert problems and all(at.startswith(pointer) for at, _ in problems), problems


def test_every_expression_problem_has_a_sentence(words: Vocabulary) -> None:
    more = engine_catalogue()
    sources = [
        "",
        "1 +",
        "nam",
        "name.x",
        "f(1)",
        "[x for x in y]",
        "'a' < 'b'",
        "name + 1",
        "setting.x[1]",
        "9" * 30,
        "(" * 300,
        "a.b.c.d",
        "min()",
        "'\u4e2d",
        "lambda: 1",
    ]
    for source in sources:
        rule = {"on": {"after": "create", "entity": "customer"}, "if": source or " ", "then": []}
        for item in check(engine_good().replace({("rule", "x"): rule}), words):
            assert item.code in catalogue() or item.code in more, item.code
            assert all(describe(item, locale, more) != item.code for locale in ("zh", "en"))


def test_random_changes_break_nothing_with_the_engines_words(words: Vocabulary) -> None:
    bundle, chance = engine_good(), random.Random(3)
    others = list(bundle.documents.values())
    for _ in range(150):
        places = chance.sample(sorted(bundle.documents), 4)
        for item in check(bundle.replace({place: mutate(chance, bundle.documents[place], others) for place in places}), words):
            assert item.code and item.file
