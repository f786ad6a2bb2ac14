"""The hand-written twin promises on a write what the product promises: the ratios of docs/benchmarks.md compare like with like."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.bench import twin

PEOPLE = [{"id": key, "name": name, "role": role, "team": None} for key, name, role in ((1, "王", "admin"), (2, "李", "member"), (3, "张", "member"))]
TOKENS = {"admin": 1, "li": 2, "zhang": 3}
RECORD = {"name": "陈", "phone": "13900000001", "stage": "new", "helper": 3, "focus": ["school"], "next_at": "2026-03-02T10:00:00+08:00"}


@pytest.fixture
def url(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> str:
    found = f"sqlite:///{tmp_path}/twin.db" if database_kind == "sqlite" else new_postgres_database().replace("postgresql://", "postgresql+psycopg://")
    twin.prepare(found, [], PEOPLE, TOKENS)
    return found


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    with TestClient(twin.make_app(url)) as made:
        yield made


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in more.items()}}


def create(client: TestClient, token: str = "li", **given: Any) -> Any:
    return client.post("/api/customers", json={**RECORD, **given}, headers=bearer(token))


def histories(url: str) -> list[Any]:
    reading, _ = twin.connect(url)
    with reading.connect() as connection:
        return list(connection.execute(sa.select(twin.history.c.verb, twin.history.c.version, twin.history.c.person).order_by(twin.history.c.id)).all())


def test_a_create_answers_the_record_as_its_maker_may_see_it_and_keeps_history(client: TestClient, url: str):
    made = create(client)
    body = made.json()
    assert made.status_code == 201 and made.headers["etag"] == '"1"' and made.headers["location"] == f"/api/customers/{body['id']}"
    assert (body["phone"], body["owner"], body["helper"]) == ("+86****0001", {"id": 2, "label": "李"}, {"id": 3, "label": "张"})
    given_away = create(client, phone="13900000002", owner=3).json()
    assert given_away == {"id": body["id"] + 1, "version": 1}
    assert histories(url) == [("create", 1, 2), ("create", 1, 2)]


def test_every_error_of_a_body_is_told_at_once_and_nothing_is_written(client: TestClient, url: str):
    wrong = create(client, name="x" * 61, phone="12", stage="", birth=5, next_at="2026-03-02T10:00:00", vip="yes", helper=99, nonsense=1)
    assert wrong.status_code == 422
    assert {field for field, _ in wrong.json()["errors"]} == {"name", "phone", "stage", "birth", "next_at", "vip", "helper", "nonsense"}
    assert client.post("/api/customers", content=b"{", headers=bearer("li")).status_code == 422
    assert create(client, token="nobody").status_code == 401 and histories(url) == []


def test_a_taken_number_is_a_conflict_and_leaves_nothing_behind(client: TestClient, url: str):
    create(client)
    again = create(client)
    assert (again.status_code, again.json()["code"], again.json()["errors"]) == (409, "duplicate", [["phone", "duplicate"]])
    assert len(histories(url)) == 1


def test_a_change_is_made_on_the_version_it_was_read_at(client: TestClient, url: str):
    key = create(client).json()["id"]
    path = f"/api/customers/{key}"
    changed = client.patch(path, json={"grade": "a", "version": 1}, headers=bearer("li"))
    assert changed.status_code == 200 and (changed.json()["version"], changed.json()["grade"], changed.headers["etag"]) == (2, "a", '"2"')
    stale = client.patch(path, json={"grade": "b"}, headers=bearer("li", if_match='"1"'))
    assert stale.status_code == 409 and (stale.json()["code"], stale.json()["current"]["phone"]) == ("stale", "+86****0001")
    same = client.patch(path, json={"grade": "a", "version": 2}, headers=bearer("li"))
    assert same.status_code == 200 and same.json()["version"] == 2
    assert client.patch(path, json={"grade": "b"}, headers=bearer("li")).status_code == 428
    assert client.patch(path, json={"grade": "b", "version": 2}, headers=bearer("zhang")).status_code == 404
    assert histories(url) == [("create", 1, 2), ("update", 2, 2)]


def test_a_change_is_judged_over_what_stands(client: TestClient):
    key = create(client, budget_min=100, budget_max=200).json()["id"]
    wrong = client.patch(f"/api/customers/{key}", json={"budget_min": 300, "name": " ", "version": 1}, headers=bearer("li"))
    assert wrong.status_code == 422 and sorted(wrong.json()["errors"]) == [["budget_max", "order"], ["name", "required"]]


def test_the_same_idempotency_key_makes_one_record(client: TestClient, url: str):
    first, second = (client.post("/api/customers", json=RECORD, headers=bearer("li", idempotency_key="k")) for _ in range(2))
    assert first.status_code == second.status_code == 201 and first.json() == second.json() and len(histories(url)) == 1
    other = client.post("/api/customers", json={**RECORD, "name": "别"}, headers=bearer("li", idempotency_key="k"))
    assert other.status_code == 422 and other.json()["errors"] == [["idempotency-key", "reused"]]


def test_who_left_may_write_no_more(client: TestClient, url: str):
    _, writing = twin.connect(url)
    with writing.begin() as connection:
        connection.execute(sa.update(twin.person).where(twin.person.c.id == 2).values(ended_at=datetime.now(UTC)))
    assert create(client).status_code == 401


def test_a_read_shows_a_member_own_records_with_masked_numbers(client: TestClient):
    mine, other = create(client).json()["id"], create(client, token="zhang", phone="13900000009").json()["id"]
    read = client.get(f"/api/customers/{mine}", headers=bearer("li"))
    assert (read.status_code, read.headers["etag"], read.json()["phone"], read.json()["helper"]) == (200, '"1"', "+86****0001", {"id": 3, "label": "张"})
    assert client.get(f"/api/customers/{other}", headers=bearer("li")).status_code == 404
    listed = client.get("/api/customers?stage=new", headers=bearer("li")).json()["items"]
    assert [item["id"] for item in listed] == [mine]
    assert {item["phone"] for item in client.get("/api/customers?stage=new", headers=bearer("admin")).json()["items"]} == {"+8613900000001", "+8613900000009"}
    assert client.get("/api/customers?stage=nonsense", headers=bearer("li")).status_code == 422


def test_a_list_goes_on_where_it_ended(client: TestClient):
    made = [create(client, phone=f"1390000001{number}", expected_on=f"2026-01-0{9 - number}").json()["id"] for number in range(5)]
    first = client.get("/api/customers?stage=new&limit=3", headers=bearer("li")).json()
    rest = client.get(f"/api/customers?stage=new&limit=3&after={first['next']}", headers=bearer("li")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1] and rest["next"] is None


def test_a_token_ends_when_it_is_said_to_and_too_many_requests_wait(client: TestClient, url: str):
    assert client.get("/api/customers?stage=new", headers=bearer("li")).status_code == 200
    codes = {client.get("/api/customers/1", headers=bearer("zhang")).status_code for _ in range(601)}
    assert codes == {404, 429}
    _, writing = twin.connect(url)
    with writing.begin() as connection:
        connection.execute(sa.update(twin.token).values(expires_at=datetime.now(UTC)))
    assert client.get("/api/customers?stage=new", headers=bearer("li")).status_code == 401


def test_pages_show_the_list_and_the_form_of_who_has_a_session(client: TestClient):
    create(client, name="<b>陈</b>", stage="visited", budget_min=3_000_000, expected_on="2026-04-05")
    client.cookies.set("session", "li")
    page = client.get("/customers")
    assert "&lt;b&gt;陈&lt;/b&gt;" in page.text and "<b>陈" not in page.text and "+86****0001" in page.text and "03-02 10:00" in page.text
    assert "3 万" in page.text and ">04-05<" in page.text and "1 条记录" in page.text and 'name="csrf"' in page.text
    form = client.get("/customers/new").text
    assert all(f'name="{name}"' in form for name in twin.FIELDS) and 'value="2"' in form and 'value="李"' in form
    client.cookies.clear()
    assert client.get("/customers", follow_redirects=False).headers["location"] == "/login"


def test_every_answer_carries_the_headers_browsers_need_to_be_safe(client: TestClient):
    made = create(client)
    client.cookies.set("session", "li")
    for answer in (made, client.get("/api/customers?stage=new", headers=bearer("li")), client.get("/customers"), client.get("/customers/new")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'") and answer.headers["cache-control"] == "no-store"
