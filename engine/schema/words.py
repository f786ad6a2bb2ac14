"""The sentences of a plan: engine/messages/publishing.json filled with labels and numbers. Knows no step."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    found: Mapping[str, Mapping[str, str]] = json.loads(files("engine").joinpath("messages", "publishing.json").read_text(encoding="utf-8"))
    return found


def say(code: str, locale: str, **params: object) -> str:
    """The sentence of a code in Chinese for locales zh*, in English for others."""
    sentence = _catalogue()[code]["zh" if locale.startswith("zh") else "en"]
    return sentence.format_map({name: f"{value:,}" if isinstance(value, int) else value for name, value in params.items()})
