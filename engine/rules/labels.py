"""What everything a rule mentions is called by people, in one language; a key in quotes only where nobody gave it a name. Reads definitions, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import orjson

from metadata.bundle import Bundle
from metadata.definitions import Field
from metadata.text import Label, label_text
from metadata.vocabulary import ActionWord

#: What people call a parameter of these types when nobody gave it a title.
_LED = {"person": "person", "people": "person", "team": "team"}


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """code -> the phrase with its parts in braces, in each language."""
    found: Mapping[str, Mapping[str, str]] = orjson.loads(files("engine.rules").joinpath("phrases.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Labels:
    """Names for readers of ``locale``. ``actions``: the words of actions that are no rules."""

    bundle: Bundle
    locale: str = "zh"
    actions: Mapping[str, ActionWord] = field(default_factory=dict)

    def word(self, code: str, *numbered: object, **parts: object) -> str:
        """A phrase of the catalogue with its parts put in."""
        return label_text(catalogue()[code], self.locale).format(*numbered, **parts)

    def knows(self, code: str) -> bool:
        """Whether the catalogue has a phrase."""
        return code in catalogue()

    def text(self, label: Label | None, key: str) -> str:
        """A label's text, or the key in quotes."""
        return label_text(label, self.locale) or self.quoted(key)

    def quoted(self, text: object) -> str:
        """A text in this language's quotation marks."""
        return self.word("quoted", text=text)

    def listed(self, texts: list[str]) -> str:
        """Several as one enumeration."""
        return self.word("pause").join(texts)

    def entity(self, key: str) -> str:
        """An entity's title."""
        found = self.bundle.entities.get(key)
        if found is not None:
            return self.text(found.title, key)
        return self.word(f"entity_{key}") if self.knows(f"entity_{key}") else self.quoted(key)

    def field(self, entity: str, key: str) -> str:
        """A field's title."""
        found = self.definition(entity, key)
        if found is not None:
            return self.text(found.title, key)
        own = f"engine_{key}" if self.knows(f"entity_{entity}") else ""
        return self.word(own) if own and self.knows(own) else self.word(f"field_{key}") if self.knows(f"field_{key}") else self.quoted(key)

    def definition(self, entity: str, key: str) -> Field | None:
        """A field of an entity as defined; None for the engine's own and unknown ones."""
        owner = self.bundle.entities.get(entity)
        return owner.fields.get(key) if owner else None

    def of_me(self, key: str) -> str:
        """Something of the acting person."""
        return self.word(f"me_{key}") if self.knows(f"me_{key}") else self.field("person", key)

    def option(self, choices: str, code: str) -> str:
        """An option's title."""
        known = self.bundle.choices.get(choices)
        found = known.options.get(code) if known else None
        return self.text(found.title, code) if found else self.quoted(code)

    def choices(self, key: str) -> str:
        """What an option set is called."""
        found = self.bundle.choices.get(key)
        return self.text(found.title, key) if found else self.quoted(key)

    def setting(self, key: str) -> str:
        """A parameter of the workspace."""
        found = self.bundle.settings.values.get(key)
        return self.word("setting", title=label_text(found.title if found else "", self.locale) or key)

    def action(self, name: str) -> str:
        """An action, without quotation marks: the title of the rule behind it, or of a built-in or plugin word."""
        for rule in self.bundle.rules.values():
            if rule.body["on"].get("action") == name:
                return label_text(rule.title, self.locale, name)
        known = self.actions.get(name)
        return label_text(known.title if known else "", self.locale, name)

    def decision(self, key: str) -> str:
        """A decision table, without quotation marks."""
        found = self.bundle.decisions.get(key)
        return label_text(found.title if found else "", self.locale) or key

    def parameter(self, key: str, document: Mapping[str, object]) -> str:
        """A parameter, an input or an output given as a field document: its title, else that of its option set or entity."""
        title = document.get("title")
        if isinstance(title, str | Mapping) and title:
            return self.text(title, key)
        choices, entity = document.get("choices") or document.get("choice"), document.get("to") or _LED.get(str(document.get("type")))
        if isinstance(choices, str) and choices in self.bundle.choices:
            return self.choices(choices)
        return self.entity(entity) if isinstance(entity, str) and entity in self.bundle.entities else self.quoted(key)
