"""schemathesis over our own OpenAPI document: no failure of ours, no status, media type or answer that the document does not tell."""

import os
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from engine.home import Home
from tests.renderer.api.shop import Caller, Shop, make_shop

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
EXAMPLES = 500 if FULL else 2
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=not FULL,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink] if FULL else [Phase.generate],
)


def aim(case: Case, turn: int) -> None:
    """Two cases of three go to records that are there, on the version they stand at: otherwise nearly all would end with 404 and 428."""
    if turn % 3 and "id" in case.path_parameters:
        case.path_parameters["id"] = 1
        if case.method in ("PATCH", "DELETE"):
            case.headers["If-Match"] = f'"{turn % 3}"'


def call_every_operation(shop: Shop, caller: Caller, mode: GenerationMode) -> set[str]:
    """Call all that the caller's document names; gives their names."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    schema = openapi.from_asgi(f"/api/{shop.name}/openapi.json", shop.client.app, headers=headers)
    called: set[str] = set()
    turn = count(1)
    for result in schema.get_all_operations():
        operation: APIOperation = result.ok()

        @SETTINGS
        @given(case=operation.as_strategy(mode))
        def call(case: Case) -> None:
            if mode is GenerationMode.POSITIVE:
                aim(case, next(turn))
            case.call_and_validate(headers=headers, checks=CHECKS)

        call()
        called.add(operation.label)
    return called


@pytest.mark.parametrize(
    ("kind", "login", "mode"),
    [
        ("sqlite", "a1", GenerationMode.POSITIVE),
        ("sqlite", "s1", GenerationMode.NEGATIVE),
        ("postgresql", "s1", GenerationMode.POSITIVE),
        ("postgresql", "a1", GenerationMode.NEGATIVE),
    ],
)
def test_every_answer_is_as_the_document_says(open_home: Callable[[str], Home], kind: str, login: str, mode: GenerationMode):
    with make_shop(open_home(kind)) as shop:
        shop.s1.post("/records/customer", {"name": "张三", "phone": shop.phone(), "budget": 5, "tags": ["a"]})
        shop.s1.post("/records/order", {"title": "单", "share": [{"who": "甲", "bp": 10000}]})
        shop.a1.post("/records/thing", {"text": "物", "price": 5, "grades": ["A"], "data": {"a": 1}})
        shop.s1.post("/records/visit", {"customer": 1})
        shop.s1.post("/records/customer/1/actions/offer")
        called = call_every_operation(shop, shop.caller(login), mode)
        assert {"POST /asks/{ask}/decide", "GET /asks"} <= called
        assert "POST /records/customer/{id}/actions/call" in called
        assert {"GET /records/customer", "POST /records/visit", "GET /records/order/{id}", "POST /files"} <= called
