"""Chinese administrative regions (省市区): names by six-digit code, what lies in what, and the code of a written place. Read from a data file on first use."""

import json
import re
from functools import cache
from importlib.resources import files

_SUFFIX = re.compile(r"(?:特别行政区|维吾尔自治区|壮族自治区|回族自治区|自治区|自治州|自治县|地区|省|市|区|县|盟|旗)$")
_SPACES = re.compile(r"[\s,，、/·>-]+")
#: Second-level entries that are no place people name.
_HOLLOW = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})

LEVELS = ("province", "city", "county")


@cache
def names() -> dict[str, str]:
    """Code -> name of every region."""
    table: dict[str, str] = json.loads(files("engine.fields").joinpath("data/regions.json").read_text(encoding="utf-8"))
    return table


@cache
def _children() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for code in names():
        found.setdefault(parent(code), []).append(code)
    return {code: tuple(below) for code, below in found.items()}


def parent(code: str) -> str:
    """The code a region lies in; '' for a province."""
    if code.endswith("0000"):
        return ""
    above = f"{code[:4]}00" if not code.endswith("00") else f"{code[:2]}0000"
    return above if above in names() else f"{code[:2]}0000"


def children(code: str = "") -> tuple[str, ...]:
    """The codes directly inside a region, provinces for ''."""
    return _children().get(code, ())


def level(code: str) -> str:
    """province, city or county."""
    return "province" if code.endswith("0000") else "city" if code.endswith("00") else "county"


def path(code: str) -> list[str]:
    """The codes from the province down to the region itself."""
    found = [code]
    while above := parent(found[0]):
        found.insert(0, above)
    return found


def full_name(code: str, separator: str = " ") -> str:
    """浙江省 杭州市 西湖区; the code itself when it is not known (any more)."""
    if code not in names():
        return code
    return separator.join(names()[part] for part in path(code) if names()[part] not in _HOLLOW)


@cache
def _by_name() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for code, name in names().items():
        if name in _HOLLOW:
            continue
        for spelling in {name, short(name)}:
            found.setdefault(spelling, []).append(code)
    return {name: tuple(codes) for name, codes in found.items()}


def short(name: str) -> str:
    """浙江 of 浙江省; names of two characters stay whole."""
    cut = _SUFFIX.sub("", name)
    return cut if len(cut) >= 2 else name


def find(text: str) -> tuple[str, ...]:
    """The codes a written place may mean, the whole text used up: one when it is clear, several when it is ambiguous, none when it is unknown."""
    code, rest = split(text)
    if rest:
        return ()
    return code


def split(text: str) -> tuple[tuple[str, ...], str]:
    """The regions a text begins with, and what follows them: ``浙江省杭州市西湖区文三路1号`` gives 330106 and ``文三路1号``."""
    rest = _SPACES.sub("", text.strip())
    candidates: tuple[str, ...] = ()
    while rest:
        step = _longest(rest, candidates)
        if step is None:
            break
        candidates, length = step
        rest = rest[length:]
    return candidates, rest


def _longest(rest: str, inside: tuple[str, ...]) -> tuple[tuple[str, ...], int] | None:
    """The longest name the text begins with that fits below ``inside`` (anything when that is empty), and its length."""
    table = _by_name()
    for length in range(min(len(rest), 15), 1, -1):
        codes = table.get(rest[:length], ())
        fitting = tuple(code for code in codes if not inside or any(_under(code, above) for above in inside))
        if fitting:
            whole = tuple(code for code in fitting if names()[code] == rest[:length])
            return _highest(whole or fitting), length
    return None


def _under(code: str, above: str) -> bool:
    return code != above and above in path(code)


def _highest(codes: tuple[str, ...]) -> tuple[str, ...]:
    """A province before its capital of the same name, a city before a county."""
    for name in LEVELS:
        found = tuple(code for code in codes if level(code) == name)
        if found:
            return found
    return codes
