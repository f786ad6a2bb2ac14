"""The pages of a person's own rights: the file of all that is kept, and being made anonymous with the consequences told before."""

from __future__ import annotations

from engine.actors import enter_as
from engine.records.query import get
from tests.renderer.counter import NAME, post


def test_the_menu_offers_what_was_granted_on_that_very_person(counter_client):
    mine = counter_client("rosa").get(f"/w/{NAME}/r/guest/1").text
    assert "/r/guest/1/subject-file" in mine and "/r/guest/1/erase" in mine
    other = counter_client("rita").get(f"/w/{NAME}/r/guest/1").text
    assert "/r/guest/1/subject-file" in other and "/r/guest/1/erase" not in other
    assert "subject-file" not in counter_client("dana").get(f"/w/{NAME}/r/guest/1").text
    assert counter_client("dana").get(f"/w/{NAME}/r/guest/1/subject-file").status_code == 403


def test_the_file_can_be_read_and_taken_along(counter_client):
    client = counter_client("rosa")
    page = client.get(f"/w/{NAME}/r/guest/2/subject-file")
    assert page.status_code == 200 and "孙二" in page.text and "个人信息文件" in page.text and page.headers["Cache-Control"] == "no-store"
    taken = client.get(f"/w/{NAME}/r/guest/2/subject-file?form=json")
    found = taken.json()
    assert found["records"]["guest"][0]["name"] == "孙二" and [look["kind"] for look in found["looks"]] == ["subject_file"]
    assert 'filename="guest-2.json"' in taken.headers["Content-Disposition"]
    assert "取得个人信息文件" in client.get(f"/w/{NAME}/r/guest/2/subject-file").text


def test_being_made_anonymous_tells_its_consequences_and_wants_a_reason_and_a_yes(counter_client, counter):
    client, ctx = counter_client("rosa"), enter_as(counter, NAME, "operator")
    asked = client.get(f"/w/{NAME}/r/guest/3/erase").text
    assert "此操作不能撤销" in asked and "李三" in asked and "novalidate" in asked
    assert all(word in client.get(f"/w/{NAME}/r/guest/3").text for word in ("/r/guest/3/erase", "guest=3"))
    assert post(client, "/r/guest/3/erase", reason="本人要求").status_code == 422
    lost = post(client, "/r/guest/3/erase", sure="yes", reason="")
    assert lost.status_code == 422 and "理由" in lost.text and get(ctx, "guest", 3)["name"] == "李三"
    done = post(client, "/r/guest/3/erase", sure="yes", reason="本人要求")
    assert done.status_code == 303 and get(ctx, "guest", 3)["name"] == "***"
    page = client.get(f"/w/{NAME}/r/guest/3/changes", headers={"HX-Request": "true"}).text
    assert "已匿名化" in page
    shown = client.get(f"/w/{NAME}/r/guest/3").text
    assert '<span class="tag slate">已匿名化</span>' in shown
    assert all(word not in shown for word in ("/r/guest/3/erase", "/r/guest/3/edit", "/do/", "guest=3"))
    row = client.get(f"/w/{NAME}/l/guests").text.split('id="row-3"')[1].split("</tr>")[0]
    assert "guest=3" not in row and "cell-edit" not in row and "guest=1" in client.get(f"/w/{NAME}/l/guests").text
    dots = client.get(f"/w/{NAME}/l/guests/row/3").text
    assert "/r/guest/3" in dots and all(word not in dots for word in ("/r/guest/3/edit", "/do/", "guest=3"))
    assert all(f"/r/guest/3/do/{word}" not in client.get(f"/w/{NAME}/l/desk").text for word in ("leave", "move", "waive"))
    assert post(counter_client("rita"), "/r/guest/4/erase", sure="yes", reason="好奇").status_code == 403


def test_an_open_approval_about_them_is_named_and_nothing_is_lost(counter_client, counter):
    answer = post(counter_client("rosa"), "/r/guest/2/erase", sure="yes", reason="本人要求")
    assert answer.status_code == 422 and "审批没有结束" in answer.text and 'value="本人要求"' in answer.text
    assert get(enter_as(counter, NAME, "operator"), "guest", 2)["name"] == "孙二"
