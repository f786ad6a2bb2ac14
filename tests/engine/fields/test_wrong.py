"""How a value that is none is told: readers return Wrong, may raise it, and whoever reads a record takes both alike."""

import pytest

from engine.errors import Fault
from engine.fields.base import Value, Wrong, accepted
from engine.records.values import Intake
from tests.contracts.field_type import HOSTILE
from tests.engine.fields.test_contract import FIELDS, REGISTRY, SCOPE

TOO_LONG = Wrong("text_too_long", maximum=3, length=4)


def returning(raw: object) -> Value:
    return TOO_LONG if raw == "long" else raw


def raising(raw: object) -> Value:
    if raw == "long":
        raise Wrong("text_too_long", maximum=3, length=4)
    return raw


@pytest.mark.parametrize("key", [key for key in FIELDS if key != "json"])
def test_a_fault_costs_no_exception(key):
    """What is raised here fails the test. JSON alone may raise, from deep in its tree."""
    field = FIELDS[key]
    kind = REGISTRY.field_types[field.type]
    for read in (kind.reader(field, SCOPE), kind.json_reader(field, SCOPE), kind.cell_reader(field, SCOPE)):
        for raw in HOSTILE:
            read(raw)


def test_all_faults_of_a_record_are_told_whether_readers_return_or_raise_them():
    intake = Intake({"a": (None, returning), "b": (None, raising), "c": (frozenset({int}), returning), "d": (frozenset({str}), raising)}, frozenset())
    taken = intake.take({"a": "long", "b": "long", "c": "long", "d": "fine", "e": 1}, {"a", "b", "c", "d"}, (), "/members/0")
    assert taken.values == {"d": "fine"}
    told = {"maximum": 3, "length": 4}
    assert taken.faults == [
        Fault("/members/0/a", "text_too_long", told),
        Fault("/members/0/b", "text_too_long", told),
        Fault("/members/0/c", "wrong_kind"),
        Fault("/members/0/e", "unknown_field", {"field": "e"}),
    ]


@pytest.mark.parametrize("read", [returning, raising])
def test_whoever_wants_values_only_is_stopped_by_a_fault_that_is_their_own(read):
    assert accepted(read, "fine") == "fine" and accepted(read, None) is None
    for _ in range(2):
        with pytest.raises(Wrong, match="text_too_long") as refused:
            accepted(read, "long")
        assert refused.value is not TOO_LONG and refused.value.params == TOO_LONG.params
    assert TOO_LONG.__traceback__ is None, "what many share keeps no caller's frames"
