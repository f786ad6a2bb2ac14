"""Pages of messages without a browser: whose they are, what they show, what they refuse; the poll that is no sign of life; connections that never show a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from engine import accounts
from engine.clock import wall
from engine.connections import find_connection, secret_of
from engine.home import Home
from engine.publishing import operator
from engine.system_tables import session, workspace_state
from engine.system_tables_rules import outgoing
from renderer.app import create_app
from tests.renderer.clinic import open_home
from tests.renderer.mailroom import MESSAGES, NAME, UNREAD, make_mailroom


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = open_home(tmp_path_factory.mktemp("mailroom"))
    make_mailroom(home)
    yield home
    home.close()


@pytest.fixture(scope="module")
def application(home: Home) -> object:
    return create_app(home)


@pytest.fixture
def client_of(home: Home, application: object) -> Callable[[str], TestClient]:
    def make(login: str) -> TestClient:
        client = TestClient(application, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False)  # type: ignore[arg-type]
        account = accounts.find_account(home, login)
        assert account is not None
        client.cookies.set("tangram", accounts.start_session(home, account.id))
        return client

    return make


def post(client: TestClient, path: str, **form: str | list[str]) -> object:
    page = client.get(f"/w/{NAME}/inbox").text
    token = page.split('<meta name="csrf" content="')[1].split('"')[0]
    return client.post(f"/w/{NAME}{path}", data={**form, "csrf": token}, headers={"X-CSRF-Token": token, "Origin": "http://127.0.0.1", "Host": "127.0.0.1"})


def test_the_inbox_shows_unread_first_and_pages_through_all_of_them(client_of):
    client = client_of("mona")
    page = client.get(f"/w/{NAME}/inbox").text
    assert page.count('class="told unread"') == UNREAD and page.count('class="told') == 50
    assert page.index("told unread") < page.index('class="told"')
    more = page.split(f'hx-get="/w/{NAME}/inbox?show=all&amp;cursor=')[1].split('"')[0]
    rest = client.get(f"/w/{NAME}/inbox?cursor={more}", headers={"HX-Request": "true", "HX-Target": "more-notices"}).text
    assert rest.count('class="told') == MESSAGES - 50 and "<html" not in rest


def test_a_message_about_a_patient_of_somebody_else_shows_no_value_and_no_link(client_of):
    page = client_of("mona").get(f"/w/{NAME}/inbox").text
    assert "王一诺" in page and "赵子昂" not in page and "病人 *** 该复诊了，电话 ***" in page
    assert "赵子昂" in client_of("adam").get(f"/w/{NAME}/inbox").text


def test_marking_counts_down_and_another_ones_message_cannot_be_marked_or_opened(client_of):
    client, other = client_of("mona"), client_of("adam")
    first = int(client.get(f"/w/{NAME}/inbox?show=unread").text.split('id="notice-')[1].split('"')[0])
    assert post(other, f"/inbox/{first}/mark").status_code == 404 and post(other, f"/inbox/{first}/open").status_code == 404  # type: ignore[attr-defined]
    assert client.get(f"/w/{NAME}/inbox/{first}/open").status_code == 405  # reading changes something: never by GET
    assert client.get(f"/w/{NAME}/inbox/bell?seen={UNREAD}").status_code == 204
    assert post(client, f"/inbox/{first}/mark").status_code == 303  # type: ignore[attr-defined]
    changed = client.get(f"/w/{NAME}/inbox/bell?seen={UNREAD}")
    assert changed.status_code == 200 and f"seen={UNREAD - 1}" in changed.text
    post(client, f"/inbox/{first}/mark", read="false")
    assert client.get(f"/w/{NAME}/inbox/bell?seen={UNREAD}").status_code == 204


def test_the_poll_is_no_sign_of_life_and_a_stranger_is_told_nothing(client_of, home):
    client = client_of("mona")
    long_ago = wall() - timedelta(hours=2)
    with home.database.write() as connection:
        connection.execute(session.update().values(seen_at=long_ago))
    assert client.get(f"/w/{NAME}/inbox/bell?seen=0").status_code == 200
    with home.database.read() as connection:
        assert set(connection.execute(sa.select(session.c.seen_at)).scalars()) == {long_ago}
    client.cookies.clear()
    assert (client.get(f"/w/{NAME}/inbox/bell?seen=0").status_code, client.get(f"/w/{NAME}/inbox").status_code) == (401, 303)


@pytest.mark.parametrize("path", ["/outbox", "/outbox/1", "/connections", "/connections/new?kind=sms", "/connections/sms"])
def test_outbox_and_connections_are_for_who_may_change_settings(client_of, path):
    assert client_of("mona").get(f"/w/{NAME}{path}").status_code == 403
    assert client_of("adam").get(f"/w/{NAME}{path}").status_code == 200


def test_no_page_is_an_error_for_what_people_type_into_addresses(client_of):
    client = client_of("adam")
    for path in (
        "/outbox?cursor=x",
        "/outbox?cursor=-1",
        "/outbox?state=x&connector=%00",
        "/outbox?cursor=" + "9" * 40,
        "/inbox?show=x",
        "/connections/nothing",
    ):
        assert client.get(f"/w/{NAME}{path}").status_code in (200, 404, 422), path
    assert client.get(f"/w/{NAME}/inbox?cursor=x").status_code == 422
    assert client.get(f"/w/{NAME}/connections/new?kind=pigeon").status_code == 404


def test_the_outbox_lists_by_state_and_says_why(client_of):
    client = client_of("adam")
    assert client.get(f"/w/{NAME}/outbox").text.count('id="outgoing-') == 5
    dead = client.get(f"/w/{NAME}/outbox?state=dead").text
    assert dead.count('id="outgoing-') == 1 and "对方答复 503：busy" in dead
    number = dead.split('id="outgoing-')[1].split('"')[0]
    one = client.get(f"/w/{NAME}/outbox/{number}").text
    assert "您好，您预约的复诊是明天" in one and "13800000003" in one and "复诊提醒" in one and f'href="/w/{NAME}/r/patient/1"' in one


def test_failed_messages_are_sent_again_and_held_ones_released(client_of, home):
    client = client_of("adam")
    assert post(client, "/outbox/again").status_code == 422  # type: ignore[attr-defined]
    with home.workspace(NAME).database.write() as connection:
        dead = connection.execute(sa.select(outgoing.c.id).where(outgoing.c.state == "dead")).scalar_one()
        connection.execute(workspace_state.update().values(hold_outgoing=True))
        connection.execute(outgoing.update().where(outgoing.c.state == "waiting").values(state="held"))
    assert "放行 1 条消息" in client.get(f"/w/{NAME}/outbox").text
    assert post(client, "/outbox/again", ids=[str(dead)]).status_code == 303  # type: ignore[attr-defined]
    assert post(client, "/outbox/release").status_code == 303  # type: ignore[attr-defined]
    with home.workspace(NAME).database.read() as connection:
        assert set(connection.execute(sa.select(outgoing.c.state)).scalars()) == {"waiting", "sent", "captured"}
    assert "outbox/release" not in client.get(f"/w/{NAME}/outbox").text


def test_a_connection_is_drawn_from_its_schema_and_its_secret_never_comes_back(client_of, home):
    client = client_of("adam")
    page = client.get(f"/w/{NAME}/connections/sms").text
    assert "s3cret" not in page and "mobile={phone}" in page and "已设置，留空则不变" in page
    form = {
        "kind": "sms",
        "old": "sms",
        "option:url": "https://sms.example.org/send",
        "option:format": "json",
        "option:fields": "a={phone}\nb={text}",
        "active": "true",
    }
    assert post(client, "/connections", **form).status_code == 303  # type: ignore[attr-defined]
    ctx = operator(home, NAME)
    assert dict(find_connection(ctx, "sms").options["fields"]) == {"a": "{phone}", "b": "{text}"} and secret_of(ctx, "sms") == "s3cret"
    post(client, "/connections", **{**form, "option:url": "https://other.example.net/"})
    assert secret_of(ctx, "sms") == ""


def test_wrong_options_come_back_with_what_was_typed(client_of):
    answer = post(client_of("adam"), "/connections", kind="email", name="Post!", **{"option:host": "", "option:port": "many", "option:sender": "nobody"})
    page = answer.text  # type: ignore[attr-defined]
    assert answer.status_code == 422 and page.count('role="alert"') >= 3 and 'value="many"' in page and 'value="Post!"' in page  # type: ignore[attr-defined]


def test_a_test_message_to_a_forbidden_address_says_so(client_of):
    client = client_of("adam")
    post(client, "/connections", kind="webhook", name="loop", **{"option:url": "http://127.0.0.1:9/", "active": "true"})
    answer = post(client, "/connections/loop/test", text="x")
    assert answer.status_code == 303  # type: ignore[attr-defined]
    assert "未被允许访问" in client.get(f"/w/{NAME}/connections/loop").text
    assert post(client, "/connections/loop/remove").status_code == 303  # type: ignore[attr-defined]


def test_the_key_of_a_source_is_shown_once(client_of):
    client = client_of("adam")
    made = post(client, "/sources", source="partner").text  # type: ignore[attr-defined]
    secret = made.split('id="source-secret" value="')[1].split('"')[0]
    assert secret.startswith("whsec_") and secret not in client.get(f"/w/{NAME}/connections").text
    assert post(client, "/sources", source="Bad Name").status_code == 422  # type: ignore[attr-defined]
    assert post(client, "/sources/partner/revoke").status_code == 303  # type: ignore[attr-defined]
    assert post(client, "/sources/partner/revoke").status_code == 404  # type: ignore[attr-defined]
