"""Checking as a whole: all problems at once, lines, what the corpus cannot hold, and that engine words and expression problems arrive whole."""

import json
import os
from pathlib import Path

import pytest

from metadata.bundle import Bundle
from metadata.check import check, check_folder
from metadata.documents import MAX_DEPTH
from metadata.messages import describe, hint
from metadata.vocabulary import Vocabulary
from tests.metadata.samples import BASE, GOOD, good
from tests.metadata.vocabulary import WORDS


def codes(bundle: Bundle) -> list[str]:
    return [problem.code for problem in check(bundle, WORDS)]


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    bundle = good()
    bundle.write_folder(tmp_path)
    (tmp_path / "entities/visit.json").write_text(
        '{"label": "{att}", "fields": {"at": {"type": "instnt"}, "customer": {"type": "link", "to": "custmer"}}}', "utf-8"
    )
    (tmp_path / "lists/mine.json").write_text('{"entity": "customer", "columns": ["nam", "phon"], "sort": ["gradee"], "oops": 1}', "utf-8")
    (tmp_path / "roles/seller.json").write_text("{,}", "utf-8")
    found = {(item.file, item.code) for item in check_folder(tmp_path, WORDS, BASE)}
    assert {
        ("entities/visit.json", "unknown_field_type"),
        ("entities/visit.json", "unknown_entity"),
        ("entities/visit.json", "unknown_field"),
        ("lists/mine.json", "unknown_field"),
        ("lists/mine.json", "shape_unknown_word"),
        ("roles/seller.json", "json_key"),
    } <= found


def test_a_problem_has_file_pointer_line_column_and_what_was_meant(tmp_path: Path) -> None:
    good().write_folder(tmp_path)
    path = tmp_path / "lists/mine.json"
    path.write_text(path.read_text("utf-8").replace('"grade", "owner.name"', '"grad", "owner.name"'), "utf-8")
    [problem] = check_folder(tmp_path, WORDS, BASE)
    assert (problem.file, problem.pointer, problem.severity) == ("lists/mine.json", "/columns/2", "error")
    line = path.read_text("utf-8").splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith('"grad"')
    assert describe(problem) == "实体“customer”没有字段“grad”（是不是“grade”？）"
    assert describe(problem, "en") == "The entity 'customer' has no field 'grad' (did you mean 'grade'?)"


def test_places_stay_those_of_the_file_when_earlier_items_are_faulty(tmp_path: Path) -> None:
    good().write_folder(tmp_path)
    (tmp_path / "lists/mine.json").write_text('{"entity": "customer",\n"columns": [5, "name", null,\n"nam"]}', "utf-8")
    found = {(item.pointer, item.code, item.line) for item in check_folder(tmp_path, WORDS, BASE)}
    assert found == {("/columns/0", "shape_type", 2), ("/columns/2", "shape_type", 2), ("/columns/3", "unknown_field", 3)}


def test_what_mentions_a_faulty_field_is_not_blamed_again() -> None:
    document = dict(good().documents[("entity", "customer")])
    document["fields"] = {**document["fields"], "grade": {"type": "choyce", "choices": "grade"}}
    assert codes(good().replace({("entity", "customer"): document})) == ["unknown_field_type"]


def test_expression_problems_keep_their_column() -> None:
    rule = {"on": {"due": "customer.release_at"}, "if": "true and nonsense", "then": []}
    [problem] = check(good().replace({("rule", "x"): rule}), WORDS)
    assert (problem.code, problem.pointer, problem.column) == ("expression_unknown_name", "/if", 10)


def test_a_missing_folder_is_a_problem() -> None:
    assert [item.code for item in check_folder("/nowhere/at/all", WORDS)] == ["folder_missing"]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good().write_folder(tmp_path)

    def refused(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert {item.code for item in check_folder(tmp_path, WORDS, BASE)} == {"file_unreadable"}


def test_a_folder_of_too_many_files_is_read_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good().write_folder(tmp_path)
    monkeypatch.setattr("metadata.bundle.MAX_FILES", 3)
    assert "folder_too_large" in {item.code for item in check_folder(tmp_path, WORDS, BASE)}


def test_documents_of_unknown_kinds_and_second_presets_are_refused() -> None:
    assert codes(Bundle({("entty", "x"): {}})) == ["unknown_kind"]
    assert codes(Bundle({("preset", "other"): {"name": "a", "version": "1", "title": "a"}})) == ["single_kind"]


def test_documents_that_never_were_files_are_held_to_the_same() -> None:
    deep: object = "x"
    for _ in range(5_000):
        deep = [deep]
    assert codes(Bundle({("choices", "a"): {"options": {"x": {"note": "\ud800"}}}})) == ["text_surrogate"]
    assert codes(Bundle({("choices", "a"): {"options": deep}})) == ["json_too_deep", "shape_missing"]
    assert codes(Bundle({("choices", "a"): {"options": {}, "note": float("nan")}})) == ["json_not_a_number", "shape_type"]
    assert codes(Bundle({("choices", "A"): {"options": {}}})) == ["key_pattern"]


def test_chinese_text_counts_by_character_not_by_escape() -> None:
    options = {f"c{number}": {"title": "汉" * 180, "help": "字" * 900} for number in range(300)}
    assert codes(Bundle({("choices", "a"): {"options": options}})) == []


def test_an_option_schema_with_other_keywords_is_answered_in_our_words() -> None:
    words = {**WORDS.field_types, "text": WORDS.field_types["text"].__class__("text", "text", "value", "basic", {"even": {"multipleOf": 2}})}
    bundle = Bundle({("entity", "a"): {"label": "{b}", "fields": {"b": {"type": "text", "even": 3}}}})
    assert [item.code for item in check(bundle, Vocabulary(field_types=words))] == ["shape_wrong"]


def test_remote_references_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: pytest.fail("fetched"))
    assert "shape_unknown_word" in codes(Bundle({("choices", "a"): {"options": {}, "$ref": "http://127.0.0.1:9/x.json"}}))


def test_checking_never_writes(tmp_path: Path) -> None:
    good().write_folder(tmp_path)
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    check_folder(tmp_path, WORDS, BASE)
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before


def test_hints_say_what_to_do() -> None:
    assert hint("key_python", {"key": "class", "proposal": "class_"}) == "改用 class_"
    assert hint("unknown_field", {}) == ""


def test_good_definitions_are_found_good_whatever_the_order_of_files() -> None:
    documents = dict(reversed(list(good().documents.items())))
    assert codes(Bundle(documents, BASE)) == []


def test_the_good_folder_holds_every_kind() -> None:
    kinds = {kind for kind, _ in good().documents}
    assert len(kinds) == 12 and os.path.isdir(GOOD)


def test_problems_are_sorted_and_told_once() -> None:
    problems = check(Bundle({("list", "b"): {"entity": "x", "columns": ["a"]}, ("list", "a"): {"entity": "x", "columns": ["a"]}}), WORDS)
    assert [item.file for item in problems] == ["lists/a.json", "lists/b.json"]
    assert json.dumps([dict(item.params) for item in problems])
    assert MAX_DEPTH == 40
