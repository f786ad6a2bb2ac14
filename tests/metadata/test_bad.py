"""Every bad definition of the corpus is refused with its code, place and line, and nothing else is blamed for it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from metadata.check import check_folder
from metadata.messages import catalogue, describe, hint
from metadata.vocabulary import Problem
from tests.metadata.samples import BASE, GOOD, HERE, edited_text
from tests.metadata.vocabulary import WORDS

CASES: list[dict[str, Any]] = json.loads((HERE / "bad" / "cases.json").read_text("utf-8"))
ENCODINGS = {"gbk": "gbk", "utf-8-sig": "utf-8-sig", "utf-16": "utf-16"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bad") / "definitions"
    shutil.copytree(GOOD, target)
    return target


def spoiled(folder: Path, case: dict[str, Any]) -> list[Problem]:
    """What is found after the edits of a case; the folder is good again afterwards."""
    written = [case["file"], *case.get("write", {}), *case.get("more", {})]
    try:
        _spoil(folder, case)
        return check_folder(folder, WORDS, BASE)
    finally:
        for file in written:
            if not (folder / file).is_dir():
                (folder / file).unlink(missing_ok=True)
            if (GOOD / file).exists():
                shutil.copy(GOOD / file, folder / file)
        for stray in {entry.name for entry in folder.iterdir()} - {entry.name for entry in GOOD.iterdir()}:
            shutil.rmtree(folder / stray, ignore_errors=True)


def _spoil(folder: Path, case: dict[str, Any]) -> None:
    path = folder / case["file"]
    if "encode" in case:
        text = path.read_text("utf-8")
        path.write_bytes(text.encode("utf-8").replace("等".encode(), b"\xff") if case["encode"] == "broken" else text.encode(case["encode"]))
    elif case.get("unlink"):
        path.unlink()
    elif {"text", "swap", "set", "remove"} & case.keys():
        path.write_text(edited_text(case["file"], path.read_text("utf-8"), case), "utf-8")
    for file, text in case.get("write", {}).items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).unlink(missing_ok=True)
        if text == "->":
            (folder / file).symlink_to(folder / "preset.json")
        else:
            (folder / file).write_text(text, "utf-8")
    for file, more in case.get("more", {}).items():
        (folder / file).write_text(edited_text(file, (folder / file).read_text("utf-8"), more), "utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_bad_definition_is_refused_at_its_place_and_nothing_else_is_blamed(folder: Path, case: dict[str, Any]) -> None:
    problems = spoiled(folder, case)
    found = [(item.code, item.pointer) for item in problems]
    assert {item.code for item in problems} == {case["code"], *case.get("also", ())}, problems
    blamed = [item for item in problems if item.code == case["code"]]
    assert case["pointer"] == "*" or case["pointer"] in [item.pointer for item in blamed], found
    if case["file"] != "preset.json" or not case.get("unlink"):
        assert any(item.file == case["file"] for item in blamed) or case["pointer"] == "*", found
    if case.get("line"):
        assert case["line"] in [item.line for item in blamed], problems
    for item in problems:
        for locale in ("zh", "en"):
            text = describe(item, locale) + hint(item.code, item.params, locale)
            assert (
                "{" not in text.replace("{…}", "").replace("{value}", "").replace('{"value"', "").replace("{name}", "")
                or "{" in json.dumps(dict(item.params))
                or item.code in ("json_fullwidth", "label_missing", "output_value")
            ), text


def test_every_problem_in_a_file_has_its_line(folder: Path) -> None:
    for case in CASES:
        if "set" in case and case["pointer"] != "*":
            for item in spoiled(folder, case):
                assert item.line > 0, (case["name"], item)


def test_every_code_of_the_catalogue_is_raised_by_a_bad_definition() -> None:
    raised = {case["code"] for case in CASES} | {code for case in CASES for code in case.get("also", ())}
    elsewhere = {
        "folder_missing",
        "folder_too_large",
        "file_unreadable",
        "unknown_kind",
        "single_kind",  # tests/metadata/test_check.py
        "shape_wrong",  # an option schema's own keywords: test_check.py
        "key_of_retired",  # needs the database: publishing
        "definition_added",
        "definition_removed",
        "part_added",
        "part_removed",
        "part_changed",
        "part_retired",
        "part_restored",
        "order_changed",
    }  # test_compare.py
    assert set(catalogue()) - raised - elsewhere == set()
    assert raised - set(catalogue()) == {"expression_unknown_name"}


def test_the_good_definitions_have_no_problem(folder: Path) -> None:
    assert check_folder(folder, WORDS, BASE) == []
