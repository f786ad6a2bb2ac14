"""``tangram plugin``: a new plugin comes with tests that pass and is at work at the next start; the list tells what each touches."""

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from renderer.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TANGRAM_HOME", str(tmp_path / "var"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path / "var" / "plugins"
    for name in set(sys.modules) - known:
        del sys.modules[name]


def told(capsys, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return orjson.loads(capsys.readouterr().out)


def test_a_new_plugin_passes_its_tests_and_is_at_work(folder, capsys):
    made = told(capsys, "plugin", "new", "surveys")["files"]
    assert str(folder / "surveys" / "test_surveys.py") in made and (folder / "surveys" / "templates" / "fields" / "surveys_colour.html").is_file()
    assert not [path for path in made if re.search(r"(?<!x\.)\bexample\b|example_", Path(path).read_text("utf-8"))]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(ROOT),
        str(folder / "surveys"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "100%" in done.stdout, done.stdout + done.stderr
    listed = {row["name"]: row for row in told(capsys, "plugin", "list")["plugins"]}
    assert set(listed) == {"builtin", "surveys"} and listed["surveys"]["digest"]
    assert listed["surveys"]["words"]["actions"] == ["surveys.hand_over"] and "surveys_age" in listed["surveys"]["words"]["panels"]


def test_the_list_tells_what_a_plugin_touches_and_pins_the_folder(folder, capsys, monkeypatch):
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    told(capsys, "plugin", "new", "visits")
    assert main(["plugin", "list", "--pin"]) == 0
    text = capsys.readouterr().out
    assert "writes: given, person" in text and "asks for: notify" in text and "hand_over" in text
    assert (folder / "plugins.lock").read_text().startswith("visits ")
    (folder / "visits" / "effects.py").write_text("changed = True\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "visits"]:
        del sys.modules[name]
    assert main(["plugin", "list"]) == 1
    assert "! visits: it is not what plugins.lock pins" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Visits", "1st", "x", "with-dash", "../up", "a" * 31])
def test_a_plugin_needs_a_name(folder, capsys, name):
    assert main(["plugin", "new", name]) == 1
    assert name in capsys.readouterr().err and not folder.exists()


def test_what_is_there_is_never_overwritten(folder, capsys):
    told(capsys, "plugin", "new", "visits")
    (folder / "visits" / "effects.py").write_text("mine = 1\n")
    assert main(["plugin", "new", "visits"]) == 1
    assert (folder / "visits" / "effects.py").read_text() == "mine = 1\n"
