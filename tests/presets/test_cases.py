"""Pool, loss, dispute and hand-over beyond what scenarios can say: lists and what is done with many of their rows, a digest computed anew, a hand-over of many."""

import hashlib
import json
from datetime import timedelta

import pytest

from engine.background import advance
from engine.errors import NotFound
from engine.fields.values import Masked
from engine.frozen import frozen
from engine.notices import inbox
from engine.records import service
from engine.records.query import Query, get, page

from .conftest import MORNING, Site


def stale(site: Site, login: str) -> set[int]:
    """The customers of the list of stale data as somebody sees them."""
    where = site.home.workspace(site.name).bundle.lists["customers_stale"].where
    return site.ids(login, "customer", str(where))


def test_stale_data_are_listed_and_worked_off_in_bulk(fresh_site: Site) -> None:
    site = fresh_site
    full = {"layouts": ["three"], "purposes": ["first_home"], "budget_min": 200_000_000, "grade": "C"}
    gap, whole, pooled = site.customer("jing").id, site.customer("jing", **full).id, site.customer("jing", **full).id
    service.act(site.ctx("jing"), "customer", pooled, "release", {"note": "联系不上"})
    assert stale(site, "ting") == {gap}
    site.home.move_clock(site.name, MORNING + timedelta(days=31))
    assert stale(site, "ting") == {gap, whole, pooled} and stale(site, "feng") == {pooled}
    for one in (gap, whole):
        service.act(site.ctx("ting"), "customer", one, "transfer", {"to": site.person("qiang")})
    assert stale(site, "ting") == {gap, pooled}


def test_the_digest_of_frozen_evidence_is_that_of_its_text_and_everything_is_in_it(fresh_site: Site) -> None:
    """Two hundred long follow-ups: more than a field of JSON holds unless it says so."""
    site = fresh_site
    made = site.customer("jing").id
    for number in range(200):
        content = f"第 {number} 次：客户对学区和采光有疑问，约了周末带家人再来看一次" + "，详谈了付款方式" * 20
        site.create("jing", "follow_up", customer=made, method="visit", content=content, intent_change="same", next_contact_at="2026-03-20T10:00:00+08:00")
    found = service.act(site.ctx("ting"), "customer", made, "open_dispute", {"parties": [site.person("qiang")], "claim": "强说是他先接待的"}).result
    dispute = get(site.ctx("xiao"), "dispute", found.id)
    text = json.dumps(dispute["evidence_snapshot"], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == dispute["evidence_sha256"]
    assert len(dispute["evidence_snapshot"]["of"]["follow_ups"]) == 200 == dispute["evidence_counts"]["follow_ups"] and len(text) > 65_536
    assert "evidence_snapshot" not in get(site.ctx("jing"), "dispute", found.id)


def test_who_decides_reads_the_evidence_as_it_was_with_numbers_masked_and_no_party_does(fresh_site: Site) -> None:
    site = fresh_site
    made = site.customer("jing").id
    said = {"method": "visit", "intent_change": "same", "next_contact_at": "2026-03-20T10:00:00+08:00"}
    noted = site.create("jing", "follow_up", customer=made, content="客户周六带爱人来看四房，重点看采光", **said).id
    site.create("jing", "call", customer=made, direction="outbound", result="connected", phone=site.phone(), started_at=MORNING.isoformat())
    found = service.act(site.ctx("ting"), "customer", made, "open_dispute", {"parties": [site.person("qiang")], "claim": "强说是他先接待的"}).result
    service.update(site.ctx("jing"), "follow_up", noted, {"content": "后来改写的一段话，与当时说的不同"}, 1)
    kept = frozen(site.ctx("feng"), "dispute", found.id, "evidence_snapshot", limit=1)
    groups = {group.entity: group for group in kept.groups}
    assert kept.intact and kept.at == MORNING and groups["follow_up"].records[0]["content"].startswith("客户周六带爱人")
    assert isinstance(groups["call"].records[0]["phone"], Masked) and groups["ownership_spell"].records[0]["consultant"].label == "jing"
    for login in ("jing", "qiang"):
        with pytest.raises(NotFound):
            frozen(site.ctx(login), "dispute", found.id, "evidence_snapshot", limit=1)


def test_a_leaver_with_many_customers_is_handed_over_whole_and_nobody_is_flooded(fresh_site: Site) -> None:
    site = fresh_site
    for _ in range(40):
        site.customer("jing")
    site.home.move_clock(site.name, MORNING + timedelta(hours=1))
    paper = service.act(site.ctx("xiao"), "person", site.person("jing"), "resign", {"policy": "successor", "successor": site.person("di")}).result
    advance(site.home, site.name, MORNING + timedelta(hours=2))
    report = get(site.ctx("xiao"), "handover", paper.id)
    assert (report["customers_before"], report["handed"], report["customers_left"], report["balanced"]) == (40, 40, 0, True)
    assert len(site.ids("di", "customer", "owner == me")) == 40
    assert len(page(site.ctx("xiao"), Query("handover_item", where="", fields=(), limit=100)).items) == 40
    told = [item.text for item in inbox(site.ctx("di")).items]
    assert [text for text in told if "40 位客户已交出" in text] and not [text for text in told if "现由" in text]
