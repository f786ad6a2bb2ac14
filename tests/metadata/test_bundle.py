"""A bundle is found, widened, replaced, digested and written canonically; load and write give the same bytes."""

import json
from pathlib import Path

import pytest

from metadata.bundle import Bundle, file_of
from metadata.canonical import WIDTH, canonical
from metadata.definitions import KINDS
from tests.metadata.samples import BASE, GOOD, HERE, good

ROOT = HERE.parents[1]


def test_load_and_write_give_the_same_bytes(tmp_path: Path) -> None:
    good().write_folder(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert written == {path.relative_to(GOOD): path.read_bytes() for path in GOOD.rglob("*.json")}


def test_canonical_text_is_stable_and_means_the_same() -> None:
    for (kind, key), document in good().documents.items():
        text = good().text(kind, key)
        assert json.loads(text) == document
        assert canonical(kind, json.loads(text)) == text
        assert text.endswith("}\n") and all(len(line) <= WIDTH for line in text.splitlines())


def test_words_stand_in_the_order_of_the_schema_and_own_keys_as_written() -> None:
    text = canonical(
        "entity", {"zzz": 1, "fields": {"b": {"required": True, "maxLength": 5, "title": "x", "type": "text"}, "a": {"type": "date"}}, "title": "t"}
    )
    assert text == (
        '{\n  "title": "t",\n  "fields": {"b": {"type": "text", "title": "x", "maxLength": 5, "required": true}, "a": {"type": "date"}},\n  "zzz": 1\n}\n'
    )


def test_one_changed_step_is_one_changed_line() -> None:
    rule = good().documents[("rule", "judge")]
    steps = list(rule["then"])
    steps[2] = {"let": {"who": "customer", "when": "at"}}
    one, other = good().text("rule", "judge").splitlines(), canonical("rule", {**rule, "then": steps}).splitlines()
    assert len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_wide_characters_count_twice() -> None:
    text = canonical("choices", {"title": {"zh": "汉" * 70, "en": "x" * 20}, "options": {}})
    assert '"title": {\n' in text


def test_a_widened_entity_has_the_engines_fields_first() -> None:
    fields = list(good().entities["person"].fields)
    assert fields[0] == "name" and fields[-1] == "cap" and "team" in fields
    assert good().entities["team"].label == "{name}"
    assert good().documents.keys() & BASE.keys() == {("entity", "person")}


def test_a_base_field_cannot_be_replaced_by_widening() -> None:
    bundle = Bundle({("entity", "person"): {"fields": {"name": {"type": "integer"}}}}, BASE)
    assert bundle.entities["person"].fields["name"].type == "text"


def test_roles_are_an_option_set() -> None:
    assert list(good().choices["role"].options) == ["boss", "seller"]


def test_views_hold_all_kinds() -> None:
    bundle = good()
    views = {
        "choices": bundle.choices,
        "entity": bundle.entities,
        "form": bundle.forms,
        "list": bundle.lists,
        "rule": bundle.rules,
        "decision": bundle.decisions,
        "report": bundle.reports,
        "dashboard": bundle.dashboards,
        "role": bundle.roles,
        "scenario": bundle.scenarios,
    }
    for kind, key in bundle.documents:
        if kind in views:
            assert views[kind][key] is bundle.get(kind, key)
    assert bundle.preset.key == "small" and bundle.settings.values["quota"].default == 30
    assert Bundle().preset.key == "" and dict(Bundle().settings.values) == {} and bundle.get("form", "none") is None


def test_the_digest_follows_content_and_nothing_else() -> None:
    bundle = good()
    assert Bundle(dict(reversed(list(bundle.documents.items()))), BASE).digest == bundle.digest
    other = bundle.replace({("list", "all"): {**bundle.documents[("list", "all")], "view": "table"}})
    assert other.digest != bundle.digest and other != bundle
    assert other.replace({("list", "all"): bundle.documents[("list", "all")]}) == bundle
    assert bundle.replace({("list", "all"): None}).digest != bundle.digest


def test_replacing_leaves_the_first_bundle_alone() -> None:
    bundle = good()
    bundle.replace({("list", "all"): None})
    assert "all" in bundle.lists
    with pytest.raises(TypeError):
        bundle.documents[("list", "x")] = {}  # type: ignore[index]


def test_every_kind_has_its_place_in_a_folder() -> None:
    assert [file_of(kind, "x") for kind in KINDS][:4] == ["preset.json", "settings.json", "choices/x.json", "entities/x.json"]


def test_presets_are_read_whole() -> None:
    bundle, problems = Bundle.read_folder(ROOT / "presets" / "real_estate", BASE)
    assert problems == [] and len(bundle.documents) == len([path for path in (ROOT / "presets/real_estate").rglob("*.json") if "samples" not in path.parts])
