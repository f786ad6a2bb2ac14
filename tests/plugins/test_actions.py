"""Every action of the product and of the example keeps the contract of actions."""

import pytest

import plugins
from engine.registry import engine_registry
from tests.contracts.action import CONTRACT, Subject

REGISTRY = engine_registry()
LOADED = plugins.load(REGISTRY, [])


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", sorted(REGISTRY.actions))
def test_actions_keep_the_contract(name, clause):
    clause(Subject(REGISTRY.actions[name], REGISTRY.origin["actions", name]))


def test_all_built_in_actions_were_loaded():
    assert not LOADED.failures and {"allocate", "tiers", "adjust", "turn.next", "least", "sample"} <= REGISTRY.actions.keys()
