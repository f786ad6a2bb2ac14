"""Records over JSON as CONTRACT section 4 says, on both databases."""

from collections.abc import Callable
from typing import Any

from engine.actors import enter_as
from engine.api_tokens import revoke_token, tokens_of
from engine.home import Home
from engine.workspace_load import load_workspace
from tests.engine.homes import Place
from tests.renderer.api.shop import Shop

Make = Callable[..., dict[str, Any]]


def test_a_record_is_made_read_changed_deleted_and_restored(shop: Shop):
    phone = shop.phone()
    made = shop.s1.post("/records/customer", {"name": "张三", "phone": phone, "budget": 300})
    assert made.status_code == 201, made.text
    record = made.json()
    assert made.headers["ETag"] == f'"{record["version"]}"'
    assert made.headers["Location"] == f"/api/{shop.name}/records/customer/{record['id']}"
    assert record["owner"] == {"id": shop.people["s1"], "label": "人s1"}
    assert record["grade"] == "C" and record["next_at"] is None and record["tags"] == [] and record["created_at"].endswith("+08:00")
    path = f"/records/customer/{record['id']}"
    read = shop.s1.get(path)
    assert read.json() == record and read.headers["ETag"] == made.headers["ETag"] and read.headers["Cache-Control"] == "no-store"
    changed = shop.s1.patch(path, {"grade": "A"}, headers={"If-Match": read.headers["ETag"]})
    assert changed.status_code == 200 and changed.json()["grade"] == "A" and changed.json()["version"] == record["version"] + 1
    assert changed.json()["owner"]["label"] == "人s1"
    assert shop.s1.patch(path, {"budget": 1, "version": changed.json()["version"]}).status_code == 200
    version = shop.s1.get(path).json()["version"]
    gone = shop.s1.call("DELETE", path, headers={"If-Match": f'"{version}"'})
    assert gone.status_code == 204 and gone.content == b""
    assert shop.s1.get(path).status_code == 404
    back = shop.s1.post(f"{path}/restore")
    assert back.status_code == 200 and back.json()["name"] == "张三" and back.json()["owner"]["label"] == "人s1"
    moments = shop.s1.get(f"{path}/timeline").json()
    assert [item["verb"] for item in moments["items"]] == ["restore", "delete", "update", "update", "create"]
    assert moments["items"][3]["changes"][0] == {"field": "grade", "before": "C", "after": "A", "computed": False}
    assert moments["items"][0]["person"] == {"id": shop.people["s1"], "label": "人s1"} and moments["items"][0]["cause"]["kind"] == "api"


def test_a_caller_seen_before_writes_what_another_process_published_and_is_401_once_their_token_is_revoked(fresh_shop: Shop):
    shop = fresh_shop
    record = shop.a1.post("/records/customer", {"name": "张三"}).json()
    other = Home.open(shop.home.settings, shop.home.registry, load_workspace)
    place = Place(other, shop.name)
    place.with_fields("customer", mood={"type": "text", "title": {"zh": "心情"}})
    assert shop.a1.post("/records/customer", {"name": "李四", "mood": "好"}).json()["mood"] == "好"
    place.publish({("entity", "log2"): {"title": {"zh": "日志"}, "label": "{text}", "fields": {"text": {"type": "text", "title": {"zh": "内容"}}}}})
    assert shop.a1.post("/records/log2", {"text": "一"}).status_code == 201
    operator = enter_as(other, shop.name, "operator")
    (token,) = tokens_of(operator, [shop.people["a1"]])
    revoke_token(operator, token.id, shop.people["a1"])
    other.close()
    for _ in range(2):
        for answer in (shop.a1.post("/records/customer", {"name": "王五"}), shop.a1.patch(f"/records/customer/{record['id']}", {"grade": "A", "version": 1})):
            assert answer.status_code == 401 and answer.json()["code"] == "not_logged_in"


