"""Who may call what: every route carries a permission, strangers stay outside, and each role reaches what a written policy says, nothing else."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.routing import Route

from engine import accounts
from engine.actors import enter_as
from engine.home import Home
from engine.records import service
from renderer.security import PUBLIC_ROUTES, Permission, check_routes, permission_of
from tests.conftest import new_workspace
from tests.renderer.api.shop import SHOP, Caller, Response, Shop, make_shop

#: Which of the four customers (and the visits to them) each person reaches; what is not listed is not reached.
CUSTOMERS = {
    "s1": {"read": {"own", "pool"}, "update": {"own"}, "delete": {"own"}},
    "s2": {"read": {"mate", "pool"}, "update": {"mate"}, "delete": {"mate"}},
    "l1": {"read": {"own", "mate"}, "update": {"own", "mate"}, "delete": set()},
    "a1": {verb: {"own", "mate", "other", "pool"} for verb in ("read", "update", "delete")},
    "g1": {verb: set() for verb in ("read", "update", "delete")},
}
VISITS = {
    "s1": {"read": {"own"}, "update": set(), "delete": set()},
    "s2": {"read": {"mate"}, "update": set(), "delete": set()},
    "l1": {"read": {"own", "mate"}, "update": set(), "delete": set()},
    "a1": CUSTOMERS["a1"],
    "g1": CUSTOMERS["g1"],
}
#: Entity -> login -> verbs on any row. r read, c create, u update, d delete; "" = the entity does not exist for them.
WHOLE = {
    "order": {"s1": "rcu", "l1": "", "a1": "rcud", "g1": ""},
    "log": {"s1": "", "l1": "", "a1": "rc", "g1": "r"},
    "thing": {"s1": "r", "l1": "", "a1": "rcud", "g1": ""},
    "person": {"s1": "r", "l1": "r", "a1": "rcud", "g1": ""},
    "team": {"s1": "r", "l1": "r", "a1": "rcud", "g1": ""},
}
CREATE = {
    "customer": {"s1": 201, "l1": 403, "a1": 201, "g1": 404},
    "order": {"s1": 201, "l1": 404, "a1": 201, "g1": 404},
    "log": {"s1": 404, "l1": 404, "a1": 201, "g1": 403},
    "thing": {"s1": 403, "l1": 404, "a1": 201, "g1": 404},
    "person": {"s1": 403, "l1": 403, "a1": 201, "g1": 404},
    "team": {"s1": 403, "l1": 403, "a1": 201, "g1": 404},
}
BODIES: dict[str, dict[str, Any]] = {
    "customer": {"name": "新"},
    "order": {"title": "新"},
    "log": {"text": "新"},
    "thing": {"text": "新"},
    "person": {"name": "新"},
    "team": {"name": "新"},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(open_home: Callable[[str], Home], request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop on each database."""
    with make_shop(open_home(request.param)) as found:
        yield found


def routes(shop: Shop) -> list[Route]:
    return [route for route in shop.client.app.router.routes if hasattr(route, "path")]


