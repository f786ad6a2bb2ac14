"""Search tokens: how a text is cut so that two Chinese characters, initials of pinyin or digits find it in both databases. Asks no database.

A token is a field's letter followed by letters and digits only (``n张三``), because a full-text index without positions splits at anything else.
Chinese runs give single characters and pairs; Latin and digit runs give pieces of one to four characters. A search asks for the longest
pieces of each of its runs and re-checks what came back with ``found_in``.
"""

import json
import re
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import product

#: Only this much of a long text is found by search.
SEARCHED_LENGTH = 2000
_PIECE = 4
_RUNS = re.compile(r"[0-9a-z]+|[^\W0-9a-z_]+")
_MOST_INITIALS = 4
#: Characters of surnames and given names with a second reading that starts differently.
_SECOND = {
    "单": "s",
    "曾": "z",
    "仇": "q",
    "解": "x",
    "查": "z",
    "翟": "z",
    "覃": "q",
    "乐": "y",
    "尉": "y",
    "晟": "s",
    "茜": "x",
    "贾": "g",
    "褚": "z",
    "隗": "w",
    "长": "c",
    "重": "c",
    "种": "c",
    "召": "s",
    "车": "j",
    "行": "h",
    "盛": "c",
    "宿": "x",
    "柏": "p",
    "朴": "b",
    "万": "m",
    "区": "o",
    "缪": "j",
    "石": "d",
    "藏": "c",
    "调": "d",
    "朝": "z",
    "曲": "q",
    "省": "x",
    "莘": "s",
    "逄": "p",
    "繁": "p",
    "黑": "h",
    "秘": "b",
    "折": "s",
}


def normalised(text: str) -> str:
    """The form in which texts are compared by search: NFKC, lower case."""
    return unicodedata.normalize("NFKC", text).casefold()


def runs(text: str) -> list[str]:
    """The runs of letters and digits of a text, Latin and digits apart from other scripts."""
    return _RUNS.findall(normalised(text[:SEARCHED_LENGTH]))


def _latin(run: str) -> bool:
    return run[0].isascii()


def _put_pieces(found: dict[str, None], run: str) -> None:
    length = len(run)
    for size in range(1, min(_PIECE if _latin(run) else 2, length) + 1):
        for start in range(length - size + 1):
            found[run[start : start + size]] = None


@cache
def _initial_of() -> dict[str, str]:
    table = json.loads(files("engine.fields").joinpath("data/initials.json").read_text(encoding="utf-8"))
    return {character: letter for letter, characters in table.items() for character in characters}


def initials(text: str) -> list[str]:
    """The pinyin initials of the Chinese characters of a text (``张三丰`` -> ``zsf``), with a few variants for characters of two readings."""
    first = _initial_of()
    letters: list[str] = []
    several = 0
    for character in text[:SEARCHED_LENGTH]:
        letter = first.get(character)
        if letter:
            second = _SECOND.get(character, letter)
            several += second != letter
            letters.append(letter + second if second != letter else letter)
    if not several:
        return ["".join(letters)] if letters else []
    variants = product(*letters) if several <= 2 else [tuple(item[0] for item in letters)]
    return ["".join(variant) for _, variant in zip(range(_MOST_INITIALS), variants, strict=False)]


def text_tokens(kind: str, text: str) -> list[str]:
    """The pieces of a text without a field's letter. ``kind`` is the field's ``search`` word: ``name`` adds pinyin initials."""
    found: dict[str, None] = {}
    for run in runs(text):
        _put_pieces(found, run)
    if kind == "name":
        for variant in initials(text):
            _put_pieces(found, variant)
    return list(found)


def tokens(kind: str, value: object, letter: str) -> list[str]:
    """The tokens of a value under a field's letter; none for an empty one."""
    return [] if value is None else [letter + piece for piece in text_tokens(kind, str(value))]


def query_tokens(text: str, letter: str) -> list[str]:
    """The tokens that must all be there for ``text`` to be in the field of that letter; none when nothing in it can be searched."""
    found: dict[str, None] = {}
    for run in runs(text):
        size = min(len(run), _PIECE if _latin(run) else 2)
        found.update(dict.fromkeys(letter + run[start : start + size] for start in range(len(run) - size + 1)))
    return list(found)


def found_in(kind: str, text: str, value: object) -> bool:
    """The exact check after the index: is ``text`` in the value, or in its initials where the field is searched as a name?"""
    if value is None:
        return False
    wanted = normalised(text.strip())
    if not wanted:
        return False
    held = normalised(str(value))
    if wanted in held or _squeezed(wanted) in _squeezed(held):
        return True
    return kind == "name" and wanted.isascii() and any(wanted in variant for variant in initials(str(value)))


def _squeezed(text: str) -> str:
    return "".join(_RUNS.findall(text))
