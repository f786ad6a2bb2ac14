"""One field ready for a template: what every macro in ``templates/fields`` is given. Holds texts and addresses; decides no permission."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.fields import regions
from engine.fields.choice import Choice, option_label
from engine.fields.values import FileValue, Link, Masked, link_id
from metadata.text import label_text
from renderer import formats

if TYPE_CHECKING:
    from engine.fields.scope import FieldScope
    from engine.workspace import CompiledField

FEW_OPTIONS = 5
FEW_CHARACTERS = 24
#: Widgets whose fields hold any number of values.
MANY = ("files", "links", "people", "choices", "tags")


@dataclass(frozen=True, slots=True)
class OptionView:
    """One option as it is offered or picked. ``note``: a word beside it (a size, a count)."""

    value: str
    label: str
    colour: str = ""
    picked: bool = False
    href: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class LevelView:
    """One of the lists of a stepwise choice; choosing its empty line means ``above``."""

    label: str
    above: str
    options: tuple[OptionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundField:
    """What a field macro shows.

    ``value`` fills the control (text, or a list of texts), ``text`` is for reading. ``id`` is stable: morphing keeps focus by it.
    ``source`` answers a picker's options, ``upload`` takes files, ``href`` is where a shown link leads.
    """

    key: str
    id: str
    name: str
    label: str
    type: str = "text"
    widget: str = "text"
    value: Any = ""
    text: str = ""
    help: str = ""
    errors: tuple[str, ...] = ()
    required: bool = False
    read_only: bool = False
    masked: bool = False
    refresh: bool = False
    span: int = 1
    align: str = "start"
    options: tuple[OptionView, ...] = ()
    picked: tuple[OptionView, ...] = ()
    levels: tuple[LevelView, ...] = ()
    few: bool = False
    multiple: bool = False
    unit: str = ""
    placeholder: str = ""
    rows: int = 0
    colour: str = ""
    href: str = ""
    source: str = ""
    upload: str = ""
    accept: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def described(self) -> str:
        """Ids of the hint and the errors, for ``aria-describedby``."""
        return " ".join(filter(None, (f"{self.id}-hint" if self.help else "", f"{self.id}-error" if self.errors else "")))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What binding needs to know of the page: the fields' scope, the reader's language, the workspace's address, a prefix for ids."""

    scope: FieldScope
    locale: str
    base: str
    prefix: str = "f"


def bound_field(
    item: CompiledField,
    value: Any,
    around: Surroundings,
    *,
    raw: Any = None,
    parent: Any = None,
    offered: Container[str] | None = None,
    name: str = "",
    **more: Any,
) -> BoundField:
    """A field with its typed ``value``; ``raw`` is what the person typed when that must be shown again; ``offered``: the options there are besides the
    chosen, None = all. ``more`` overrides anything."""
    given = _given(item, value, raw, around)
    key = name or item.key
    identity = f"{around.prefix}-{key}".replace(".", "-").replace("[", "-").replace("]", "")
    options = _options(item, given, around, parent, offered)
    text = shown_text(item, value, around)
    base: dict[str, Any] = {
        "key": item.key,
        "id": identity,
        "name": key,
        "label": label_text(item.definition.title, around.locale, item.key),
        "type": item.definition.type,
        "widget": widget_of(item, given),
        "value": given,
        "text": text,
        "help": label_text(item.definition.help, around.locale),
        "required": item.required is True,
        "masked": isinstance(value, Masked),
        "read_only": item.derived or item.read_only is True,
        "align": item.type.align,
        "options": options,
        "picked": picked(item, value, around) or _sought(item, given),
        "few": 0 < len(options) <= FEW_OPTIONS and sum(len(option.label) for option in options) <= FEW_CHARACTERS,
        "levels": _levels(item, given, around),
        "multiple": item.type.widget in MANY,
        "colour": colour_of(item, value, around),
        "href": _href(item, value, around),
        "source": _source(item, around),
        "upload": f"{around.base}/files",
        "accept": "image/*" if item.type.widget == "image" else "",
        "rows": int(item.definition.options.get("rows") or 0),
        "unit": _unit(item, around),
        "attributes": tuple(_attributes(item).items()),
    }
    return BoundField(**{**base, **more})


def proposed(value: Any) -> Any:
    """A value nobody gave as a control proposes it: of a moment to the minute, since nobody wants to read or type seconds."""
    return value.replace(second=0, microsecond=0) if isinstance(value, datetime) else value


def shown_text(item: CompiledField, value: Any, around: Surroundings) -> str:
    """Plain text of a value for reading, masks included."""
    if isinstance(value, Masked):
        return value.text
    if isinstance(value, Link) and not value.label:
        return formats.UNSEEN
    return item.type.show(value, item.value, around.scope, around.locale)


def _given(item: CompiledField, value: Any, raw: Any, around: Surroundings) -> Any:
    if raw is not None:
        return raw
    if isinstance(value, Masked):
        return value.text
    return form_text(item, value, around.scope)


def form_text(item: CompiledField, value: Any, scope: FieldScope) -> Any:
    """What the control of a field is filled with. Browsers take instants to the millisecond only; a finer one would leave the control empty."""
    given = item.type.to_form(value, item.value, scope)
    return given[:23] if item.type.widget == "instant" and isinstance(given, str) else given


