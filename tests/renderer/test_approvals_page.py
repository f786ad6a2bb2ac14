"""Pages of approvals without a browser: whose they are, decided with opinion and values, one or many, returned, handed on, taken back; the number in the menu."""

from __future__ import annotations

import re

from engine.records import service
from engine.records.asks import asked
from tests.renderer.counter import DOCUMENTS, NAME, post
from tests.renderer.station import as_person
from tests.renderer.test_actions_page import guest


def state(counter, number: int) -> str:
    with as_person(counter, NAME, "dana").snapshot() as ctx:
        return asked(ctx, number).state


def waiting(page: str) -> str:
    found = re.search(r"待我审批：\s*</span>(\d+)", page)
    return found[1] if found else ""


def test_the_menu_tells_how_many_wait_and_the_page_shows_what_is_needed_to_decide(counter_client):
    client = counter_client("dana")
    assert waiting(client.get(f"/w/{NAME}/").text) == "3" and waiting(counter_client("rosa").get(f"/w/{NAME}/").text) == ""
    page = client.get(f"/w/{NAME}/approvals").text
    assert page.count('class="card approval"') == 3 and "减免 孙二 的欠费：家庭困难" in page and "罗莎 发起" in page
    assert f'href="/w/{NAME}/r/guest/2">孙二</a>' in page and "减免后欠费" in page and ("剩 47 小时" in page or "剩 1 天" in page or "剩 2 天" in page)
    assert page.count('name="ids"') == 2  # those that need neither a value nor an opinion
    own = counter_client("rosa").get(f"/w/{NAME}/approvals?state=asked").text
    assert own.count('class="card approval"') == 3 and own.count("/withdraw") == 3 and 'name="approve"' not in own
    assert 'class="card approval"' not in counter_client("rita").get(f"/w/{NAME}/approvals").text


def test_people_whom_approvals_never_concern_have_no_menu_of_them(counter_client, client_of):
    assert all('id="asks-link"' in counter_client(login).get(f"/w/{NAME}/").text for login in ("rosa", "dana"))  # who asks, and whom rules name
    assert 'id="asks-link"' not in client_of("dora").get("/w/clinic/").text


def test_a_card_tells_what_people_filled_in_of_the_record_besides_what_its_list_shows(counter_client):
    assert "phone" not in DOCUMENTS["list", "guests"]["columns"]
    assert "13900000001" in counter_client("dana").get(f"/w/{NAME}/approvals/2").text


def test_an_opinion_and_values_are_asked_for_with_nothing_lost(counter_client, counter):
    client = counter_client("dana")
    wrong = post(client, "/approvals/1/decide", part="ask-1", approve="true", left="-5", opinion__="同意减免")
    assert wrong.status_code == 422 and 'id="a1-left-error"' in wrong.text and "同意减免</textarea>" in wrong.text
    mute = post(client, "/approvals/1/decide", part="ask-1", approve="true", left="100", opinion__=" ")
    assert mute.status_code == 422 and '<p class="error" id="opinion-1-error" role="alert">此项必填</p>' in mute.text and 'value="100' in mute.text
    assert 'class="notice red"' not in mute.text
    done = post(client, "/approvals/1/decide", part="ask-1", approve="true", left="1,000", opinion__="同意减免")
    assert done.status_code == 200 and "已批准" in done.text and 'hx-swap-oob="true"' in done.text and waiting(done.text) == "2"
    assert guest(counter, 2)["debt"] == 100000 and "同意减免" in counter_client("rosa").get(f"/w/{NAME}/r/guest/2").text


def test_the_tab_above_the_cards_counts_down_with_each_decision_and_a_card_by_itself_stays_so(counter_client):
    client = counter_client("dana")
    assert '<span class="count" id="asks-waiting">3</span>' in client.get(f"/w/{NAME}/approvals").text
    client.headers["HX-Current-URL"] = f"http://127.0.0.1/w/{NAME}/approvals?state=open"
    assert '<span class="count" id="asks-waiting" hx-swap-oob="true">2</span>' in post(client, "/approvals/2/decide", part="ask-2", approve="true").text
    client.headers["HX-Current-URL"] = f"http://127.0.0.1/w/{NAME}/approvals/3"
    alone = post(client, "/approvals/3/decide", part="ask-3", approve="true").text
    assert "asks-waiting" not in alone and waiting(alone) == "1"


