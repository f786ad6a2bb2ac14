"""Which indexes definitions need: each from a reason, none twice, all with names that fit."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.builtin import DOCUMENTS
from engine.registry import default_registry
from engine.schema.index_spec import IndexSpec
from engine.schema.indexes import needed
from engine.schema.ledger import Ledger, lay_out
from engine.workspace_compile import compile_entities
from metadata.bundle import Bundle
from tests.engine.homes import SMALL


def indexes(changes: dict[tuple[str, str], Any] | None = None, dialect: str = "sqlite", fields: dict[str, Any] | None = None) -> list[IndexSpec]:
    plant = SMALL["entity", "plant"]
    documents = {**SMALL, ("entity", "plant"): {**plant, "fields": {**plant["fields"], **(fields or {})}}, ("list", "plants"): None, **(changes or {})}
    bundle = Bundle({key: value for key, value in documents.items() if value is not None}, DOCUMENTS)
    compiled = compile_entities(bundle, default_registry(), ZoneInfo("Asia/Shanghai"), Ledger(), 1, dialect)
    return [spec for spec in needed(bundle, lay_out(compiled.shapes, Ledger(), 1).stored, dialect).values() if spec.entity == "plant"]


def columns(found: list[IndexSpec]) -> set[tuple[str, ...]]:
    return {spec.columns for spec in found}


def a_list(**words: Any) -> dict[tuple[str, str], Any]:
    return {("list", "some"): {"entity": "plant", "title": {"zh": "某"}, "columns": ["name"], **words}}


def test_links_have_an_index_and_plain_fields_none():
    assert columns(indexes()) == {("owner",)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"sort": ["height"]}, {("height", "id"), ("owner",)}),
        ({"sort": ["-height", "id"]}, {("height", "id"), ("owner",)}),
        ({"where": "owner == me", "sort": ["height"]}, {("owner", "height", "id")}),
        ({"where": "stage == 'new' and owner == me", "sort": ["height"]}, {("owner", "height", "id", "stage")}),
        ({"where": "not code and owner == me", "sort": ["height"]}, {("owner", "height", "id", "code")}),
        ({"where": "stage == 'new' and height > 3", "sort": ["code"]}, {("stage", "code", "id"), ("owner",)}),
        ({"where": "empty(owner)", "sort": ["-created_at"]}, {("owner", "created_at", "id")}),
        ({"where": "owner == me or stage in ('new', 'won')"}, {("owner", "id"), ("stage", "id")}),
        ({"quick": ["stage"], "sort": ["height"]}, {("height", "id"), ("stage", "height", "id"), ("owner",)}),
        ({"where": "owner == me", "quick": ["stage"]}, {("owner", "id")}),
        ({"kanban": "stage"}, {("stage", "id"), ("owner",)}),
        ({"where": "code in ('a', 'b')", "kanban": "stage", "sort": ["-id"]}, {("code", "id"), ("stage", "id", "code"), ("owner",)}),
        ({"where": "owner == me", "kanban": "stage", "sort": ["-id"]}, {("owner", "id")}),
    ],
)
def test_a_list_brings_its_scope_before_its_sort_before_the_id(words: dict[str, Any], expected: set[tuple[str, ...]]):
    assert columns(indexes(a_list(**words))) == expected


def test_a_list_that_all_its_readers_may_see_brings_no_index_by_their_rows():
    role = {("role", "keeper"): {"title": {"zh": "园丁"}, "grants": {"plant": {"read": "owner == me or stage in ('new', 'won')"}}}}
    seen = indexes({**role, **a_list(where="stage == 'new'", sort=["height"], **{"for": ["keeper"]})})
    assert columns(seen) == {("stage", "height", "id"), ("owner",)}
    partly = indexes({**role, **a_list(where="stage == 'lost'", sort=["height"], **{"for": ["keeper"]})})
    assert columns(partly) == {("stage", "height", "id"), ("owner", "height", "id", "stage")}


def test_what_lists_fix_besides_stands_behind_the_order_of_one_index_for_their_readers_rows():
    role = {("role", "keeper"): {"title": {"zh": "园丁"}, "grants": {"plant": {"read": "owner == me"}}}}
    more = {
        ("list", f"more{number}"): {"entity": "plant", "title": {"zh": "又"}, "columns": ["name"], "where": where, "sort": ["height"]}
        for number, where in enumerate(("not code", ""))
    }
    found = indexes({**role, **a_list(where="stage == 'new'", sort=["height"]), **more})
    led = [spec for spec in found if spec.columns[0] == "owner"]
    assert [(spec.columns[:3], set(spec.columns[3:])) for spec in led] == [(("owner", "height", "id"), {"stage", "code"})]
    assert {reason.code for reason in led[0].reasons} >= {"index_list_rows"}


def test_rows_of_a_team_are_led_to_as_those_of_a_person_are():
    team = {
        ("entity", "plant"): {**SMALL["entity", "plant"], "fields": {**SMALL["entity", "plant"]["fields"], "team": {"type": "team", "title": {"zh": "组"}}}}
    }
    role = {("role", "keeper"): {"title": {"zh": "园丁"}, "grants": {"plant": {"read": "has(me.teams, team)"}}}}
    assert columns(indexes({**team, **role, **a_list(sort=["height"], **{"for": ["keeper"]})})) == {("height", "id"), ("owner",), ("team", "height", "id")}


def test_rows_of_a_role_come_before_the_sort_of_the_lists_it_gets():
    role = {("role", "keeper"): {"title": {"zh": "园丁"}, "grants": {"plant": {"read": "owner == me or stage == 'new'"}}}}
    assert columns(indexes({**role, **a_list(sort=["height"])})) == {("owner", "height", "id"), ("height", "id"), ("stage",)}
    assert columns(indexes({**role, **a_list(sort=["height"], **{"for": ["admin"]})})) == {("owner",), ("height", "id"), ("stage",)}


def test_mixed_directions_are_kept_others_are_read_backwards():
    mixed = next(spec for spec in indexes(a_list(sort=["-height", "code"])) if "height" in spec.columns)
    assert mixed.columns == ("height", "code", "id") and mixed.descending == {"height"}
    same = next(spec for spec in indexes(a_list(sort=["-height", "-code"])) if "height" in spec.columns)
    assert not same.descending


def test_encrypted_fields_are_found_by_blind_indexes_and_never_sorted():
    sealed = {"phone": {"type": "phone", "encrypted": True, "last4": True, "title": {"zh": "电话"}}}
    assert columns(indexes(a_list(sort=["phone"]), fields=sealed)) == {("phone__bi",), ("phone__bi4",), ("owner",)}
    unique = [spec for spec in indexes(fields={"phone": {**sealed["phone"], "unique": True}}) if spec.columns == ("phone__bi",)]
    assert len(unique) == 1 and unique[0].unique


@pytest.mark.parametrize(
    ("rollups", "expected"),
    [
        ([{"measure": "count"}], {("owner", "deleted_at")}),
        ([{"measure": "count", "where": "stage == 'new'"}, {"measure": "sum", "of": "height"}], {("owner", "height", "stage", "deleted_at")}),
        ([{"measure": "count", "where": "stage == 'new'"}, {"measure": "max", "of": "height"}], {("owner", "height")}),
        ([{"measure": "latest", "of": "stage", "by": "height"}], {("owner", "height")}),
        ([{"measure": "count", "where": "exists(code) and exists(name) and exists(height) and stage == 'new'"}], {("owner",)}),
    ],
)
def test_counts_and_sums_are_reckoned_inside_an_index_and_ends_found_in_one(rollups: list[dict[str, Any]], expected: set[tuple[str, ...]]):
    fields = {f"made_{number}": {"type": "rollup", "from": "plant.owner", **words} for number, words in enumerate(rollups)}
    assert columns(indexes({("entity", "person"): {"title": {"zh": "人员"}, "fields": fields}})) == expected


def test_due_rules_have_an_index_over_filled_rows():
    rule = {("rule", "late"): {"title": {"zh": "晚了"}, "on": {"due": "plant.due_at"}, "then": []}}
    found = indexes(rule, fields={"due_at": {"type": "instant", "title": {"zh": "到期"}}})
    assert [(spec.columns, spec.filled) for spec in found if "due_at" in spec.columns] == [(("due_at",), True)]


def test_search_on_postgresql_has_a_gin_index():
    assert [spec.method for spec in indexes(dialect="postgresql") if spec.columns == ("search__tokens",)] == ["gin"]


def test_names_fit_every_database_and_tell_different_indexes_apart():
    long = IndexSpec("e" * 40, tuple(f"{'c' * 39}{number}" for number in range(4)))
    assert len(long.name) <= 63 and long.name.startswith("ix_eee")
    assert (
        len(
            {
                spec.name
                for spec in (
                    long,
                    IndexSpec(long.entity, long.columns, unique=True),
                    IndexSpec(long.entity, long.columns, unique=True, where="x"),
                    IndexSpec(long.entity, long.columns[::-1]),
                    IndexSpec(long.entity, long.columns, descending=frozenset(long.columns[:1])),
                )
            }
        )
        == 5
    )


def test_an_index_tells_all_its_reasons():
    found = next(spec for spec in indexes(a_list(where="owner == me", sort=["height"])) if spec.columns[0] == "owner")
    assert {reason.code for reason in found.reasons} == {"index_list", "index_link"}


@pytest.mark.parametrize(
    ("holds", "kept"),
    [
        ("stage == 'new'", "stage == 'new'"),
        ("stage == 'new' and height > setting.factor", "stage == 'new'"),
        ("exists(owner) and owner.name == 'x' and height in (1, -2)", "exists(owner) and height in (1, -2)"),
        ("(stage == 'new' or empty(code)) and now() > at", "(stage == 'new' or empty(code))"),
        ("not (stage in ('won', 'lost'))", "not stage in ('won', 'lost')"),
        ("stage == 'new' or owner.name == 'x'", ""),
        ("at < '2026-03-01'", ""),
        ("length(name) > 3", ""),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_index_of_a_due_rule_holds_the_records_its_condition_lasts_for(holds: str, kept: str, dialect: str):
    rule = {("rule", "wilt"): {"title": {"zh": "枯"}, "on": {"due": "plant.at"}, "if": holds, "then": [{"set": {"height": 0}}]}}
    found = [spec for spec in indexes(rule, dialect, {"at": {"type": "instant"}}) if spec.columns == ("at",)]
    assert [(spec.where, spec.filled, spec.unique) for spec in found] == [(kept, True, False)]
