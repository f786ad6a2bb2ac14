"""Every code that fields, readers and keys refuse with has a sentence whose places are filled."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.messages import catalogue

ENGINE = Path(__file__).resolve().parents[3] / "engine"
FILES = [*sorted((ENGINE / "fields").glob("*.py")), *sorted((ENGINE / "readers").glob("*.py")), ENGINE / "crypto.py"]


def refusals() -> Iterator[tuple[str, str, frozenset[str]]]:
    """(file, code, names of its parameters) of every refusal written with a literal code."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Wrong", "Unavailable") and node.args:
                mappings = [item for item in node.args[1:] if isinstance(item, ast.Dict)]
                named = {word.arg for word in node.keywords if word.arg} | {
                    key.value for item in mappings for key in item.keys if isinstance(key, ast.Constant)
                }
                for code in (item for item in ast.walk(node.args[0]) if isinstance(item, ast.Constant) and isinstance(item.value, str)):
                    yield f"{path.name}:{node.lineno}", code.value, frozenset(named)


CODES = sorted(refusals())


@pytest.mark.parametrize(("place", "code", "params"), CODES, ids=[f"{place} {code}" for place, code, _ in CODES])
def test_a_refusal_can_be_told_in_both_languages(place, code, params):
    sentences = catalogue()[code]
    assert sentences.keys() == {"zh", "en"}
    for text in sentences.values():
        wanted = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        assert wanted <= params, f"{place}: {code} is told with {sorted(wanted - params)}, which nobody gives"
