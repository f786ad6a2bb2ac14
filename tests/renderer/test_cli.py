"""The command line: success is 0, every refusal one clear line and not 0, never a traceback; what a script reads is JSON."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from renderer.cli import build_parser, main

PRESET = {
    "preset.json": {"name": "clinic", "version": "1", "title": {"zh": "诊所"}, "menus": [{"key": "pets", "title": {"zh": "宠物"}, "list": "pets"}]},
    "entities/pet.json": {"title": {"zh": "宠物"}, "label": "{name}", "fields": {"name": {"type": "text", "required": True, "title": {"zh": "名字"}}}},
    "lists/pets.json": {"entity": "pet", "title": {"zh": "宠物"}, "columns": ["name"]},
    "roles/vet.json": {"title": {"zh": "兽医"}, "grants": {"pet": {"read": True, "create": True, "update": True}}},
}


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    folder = tmp_path / "clinic"
    for name, document in PRESET.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an installation of its own: (exit code, answer, errors)."""
    for name in [name for name in os.environ if name.startswith("TANGRAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TANGRAM_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)

    def command(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return command


@pytest.fixture
def run_on(run, database_kind, new_postgres_database, monkeypatch):
    """The same on either database."""
    if database_kind == "postgresql":
        monkeypatch.setenv("TANGRAM_DATABASE_URL", new_postgres_database())
        monkeypatch.setenv("TANGRAM_SECRET_KEY", "k" * 40)
    return run


def _json(answer: tuple[int, str, str]) -> object:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_every_command_explains_itself(capsys):
    for words in (["--help"], *([*path, "--help"] for path in _paths(build_parser()))):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        assert "usage: tangram" in capsys.readouterr().out


def _paths(parser, before=()):
    for action in parser._actions:
        for name, inner in (getattr(action, "choices", None) or {}).items() if hasattr(action, "_name_parser_map") else ():
            yield [*before, name]
            yield from _paths(inner, (*before, name))


def test_a_command_that_is_none_is_a_mistake_of_use(capsys):
    for words in ([], ["fly"], ["workspace"], ["plan", "one"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
        capsys.readouterr()


def test_a_workspace_from_definitions_to_a_new_version_and_back(run_on, preset):
    run = run_on
    assert [item for item in _json(run("check", preset, "--json"))["problems"] if item["severity"] == "error"] == []
    assert _json(run("workspace", "create", "vets", "--preset", preset, "--title", "城东诊所", "--json")) == {"name": "vets", "version": 1}
    assert [(item["name"], item["title"]) for item in _json(run("workspace", "list", "--json"))] == [("vets", "城东诊所")]
    entity = json.loads((preset / "entities/pet.json").read_text())
    entity["fields"]["weight"] = {"type": "integer", "title": {"zh": "体重"}}
    (preset / "entities/pet.json").write_text(json.dumps(entity))
    planned = _json(run("plan", "vets", preset, "--json"))
    assert planned["ready"] and any("weight" in text or "体重" in text for text in planned["changes"])
    assert _json(run("publish", "vets", preset, "--json"))["version"] == 2
    assert _json(run("rollback", "vets", "1", "--json")) == {"version": 3, "restores": 1}
    assert run("check", "--database", "vets")[0] == 0
    assert _json(run("workspace", "clone", "vets", "copy", "--json"))["version"] == 1
    assert run("workspace", "export", "vets", preset.parent / "out.zip")[0] == 0 and (preset.parent / "out.zip").stat().st_size > 300
    assert run("migrate")[0] == 0


def test_people_and_tokens(run_on, preset):
    run = run_on
    run("workspace", "create", "vets", "--preset", preset)
    made = _json(run("user", "add", "vets", "Li.Na", "--role", "vet", "--name", "李娜", "--json"))
    assert made["login"] == "li.na" and made["link"].startswith("http://127.0.0.1:8000/welcome/")
    assert _json(run("token", "create", "vets", "li.na", "--json"))["token"].startswith("tgm_")
    for words, said in (
        (("user", "add", "vets", "li.na", "--role", "vet"), "li.na"),
        (("user", "add", "vets", "new", "--role", "king"), "king"),
        (("user", "add", "vets", "new", "--role", "vet", "--team", "North"), "North"),
        (("token", "create", "vets", "nobody"), "nobody"),
        (("token", "revoke", "vets", "li.na", "9"), "token"),
        (("user", "disable", "nobody"), "account"),
    ):
        code, out, err = run(*words)
        assert code == 1 and not out and said in err and err.startswith("tangram: ")


def test_whoever_left_the_company_is_kept_out_of_every_workspace_at_once(run_on, preset):
    run = run_on
    run("workspace", "create", "vets", "--preset", preset)
    run("user", "add", "vets", "li.na", "--role", "vet", "--name", "李娜")
    run("token", "create", "vets", "li.na", "--name", "till")
    (token,) = _json(run("token", "list", "vets", "li.na", "--json"))
    assert token["name"] == "till" and "tgm_" not in str(token)
    assert run("token", "revoke", "vets", "li.na", token["id"])[0] == 0 and _json(run("token", "list", "vets", "li.na", "--json")) == []
    assert _json(run("user", "disable", "li.na", "--json")) == {"login": "li.na", "disabled": True}
    assert [(account["login"], account["disabled"]) for account in _json(run("user", "list", "--json"))] == [("li.na", True)]
    assert run("user", "list")[1].strip().endswith("disabled")
    assert run("user", "enable", "li.na")[0] == 0 and _json(run("user", "list", "--json"))[0]["disabled"] is False


def test_keys_of_sources_and_the_held_outbox(run_on, preset):
    run_on("workspace", "create", "vets", "--preset", preset)
    code, out, _ = run_on("source", "create", "vets", "website", "--json")
    made = json.loads(out)
    assert code == 0 and made["secret"].startswith("whsec_") and made["url"].endswith("/intake/vets/website") and made["rules"] == 0
    assert "no rule waits" in run_on("source", "create", "vets", "website")[1]
    assert [key["source"] for key in json.loads(run_on("source", "list", "vets", "--json")[1])] == ["website"]
    assert run_on("source", "revoke", "vets", "website")[0] == 0 and "revoked" in run_on("source", "list", "vets")[1]
    assert run_on("source", "revoke", "vets", "website")[0] == 1
    code, _, err = run_on("source", "create", "vets", "Web site")
    assert code == 1 and "/source" not in err.splitlines()[0] and len(err.splitlines()) == 2
    assert run_on("outbox", "release", "vets") == (0, "0\n", "")


def test_a_workspace_in_one_file(run_on, preset, tmp_path):
    run = run_on
    run("workspace", "create", "vets", "--preset", preset)
    run("user", "add", "vets", "li.na", "--role", "vet")
    assert _json(run("workspace", "backup", "vets", tmp_path / "kept.zip", "--passphrase", "seven blue kettles", "--json"))["version"] == 1
    assert run("workspace", "restore", tmp_path / "kept.zip", "again")[0] == 1
    assert _json(run("workspace", "restore", tmp_path / "kept.zip", "again", "--passphrase", "seven blue kettles", "--json"))["name"] == "again"
    assert run("token", "create", "again", "li.na")[0] == 0
    assert "/welcome/" in _json(run("user", "link", "li.na", "--json"))["link"] and run("user", "link", "nobody")[0] == 1
    (tmp_path / "kept.zip").write_bytes((tmp_path / "kept.zip").read_bytes()[:-200])
    code, _, err = run("workspace", "restore", tmp_path / "kept.zip", "third", "--passphrase", "seven blue kettles")
    assert code == 1 and "kept.zip" in err and len(err.splitlines()) == 1


def test_a_sandbox_has_its_own_time_and_a_live_workspace_has_not(run_on, preset):
    run = run_on
    run("workspace", "create", "rehearsal", "--preset", preset, "--now", "2026-03-15T10:00:00+08:00")
    run("workspace", "create", "live", "--preset", preset)
    assert _json(run("clock", "rehearsal", "2026-03-16T10:00:00+08:00", "--json")) == {"now": "2026-03-16T10:00:00+08:00", "ran": []}
    for words in (
        ("rehearsal", "2026-03-15T10:00:00+08:00"),
        ("live", "2030-01-01T00:00:00+08:00"),
        ("rehearsal", "tomorrow"),
        ("rehearsal", "2026-03-17T10:00:00"),
    ):
        code, _, err = run("clock", *words)
        assert code == 1 and err.count("\n") == 1


def test_due_work_is_run_as_of_an_instant_in_sandboxes_only(run_on, preset):
    run = run_on
    run("workspace", "create", "live", "--preset", preset)
    assert run("worker", "--once", "--now", "2026-03-17T10:00:00+08:00")[0] == 1  # there is no sandbox
    run("workspace", "create", "rehearsal", "--preset", preset, "--now", "2026-03-15T10:00:00+08:00")
    assert run("worker", "--now", "2026-03-17T10:00:00+08:00")[0] == 1
    assert run("worker", "--once", "--now", "2026-03-17T10:00:00+08:00")[0] == 0
    code, _, err = run("clock", "rehearsal", "2026-03-16T10:00:00+08:00")
    assert code == 1 and "2026-03-17" in err


def test_records_go_in_and_out(run_on, preset, tmp_path):
    run = run_on
    role = PRESET["roles/vet.json"] | {"can": ["export"]}
    role["grants"]["pet"]["export"] = True
    (preset / "roles/vet.json").write_text(json.dumps(role))
    run("workspace", "create", "vets", "--preset", preset)
    run("user", "add", "vets", "li.na", "--role", "vet")
    (tmp_path / "pets.csv").write_text("名字\n旺财\n=1+1\n", encoding="utf-8")
    dry = _json(run("import", "vets", "pet", tmp_path / "pets.csv", "--dry-run", "--json"))
    assert dry["counts"]["created"] == 2 and dry["mapping"] == {"名字": "field:name"}
    done = _json(run("import", "vets", "pet", tmp_path / "pets.csv", "--json"))
    assert [row["outcome"] for row in done["rows"]] == ["created", "created"]
    out = tmp_path / "out.csv"
    assert _json(run("export", "vets", "pet", out, "--as", "li.na", "--where", "name != '旺财'", "--json"))["rows"] == 1
    assert "'=1+1" in out.read_text(encoding="utf-8-sig") and "旺财" not in out.read_text(encoding="utf-8-sig")
    for words in (
        ("export", "vets", "pet", out, "--as", "nobody"),
        ("export", "vets", "pet", tmp_path / "no" / "x.csv", "--as", "li.na"),
        ("export", "vets", "pet", tmp_path / "x.pdf", "--as", "li.na"),
        ("export", "vets", "pet", out, "--as", "li.na", "--where", "nmae == 1"),
        ("import", "vets", "pet", tmp_path / "none.csv"),
        ("import", "vets", "cat", tmp_path / "pets.csv"),
        ("schema", "vets", "cat"),
        ("import", "vets", "pet", tmp_path / "pets.csv", "--mapping", "unknown"),
    ):
        code, out_text, err = run(*words)
        assert code == 1 and not out_text and err.startswith("tangram: "), words
    schema = _json(run("schema", "vets", "pet", "--json"))
    assert schema["properties"]["name"]["type"] in ("string", ["string", "null"])
    assert _json(run("demo-data", "vets", "--scale", "S", "--json"))["refused"] == {}


@pytest.mark.parametrize(
    "words",
    [
        ("workspace", "create", "demo", "--preset", "no_such_preset"),
        ("workspace", "create", "Bad Name", "--preset", "{preset}"),
        ("plan", "nowhere", "{preset}"),
        ("rollback", "nowhere", "1"),
        ("workspace", "clone", "nowhere", "copy"),
        ("check", "/no/such/folder"),
        ("user", "add", "nowhere", "a.b", "--role", "vet"),
        ("clock", "nowhere", "2026-01-01T00:00:00Z"),
        ("check", "--database", "nowhere"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(run, preset, words):
    code, out, err = run(*(word.format(preset=preset) for word in words))
    assert code == 1 and not out and err.startswith("tangram: ") and "_" not in err.split(":")[1].split(" ")[0]


def test_a_refusal_can_be_read_by_a_script(run, preset):
    run("workspace", "create", "vets", "--preset", preset)
    code, out, err = run("workspace", "create", "vets", "--preset", preset, "--json")
    assert (code, out) == (1, "") and json.loads(err)["code"] == "workspace_exists"


def test_problems_of_definitions_come_with_file_line_place_and_advice(run, preset):
    (preset / "entities/pet.json").write_text('{\n  "title": "Pet",\n  "fields": {\n    "name": {"type": "txt"}\n  }\n}\n')
    code, out, _ = run("check", preset)
    assert code == 1 and "entities/pet.json:4" in out and "/fields/name/type" in out and "text" in out
    code, out, _ = run("check", preset, "--json")
    problem = next(item for item in json.loads(out)["problems"] if item["file"] == "entities/pet.json" and item["pointer"] == "/fields/name/type")
    assert code == 1 and set(problem["message"]) == {"zh", "en"} and problem["line"] == 4
    code, _, err = run("workspace", "create", "vets", "--preset", preset)
    assert code == 1 and "entities/pet.json" in err
    assert run("workspace", "list")[1] == ""


def test_a_publish_that_is_refused_changes_nothing(run, preset):
    run("workspace", "create", "vets", "--preset", preset)
    (preset / "lists/pets.json").write_text('{"entity": "pet", "columns": ["nmae"]}')
    code, out, _ = run("publish", "vets", preset)
    assert code == 1 and "nmae" in out
    code, out, _ = run("plan", "vets", preset, "--json")
    assert code == 1 and json.loads(out)["base_version"] == 1 and not json.loads(out)["ready"]


def test_every_setting_is_shown_with_its_source(run, monkeypatch):
    monkeypatch.setenv("TANGRAM_PORT", "8123")
    rows = {row["name"]: row for row in _json(run("settings", "--json"))}
    assert rows["TANGRAM_PORT"]["value"] == "8123" and rows["TANGRAM_PORT"]["source"] == "environment" and rows["TANGRAM_HOST"]["source"] == "default"


# --- what stops a start ------------------------------------------------------------------------------------------------------------------------


def test_wrong_settings_stop_every_command_and_are_all_listed(run, monkeypatch):
    monkeypatch.setenv("TANGRAM_PORT", "eighty")
    monkeypatch.setenv("TANGRAM_LOG_LEVEL", "loud")
    for words in (("serve",), ("workspace", "list"), ("settings",)):
        code, out, err = run(*words)
        assert code == 1 and not out and "TANGRAM_PORT" in err and "TANGRAM_LOG_LEVEL" in err and len(err.splitlines()) == 3


def test_a_missing_secret_on_postgresql_stops_the_start(run, monkeypatch):
    monkeypatch.setenv("TANGRAM_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    code, _, err = run("serve", "--port", "0")
    assert code == 1 and "TANGRAM_SECRET_KEY" in err
    monkeypatch.setenv("TANGRAM_SECRET_KEY", "k" * 40)
    code, _, err = run("serve", "--port", "0")
    assert code == 1 and len(err.splitlines()) == 1


def test_an_occupied_port_stops_the_start(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = run("serve", "--port", taken.getsockname()[1])
    assert code == 1 and str(taken) not in err and "in use" in err and len(err.splitlines()) == 1


def test_several_processes_on_sqlite_and_a_bare_public_address_are_refused(run):
    for words in (("--processes", "2"), ("--host", "0.0.0.0")):
        code, _, err = run("serve", "--port", "0", *words)
        assert code == 1 and len(err.splitlines()) == 1


def test_databases_that_cannot_be_used_stop_the_start(run, preset, tmp_path):
    run("workspace", "create", "vets", "--preset", preset)
    path = tmp_path / "var" / "workspaces" / "vets.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = path.read_bytes()
    for content, said in ((b"not a database at all", "not a SQLite database"), (whole[:100] + b"\xa5" * (len(whole) - 100), "damaged")):
        path.write_bytes(content)
        for words in (("serve", "--port", "0"), ("plan", "vets", preset)):
            code, _, err = run(*words)
            assert code == 1 and said in err and "vets.db" in err and len(err.splitlines()) == 1
        assert path.read_bytes() == content
    path.write_bytes(whole)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
    connection.close()
    code, _, err = run("serve", "--port", "0")
    assert code == 1 and "newer release" in err


def test_it_serves_and_stops_when_told(preset, tmp_path):
    environment = {**os.environ, "TANGRAM_HOME": str(tmp_path / "var"), "LANG": "en_US.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "renderer.cli", "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split(" ")[-1].strip()
        assert url.startswith("http://127.0.0.1:")
        for _ in range(100):
            try:
                with urllib.request.urlopen(url + "/login", timeout=2) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("nothing answers")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()
    shutil.rmtree(tmp_path / "var")


def _scenario(preset: Path, count: int) -> None:
    steps = {"given": [{"as": "v", "create": "pet", "values": {"name": "旺财"}}], "then": [{"as": "v", "expect": "pet", "count": count}]}
    document = {"title": {"zh": "兽医登记", "en": "A vet registers"}, "people": {"v": "vet"}, **steps}
    (preset / "scenarios").mkdir(exist_ok=True)
    (preset / "scenarios/first.json").write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def test_scenarios_of_a_folder_are_played_and_what_does_not_hold_is_named_with_its_line(run, preset, monkeypatch):
    _scenario(preset, 1)
    code, out, _ = run("check", preset, "--scenarios")
    assert code == 0 and "first A vet registers: holds" in out
    _scenario(preset, 2)
    assert run("check", preset)[0] == 0
    code, out, _ = run("check", preset, "--scenarios")
    assert code == 1 and "first A vet registers: does not hold" in out
    assert "scenarios/first.json:19" in out and "/then/0 [scenario_count] then 1, v expects pet: 2 expected, 1 there" in out
    code, out, _ = run("check", preset, "--scenarios", "--json")
    (found,) = json.loads(out)["scenarios"]
    assert code == 1 and not found["holds"] and found["steps"] == 2
    assert found["problems"][0]["message"]["zh"] == "则第 1 步 v 应有 pet：应有 2 条，实有 1 条"


def test_a_publish_plays_the_scenarios_first_and_goes_without_only_for_a_reason(run, preset):
    run("workspace", "create", "vets", "--preset", preset)
    _scenario(preset, 2)
    code, out, _ = run("plan", "vets", preset, "--json")
    assert code == 1 and [item["holds"] for item in json.loads(out)["scenarios"]] == [False]
    code, _, err = run("publish", "vets", preset, "--json")
    assert code == 1 and json.loads(err)["code"] == "publish_scenarios" and json.loads(err)["problems"][0]["pointer"] == "/then/0"
    assert run("publish", "vets", preset, "--skip-scenarios", " ")[0] == 1
    assert _json(run("publish", "vets", preset, "--skip-scenarios", "power cut", "--json"))["version"] == 2
