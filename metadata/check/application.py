"""The application as a whole: preset.json, settings.json and option sets."""

from collections.abc import Mapping
from typing import Any

from metadata.bundle import ROLE_CHOICES
from metadata.check.entities import module
from metadata.check.fields import references, type_and_options
from metadata.check.findings import Findings, Spot, own_documents
from metadata.schemas import schema_document
from metadata.shape import numbered, option_problems
from metadata.words import CODE, closest, key_problem, name_problem

_SETTING_WORDS = frozenset(schema_document("settings")["additionalProperties"]["properties"])
_SETTING_TYPES = ("map", "calendar", "table")
_OPENS = {"list": "list", "entity": "entity", "dashboard": "dashboard", "report": "report"}
#: The key of the value that holds for all others, in maps by a choice and by a role.
ELSE = "else"


def preset(findings: Findings) -> None:
    """Menus, home pages, modules, plugins."""
    for _, document in own_documents(findings, "preset"):
        spot = findings.spot("preset", "preset")
        if code := key_problem(document["name"]):
            (spot / "name").report(code, key=document["name"])
        if document.get("extends") == document["name"]:
            (spot / "extends").report("extends_itself", name=document["name"])
        for key in document.get("modules", {}):
            if code := key_problem(key):
                (spot / "modules" / key).report(code, key=key[:80])
        _plugins(spot / "requires", document)
        menus = _menus(spot / "menus", document)
        for role, menu in document.get("home", {}).items():
            if role != ELSE:
                findings.refer(spot / "home" / role, "role", role)
            findings.among(spot / "home" / role, "menu", menu, menus)
        _start(spot / "start", document)


def _start(spot: Spot, document: Mapping[str, Any]) -> None:
    """Records to begin with: of entities and fields that exist, each with what is required; values are checked by the fields when they are made."""
    findings = spot.findings
    for entity, records in document.get("start", {}).items():
        owner = findings.bundle.entities.get(entity)
        if not findings.refer(spot / entity, "entity", entity) or owner is None:
            continue
        for key, values in records.items():
            for name in values:
                lines = findings.bundle.entities.get(name)
                if lines is None or lines.lines_of != entity:
                    findings.own_field(spot / entity / key / name, entity, name)
            for field in owner.fields.values():
                if field.required is True and field.default is None and field.key not in values and not field.retired:
                    (spot / entity / key).report("start_misses_required", name=field.key, entity=entity)


def _plugins(spot: Spot, document: Mapping[str, Any]) -> None:
    """Plugins the definitions need and this installation has, in a version that fits."""
    for name, wanted in document.get("requires", {}).items():
        have = spot.findings.vocabulary.plugins.get(name)
        if have is None:
            (spot / name).report("plugin_missing", name=name[:80], wanted=wanted)
        elif not fits(have, wanted):
            (spot / name).report("plugin_version", name=name, wanted=wanted, have=have)


def fits(version: str, wanted: str) -> bool:
    """Whether a version in three parts meets a requirement such as '>=1.2, <2'. '1.2' alone means at least that, and the same first number."""
    have = _parts(version)
    for clause in wanted.split(","):
        text = clause.strip()
        if text in ("", "*"):
            continue
        number = text.lstrip("<>=~")
        sign, want = text[: len(text) - len(number)], _parts(number)
        good = {
            ">=": have >= want,
            "<=": have <= want,
            ">": have > want,
            "<": have < want,
            "==": have == want,
            "~=": have >= want and have[:1] == want[:1],
            "": have >= want and have[:1] == want[:1],
        }
        if not good.get(sign, False):
            return False
    return True


def _parts(version: str) -> tuple[int, ...]:
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in version.strip().split(".")[:3]]
    return (*numbers, *([0] * (3 - len(numbers))))


def _menus(spot: Spot, document: Mapping[str, Any]) -> set[str]:
    """Keys of the menus, after checking what they open."""
    findings, seen = spot.findings, set[str]()
    for number, menu in numbered(document.get("menus", ())):
        at = spot / number
        if code := key_problem(menu["key"]):
            (at / "key").report(code, key=menu["key"])
        elif menu["key"] in seen:
            (at / "key").report("key_twice", key=menu["key"])
        seen.add(menu["key"])
        opens = [word for word in _OPENS if word in menu]
        if len(opens) != 1:
            at.report("menu_opens_one", given=", ".join(opens))
        for word in opens:
            findings.refer(at / word, _OPENS[word], menu[word])
        findings.roles(at / "for", numbered(menu.get("for", ())))
        if "module" in menu:
            module(at / "module", menu["module"])
    return seen


def settings(findings: Findings) -> set[str]:
    """Types, options and defaults of all parameters; those that cannot be relied on."""
    bad = set()
    for _, document in own_documents(findings, "settings"):
        for key, setting in document.items():
            if key != "$schema" and not _setting(findings.spot("settings", "settings") / key, key, setting):
                bad.add(key)
    return bad


