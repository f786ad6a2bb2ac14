"""Imports, long work and files over JSON."""

from pathlib import Path

import pytest

from engine.exchange import batches
from engine.jobs import JobKind
from engine.worker import Worker
from tests.renderer.api.shop import Shop

ROWS = "姓名,电话,等级\n导入甲,{0},A\n导入乙,{1},B\n坏号,12,C\n"


def drain(shop: Shop) -> None:
    Worker(shop.home, {batches.JOB: JobKind(batches.JOB, batches.run_job)}).drain()


def test_an_import_runs_as_a_job_tells_each_row_and_is_undone(fresh_shop: Shop):
    shop = fresh_shop
    sheet = {"file": ("customers.csv", ROWS.format(shop.phone(), shop.phone()).encode(), "text/csv")}
    begun = shop.a1.post("/imports/customer", files=sheet)
    assert begun.status_code == 202, begun.text
    answer = begun.json()
    assert begun.headers["Location"] == f"/api/{shop.name}/jobs/{answer['job']}" and answer["headers"] == ["姓名", "电话", "等级"]
    assert shop.a1.get(f"/jobs/{answer['job']}").json()["state"] == "waiting"
    drain(shop)
    done = shop.a1.get(f"/jobs/{answer['job']}").json()
    assert done["state"] == "done" and (done["done"], done["total"]) == (3, 3) and done["result"]["counts"]["created"] == 2, done
    rows = shop.a1.get(f"/imports/{answer['batch']}/rows").json()
    assert [row["outcome"] for row in rows["items"]].count("refused") == 1
    refused = shop.a1.get(f"/imports/{answer['batch']}/rows", outcome="refused").json()["items"][0]
    assert refused["errors"][0]["message"] != refused["errors"][0]["code"]
    assert len(shop.a1.ids("customer")) == 2
    undone = shop.a1.post(f"/imports/{answer['batch']}/undo").json()
    assert undone == {"state": "undone", "undone": 2, "skipped": []} and shop.a1.ids("customer") == []


def test_a_rehearsal_changes_nothing(fresh_shop: Shop):
    shop = fresh_shop
    sheet = {"file": ("customers.csv", ROWS.format(shop.phone(), shop.phone()).encode(), "text/csv")}
    job = shop.a1.post("/imports/customer", files=sheet, params={"dry": "true"}).json()["job"]
    drain(shop)
    assert shop.a1.get(f"/jobs/{job}").json()["state"] == "done" and shop.a1.ids("customer") == []


def test_jobs_and_imports_of_others_are_not_there(shop: Shop):
    sheet = {"file": ("customers.csv", ROWS.format(shop.phone(), shop.phone()).encode(), "text/csv")}
    assert shop.s1.post("/imports/customer", files=sheet).json()["code"] == "right_missing"
    job = shop.a1.post("/imports/customer", files=sheet).json()["job"]
    assert shop.s1.get(f"/jobs/{job}").status_code == 404
    assert shop.a1.get("/jobs/987654").status_code == 404 and shop.a1.get("/imports/987654/rows").status_code == 404


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"PK\x03\x04 no zip", b"\xff\xfe\x00"])
def test_files_that_are_no_sheets_are_refused(shop: Shop, content: bytes):
    answer = shop.a1.post("/imports/customer", files={"file": ("x.xlsx", content)})
    assert answer.status_code == 422 and answer.json()["detail"] != answer.json()["code"], answer.text


def test_an_upload_needs_its_part(shop: Shop):
    for words in (
        {"files": {"other": ("x.csv", b"a")}},
        {"body": b"a,b"},
        {"body": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
        {"body": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ):
        answer = shop.a1.post("/imports/customer", **words)
        assert answer.status_code == 422 and answer.json()["code"] == "upload_missing", answer.text


def test_a_file_is_its_uploaders_until_a_record_shows_it(shop: Shop):
    stored = shop.a1.post("/files", files={"file": ("../合同.txt", "正文".encode(), "text/html")})
    assert stored.status_code == 201, stored.text
    file = stored.json()
    assert file["name"] == "合同.txt" and file["type"] == "text/plain" and file["size"] == 6
    assert shop.s1.get(f"/files/{file['id']}").status_code == 404
    record = shop.a1.post("/records/thing", {"text": "有附件", "paper": file["id"]})
    assert record.status_code == 201 and record.json()["paper"]["name"] == "合同.txt", record.text
    read = shop.s1.get(f"/files/{file['id']}")
    assert read.content == "正文".encode() and read.headers["Content-Disposition"].startswith("attachment")
    assert read.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in read.headers["Content-Security-Policy"]
    Path(shop.home.settings.files, shop.name).rename(Path(shop.home.settings.files, f"{shop.name}-away"))
    assert shop.a1.get(f"/files/{file['id']}").json()["code"] == "file_lost"
