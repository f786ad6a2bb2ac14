"""COVERAGE.md of the preset: each requirement once, by definitions and proofs that exist; a definition its scenarios prove is missed when it is taken out.

``TANGRAM_TEST_SIZE=full``: every definition of every line is taken out, otherwise a few of them.
"""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from engine.builtin import DOCUMENTS
from engine.registry import Registry
from engine.scenarios import run_scenarios
from metadata.bundle import Bundle
from metadata.check import check
from metadata.definitions import KINDS
from renderer.serving import all_words

ROOT = Path(__file__).parents[2]
PRESET = ROOT / "presets" / "real_estate"
IDS = [*(f"S1-{number:02}" for number in range(1, 73)), *(f"S2-{number:02}" for number in range(1, 87))]
NOT_YET, LEFT_OUT = "未做", "不做："
FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
SAMPLE = 8
_CELL = re.compile(r"`([^`]+)`")
_KIND_OF = {folder: kind for kind, folder in KINDS.items()}


@dataclass(frozen=True)
class Line:
    """A requirement: its definitions (files of the preset, or of the repository), its scenarios by key, its tests by node."""

    id: str
    what: str
    definitions: tuple[str, ...]
    scenarios: tuple[str, ...]
    tests: tuple[str, ...]
    mark: str

    @property
    def met(self) -> bool:
        return not self.mark.startswith(LEFT_OUT)


def lines() -> list[Line]:
    found = []
    for row in (PRESET / "COVERAGE.md").read_text("utf-8").splitlines():
        if row.startswith("| S"):
            id, what, where, proof = (cell.strip() for cell in row.strip("|").split("|"))
            proofs = _CELL.findall(proof)
            tests = tuple(item for item in proofs if "::" in item)
            found.append(Line(id, what, tuple(_CELL.findall(where)), tuple(item for item in proofs if "::" not in item), tests, where))
    return found


LINES = lines()
MET = [line for line in LINES if line.met]


@cache
def names_of(file: Path) -> frozenset[str]:
    """The tests of a file."""
    return frozenset(node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef))


def test_every_requirement_stands_on_one_line_in_order() -> None:
    assert [line.id for line in LINES] == IDS
    assert all(line.what for line in LINES)


def test_nothing_is_left_undone_and_what_is_left_out_says_why() -> None:
    assert not [line.id for line in LINES if NOT_YET in line.mark]
    assert not [line.id for line in LINES if line.mark.startswith(LEFT_OUT) and len(line.mark) < len(LEFT_OUT) + 4], "不做 needs its reason"


@pytest.mark.parametrize("line", MET, ids=[line.id for line in MET])
def test_a_met_requirement_names_what_exists(line: Line) -> None:
    assert line.definitions and (line.scenarios or line.tests), "a definition and a proof"
    assert not [file for file in line.definitions if not (PRESET / file).is_file() and not (ROOT / file).exists()]
    assert not [key for key in line.scenarios if not (PRESET / "scenarios" / f"{key}.json").is_file()]
    for node in line.tests:
        file, name = node.split("::")
        assert name in names_of(ROOT / file), node


def _parts() -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Each definition that scenarios prove, with those of its lines."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in MET:
        for file in line.definitions:
            folder, _, name = file.rpartition("/")
            if folder in _KIND_OF and line.scenarios:
                found.setdefault((_KIND_OF[folder], name.removesuffix(".json")), set()).update(line.scenarios)
    return ((place, tuple(sorted(keys))) for place, keys in sorted(found.items()))


PARTS = list(_parts())
CHOSEN = PARTS if FULL else PARTS[:: max(1, len(PARTS) // SAMPLE)]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return all_words()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.read_folder(PRESET, DOCUMENTS)[0]


@pytest.mark.parametrize(("place", "scenarios"), CHOSEN, ids=[f"{kind}-{key}" for (kind, key), _ in CHOSEN])
def test_a_definition_taken_out_is_missed_by_its_scenarios(place: tuple[str, str], scenarios: tuple[str, ...], bundle: Bundle, registry: Registry) -> None:
    without = bundle.replace({place: None})
    if any(problem.severity == "error" for problem in check(without, registry.vocabulary())):
        return
    assert any(not result.holds for result in run_scenarios(registry, without, scenarios)), f"{place} is missed by none of {scenarios}"
