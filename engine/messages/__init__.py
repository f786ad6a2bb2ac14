"""Sentences for people: every code the engine refuses with, in Chinese and English, from the catalogues in this folder (one per area)."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from engine.errors import Refusal
from metadata.text import Label, label_text

#: Added where a refusal knows what was probably meant.
MEANT: Label = {"zh": "（是不是“{meant}”？）", "en": " (did you mean {meant}?)"}


def catalogue() -> Mapping[str, Mapping[str, str]]:
    """code -> {"zh", "en"} of all areas and plugins. RuntimeError when two areas claim one code with different sentences."""
    return _catalogue()


def include(sentences: Mapping[str, Mapping[str, str]]) -> None:
    """Adds a plugin's sentences while it is loaded. ValueError when one of its codes is taken."""
    known = _catalogue()
    taken = sorted(code for code, texts in sentences.items() if known.get(code, texts) != texts)
    if taken:
        raise ValueError(f"taken: {', '.join(taken)}")
    known.update(sentences)


@cache
def _catalogue() -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda item: item.name):
        if file.name.endswith(".json"):
            for code, sentences in orjson.loads(file.read_text(encoding="utf-8")).items():
                if found.setdefault(code, sentences) != sentences:
                    raise RuntimeError(f"{file.name}: the code {code} has another sentence elsewhere")
    return found


class _Shown(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def sentence(code: str, params: Mapping[str, Any] | None = None, locale: str = "zh") -> str:
    """The sentence of a code for a reader: its own ``message`` when a definition gave it one; the code itself when no catalogue has it."""
    given = params or {}
    template = given.get("message") or catalogue().get(code)
    if template is None:
        return code
    shown = _Shown({name: label_text(value, locale) if isinstance(value, Mapping) else value for name, value in given.items()})
    text = label_text(template, locale).format_map(shown)
    return f"{text}{label_text(MEANT, locale).format_map(shown)}" if given.get("meant") else text


def told(refusal: Refusal, locale: str = "zh") -> str:
    """A refusal as one sentence, without its faults."""
    return sentence(refusal.code, refusal.params, locale)


def told_together(refusal: Refusal, locale: str = "zh") -> str:
    """A refusal as one text: its first faults, or its own sentence where it has none."""
    parts = [text for _pointer, text in told_faults(refusal, locale)][:3]
    return told(refusal, locale) if not parts else ("；" if locale == "zh" else "; ").join(dict.fromkeys(parts))


def told_faults(refusal: Refusal, locale: str = "zh") -> Iterator[tuple[str, str]]:
    """(pointer, sentence) of every fault of a refusal."""
    return ((fault.pointer, sentence(fault.code, fault.params, locale)) for fault in refusal.faults)
