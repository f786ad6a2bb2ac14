"""Plugins in the pages: panels under the reader's rights, a failing one named in its box, the administrators' page."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import plugins
from engine import accounts
from engine.api import Plugin, Row, page_panel
from engine.home import Home
from engine.registry import engine_registry
from engine.settings import Settings
from engine.workspace_checking import with_expressions
from engine.workspace_load import load_workspace
from renderer.app import create_app
from tests.renderer.clinic import make_clinic


@page_panel("odd_rows", entity="patient", title={"zh": "就诊概况", "en": "Visits"})
def rows(ctx, record):
    many = ctx.find("appointment", f"patient == {record['id']}", sort=("-at",), limit=5)
    people = ctx.find("person")
    return [
        Row("预约", str(len(many)), "green", "/w/clinic/"),
        Row("电话", str(record.get("phone"))),
        Row("人员", str(len(people))),
        Row("<b>标题</b>", "<script>alert(1)</script>", "no-such-colour", "https://elsewhere.example/"),
    ]


@page_panel("odd_template", entity="patient", title="模板", template="panels/odd.html")
def template(ctx, record):
    return {"name": "<i>" + record["name"]}


@page_panel("odd_failing", title={"zh": "坏面板", "en": "Broken"})
def failing(ctx, record):
    raise ZeroDivisionError


@page_panel("odd_garbage", title="垃圾")
def garbage(ctx, record):
    return ["not a row"]


@page_panel("odd_wrong_find", title="错查")
def wrong_find(ctx, record):
    return [Row("x", str(ctx.find("patient", "no_such_field == 1")))]


@page_panel("odd_changing", entity="patient", title="改")
def changing(ctx, record):
    record["name"] = "改过的名字"
    return None


@page_panel("odd_endless", entity="patient", title="不停")
def endless(ctx, record):
    while True:
        pass


@page_panel("odd_elsewhere", entity="appointment", title="不在这里")
def elsewhere(ctx, record):
    return [Row("x", "y")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "templates" / "panels").mkdir(parents=True)
    (folder / "templates" / "panels" / "odd.html").write_text("<p class='mine'>{{ name }}</p>", encoding="utf-8")
    registry = engine_registry()
    plugins.load(registry, [])
    odd = Plugin("odd", "0.3.1", title={"zh": "奇怪的插件", "en": "Odd"}, templates=folder / "templates", capabilities={"pages": ("*",)})
    registry.add([rows, template, failing, garbage, wrong_find, changing, endless, elsewhere], "odd", "0.3.1")
    registry.manifests["odd"] = odd
    registry.left_out.append(plugins.LeftOut("broken_plugin", "RuntimeError: at <import>"))
    words = {"TANGRAM_HOME": str(folder / "var"), "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
    made = Home.open(Settings.from_environment(words), with_expressions(registry).freeze(), load_workspace, migrate=True)
    make_clinic(made, patients=13)
    yield made
    made.close()


def client(home: Home, login: str) -> TestClient:
    found = TestClient(create_app(home), base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False, client=("127.0.0.1", 50000))
    account = accounts.find_account(home, login)
    assert account is not None
    found.cookies.set("tangram", accounts.start_session(home, account.id))
    return found


def test_panels_show_rows_and_templates_with_everything_escaped(home):
    text = client(home, "anna").get("/w/clinic/r/patient/1").text
    panel = text[text.index('id="panel-of-odd_rows"') :]
    assert "就诊概况" in panel and '<a class="link" href="/w/clinic/">1</a>' in panel
    assert "&lt;script&gt;" in panel and "<script>alert" not in text and "&lt;b&gt;标题" in panel and "elsewhere.example" not in text
    assert "<p class='mine'>&lt;i&gt;" in text and "panel-of-odd_elsewhere" not in text and "panel-of-odd_changing" not in text


def test_a_panel_changes_nothing_of_the_page(home):
    assert "改过的名字" not in client(home, "anna").get("/w/clinic/r/patient/1").text


def test_a_failing_panel_is_a_box_that_names_its_plugin_and_the_page_lives(home, caplog):
    with caplog.at_level(logging.ERROR, "tangram.plugins"):
        answer = client(home, "anna").get("/w/clinic/r/patient/1")
    assert answer.status_code == 200 and "ZeroDivisionError" not in answer.text
    for name in ("odd_failing", "odd_garbage", "odd_wrong_find", "odd_endless"):
        panel = answer.text[answer.text.index(f'id="panel-of-{name}"') :].split("</section>")[0]
        assert "插件“odd”出错" in panel and name in caplog.text


def test_panels_read_under_the_readers_rights(home):
    """A doctor gets a masked telephone of the pool where the administrator gets it whole."""

    def panel(login: str) -> str:
        text = client(home, login).get("/w/clinic/r/patient/1").text
        return text[text.index('id="panel-of-odd_rows"') :].split("</section>")[0]

    assert "13800000000" in panel("anna")
    assert "13800000000" not in panel("dora") and "****" in panel("dora")


def test_administrators_see_every_plugin_with_what_it_touches_and_those_left_out(home):
    assert client(home, "anna").get("/w/clinic/plugins").status_code == 200
    text = client(home, "anna").get("/w/clinic/plugins").text
    assert 'id="plugin-builtin"' in text and "allocate" in text and "发起" in text and "engine merge" in text
    assert "奇怪的插件" in text and "odd 0.3.1" in text and "就诊概况" in text
    assert "broken_plugin 没有启用：RuntimeError: at &lt;import&gt;" in text
    assert 'href="/w/clinic/plugins"' in client(home, "anna").get("/w/clinic/").text


def test_nobody_else_does(home):
    assert client(home, "dora").get("/w/clinic/plugins").status_code in (403, 404)
    assert "/plugins" not in client(home, "dora").get("/w/clinic/").text


def test_field_types_of_plugins_bring_their_macros_into_the_pages(home):
    application = create_app(home)
    assert application.state.site.pages.render("plugin-odd/panels/odd.html", name="x") == "<p class='mine'>x</p>"
