"""Sentences for problems and differences, in the reader's language, from messages.json. Nothing else in metadata holds a sentence."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from metadata.text import label_text
from metadata.vocabulary import Problem

Catalogue = Mapping[str, Mapping[str, Any]]
_WORDS: Mapping[str, Mapping[str, str]] = {
    "true": {"zh": "是", "en": "yes"},
    "false": {"zh": "否", "en": "no"},
    "null": {"zh": "空", "en": "empty"},
    "meant": {"zh": "（是不是“{meant}”？）", "en": " (did you mean '{meant}'?)"},
}
_LONGEST = 120


class _Shown(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


@cache
def catalogue() -> Catalogue:
    """code -> {"zh", "en", "hint": {"zh", "en"}} of everything metadata reports."""
    found: Catalogue = json.loads(files("metadata").joinpath("messages.json").read_text("utf-8"))
    return found


def sentence(code: str, params: Mapping[str, object], locale: str = "zh", more: Catalogue | None = None) -> str:
    """The sentence of a code; ``more``: catalogues of whoever else reports problems (expressions). A code nobody knows is shown with its params."""
    entry = catalogue().get(code) or (more or {}).get(code)
    if entry is None:
        return " ".join([code, *(f"{name}={value}" for name, value in params.items() if value not in ("", None))])
    words = _Shown({name: shown(value, locale) for name, value in params.items()})
    meant = params.get("meant")
    words["meant"] = label_text(_WORDS["meant"], locale).format(meant=meant) if meant else ""
    text = label_text(entry, locale).format_map(words)
    return text if "{meant}" in label_text(entry, locale) else text + words["meant"]


def hint(code: str, params: Mapping[str, object], locale: str = "zh") -> str:
    """What to do about it; '' when the sentence says it all."""
    text = label_text((catalogue().get(code) or {}).get("hint", ""), locale)
    return text.format_map(_Shown({name: shown(value, locale) for name, value in params.items()}))


def describe(problem: Problem, locale: str = "zh", more: Catalogue | None = None) -> str:
    """A problem's sentence."""
    return sentence(problem.code, problem.params, locale, more)


def shown(value: object, locale: str = "zh") -> str:
    """A JSON value as people read it: yes and no in words, labels in their language, long things cut."""
    if value is None or isinstance(value, bool):
        return _WORDS[json.dumps(value)][locale if locale in ("zh", "en") else "zh"]
    if isinstance(value, Mapping) and value and set(value) <= {"zh", "en"} and all(isinstance(part, str) for part in value.values()):
        return label_text({str(key): str(part) for key, part in value.items()}, locale)
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple) and all(isinstance(item, str | int | float | bool) for item in value):
        text = ("、" if locale == "zh" else ", ").join(shown(item, locale) for item in value) or _WORDS["null"][locale if locale == "en" else "zh"]
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