def test_it_works_without_scripts(counter_client, counter):
    client = counter_client("dana")
    assert post(client, "/approvals/2/decide", approve="true").headers["Location"] == f"/w/{NAME}/approvals/2"
    assert state(counter, 2) == "approved" and guest(counter, 1)["hold"] is True
    again = post(client, "/approvals/2/decide", approve="false")
    assert again.status_code == 422 and "这个审批已经结束" in client.get(f"/w/{NAME}/approvals/2").text + again.text
    assert post(counter_client("rita"), "/approvals/3/decide", approve="true").status_code == 404


def test_many_are_decided_together_and_those_left_are_told(counter_client, counter):
    client = counter_client("dana")
    counter_client("rosa")
    service.update(as_person(counter, NAME, "dana"), "guest", 4, {"state": "out"}, guest(counter, 4).version)
    done = post(client, "/approvals/decide", ids=["1", "2", "3"], approve="true", opinion__="")
    assert done.status_code == 303
    assert (state(counter, 1), state(counter, 2), state(counter, 3)) == ("open", "approved", "approved")
    told = client.get(f"/w/{NAME}/approvals").text
    assert "已审批 2 条" in told and "1 条未成" in told
    assert post(client, "/approvals/decide", approve="true").status_code == 422


def test_returned_sent_again_handed_on_and_withdrawn(counter_client, counter):
    dana, rosa, rita = counter_client("dana"), counter_client("rosa"), counter_client("rita")
    assert 'id="opinion-2-error" role="alert">此项必填' in post(dana, "/approvals/2/return", part="ask-2", opinion__="").text
    assert post(dana, "/approvals/2/return", opinion__="写清用途").status_code == 303 and state(counter, 2) == "returned"
    assert "重新提交" in rosa.get(f"/w/{NAME}/approvals/2").text and "写清用途" in rosa.get(f"/w/{NAME}/approvals/2").text
    assert post(rosa, "/approvals/2/again").status_code == 303 and state(counter, 2) == "open"
    assert 'name="person:"' in dana.get(f"/w/{NAME}/approvals/2/hand").text
    assert "丽塔" in dana.get(f"/w/{NAME}/pick/ask.person/person?q=").text
    asker = post(dana, "/approvals/2/delegate", person__="1")
    assert asker.status_code == 422 and "申请人不能审批自己的申请" in asker.text.split('id="h-person-error"')[1] and "罗莎" in asker.text
    nobody = post(dana, "/approvals/2/signer", part="hand-form", person__="")
    assert nobody.status_code == 422 and nobody.text.lstrip().startswith("<form") and "此项必填" in nobody.text.split('id="h-person-error"')[1]
    assert post(dana, "/approvals/2/delegate", person__="2").status_code == 303
    assert waiting(rita.get(f"/w/{NAME}/").text) == "1"
    assert post(rosa, "/approvals/2/withdraw").status_code == 303 and state(counter, 2) == "withdrawn" and guest(counter, 1)["hold"] is False
    assert post(dana, "/approvals/3/signer", person__="2").status_code == 303 and state(counter, 3) == "open"


def test_a_record_shows_its_approvals_to_those_they_concern(counter_client):
    page = counter_client("rosa").get(f"/w/{NAME}/r/guest/2").text
    assert 'id="asks"' in page and "减免 孙二 的欠费" in page and "/approvals/1/withdraw" in page
    assert 'id="asks"' not in counter_client("rita").get(f"/w/{NAME}/r/guest/2").text


def test_odd_addresses_are_no_failures(counter_client):
    client = counter_client("dana")
    for path in (
        "/approvals?state=x",
        "/approvals?before=x",
        "/approvals?before=" + "9" * 30,
        "/approvals/999",
        "/approvals/999/hand",
        "/pick/ask.999/x",
        "/pick/ask.1/left",
        "/pick/ask.x/y",
    ):
        assert client.get(f"/w/{NAME}{path}").status_code in (200, 404), path
    assert (
        post(client, "/approvals/1/delegate", person__="x").status_code == 422 and post(client, "/approvals/1/delegate", person__="9" * 17).status_code == 422
    )
