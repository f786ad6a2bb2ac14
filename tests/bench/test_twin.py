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
