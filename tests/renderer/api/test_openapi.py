"""The description of the API: whole, of exactly what its reader may do, and a page of it without foreign help."""

import ast
import re
from pathlib import Path

import jsonschema
from schemathesis import openapi

from engine import accounts
from engine.messages import catalogue
from tests.renderer.api.shop import Shop

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_valid_and_holds_what_its_reader_may_do(shop: Shop):
    documents = {login: shop.caller(login).get("/openapi.json").json() for login in ("a1", "s1", "g1")}
    for document in documents.values():
        openapi.from_dict(document).validate()
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
    everything, seller, guest = (set(documents[login]["paths"]) for login in ("a1", "s1", "g1"))
    assert guest < everything and seller < everything and guest & {f"/records/{key}" for key in shop.home.workspace(shop.name).entities} == {"/records/log"}
    assert {"/plan", "/publish", "/clock", "/imports/{entity}", "/bulk/thing"} <= everything - seller
    assert "post" not in documents["s1"]["paths"]["/records/thing"] and "post" in documents["a1"]["paths"]["/records/thing"]
    customer = documents["s1"]["components"]["schemas"]
    assert "secret" not in customer["customer"]["properties"] and "owner" not in customer["customer.new"]["properties"]
    assert {item["name"] for item in documents["s1"]["paths"]["/records/customer"]["get"]["parameters"]} >= {"where", "phone", "grade"}


def test_every_call_of_the_application_is_described(shop: Shop):
    described = set(shop.a1.get("/openapi.json").json()["paths"])
    for route in shop.client.app.router.routes:
        path = getattr(route, "path", "")
        if path.startswith("/api/{ws}/") and not path.endswith("/docs"):
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.removeprefix("/api/{ws}")))
            assert any(re.fullmatch(pattern, one) for one in described), path


def test_the_page_shows_every_call_without_a_foreign_script(shop: Shop):
    assert shop.client.get(f"/api/{shop.name}/docs").headers["Location"].startswith("/login")
    account = accounts.find_account(shop.home, "s1")
    assert account is not None
    cookies = {"tangram": accounts.start_session(shop.home, account.id)}
    page = shop.client.get(f"/api/{shop.name}/docs", headers={"Cookie": f"tangram={cookies['tangram']}"})
    assert page.status_code == 200 and "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text) and "<script>" not in page.text
    assert all(path in page.text for path in shop.s1.get("/openapi.json").json()["paths"])
    assert "底价" not in page.text and "/publish" not in page.text and "谁在何时因何改了什么" in page.text


def test_every_code_the_api_refuses_with_has_a_sentence():
    missing = []
    for path in (*(ROOT / "renderer").rglob("*.py"),):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Invalid", "Denied", "NotFound", "Conflict", "Unavailable", "TooLarge", "NotLoggedIn", "VersionMissing")
                and node.args
            ):
                found = node.args[0]
                if isinstance(found, ast.Constant) and found.value not in catalogue():
                    missing.append(f"{path.name}: {found.value}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault" and len(node.args) > 1:
                found = node.args[1]
                if isinstance(found, ast.Constant) and found.value not in catalogue():
                    missing.append(f"{path.name}: {found.value}")
    assert not missing


def test_operators_ask_without_logging_in(shop: Shop):
    assert shop.client.get("/healthz").text == "ok\n" and shop.client.get("/readyz").text == "ready\n"
    assert shop.client.get("/metrics").status_code == 404  # not from this machine, as the test's client says
