"""The real-estate preset: its definitions check clean, every role has the lists and fields its day needs, and stays out of what is not its business."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.builtin import DOCUMENTS
from metadata.bundle import Bundle
from metadata.canonical import canonical
from metadata.check import check_folder
from metadata.definitions import COLOURS, KINDS, EntityGrant
from renderer.serving import all_words

FOLDER = Path(__file__).parents[2] / "presets" / "real_estate"
BUNDLE = Bundle.read_folder(FOLDER, DOCUMENTS)[0]
ROLES = (
    "consultant",
    "supervisor",
    "manager",
    "director",
    "receptionist",
    "sales_admin",
    "channel_manager",
    "channel_agent",
    "finance",
    "marketing",
    "auditor",
    "admin",
)
OWN_KEYS = ("/grants", "/fields", "/values")  # below these, people's own keys: an entity called message, a field called title
LABELS = {"title", "plural", "help", "message", "section", "group"}
NUMBERS = {"customer": ("phone", "id_no", "id_other", "wechat"), "customer_phone": ("phone",), "member": ("phone",)}


def grant(role: str, entity: str) -> EntityGrant:
    given = BUNDLE.roles[role].grants
    return given.get(entity) or given.get("*") or EntityGrant()


def readable(role: str, entity: str, field: str) -> bool:
    given = grant(role, entity).fields.get(field)
    return grant(role, entity).read is not False and (given is None or given.read)


def labels(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in LABELS and not path.endswith(OWN_KEYS) and not (isinstance(value, Mapping) and "type" in value):
                yield f"{path}/{key}", value
            elif key not in ("mobile", "default", "let", "set", "values", "start"):  # values of records are no labels
                yield from labels(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from labels(item, f"{path}/{number}")


def test_every_definition_checks_clean() -> None:
    problems = check_folder(FOLDER, all_words().vocabulary(), DOCUMENTS)
    assert [(item.file, item.pointer, item.code, dict(item.params)) for item in problems] == []


def test_every_file_stands_in_canonical_form() -> None:
    for (kind, key), document in BUNDLE.documents.items():
        file = FOLDER / KINDS[kind] if kind in ("preset", "settings") else FOLDER / KINDS[kind] / f"{key}.json"
        assert file.read_text(encoding="utf-8") == canonical(kind, document), file.name


def test_everything_people_see_is_named_in_chinese_and_english() -> None:
    missing = [
        f"{kind}/{key}{path}"
        for (kind, key), document in BUNDLE.documents.items()
        for path, label in labels(document)
        if not (isinstance(label, Mapping) and label.get("zh") and label.get("en"))
        if kind != "scenario" or path == "/title"  # below it stand values of records
    ]
    assert missing == []
    untitled = [f"{entity.key}.{field.key}" for entity in BUNDLE.entities.values() for field in entity.fields.values() if not field.title]
    assert untitled == []


def test_no_two_options_of_a_set_can_be_confused_on_import() -> None:
    for key, choices in BUNDLE.choices.items():
        spellings: dict[str, str] = {}
        for code, option in choices.options.items():
            titles = option.title.values() if isinstance(option.title, Mapping) else (option.title,)
            for spelling in {code, *titles, *option.also}:
                folded = "".join(spelling.split()).lower()
                assert spellings.setdefault(folded, code) == code, f"{key}: {spelling} means {spellings[folded]} and {code}"


def test_colours_are_the_six_names() -> None:
    assert {option.colour for choices in BUNDLE.choices.values() for option in choices.options.values()} <= {"", *COLOURS}


def test_no_import_header_leads_to_two_columns() -> None:
    seen: dict[str, str] = {}
    for key, column in BUNDLE.entities["customer"].imports["columns"].items():
        for header in column["headers"]:
            assert seen.setdefault(header, key) == key, header


def test_all_roles_of_the_contract_for_this_floor_are_there() -> None:
    assert set(BUNDLE.roles) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_home_and_menus_it_may_read(role: str) -> None:
    menus = {menu["key"]: menu for menu in BUNDLE.preset.menus if role in menu.get("for", (role,))}
    home = BUNDLE.preset.homes.get(role, BUNDLE.preset.homes["else"])
    assert home in menus, f"the home of {role} is not among its menus"
    for menu in menus.values():
        view = BUNDLE.lists[menu["list"]]
        assert not view.audience or role in view.audience, f"{role} has the menu {menu['key']} but not its list"
        assert grant(role, view.entity).read is not False, f"{role} has the menu {menu['key']} but reads no {view.entity}"


@pytest.mark.parametrize("role", ROLES)
def test_a_list_offers_its_readers_only_fields_they_have(role: str) -> None:
    for view in BUNDLE.lists.values():
        if (view.audience and role not in view.audience) or grant(role, view.entity).read is False:
            continue
        fields = [*view.columns, *view.quick, *view.mobile.values(), *(name.lstrip("-") for name in view.sort)]
        missing = [name for name in fields if name != "id" and not readable(role, view.entity, name.split(".")[0])]
        assert missing == [], f"{view.key} shows {role} {missing}"


@pytest.mark.parametrize("role", ROLES)
def test_whoever_may_create_has_a_form_with_every_required_field(role: str) -> None:
    for key, entity in BUNDLE.entities.items():
        if grant(role, key).create is False or entity.lines_of or key in ("person", "team"):
            continue
        needed = {field.key for field in entity.live_fields() if field.required is True and field.default is None}
        forms = [form for form in BUNDLE.forms.values() if form.entity == key and (not form.audience or role in form.audience)]
        assert forms, f"{role} may create {key} but has no form"
        for form in forms:
            shown = {item.field for section in form.layout for item in section.items}
            assert needed <= shown, f"{form.key} lacks {needed - shown}"


@pytest.mark.parametrize("role", ROLES)
def test_phones_and_id_numbers_are_in_clear_for_the_owner_only(role: str) -> None:
    for entity, fields in NUMBERS.items():
        given = grant(role, entity)
        if given.read is False:
            continue
        own_rows = given.read == "customer.owner == me"
        for field in fields:
            rule = given.fields.get(field)
            hidden = rule is not None and (not rule.read or rule.mask is True or rule.mask in ("owner != me", "customer.owner != me"))
            assert hidden or own_rows, f"{role} reads {entity}.{field} in clear"


@pytest.mark.parametrize(
    ("role", "entity"),
    [
        ("finance", "follow_up"),
        ("finance", "call"),
        ("finance", "visit"),
        ("receptionist", "follow_up"),
        ("receptionist", "task"),
        ("marketing", "follow_up"),
        ("marketing", "call"),
        ("channel_manager", "follow_up"),
        ("channel_manager", "unit"),
        ("consultant", "review"),
        ("receptionist", "unit"),
    ],
)
def test_what_is_not_a_roles_business_does_not_exist_for_it(role: str, entity: str) -> None:
    assert grant(role, entity).read is False and grant(role, entity).create is False


@pytest.mark.parametrize("role", ["consultant", "supervisor", "marketing"])
def test_the_floor_price_does_not_exist_for_those_who_sell(role: str) -> None:
    assert not readable(role, "unit", "floor_total") and readable(role, "unit", "list_total")


@pytest.mark.parametrize("role", ["consultant", "supervisor", "receptionist", "marketing"])
def test_a_customer_list_leaves_the_site_only_with_those_who_answer_for_it(role: str) -> None:
    assert all(given.export is False for given in BUNDLE.roles[role].grants.values()) and "export" not in BUNDLE.roles[role].can


def test_a_consultant_cannot_hand_customers_to_anybody_or_lengthen_protection() -> None:
    fields = grant("consultant", "customer").fields
    assert all(not fields[name].write for name in ("owner", "pool_state", "protect_until", "owned_since", "hold_kind", "merged_into"))


def test_those_who_only_look_write_nothing() -> None:
    for given in BUNDLE.roles["auditor"].grants.values():
        assert (given.create, given.update, given.delete, given.export) == (False, False, False, False)


def test_a_main_phone_is_unique_among_customers_that_are_not_merged() -> None:
    unique = BUNDLE.entities["customer"].unique["phone_active"]
    assert unique.fields == ("phone",) and unique.where == "empty(merged_into)"
    assert BUNDLE.entities["customer_phone"].unique["phone_active"].fields == ("phone",)


def test_sensitive_numbers_are_encrypted_everywhere() -> None:
    for entity in BUNDLE.entities.values():
        for field in entity.fields.values():
            if field.type in ("phone", "id_no"):
                assert field.encrypted and field.mask and field.personal == "sensitive", f"{entity.key}.{field.key}"


# --- what the coverage of the requirements names --------------------------------------------------------------------------------------------------


def test_from_any_record_of_the_chain_the_others_are_two_links_away_at_most() -> None:
    """Unit, customer, deal, money and service: a record page shows its links and what links to it, so each link is one click either way."""
    chain = {"unit", "customer", "reservation", "subscription", "contract", "receivable", "payment", "visit", "follow_up", "appointment", "task"}
    near: dict[str, set[str]] = {key: {key} for key in chain}
    for key in chain:
        for field in BUNDLE.entities[key].live_fields():
            if field.type in ("link", "links") and (target := str(field.options["to"])) in chain:
                near[key].add(target)
                near[target].add(key)
    far = {(one, other) for one in chain for other in chain if not any(other in near[middle] for middle in near[one])}
    assert not far


def test_the_customer_page_shows_family_motive_funds_focus_and_resistance() -> None:
    layout = BUNDLE.forms["customer_full"].layout
    shown = {item.field for section in layout for item in section.items}
    assert {"family", "decision_maker", "motive", "budget_min", "budget_max", "down_payment", "loan_ok", "focus_points", "resistance_points"} <= shown
    assert {"member", "customer_phone"} <= {section.lines for section in layout}


@pytest.mark.parametrize(("stage", "compulsory"), [("new", False), ("invited", False), ("first_visit", True), ("signed", True)])
def test_budget_and_layout_are_compulsory_on_the_form_from_the_first_visit_on(stage: str, compulsory: bool) -> None:
    items = {item.field: item for section in BUNDLE.forms["customer_full"].layout for item in section.items}
    names = {"stage": stage, "budget_min": None, "budget_max": None, "empty": lambda value: value is None}
    for field in ("layouts", "budget_min", "budget_max"):
        assert bool(eval(str(items[field].required), {"__builtins__": {}}, names)) is compulsory, field


def test_a_customer_needs_three_entries_and_a_follow_up_four() -> None:
    """Few, and fewer still: of these, source, stage, method, time and change of interest begin with a value."""
    needed = {key: {field.key for field in BUNDLE.entities[key].live_fields() if field.required is True} for key in ("customer", "follow_up")}
    assert needed["customer"] - {"stage"} == {"name", "phone", "source"}
    assert needed["follow_up"] - {"customer", "author"} == {"method", "at", "content", "intent_change"}


def test_every_button_says_what_it_is_for() -> None:
    granted = {f"{entity}.{name}" for role in BUNDLE.roles.values() for entity, given in role.grants.items() for name in given.actions}
    silent = [key for key, rule in BUNDLE.rules.items() if rule.body["on"].get("action") in granted and not rule.body.get("description")]
    assert not silent
