"""Keys and words: which names are allowed, and what a mistyped one probably meant."""

import keyword
import re
from collections.abc import Iterable
from difflib import get_close_matches

from metadata.definitions import NAME_SPACES

KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,39}")
#: Words of the expression language that are no Python keywords.
_LITERALS = ("true", "false", "null")


def key_problem(key: str) -> str:
    """The code of what is wrong with a key wherever keys stand, or ''."""
    if not KEY.fullmatch(key):
        return "key_pattern"
    if "__" in key:
        return "key_double_underscore"
    return ""


def name_problem(key: str) -> str:
    """The code of what is wrong with a key that expressions use as a name, or ''."""
    if problem := key_problem(key):
        return problem
    if keyword.iskeyword(key) or key in _LITERALS:
        return "key_python"
    if key in NAME_SPACES:
        return "key_name_space"
    return ""


def closest(word: object, known: Iterable[object]) -> str:
    """The known word that was probably meant, or ''."""
    text = str(word)[:80]
    names = [str(name) for name in known]
    exact = [name for name in names if name.lower() == text.lower().replace("-", "_")]
    found = exact or get_close_matches(text, names[:2_000], n=1, cutoff=0.6)
    return found[0] if found else ""