def widget_of(item: CompiledField, given: Any = None) -> str:
    """The macro file of a field; an instant that stands for the end of a day is chosen as a day, unless it stands at another time, which a control of days would lose."""
    if item.derived:
        return "computed"
    day = item.type.widget == "instant" and item.value.options.get("ends") == "day" and "T" not in str(given or "")
    return "date" if day else item.type.widget


def _options(item: CompiledField, given: Any, around: Surroundings, parent: Any, offered: Container[str] | None) -> tuple[OptionView, ...]:
    kind = item.type
    if not isinstance(kind, Choice) and "choices" not in item.value.options:
        return ()
    chosen = set(given) if isinstance(given, list | tuple) else {given}
    choices = around.scope.choices(str(item.value.options["choices"]))
    return tuple(
        OptionView(code, label_text(option.title, around.locale, code), option.colour, code in chosen)
        for code, option in choices.options.items()
        if code in chosen
        or (not option.retired and (parent is None or not option.parents or parent in option.parents) and (offered is None or code in offered))
    )


def _sought(item: CompiledField, given: Any) -> tuple[OptionView, ...]:
    """The words somebody typed into a picker without choosing, as the page marks them."""
    if item.type.widget in ("link", "person") and isinstance(given, str) and given.startswith("?"):
        return (OptionView(given, given[1:]),)
    return ()


def picked(item: CompiledField, value: Any, around: Surroundings) -> tuple[OptionView, ...]:
    """The parts of a value that can be shown one by one: links, options, files."""
    if value is None or isinstance(value, Masked):
        return ()
    parts = value if isinstance(value, list | tuple) and not isinstance(value, Link | FileValue) else (value,)
    found = []
    for part in parts:
        if isinstance(part, FileValue):
            found.append(OptionView(str(part.id), part.name, href=part.url, note=formats.size(part.size)))
        elif item.target:
            number, label = link_id(part), part.label if isinstance(part, Link) else ""
            found.append(OptionView(str(number), label or formats.UNSEEN, href=f"{around.base}/r/{item.target}/{number}" if label else ""))
        elif "choices" in item.value.options:
            choices = around.scope.choices(str(item.value.options["choices"]))
            option = choices.options.get(part)
            found.append(OptionView(str(part), option_label(choices, part, around.locale), option.colour if option else ""))
        elif item.type.widget == "tags":
            found.append(OptionView(str(part), str(part)))
    return tuple(found)


def _levels(item: CompiledField, given: Any, around: Surroundings) -> tuple[LevelView, ...]:
    if item.type.widget != "region":
        return ()
    return region_levels(str(given or ""), str(item.value.options.get("level") or "county"), around.locale)


def region_levels(code: str, deepest: str, locale: str) -> tuple[LevelView, ...]:
    """The lists of provinces, cities and counties on the way to a code."""
    labels = {"province": {"zh": "省", "en": "Province"}, "city": {"zh": "市", "en": "City"}, "county": {"zh": "区县", "en": "County"}}
    path, names = (regions.path(code) if code else []), regions.names()
    found, above = [], ""
    for index, level in enumerate(regions.LEVELS[: regions.LEVELS.index(deepest) + 1]):
        chosen = path[index] if index < len(path) else ""
        children = regions.children(above)
        if not children:
            break
        found.append(
            LevelView(label_text(labels.get(level, level), locale), above, tuple(OptionView(place, names[place], picked=place == chosen) for place in children))
        )
        if not chosen:
            break
        above = chosen
    return tuple(found)


def colour_of(item: CompiledField, value: Any, around: Surroundings) -> str:
    """The colour of a choice; '' for whatever has none."""
    return item.type.colour(value, item.value, around.scope) if isinstance(item.type, Choice) and isinstance(value, str) else ""


def _href(item: CompiledField, value: Any, around: Surroundings) -> str:
    return f"{around.base}/r/{item.target}/{link_id(value)}" if isinstance(value, Link) and value.label and item.target else ""


def _unit(item: CompiledField, around: Surroundings) -> str:
    given = label_text(item.value.options.get("unit"), around.locale)
    if item.type.widget == "percent":
        return "%"
    if item.type.widget == "money" and not given:
        return {"zh": "元", "en": ""}.get(around.locale, "") if item.value.options.get("currency", "CNY") == "CNY" else str(item.value.options["currency"])
    return given


def _source(item: CompiledField, around: Surroundings) -> str:
    if item.type.widget == "region":
        return f"{around.base}/regions?field={around.scope.entity}.{item.key}&id={around.prefix}"
    return f"{around.base}/pick/{around.scope.entity}/{item.key}" if item.target else ""


def _attributes(item: CompiledField) -> dict[str, str]:
    """HTML's own limits, which help while typing; the server decides."""
    options, found = item.definition.options, {}
    if "maxLength" in options:
        found["maxlength"] = str(options["maxLength"])
    if item.type.widget == "date":
        found |= {name: str(options[word]) for name, word in (("min", "minimum"), ("max", "maximum")) if options.get(word)}
    modes = {"number": "decimal", "money": "text", "percent": "decimal", "phone": "tel", "email": "email", "url": "url"}
    if item.type.widget in modes:
        found["inputmode"] = modes[item.type.widget]
    if item.type.widget in ("phone", "email", "text"):
        found["autocomplete"] = "off"
    return found


def group_errors(faults: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Sentences by JSON pointer."""
    found: dict[str, tuple[str, ...]] = {}
    for pointer, sentence in faults:
        found[pointer] = (*found.get(pointer, ()), sentence)
    return found
