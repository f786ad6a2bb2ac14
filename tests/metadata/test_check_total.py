"""Whatever a definition becomes by random changes of its JSON, checking it gives problems or none: never an exception, and soon."""

import copy
import gc
import json
import os
import random
import time
from typing import Any

import pytest

from metadata.bundle import Bundle
from metadata.check import check, ordered
from metadata.messages import describe, hint
from metadata.vocabulary import Problem
from tests.metadata.samples import BASE, HERE, good
from tests.metadata.vocabulary import WORDS

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
ROUNDS = 4_000 if FULL else 120
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**18,
    "",
    "x",
    "name",
    "customer",
    "customer.name",
    "a.b.c",
    "__",
    "{name}",
    "{",
    "id",
    "*",
    "else",
    "'",
    "(" * 50,
    "汉字",
    "nonsense",
    "\ud800",
    "\u202e",
    [],
    {},
    [[]],
    [{}],
    ["name", "name"],
    {"key": "a"},
    {"value": "now()"},
    {"zh": "x"},
    {"type": "text"},
    {"type": "link", "to": "customer"},
    {"type": "rollup", "from": "visit.customer", "measure": "max", "of": "at"},
    {"type": "formula", "value": "name"},
    {"if": "true", "then": []},
    {"find": "visit", "as": "x"},
]


def nodes(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    """All (container, token) pairs of a document, without recursion."""
    found, pending = [], [node]
    while pending:
        here = pending.pop()
        for token in list(here) if isinstance(here, dict) else range(len(here)):
            found.append((here, token))
            if isinstance(here[token], dict | list):
                pending.append(here[token])
    return found


def mutate(chance: random.Random, document: Any, others: list[Any]) -> Any:
    """The document after one to four changes: a value put, moved, taken, doubled, renamed, borrowed from another document."""
    document = copy.deepcopy(document)
    for _ in range(chance.randint(1, 4)):
        places = nodes(document)
        if not places:
            return document
        container, token = chance.choice(places)
        gesture = chance.randrange(6)
        if gesture == 0:
            container[token] = copy.deepcopy(chance.choice(VALUES))
        elif gesture == 1:
            del container[token]
        elif gesture == 2:
            other, at = chance.choice(places)
            container[token] = copy.deepcopy(other[at])
        elif gesture == 3 and isinstance(container, dict):
            name = chance.choice(["class", "record", "id", "A", "a__b", "x" * 50, "type", "fields", "title", "from", "key", "name", "\u202e"])
            container[name] = container.pop(token)
        elif gesture == 4 and isinstance(container, list):
            container.append(copy.deepcopy(container[token]))
        else:
            other, at = chance.choice(nodes(chance.choice(others)))
            container[token] = copy.deepcopy(other[at])
    return document


def seconds(bundle: Bundle) -> tuple[float, list[Problem]]:
    """Of processor time, without the collector's walks over all that other tests keep."""
    gc.disable()
    try:
        begun = time.process_time()
        problems = check(bundle, WORDS)
        return time.process_time() - begun, problems
    finally:
        gc.enable()


def examined(bundle: Bundle, most: float = 2) -> None:
    took, problems = seconds(bundle)
    assert took < most
    assert problems == ordered(problems)
    for item in problems:
        assert item.code and (item.file or item.code == "unknown_kind") and (item.pointer == "" or item.pointer.startswith("/"))
        assert describe(item) and describe(item, "en") and hint(item.code, item.params) is not None
        json.dumps(dict(item.params), ensure_ascii=True)


@pytest.mark.parametrize("place", sorted(good().documents), ids="/".join)
def test_no_change_of_a_definition_breaks_the_check(place: tuple[str, str]) -> None:
    bundle, chance = good(), random.Random(f"seed {place}")
    others = list(bundle.documents.values())
    for _ in range(ROUNDS // 6 if not FULL else ROUNDS):
        examined(bundle.replace({place: mutate(chance, bundle.documents[place], others)}))


def test_no_changes_of_many_definitions_at_once_break_the_check() -> None:
    bundle, chance = good(), random.Random(7)
    others = list(bundle.documents.values())
    for _ in range(ROUNDS):
        changes: dict[tuple[str, str], Any] = {place: mutate(chance, bundle.documents[place], others) for place in chance.sample(sorted(bundle.documents), 6)}
        changes[chance.choice(sorted(bundle.documents))] = None
        examined(bundle.replace(changes))


def test_the_presets_may_be_changed_at_random_too() -> None:
    bundle, problems = Bundle.read_folder(HERE.parents[1] / "presets" / "real_estate", BASE)
    assert not problems
    chance, others = random.Random(11), list(bundle.documents.values())
    most = 4 * seconds(bundle)[0]
    for _ in range(ROUNDS // 4):
        places = chance.sample(sorted(bundle.documents), 8)
        examined(bundle.replace({place: mutate(chance, bundle.documents[place], others) for place in places}), most)