def address(route: Route, workspace: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", "1", route.path.replace("{ws}", workspace))


def session(shop: Shop, login: str) -> dict[str, str]:
    account = accounts.ensure_account(shop.home, login, login)
    return {"Cookie": f"tangram={accounts.start_session(shop.home, account.id)}"}


# --- the door ------------------------------------------------------------------------------------------------------------------------------------


def test_a_route_without_permission_stops_the_start():
    def handler() -> None:
        """A handler somebody forgot to guard."""

    with pytest.raises(RuntimeError, match="/forgotten carries no permission"):
        check_routes([Route("/forgotten", handler)])
    handler.permission = Permission("public")
    with pytest.raises(RuntimeError, match="not on the list"):
        check_routes([Route("/opened", handler)])


def test_nobody_gets_further_than_the_public_list(shop: Shop):
    checked = 0
    for route in routes(shop):
        for method in sorted(route.methods - {"HEAD"}):
            answer = shop.client.request(method, address(route, shop.name))
            permission = permission_of(route)
            if route.path.startswith("/intake/"):
                assert answer.status_code == 401 and answer.json()["code"] == "signature_wrong"
            elif permission is not None and permission.quiet:
                assert answer.status_code == 401 and answer.content == b""
            elif route.path in PUBLIC_ROUTES:
                assert answer.status_code != 401 and not (answer.headers.get("Location", "").startswith("/login?")), route.path
            elif route.path.startswith("/api/") and not route.path.endswith("/docs"):
                assert answer.status_code == 401 and answer.json()["code"] == "not_logged_in", (method, route.path, answer.status_code)
            else:
                assert answer.status_code in (303, 204) and (answer.headers.get("Location") or answer.headers["HX-Redirect"]).startswith("/login"), (
                    method,
                    route.path,
                    answer.text[:300],
                )
            checked += 1
    assert checked > 60


def test_a_member_of_another_workspace_finds_nothing(shop: Shop):
    other = new_workspace(shop.home, SHOP)
    service.create(enter_as(shop.home, other.name, "operator"), "person", {"name": "外人", "login": "stranger", "roles": ["admin"]})
    cookie = session(shop, "stranger")
    for route in routes(shop):
        permission = permission_of(route)
        if permission is None or permission.door != "member" or "GET" not in route.methods:
            continue
        here, nowhere = (shop.client.get(address(route, name), headers=cookie) for name in (shop.name, "nowhere"))
        assert (here.status_code, nowhere.status_code) == (404, 404), route.path
    assert shop.client.get(f"/api/{other.name}/records/customer", headers=cookie).status_code == 200
    assert Caller(shop.client, other.name, shop.a1.token).get("/records/customer").status_code == 401


def test_a_session_of_a_page_needs_its_token_to_write(shop: Shop):
    cookie = session(shop, "s1")
    assert shop.client.get(f"/api/{shop.name}/records/customer", headers=cookie).status_code == 200
    answer = shop.client.post(f"/api/{shop.name}/records/customer", content=b'{"name": "x"}', headers=cookie)
    assert answer.status_code == 403 and answer.json()["code"] == "csrf_failed"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x", "bearer é", "Basic YTpi", "Bearer tgm_" + "x" * 5000])
def test_wrong_tokens_are_nobodies(shop: Shop, header: str):
    answer = shop.client.get(f"/api/{shop.name}/records/customer", headers={"Authorization": header.encode()})
    assert answer.status_code == 401, answer.text


def test_rights_end_with_the_next_request(open_home: Callable[[str], Home], database_kind: str):
    with make_shop(open_home(database_kind)) as shop:
        assert shop.s2.get("/records/customer").status_code == 200
        ctx = enter_as(shop.home, shop.name, "operator")
        service.update(ctx, "person", shop.people["s2"], {"roles": ["guest"]}, service.ANY)
        assert shop.s2.get("/records/customer").status_code == 404 and shop.s2.get("/records/log").status_code == 200
        service.update(ctx, "person", shop.people["s2"], {"active": False}, service.ANY)
        assert shop.s2.get("/records/log").status_code == 401
        account = accounts.find_account(shop.home, "s1")
        assert account is not None and shop.s1.get("/records/customer").status_code == 200
        accounts.set_disabled(shop.home, account.id, True)
        assert shop.s1.get("/records/customer").status_code == 401
        accounts.set_disabled(shop.home, account.id, False)
        assert shop.s1.get("/records/customer").status_code == 200


# --- roles ---------------------------------------------------------------------------------------------------------------------------------------


def test_what_needs_a_right_is_refused_without_it(shop: Shop):
    rights = {login: shop.home.workspace(shop.name).roles[role].can for login, role in (("s1", "seller"), ("l1", "lead"), ("a1", "admin"), ("g1", "guest"))}
    checked = 0
    for route in routes(shop):
        permission = permission_of(route)
        if not route.path.startswith("/api/") or permission is None or not permission.right:
            continue
        for login, can in rights.items():
            method = min(route.methods - {"HEAD"})
            answer = shop.caller(login).call(
                method,
                route.path.removeprefix("/api/{ws}").replace("{entity}", "log").replace("{kind}", "entity").replace("{key}", "log").replace("{batch}", "999"),
                b"" if method != "GET" else None,
            )
            refused = answer.status_code == 403 and answer.json()["code"] == "right_missing"
            assert refused is (permission.right not in can), (login, route.path, answer.text)
            checked += 1
    assert checked >= 40


@pytest.fixture(scope="module")
def rows(shop: Shop) -> dict[str, dict[str, int]]:
    """The four customers, and a visit to each."""
    ctx = enter_as(shop.home, shop.name, "operator")
    owners = {"own": shop.people["s1"], "mate": shop.people["s2"], "other": shop.people["s3"], "pool": None}
    customers = {name: service.create(ctx, "customer", {"name": name, "owner": owner}).id for name, owner in owners.items()}
    return {"customer": customers, "visit": {name: service.create(ctx, "visit", {"customer": one}).id for name, one in customers.items()}}


def attempt(caller: Caller, verb: str, entity: str, one: int) -> Response:
    """Try a verb on a record without changing it: a change of nothing, a deletion at a version nobody has."""
    path = f"/records/{entity}/{one}"
    if verb == "read":
        return caller.get(path)
    if verb == "update":
        return caller.patch(path, {"version": 1})
    return caller.call("DELETE", path, headers={"If-Match": '"999999"'})


@pytest.mark.parametrize(("entity", "policy"), [("customer", CUSTOMERS), ("visit", VISITS)])
def test_each_person_reaches_the_rows_of_the_written_policy(shop: Shop, rows: dict[str, dict[str, int]], entity: str, policy: dict[str, dict[str, set[str]]]):
    passed = {"read": 200, "update": 200, "delete": 409}
    for login, reach in policy.items():
        caller = shop.caller(login)
        for name, one in rows[entity].items():
            for verb, code in passed.items():
                expected = code if name in reach[verb] else 403 if name in reach["read"] else 404
                answer = attempt(caller, verb, entity, one)
                assert answer.status_code == expected, (login, verb, entity, name, answer.text)
            assert caller.get(f"/records/{entity}/{one}/timeline").status_code == (200 if name in reach["read"] else 404)
        listed = caller.get(f"/records/{entity}", limit="200")
        seen = {name for name, one in rows[entity].items() if listed.status_code == 200 and one in {item["id"] for item in listed.json()["items"]}}
        assert seen == reach["read"] and listed.status_code == (200 if login != "g1" else 404), (login, entity)


def test_each_role_has_the_verbs_of_the_written_policy(shop: Shop):
    ctx = enter_as(shop.home, shop.name, "operator")
    for entity, people in WHOLE.items():
        one = service.create(ctx, entity, BODIES[entity]).id
        for login, verbs in people.items():
            for verb, letter, passed in (("read", "r", 200), ("update", "u", 200), ("delete", "d", 409)):
                expected = passed if letter in verbs else 403 if "r" in verbs else 404
                answer = attempt(shop.caller(login), verb, entity, one)
                assert answer.status_code == expected, (entity, login, verb, answer.text)


def test_each_role_creates_what_the_written_policy_says(shop: Shop, rows: dict[str, dict[str, int]]):
    for entity, people in CREATE.items():
        for login, expected in people.items():
            answer = shop.caller(login).post(f"/records/{entity}", BODIES[entity])
            assert answer.status_code == expected, (entity, login, answer.text)
    for name, expected in (("own", 201), ("mate", 422), ("other", 422), ("pool", 403)):
        answer = shop.s1.post("/records/visit", {"customer": rows["customer"][name]})
        assert answer.status_code == expected, (name, answer.text)


def test_fields_are_masked_hidden_and_closed_as_written(shop: Shop):
    phone = shop.phone()
    made = shop.a1.post("/records/customer", {"name": "王公海", "phone": phone, "secret": "底价"}).json()
    path = f"/records/customer/{made['id']}"
    masked = shop.s1.get(path).json()
    assert masked["phone"] == f"{phone[:3]}****{phone[7:]}" and masked["name"] == "王*" and "secret" not in masked
    assert shop.a1.get(path).json()["phone"] == f"+86{phone}"
    mine = shop.s1.post("/records/customer", {"name": "我的"}).json()
    for body, code in (
        ({"owner": shop.people["s2"]}, "not_writable"),
        ({"secret": "x"}, "unknown_field"),
        ({"visits": 5}, "not_writable"),
        ({"merged": made["id"]}, "read_only"),
    ):
        answer = shop.s1.patch(f"/records/customer/{mine['id']}", {**body, "version": 1})
        assert answer.status_code == 422 and answer.json()["errors"][0]["code"] == code, answer.text
    assert "login" not in shop.s1.get(f"/records/person/{shop.people['s1']}").json()
