"""What a record's page costs: what was built for one record serves all."""

from collections.abc import Callable

from starlette.testclient import TestClient

from engine.context import Context
from engine.home import Home
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
