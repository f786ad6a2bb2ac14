"""The thirteen verbs of rule steps with the words each takes, and the key by which a step is known in merges, traces and sentences."""

from collections.abc import Mapping
from typing import Any

#: Words every step takes, and of each verb those it takes besides. Verbs in the order in which they are looked for.
ALWAYS = ("key", "if", "note")
VERBS: Mapping[str, tuple[str, ...]] = {
    "set": ("on", "in", "where", "expect", "refuse", "message", "soft"),
    "ask": (
        "about",
        "needed",
        "who",
        "not",
        "need",
        "fields",
        "opinion",
        "within",
        "escalate",
        "as",
        "approved",
        "refused",
        "expired",
        "withdrawn",
        "finally",
        "message",
    ),
    "let": (),
    "find": ("where", "sort", "take", "show", "scope", "as"),
    "lock": (),
    "decide": ("with", "as"),
    "create": ("values", "once", "as"),
    "delete": (),
    "each": ("as", "then", "apart", "done"),
    "do": ("with", "as", "on"),
    "notify": ("message", "template", "channel", "hours"),
    "refuse": ("message", "at", "soft"),
    "if": ("then", "else"),
}
#: The words that hold steps of their own.
BRANCHES = ("then", "else", "done", "approved", "refused", "expired", "withdrawn", "finally")


def verb_of(step: Mapping[str, Any]) -> str:
    """The verb of a step, '' when it has none."""
    return next((verb for verb in VERBS if verb in step), "")


def step_key(step: Mapping[str, Any], verb: str) -> str:
    """``key``, else ``as``, else the refusal's code, else verb and object (of several fields or names the first); merge, trace and sentences go by it."""
    told = step.get("key") or step.get("as") or (step["refuse"] if verb == "refuse" else "")
    if told:
        return str(told)
    value = step[verb]
    if isinstance(value, Mapping):
        owner = [str(step[word]) for word in ("on", "in") if word in step][:1] if verb == "set" else []
        return " ".join([verb, *owner, *[str(name) for name in value][:1]])
    return f"{verb} {value}" if isinstance(value, str) else verb
