"""Choosing one of a set or several. Which options there are, the bundle's option sets say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import DIFFERS, EMPTY, EQUALS, FILLED, ONE_OF, FieldType, Operator, Reader, Value, Wrong, at_most, option
from engine.fields.lists import SEPARATORS, Several, full_list, spelling, split_list
from engine.fields.scope import FieldScope
from metadata.definitions import Choices, Field
from metadata.text import Label, label_text

_CHOICES_OPTION: Mapping[str, Mapping[str, object]] = {
    "choices": option({"type": "string", "x-refers": "choices"}, ("选项集", "Option set"), ("choices/ 下文件的键", "Key of a file in choices/"))
}


class Choice(FieldType):
    """One option of a set, kept by its code. With ``parent`` its options depend on another choice of the same record."""

    name = "choice"
    title: ClassVar[Label] = {"zh": "单选", "en": "Choice"}
    group = "choice"
    icon = "circle-dot"
    widget = "choice"
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, DIFFERS, ONE_OF, EMPTY, FILLED)
    required_options = ("choices",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        **_CHOICES_OPTION,
        "parent": option(
            {"type": "string", "x-refers": "field"},
            ("上级字段", "Parent field"),
            ("同一实体的单选字段；只能选属于其值的选项", "A choice of the same entity; only options that name its value as parent may be chosen"),
        ),
    }

    def expression_type(self, field: Field) -> str:
        """choice:SET"""
        return f"choice:{field.options['choices']}"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The code."""
        return sa.Text()

    def choices(self, field: Field, scope: FieldScope) -> Choices:
        """The option set of a field."""
        return scope.choices(str(field.options["choices"]))

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """By code. A retired option is still read, so that records which have it can be saved; forms no longer offer it."""
        codes = frozenset(self.choices(field, scope).options)

        def read(raw: object) -> Value:
            if type(raw) is str:
                if raw in codes:
                    return raw
                raw = raw.strip()
                if not raw:
                    return None
                if raw in codes:
                    return raw
                return Wrong("choice_unknown", {"value": raw[:60]})
            if raw is None:
                return None
            return Wrong("choice_unknown", value=str(raw)[:60])

        return read

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """By code, label in any language, or another known spelling."""
        spellings = known_spellings(self.choices(field, scope))

        def cell(raw: object) -> Value:
            if raw is None or (isinstance(raw, str) and not raw.strip()):
                return None
            text = str(int(raw)) if isinstance(raw, float) and raw.is_integer() else str(raw)
            code = spellings.get(spelling(text))
            if code is None:
                return Wrong("choice_unknown", value=text.strip()[:60])
            return code

        return cell

    def check_parent(self, value: Value, parent: Value, field: Field, scope: FieldScope) -> None:
        """Wrong unless the option may stand under the parent field's value (both typed); empty values and options without parents always may."""
        chosen = self.choices(field, scope).options.get(value) if value is not None else None
        if chosen is not None and chosen.parents and parent not in chosen.parents:
            raise Wrong("choice_parent", value=value)

    def offered(self, field: Field, scope: FieldScope, parent: Value = None, locale: str = "zh") -> list[tuple[str, str, str]]:
        """(code, label, colour name) of the options people may pick now, in order; all of them when no parent is given."""
        return [
            (code, label_text(item.title, locale, code), item.colour)
            for code, item in self.choices(field, scope).options.items()
            if not item.retired and (parent is None or not item.parents or parent in item.parents)
        ]

    def colour(self, value: Value, field: Field, scope: FieldScope) -> str:
        """The colour name of a value's option; '' when it has none."""
        chosen = self.choices(field, scope).options.get(value)
        return chosen.colour if chosen else ""

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The option's label; its code when the option is gone."""
        return "" if value is None else option_label(self.choices(field, scope), value, locale)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The label where it leads back to the code, else the code."""
        return None if value is None else _cell_text(self.choices(field, scope), value)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """The codes."""
        return {"type": "string", "enum": list(self.choices(field, scope).options)}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A live option; None when the set is empty."""
        codes = [code for code, item in self.choices(field, scope).options.items() if not item.retired]
        return random.choice(codes) if codes else None

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Codes are not words: choices are found by filters."""
        return ()


def known_spellings(choices: Choices) -> dict[str, str]:
    """Spelling -> code. Live options before retired ones; a code before a label, a label before other spellings."""
    found: dict[str, str] = {}
    items = sorted(choices.options.values(), key=lambda item: item.retired)
    for item in items:
        found.setdefault(spelling(item.code), item.code)
    for item in items:
        labels: Iterable[str] = (item.title,) if isinstance(item.title, str) else item.title.values()
        for text in labels:
            found.setdefault(spelling(text), item.code)
    for item in items:
        for text in item.also:
            found.setdefault(spelling(text), item.code)
    return found


def option_label(choices: Choices, code: str, locale: str) -> str:
    """The label of an option, its code when there is none."""
    item = choices.options.get(code)
    return label_text(item.title, locale, code) if item else code


def _cell_text(choices: Choices, code: str) -> str:
    label = option_label(choices, code, "zh")
    return label if known_spellings(choices).get(spelling(label)) == code and not SEPARATORS.search(label) else code


class ChoiceList(Several):
    """Several options of a set, in the set's order, each once."""

    name = "choices"
    title: ClassVar[Label] = {"zh": "多选", "en": "Several choices"}
    group = "choice"
    icon = "list-check"
    widget = "choices"
    required_options = ("choices",)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {**_CHOICES_OPTION, "parent": Choice.options["parent"], "maxItems": at_most(1000)}

    def expression_type(self, field: Field) -> str:
        """choices:SET"""
        return f"choices:{field.options['choices']}"

    def choices(self, field: Field, scope: FieldScope) -> Choices:
        """The option set of a field."""
        return scope.choices(str(field.options["choices"]))

    def _reader(self, field: Field, scope: FieldScope, codes: Mapping[str, str], by_spelling: bool) -> Reader:
        place = {code: number for number, code in enumerate(self.choices(field, scope).options)}
        most = field.options.get("maxItems")

        def read(raw: object) -> Value:
            if type(raw) is list and most is None:
                try:  # the ordinary case: a list of codes
                    return sorted(set(raw), key=place.__getitem__) or None
                except (KeyError, TypeError):
                    pass
            items = split_list(raw)
            if not items or isinstance(items, Wrong):
                return items or None
            found = set()
            for item in items:
                code = codes.get(spelling(str(item))) if by_spelling else codes.get(item) if isinstance(item, str) else None
                if code is None:
                    return Wrong("choice_unknown", value=str(item)[:60])
                found.add(code)
            if most is not None and len(found) > most:
                return Wrong("too_many_items", maximum=most)
            return sorted(found, key=place.__getitem__)

        return read

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """By code."""
        codes = {code: code for code in self.choices(field, scope).options}
        return self._reader(field, scope, codes, by_spelling=False)

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A list of codes, none of them empty."""
        most, place = field.options.get("maxItems"), {code: number for number, code in enumerate(self.choices(field, scope).options)}
        read, at = full_list(super().json_reader(field, scope), most), place.__getitem__
        if most is not None:
            return read

        def listed(raw: object) -> Value:
            if type(raw) is list:
                try:
                    return sorted(set(raw), key=at) or None
                except (KeyError, TypeError):  # one of them is no code
                    pass
            return read(raw)

        return listed

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """By code, label or other spelling; a label that holds a separator is tried whole first."""
        spellings = known_spellings(self.choices(field, scope))
        read = self._reader(field, scope, spellings, by_spelling=True)

        def cell(raw: object) -> Value:
            if isinstance(raw, str) and spelling(raw) in spellings:
                return [spellings[spelling(raw)]]
            return read(raw if isinstance(raw, str | list) or raw is None else str(raw))

        return cell

    def check_parent(self, value: Value, parent: Value, field: Field, scope: FieldScope) -> None:
        """Wrong unless every option may stand under the parent's value."""
        single = Choice()
        for code in value or ():
            single.check_parent(code, parent, field, scope)

    def offered(self, field: Field, scope: FieldScope, parent: Value = None, locale: str = "zh") -> list[tuple[str, str, str]]:
        """As ``Choice.offered``."""
        return Choice().offered(field, scope, parent, locale)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """The labels."""
        choices = self.choices(field, scope)
        return ("、" if locale.startswith("zh") else ", ").join(option_label(choices, code, locale) for code in value or ())

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Labels with 、 between them."""
        return "、".join(_cell_text(self.choices(field, scope), code) for code in value) if value else None

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A list of codes."""
        codes = list(self.choices(field, scope).options)
        most = {"maxItems": field.options["maxItems"]} if field.options.get("maxItems") else {}
        return {"type": "array", "items": {"type": "string", "enum": codes}, **most}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """One to three live options."""
        codes = [code for code, item in self.choices(field, scope).options.items() if not item.retired]
        most = min(len(codes), int(field.options.get("maxItems") or 3))
        return random.sample(codes, random.randint(1, most)) if codes else []
