"""Every action of the product and of the example keeps the contract of actions."""

import pytest

import plugins
from engine.registry import engine_registry
from engine.rules.effects import Engine
from metadata.definitions import Entity
from tests.contracts.action import CONTRACT, Subject, plain_answer

REGISTRY = engine_registry()
LOADED = plugins.load(REGISTRY, [])


ENTRY = Entity("entry", "entry", {}, ledger={"about": "deal", "who": "payee", "account": "account", "amount": "amount"})


def answer(effect):
    """What the engine would give to the examples."""
    match effect:
        case Engine(name="merge" | "merge.undo"):
            return {"moved": {"call": 1}}
        case Engine(name="stored"):
            return {}
        case Engine(name="person.disable"):
            return True
    return plain_answer(effect)


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", sorted(REGISTRY.actions))
def test_actions_keep_the_contract(name, clause):
    clause(Subject(REGISTRY.actions[name], REGISTRY.origin["actions", name], {"entry": ENTRY}, answer))


def test_the_built_in_actions_are_those_of_the_language():
    wanted = {"allocate", "tiers", "adjust", "turn.next", "least", "sample", "ledger.reach", "ledger.balances", "evidence.freeze", "merge", "merge.undo"}
    wanted |= {"person.disable", "ask.withdraw", "send", "intake.send", "emit"}
    assert not LOADED.failures and wanted == REGISTRY.actions.keys()
    assert {name for name, item in REGISTRY.actions.items() if item.word.pure} == {"allocate", "tiers", "adjust", "turn.next", "least", "sample"}
