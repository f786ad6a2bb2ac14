"""Parts of the preset that a site does without: to people nothing of them is there, their rules sleep, the rest goes on, and their data come back."""

import pytest

from engine.access import grant_of
from engine.background import advance
from engine.errors import NotFound
from engine.modules import switch_module
from engine.records import service
from engine.records.query import Query, count, get, page
from engine.rules.compile import rule_book
from renderer.bound_setting import decisions_reading
from renderer.shell import first_list, frame, open_lists
from renderer.words_search import condition, has_own_search

from .conftest import MORNING, Site

MODULES = ("calls", "channel", "commission", "messages", "units")


def addresses(site: Site, login: str) -> set[str]:
    """Lists in the menus of somebody."""
    return {item.href.removeprefix("/l/") for item in frame(site.ctx(login), "").menus}


def test_a_module_switched_off_shows_no_menu_no_field_and_no_job_and_comes_back_whole(fresh_site: Site) -> None:
    site = fresh_site
    project = site.create("", "project", code="YX", name="云溪府").id
    building = site.create("fei", "building", project=project, name="1").id
    unit = site.create("fei", "unit", building=building, full_no="1-101", floor=1, room="101", area_build=90, list_total=200_000_000, status="available").id
    customer = site.customer("jing", stage="first_visit").id
    assert {"units_board", "registrations", "calls", "my_income"} <= addresses(site, "jing") and "campaigns" in addresses(site, "yue")
    assert {"orders", "channel_partner"} <= get(site.ctx("jing"), "customer", customer).keys()
    for module in MODULES:
        switch_module(site.ctx("root"), module, on=False)
    for login in ("jing", "xiao", "yue", "chao", "root"):
        seen = addresses(site, login)
        assert not seen & {"units_board", "subscriptions", "registrations", "partners", "calls", "my_income", "statements", "campaigns", "messages"}, login
    assert not {"orders", "active_contracts", "channel_partner", "registration", "last_call_at"} & get(site.ctx("jing"), "customer", customer).keys()
    for entity in ("unit", "subscription", "channel_registration", "call", "commission_deal", "message"):
        with pytest.raises(NotFound):
            page(site.ctx("jing"), Query(entity))
    with pytest.raises(NotFound):
        service.act(site.ctx("jing"), "unit", unit, "lock", {})
    book = rule_book(site.ctx().workspace)
    woken = [*book.due, *book.cron, *(rule for by in (book.before, book.after, book.later, book.intake) for rules in by.values() for rule in rules)]
    assert not [rule.key for rule in woken if rule.body.get("module") in MODULES]

    made = site.create("ning", "touch", kind="visit", name="新来", phone=site.phone(), named=site.person("qiang"))
    advance(site.home, site.name, MORNING)
    came = get(site.ctx("qiang"), "customer", get(site.ctx(), "touch", made.id)["customer"].id)
    assert came["owner"].id == site.person("qiang") and count(site.ctx("qiang"), "task", f"customer == {came.id}") > 0
    site.create("qiang", "follow_up", customer=came.id, method="visit", content="看了样板间，重点问了学区", next_contact_at="2026-03-20T10:00:00+08:00")
    assert count(site.ctx(), "message", f"customer == {came.id}") == 0, "no welcome message"

    for module in MODULES:
        switch_module(site.ctx("root"), module, on=True)
    assert "units_board" in addresses(site, "jing") and site.ids("jing", "unit") == {unit}
    service.act(site.ctx("jing"), "unit", unit, "lock", {})
    with pytest.raises(NotFound):
        switch_module(site.ctx("root"), "nothing", on=False)


def test_the_list_that_stands_for_orders_holds_all_of_them_and_menus_of_others_change_no_order(site: Site) -> None:
    first = {login: open_lists(site.ctx(login), "subscription")[0].key for login in ("zhe", "fei")}
    assert first == {"zhe": "subscriptions", "fei": "subscriptions_late"}
    standing = first_list(site.ctx("fei"), "subscription")
    assert standing is not None and standing.key == "subscriptions"


def test_commissions_are_found_by_whose_they_are_and_by_their_deal(site: Site) -> None:
    share = site.ctx().workspace.entities["commission_share"]
    assert not has_own_search(share, grant_of(site.ctx().workspace, site.ctx("yun").actor, share))
    asked = condition(site.ctx("yun"), share, ("payee", "subject"), "1-101")
    assert "contains(lower(subject), '1-101')" in asked


def test_a_parameter_that_only_a_decision_table_reads_is_not_called_unused(site: Site) -> None:
    assert decisions_reading(site.ctx("root").workspace, "reg_lead_minutes", "zh") == ["判客规则"]
    assert decisions_reading(site.ctx("root").workspace, "deposit_fen", "zh") == []