def test_a_change_without_a_version_is_428_and_a_stale_one_409_with_both_values(shop: Shop, customer: Make):
    record = customer(phone=shop.phone(), next_at="2026-03-02T10:00:00+08:00")
    path = f"/records/customer/{record['id']}"
    assert shop.s1.patch(path, {"grade": "A"}).status_code == 428
    assert shop.s1.call("DELETE", path).status_code == 428
    shop.s1.patch(path, {"grade": "A"}, headers={"If-Match": '"1"'})
    stale = shop.s1.patch(path, {"grade": "B", "next_at": "2026-03-05T10:00:00+08:00"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 409 and stale.headers["Content-Type"] == "application/problem+json"
    problem = stale.json()
    assert problem["code"] == "stale" and problem["current"] == shop.s1.get(path).json()
    assert problem["mine"] == {"grade": "B", "next_at": "2026-03-05T10:00:00+08:00"}


def test_a_conflict_shows_no_more_than_its_reader_may_see(shop: Shop, customer: Make):
    record = shop.a1.post("/records/customer", {"name": "李秘密", "phone": shop.phone(), "owner": shop.people["s1"], "secret": "底价九折"}).json()
    path = f"/records/customer/{record['id']}"
    shop.a1.patch(path, {"grade": "A", "version": 1})
    stale = shop.s1.patch(path, {"grade": "B", "version": 1})
    assert stale.status_code == 409 and "底价" not in stale.text and "secret" not in stale.json()["current"]


def test_weak_strange_and_huge_versions_are_refused_by_name(shop: Shop, customer: Make):
    path = f"/records/customer/{customer()['id']}"
    for given in ("7", '"x"', '"-1"', "*", '"99999999999999999999"'):
        answer = shop.s1.patch(path, {"grade": "A"}, headers={"If-Match": given})
        assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/version", given
    for body in ({"version": "1"}, {"version": True}, {"version": -1}, {"version": 1.5}):
        assert shop.s1.patch(path, body).status_code == 422, body
    assert shop.s1.patch(path, {"grade": "B"}, headers={"If-Match": 'W/"1"'}).status_code == 200


def test_the_same_idempotency_key_makes_one_record(shop: Shop):
    body, headers = {"name": "王一", "phone": shop.phone()}, {"Idempotency-Key": f"k-{shop.phone()}"}
    first = shop.s1.post("/records/customer", body, headers=headers)
    again = shop.s1.post("/records/customer", body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201) and first.json() == again.json()
    other = shop.s1.post("/records/customer", {**body, "name": "王二"}, headers=headers)
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
    assert shop.s2.post("/records/customer", {"name": "王三"}, headers=headers).status_code == 201
    assert shop.s1.post("/records/customer", body, headers={"Idempotency-Key": "x" * 201}).status_code == 422
    assert shop.s1.post("/records/customer", body, headers={"Idempotency-Key": ""}).status_code == 422


def test_lists_filter_sort_choose_fields_and_page(shop: Shop, customer: Make):
    mark = shop.phone()
    made = [customer(name=f"分页{number}", budget=number * 100, first_source=mark, grade="ABC"[number % 3])["id"] for number in range(7)]
    pages, cursor = [], None
    while True:
        answer = shop.s1.get(
            "/records/customer",
            where=f"first_source == '{mark}'",
            sort="-budget",
            fields="name,budget",
            limit="3",
            count="true",
            **({"cursor": cursor} if cursor else {}),
        ).json()
        assert answer["count"] == 7 and answer["count_capped"] is False
        pages += answer["items"]
        cursor = answer["next"]
        if cursor is None:
            break
    assert [item["id"] for item in pages] == made[::-1] and all(item.keys() == {"id", "version", "name", "budget"} for item in pages)
    assert shop.s1.ids("customer", first_source=mark, grade="A") == shop.s1.ids("customer", where=f"first_source == '{mark}' and grade == 'A'")
    assert sorted(shop.s1.ids("customer", first_source=mark, grade=["A", "B"])) == [one for one in made if (one - made[0]) % 3 != 2]
    assert sorted(shop.s1.ids("customer", first_source=mark, sort="grade,-id")) == made
    assert shop.s1.get("/records/customer", first_source=mark).json()["count"] is None
    assert shop.s1.ids("customer", search="分页3", first_source=mark) == [made[3]]


def test_a_phone_is_found_however_it_is_written(shop: Shop, customer: Make):
    phone = shop.phone()
    mine = customer(phone=phone)["id"]
    written = f"{phone[:3]} {phone[3:7]} {phone[7:]}"
    for where in (f"phone == '{phone}'", f"phone == '{written}'", f"phone == '+86 {written}'", f"phone in ('1', '{written}')"):
        assert shop.s1.ids("customer", where=where) == [mine], where
    assert shop.s1.ids("customer", phone=written) == [mine] and mine in shop.s1.ids("customer", phone=phone[-4:])
    assert mine in shop.s1.ids("customer", search=phone[-4:]) and shop.s1.ids("customer", search=phone) == [mine]
    assert mine not in shop.s1.ids("customer", where=f"phone != '{written}'")


def test_conditions_are_refused_with_column_and_reason(shop: Shop):
    for where in (
        "nonsense == 1",
        "name ==",
        "budget == 'x'",
        "grade == 'Z'",
        "unknown(name)",
        "name.__class__",
        "exec('x')",
        "1 +",
        "'" * 5,
        "name" * 900,
        "budget",
    ):
        for locale in ("zh", "en"):
            answer = shop.s1.call("GET", "/records/customer", params={"where": where}, headers={"Accept-Language": locale})
            assert answer.status_code == 422, (where, answer.text)
            for error in answer.json()["errors"]:
                assert error["pointer"] == "/where" and error["code"] and isinstance(error["column"], int) and error["message"] != error["code"], error


def test_unknown_and_unreadable_fields_get_the_same_answer(shop: Shop):
    for ask in ({"where": "{} == 'x'"}, {"sort": "{}"}, {"fields": "{}"}, {"{}": "x"}, {"where": "customer.{} == 'x'", "entity": "visit"}):
        answers = []
        for name in ("secret", "zzzzzz"):
            params = {key.format(name): value.format(name) for key, value in ask.items() if key != "entity"}
            answer = shop.s1.get(f"/records/{ask.get('entity', 'customer')}", **params)
            assert answer.status_code == 422, (ask, answer.text)
            answers.append(answer.text.replace(name, "NAME"))
        assert answers[0] == answers[1], ask
    hidden, unknown = (shop.s1.post("/records/customer", {"name": "x", name: "x"}).text.replace(name, "NAME") for name in ("secret", "zzzzzz"))
    assert hidden == unknown


def test_lines_are_arrays_saved_with_their_parent(shop: Shop):
    shares = [{"who": "甲", "bp": 6000}, {"who": "乙", "bp": 4000}]
    made = shop.s1.post("/records/order", {"title": "单", "share": shares})
    assert made.status_code == 201, made.text
    order = made.json()
    assert [(line["who"], line["bp"]) for line in order["share"]] == [("甲", 6000), ("乙", 4000)] and order["share_sum"] == 10000
    first = order["share"][0]
    changed = shop.s1.patch(
        f"/records/order/{order['id']}", {"version": order["version"], "share": [{"id": first["id"], "bp": 7000}, {"who": "丙", "bp": 3000}]}
    )
    assert changed.status_code == 200, changed.text
    assert [(line["who"], line["bp"]) for line in changed.json()["share"]] == [("甲", 7000), ("丙", 3000)]
    wrong = shop.s1.patch(f"/records/order/{order['id']}", {"version": changed.json()["version"], "share": [{"who": "丁", "bp": 1}, {"who": "", "bp": "x"}]})
    assert wrong.status_code == 422 and {error["pointer"] for error in wrong.json()["errors"]} == {"/share/1/bp", "/share/1/who"}


def test_every_fault_of_a_body_is_told_at_once_in_the_readers_language(shop: Shop):
    body = {"phone": "12", "budget": "much", "grade": "Z", "nonsense": 1, "channel": "online"}
    for locale, word in (("zh-CN", "字段"), ("en", "field")):
        answer = shop.s1.post("/records/customer", body, headers={"Accept-Language": locale})
        assert answer.status_code == 422
        found = {error["pointer"]: error for error in answer.json()["errors"]}
        assert found.keys() == {"/phone", "/budget", "/grade", "/nonsense", "/name", "/detail"}
        assert all(error["code"] and error["message"] and error["message"] != error["code"] for error in found.values())
        assert word in found["/nonsense"]["message"]


def test_bulk_gives_a_result_for_each_row(shop: Shop, customer: Make):
    old = customer(grade="C")
    rows = [
        {"name": "甲", "phone": shop.phone()},
        {"id": old["id"], "version": 1, "grade": "A"},
        {"id": old["id"], "version": 1, "grade": "B"},
        {"id": old["id"], "grade": "B"},
        {"name": "", "phone": "1"},
        {"id": 10**9, "version": 1, "grade": "A"},
    ]
    answer = shop.s1.post("/bulk/customer", {"rows": rows})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [item["outcome"] for item in results] == ["created", "updated", "refused", "refused", "refused", "refused"]
    assert [item["code"] for item in results[2:]] == ["stale", "invalid", "invalid", "no_such_record"]
    assert all(item["message"] for item in results[2:]) and all(error["message"] for item in results for error in item["errors"])
    assert shop.s1.post("/bulk/customer", {"rows": [{}] * 1001}).status_code == 422
    assert shop.s1.post("/bulk/customer", {"rows": 5}).json()["errors"][0]["code"] == "bulk_rows_expected"
    assert shop.s1.post("/bulk/log", [{"text": "x"}]).status_code == 404
