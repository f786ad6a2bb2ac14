"""A buyer's rights at a site: what belongs to one customer is emptied and nothing of another, deals stay, those without news for long are let go."""

from datetime import timedelta

import pytest

from engine import erasures
from engine.actors import enter_as
from engine.clock import move
from engine.errors import Denied
from engine.records import service
from engine.records.personal import ways_to
from engine.records.query import get
from engine.records.saving import Saving
from engine.records.work import Work
from engine.subject_file import subject_file

from .conftest import Site

#: Texts of records that lead to a customer and hold nothing of anybody: numbers, codes, keys, words of a template or of the site itself.
PLAIN = {
    "call.key",
    "chat_archive.key",
    "channel_registration.confirm_no",
    "commission_deal.bonus_note",
    "commission_deal.family",
    "commission_deal.period",
    "commission_deal.terms",
    "commission_deal.terms_hash",
    "contract.net_sign_no",
    "dispute.evidence_counts",
    "dispute.evidence_sha256",
    "duty_event.note",
    "message.dedupe_key",
    "morning_item.what",
    "payment.bank",
    "payment.voucher_no",
    "pool_claim.month",
    "project_referral.key",
    "project_referral.site",
    "reservation.receipt",
    "review.field",
    "review.source_file",
    "review.source_sheet",
    "suspect.code",
    "suspect.what",
    "task.cycle",
    "task.focus",
    "task.material",
    "task.sop_key",
    "task.title",
    "touch.campaign",
    "touch.key",
    "unit.full_no",
    "unit.note",
    "unit.permit_no",
    "unit.room",
    "unit.status_reason",
    "unit.unit_door",
}
_TEXTS = frozenset({"text", "long_text", "rich_text", "phone", "email", "url", "id_no", "address", "file", "files", "image", "json"})


def test_every_text_that_leads_to_a_customer_is_personal_or_known_to_be_plain(site: Site) -> None:
    workspace = site.ctx().workspace
    found = {
        f"{entity.key}.{name}"
        for entity, _link in ways_to(workspace, "customer")
        if entity.key != "customer"
        for name, item in entity.fields.items()
        if item.definition.type in _TEXTS and item.definition.personal == "none"
    }
    assert found == PLAIN


def brought(site: Site, friend: int, by: int) -> None:
    """Somebody was referred, as the judging of a touch notes it."""
    with enter_as(site.home, site.name, "operator").writing() as inner:
        saving = Saving(Work(inner))
        row = saving.work.fetch("customer", [friend])[friend]
        assert saving.work.update(saving.work.entity("customer"), row, {**row, "referrer": by}, ["referrer"], entered=True)
        saving.finish()


def test_one_customer_is_emptied_and_whoever_they_brought_is_not(site: Site) -> None:
    mine = site.customer("jing", name="周正", wechat="zhou_1970", remark="住城西").id
    friend = site.customer("jing", name="吴用").id
    brought(site, friend, mine)
    seen = site.create(
        "jing",
        "follow_up",
        customer=mine,
        method="wechat",
        intent_change="same",
        content="客户说周末带家人来看样板间",
        next_contact_at="2026-03-18T10:00:00+08:00",
    ).id
    manager, ctx = site.ctx("xiao"), enter_as(site.home, site.name, "operator")
    with pytest.raises(Denied):
        erasures.erase_now(site.ctx("jing"), "customer", mine, "想清掉")
    told = subject_file(manager, "customer", mine)
    assert told.label == "周正" and told.records["follow_up"][0]["content"].startswith("客户说周末") and "吴用" not in str(told.records)
    counts = erasures.erase_now(manager, "customer", mine, "本人要求删除")
    assert counts["customer"] == 1 and counts["follow_up"] == 1
    gone = get(ctx, "customer", mine)
    assert (gone["name"], gone["phone"], gone["wechat"], gone["remark"], gone["source"]) == ("***", None, None, None, "natural")
    assert get(ctx, "follow_up", seen)["content"] != "客户说周末带家人来看样板间" and get(ctx, "customer", friend)["name"] == "吴用"


def test_those_in_the_pool_without_news_for_two_years_are_let_go(fresh_site: Site) -> None:
    site = fresh_site
    ctx = enter_as(site.home, site.name, "operator")
    old = service.create(ctx, "customer", {"name": "旧客", "phone": site.phone(), "source": "natural", "pool_state": "pool"}).id
    kept = site.customer("jing", name="在管").id
    with ctx.writing() as inner:
        move(inner.open, ctx.now + timedelta(days=800))
    assert erasures.let_go(enter_as(site.home, site.name, "retention")) == 1
    assert get(ctx, "customer", old)["name"] == "***" and get(ctx, "customer", kept)["name"] == "在管"