def _setting(spot: Spot, key: str, setting: Mapping[str, Any]) -> bool:
    findings, kind = spot.findings, setting["type"]
    before = len(findings.problems)
    if code := name_problem(key):
        spot.report(code, key=key[:80], proposal=f"{key}_" if code in ("key_python", "key_name_space") else "")
    if kind == "map":
        _map(spot, setting)
    elif kind == "table":
        for name, column in setting.get("columns", {}).items():
            type_and_options(spot / "columns" / name, column)
        if "columns" not in setting:
            spot.report("option_missing", word="columns", type=kind)
    elif kind == "calendar":
        _calendar(spot / "default", setting.get("default"))
    elif kind not in findings.vocabulary.field_types:
        findings.among(spot / "type", "field_type", kind, {*findings.vocabulary.field_types, *_SETTING_TYPES})
    elif type_and_options(spot, setting, _SETTING_WORDS):
        references(spot, setting)
        value(spot / "default", kind, setting, setting.get("default"))
    for word in ("by", "of", "columns"):
        if word in setting and word not in {"map": ("by", "of"), "table": ("columns",)}.get(kind, ()) and kind in _SETTING_TYPES:
            (spot / word).report("unknown_option", word=word, type=kind, meant="")
    return len(findings.problems) == before


def _map(spot: Spot, setting: Mapping[str, Any]) -> None:
    """A value for each option of a set, ``else`` for the rest, null = off."""
    findings = spot.findings
    for word in ("by", "of"):
        if word not in setting:
            spot.report("option_missing", word=word, type="map")
    codes = None
    if "by" in setting and findings.refer(spot / "by", "choices", setting["by"]):
        codes = findings.codes(setting["by"])
    good = "of" in setting and findings.among(spot / "of", "field_type", setting["of"], findings.vocabulary.field_types)
    if good:
        good = type_and_options(spot, {**setting, "type": setting["of"]}, _SETTING_WORDS)
    values = setting.get("default")
    if values is None:
        return
    if not isinstance(values, Mapping):
        (spot / "default").report("setting_default", type="map")
        return
    for code, item in values.items():
        if code != ELSE and codes is not None and code not in codes:
            (spot / "default" / code).report("unknown_option_code", name=code[:80], choices=setting["by"], meant=closest(code, [*sorted(codes), ELSE]))
        if good:
            value(spot / "default" / code, setting["of"], setting, item)


_VALUES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "money": (int,),
    "percent": (int,),
    "decimal": (int, float),
    "boolean": (bool,),
    "text": (str,),
    "long_text": (str,),
    "choice": (str,),
    "date": (str,),
    "instant": (str,),
    "duration": (str,),
    "choices": (list,),
    "tags": (list,),
}


def value(spot: Spot, kind: str, options: Mapping[str, Any], given: object) -> None:
    """A plain value of a setting has the JSON type of its type and keeps the bounds."""
    if given is None or kind not in _VALUES:
        return
    if not isinstance(given, _VALUES[kind]) or (isinstance(given, bool) and kind != "boolean"):
        spot.report("setting_default", type=kind)
        return
    bounds = {name: options[name] for name in ("minimum", "maximum", "minLength", "maxLength") if name in options}
    for problem in option_problems({"value": bounds}, {"value": given}):
        spot.relay(problem)
    codes = spot.findings.codes(str(options.get("choices"))) if kind == "choice" else None
    if codes is not None and given not in codes:
        spot.report("unknown_option_code", name=str(given)[:80], choices=str(options.get("choices")), meant=closest(given, sorted(codes)))


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _calendar(spot: Spot, given: object) -> None:
    """Open hours by day or span of days: {"mon-fri": ["08:30-20:30"], "holidays": "cn"}."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        spot.report("setting_default", type="calendar")
        return
    for days, hours in given.items():
        if days == "holidays":
            continue
        if not all(day in _DAYS for day in str(days).split("-")) or str(days).count("-") > 1:
            (spot / days).report("calendar_days", name=str(days)[:40])
        elif not isinstance(hours, list) or not all(_span(item) for item in hours):
            (spot / days).report("calendar_hours", name=str(days))


def _span(given: object) -> bool:
    parts = given.split("-") if isinstance(given, str) else []
    return len(parts) == 2 and all(_clock(part) for part in parts) and parts[0] < parts[1]


def _clock(text: str) -> bool:
    hour, colon, minute = text.partition(":")
    digits = all(len(part) == 2 and part.isascii() and part.isdigit() for part in (hour, minute))
    return digits and bool(colon) and ((int(hour) < 24 and int(minute) < 60) or text == "24:00")


def choices(findings: Findings) -> None:
    """Codes and parents of all option sets."""
    for key, document in own_documents(findings, "choices"):
        spot = findings.spot("choices", key)
        if key == ROLE_CHOICES:
            spot.report("key_role_choices", key=key)
        known = None
        if "of" in document:
            if findings.refer(spot / "of", "choices", document["of"]):
                known = findings.codes(document["of"])
            if document["of"] == key:
                (spot / "of").report("choices_of_itself", name=key)
        for code, option in document["options"].items():
            at = spot / "options" / code
            if not CODE.fullmatch(code) or code == ELSE:
                at.report("code_pattern", key=code[:80])
            parents = option.get("parent", ())
            for parent in [parents] if isinstance(parents, str) else parents:
                if known is not None and parent not in known:
                    (at / "parent").report("unknown_option_code", name=parent, choices=document["of"], meant=closest(parent, sorted(known)))
        if document["options"] and all(option.get("retired") is True for option in document["options"].values()):
            (spot / "options").report("choices_all_retired", severity="warning")
        _spellings(spot / "options", document["options"])


def _spellings(spot: Spot, options: Mapping[str, Mapping[str, Any]]) -> None:
    """One other spelling must not mean two options."""
    owner: dict[str, str] = {}
    for code, option in options.items():
        for number, text in numbered(option.get("also", ())):
            first = owner.setdefault(text, code)
            if first != code:
                (spot / code / "also" / number).report("spelling_twice", value=text, first=first)
