"""What a record's page costs: what was built for one record serves all."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from engine.context import Context
from engine.home import Home
from engine.records import service
from engine.records.query import Query, page


def test_the_page_of_another_record_builds_no_statement_anew(
    clinic: Home, client_of: Callable[..., TestClient], ctx_of_login: Callable[[str], Context]
) -> None:
    ctx, client = ctx_of_login("carl"), client_of("carl")
    first, second, third = (item.id for item in page(ctx, Query("patient", sort=("id",), fields=(), limit=3)).items)
    for record in (first, second):
        assert client.get(f"/w/clinic/r/patient/{record}").status_code == 200
    before = set(clinic.workspace("clinic").cache)
    assert client.get(f"/w/clinic/r/patient/{third}").status_code == 200
    assert {key for key in clinic.workspace("clinic").cache if key[0] == "plan"} <= before


def test_lists_of_what_leads_nowhere_near_a_record_cost_one_statement_together(
    clinic: Home, client_of: Callable[..., TestClient], ctx_of_login: Callable[[str], Context]
) -> None:
    made = service.create(ctx_of_login("carl"), "patient", {"name": "无预约"}).id
    client, seen = client_of("carl"), list[str]()

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    assert client.get(f"/w/clinic/r/patient/{made}").status_code == 200
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        page_ = client.get(f"/w/clinic/r/patient/{made}")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    service.delete(ctx_of_login("carl"), "patient", made, service.ANY)
    assert page_.status_code == 200 and len([text for text in seen if "r_appointment" in text]) == 1


def test_which_lists_their_reader_may_open_is_asked_once(
    clinic: Home, client_of: Callable[..., TestClient], ctx_of_login: Callable[[str], Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = client_of("carl"), list[str]()
    (record,) = (item.id for item in page(ctx_of_login("carl"), Query("patient", sort=("id",), fields=(), limit=1)).items)
    assert client.get(f"/w/clinic/r/patient/{record}").status_code == 200
    for name in ("may_open", "is_meant_for"):
        monkeypatch.setattr(f"renderer.shell.{name}", lambda ctx, what, name=name: asked.append(name))
    assert client.get(f"/w/clinic/r/patient/{record}").status_code == 200
    assert asked == []
