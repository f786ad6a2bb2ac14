"""Pages drawn once and filled for each request say the same as pages drawn anew, to each person, in each language, whatever was kept before."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from markupsafe import Markup
from starlette.testclient import TestClient

from engine import accounts, builtin, saved_views
from engine.actors import enter_person
from engine.home import Home
from engine.members import add_member
from engine.publishing import create_workspace
from engine.records import service
from metadata.bundle import Bundle
from renderer.app import create_app
from renderer.bound_field import BoundField
from renderer.moulds import Mould, Moulds, hole
from renderer.shell import PageView
from renderer.templates import Pages
from tests.renderer.clinic import ALL, DOCUMENTS, open_home

FORM = {
    "entity": "case",
    "title": {"zh": "病例", "en": "Case"},
    "layout": [
        {
            "key": "head",
            "section": {"zh": "概要", "en": "Summary"},
            "columns": 2,
            "items": ["name", "kind", "detail", "doctor", "day", "base", "level", "score", "guest", "note"],
        },
        {"key": "urgent", "section": {"zh": "急诊", "en": "Urgent"}, "show": "kind == 'urgent'", "items": ["reason"]},
        {
            "key": "chief",
            "section": {"zh": "主任", "en": "Chief"},
            "show": "me.role == 'chief'",
            "items": [{"field": "patient", "required": "kind == 'urgent'"}],
        },
    ],
}
CASE = {
    "title": {"zh": "病例", "en": "Case"},
    "label": "{name}",
    "fields": {
        "name": {"type": "text", "required": True, "title": {"zh": "名称", "en": "Name"}},
        "kind": {
            "type": "choice",
            "choices": "kind",
            "default": {"value": "'urgent' if me.name == '<b>卫 & 子</b>' else 'usual'"},
            "title": {"zh": "种类", "en": "Kind"},
        },
        "detail": {"type": "choice", "choices": "detail", "parent": "kind", "title": {"zh": "细分", "en": "Detail"}},
        "doctor": {"type": "person", "default": {"value": "me"}, "title": {"zh": "医生", "en": "Doctor"}},
        "day": {"type": "date", "default": {"value": "today()"}, "title": {"zh": "日期", "en": "Day"}},
        "base": {"type": "integer", "default": {"value": "5 if me.name == '凯特' else 1"}, "title": {"zh": "基数", "en": "Base"}},
        "note": {"type": "text", "default": {"value": "'早' if me.name == '丹' else ''"}, "title": {"zh": "备注", "en": "Note"}},
        "level": {"type": "integer", "default": {"value": "2 if me.name == '鲍勃' else 1"}, "title": {"zh": "级别", "en": "Level"}},
        "guest": {"type": "link", "to": "patient", "where": "fee > record.base", "title": {"zh": "客人", "en": "Guest"}},
        "score": {"type": "integer", "read_only": "level > 1", "title": {"zh": "评分", "en": "Score"}},
        "reason": {"type": "text", "required": "kind == 'urgent'", "title": {"zh": "原因", "en": "Reason"}},
        "patient": {"type": "link", "to": "patient", "where": "fee > record.base", "title": {"zh": "病人", "en": "Patient"}},
    },
}
MORE: dict[tuple[str, str], Any] = {
    ("choices", "kind"): {"title": "种类", "options": {"usual": {"title": {"zh": "普通", "en": "Usual"}}, "urgent": {"title": {"zh": "紧急", "en": "Urgent"}}}},
    ("choices", "detail"): {"title": "细分", "options": {"a": {"title": "甲", "parent": "usual"}, "b": {"title": "乙", "parent": "urgent"}}},
    ("entity", "case"): CASE,
    ("form", "case"): FORM,
    ("list", "cases"): {"entity": "case", "title": {"zh": "病例", "en": "Cases"}, "columns": ["name", "kind", "doctor", "day"], "quick": ["kind", "guest"]},
}
PEOPLE = (
    ("ann", "<b>卫 & 子</b>", "doctor"),
    ("ben", '本 "恩"', "doctor"),
    ("bob", "鲍勃", "doctor"),
    ("cat", "凯特", "doctor"),
    ("dan", "丹", "doctor"),
    ("eve", "夏娃", "chief"),
    ("root", "管理", "admin"),
)
ADDRESSES = (
    "l/cases",
    "r/case/new",
    "r/case/1",
    "r/case/1/edit",
    "l/cases?q=一",
    "l/cases?sort=name",
    "l/patients",
    "l/board",
    "l/days",
    "r/patient/new",
    "",
    "people",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A clinic whose form looks different to nearly everybody; one record, one view of ann's own."""
    home = open_home(tmp_path_factory.mktemp("moulds"))
    roles = {key: {**document, "grants": {**document["grants"], "case": ALL}} for key, document in DOCUMENTS.items() if key[0] == "role" and key[1] != "admin"}
    create_workspace(home, "clinic", Bundle({**DOCUMENTS, **roles, **MORE}, builtin.DOCUMENTS), title="青竹 & 诊所", demo=True)
    for login, title, role in PEOPLE:
        add_member(home, "clinic", login, [role], name=title)
    ctx = enter_person(home, "clinic", "ann")
    service.create(ctx, "case", {"name": "病例一", "reason": "x"})
    for login in ("ann", "ben"):
        own = enter_person(home, "clinic", login)
        service.create(own, "patient", {"name": f"{login} 的病人", "owner": own.actor.person_id})
    saved_views.save_view(ctx, "cases", "case", "我的 <视图>", {"page": "table", "q": "一"})
    yield home
    home.close()


@pytest.fixture
def ask(home: Home) -> Callable[[], Callable[[str, str, str], str]]:
    """A new application's answers: (login, language, address) to text, without what is new in every answer."""

    def start() -> Callable[[str, str, str], str]:
        application = create_app(home)
        clients: dict[str, TestClient] = {}

        def get(login: str, locale: str, address: str) -> str:
            if login not in clients:
                clients[login] = TestClient(application, base_url="http://127.0.0.1", follow_redirects=False)
                account = accounts.find_account(home, login)
                assert account is not None
                clients[login].cookies.set("tangram", accounts.start_session(home, account.id))
            answer = clients[login].get(
                f"/w/clinic/{address}", headers={"accept-language": locale, "cookie": f"tangram-locale={locale}; tangram={clients[login].cookies['tangram']}"}
            )
            return f"{answer.status_code} " + _settled(answer.text)

        return get

    return start


def _settled(text: str) -> str:
    text = re.sub(r"[0-9a-f]{16}\.[0-9a-f]{40}", "TOKEN", text)
    text = re.sub(r'name="once:" value="[0-9a-f]{32}"', "ONCE", text)
    text = re.sub(r'name="begun:" value="[0-9T:.-]{23}"', "BEGUN", text)
    return re.sub(r"\s+", " ", text.replace("> <", "><")).replace("> ", ">").replace(" <", "<")


def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is drawn as a template that extends another; nothing is kept."""

    def page(self: Pages, name: str, page: PageView, data: Mapping[str, Any]) -> str:
        return self.render(name, page=page, **data)

    def kept(self: Pages, name: str, page: PageView, key: Hashable, values: Mapping[str, str], draw: Callable[[], Mapping[str, Any]]) -> str:
        return Mould(self.render(name, page=page, **draw())).fill(values)

    def begun(self: Pages, key: Hashable, bind: Callable[[], BoundField | None]) -> Markup:
        bound = bind()
        return Markup() if bound is None else self.drawn(bound)

    monkeypatch.setattr(Pages, "begun", begun)
    monkeypatch.setattr(Pages, "page", page)
    monkeypatch.setattr(Pages, "kept_page", kept)


def test_a_kept_page_says_what_a_page_drawn_anew_says(ask: Any, monkeypatch: pytest.MonkeyPatch):
    asked = [(login, locale, address) for login, _, _ in PEOPLE for locale in ("zh", "en") for address in ADDRESSES]
    get = ask()
    kept = [[get(*one) for one in asked] for _ in range(2)]
    _anew(monkeypatch)
    get = ask()
    anew = [get(*one) for one in asked]
    for turn in kept:
        for one, found, expected in zip(asked, turn, anew, strict=True):
            assert found == expected, one
    assert sum(text.startswith("200 ") for text in anew) > 60


def test_the_forms_of_two_people_differ_by_what_their_conditions_and_defaults_say(ask: Any):
    get = ask()
    ann, ben, eve = (get(login, "zh", "r/case/new") for login in ("ann", "ben", "eve"))
    assert 'id="f-reason"' in ann and 'id="f-reason"' not in ben and 'id="f-patient"' in eve and 'id="f-patient"' not in ann
    assert "乙" in ann and "甲" not in ann and "甲" in ben and "乙" not in ben
    assert "&lt;b&gt;卫 &amp; 子&lt;/b&gt;" in ann and "<b>卫" not in ann and "卫" not in ben


def test_a_fresh_form_asks_the_database_nothing_while_nobody_commits(ask: Any):
    get, sent = ask(), list[str]()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    first = get("ben", "zh", "r/case/new")
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert get("ben", "zh", "r/case/new") == first and sent == []
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_a_view_of_one_person_is_shown_to_that_person_alone(ask: Any):
    get = ask()
    assert ["我的 &lt;视图&gt;" in get(login, "zh", "l/cases") for login in ("ben", "ann", "eve", "ann", "ben")] == [False, True, False, True, False]


def test_holes_are_filled_with_html_and_the_oldest_moulds_are_given_up():
    drawn: list[int] = []

    def draw(number: int) -> Callable[[], dict[str, str]]:
        def make() -> dict[str, str]:
            drawn.append(number)
            return {"": f"<p>{number} {hole('name')}</p>{hole('name')}"}

        return make

    moulds = Moulds(most=2)
    assert moulds.of(1, draw(1))[""].fill({"name": "<i>"}) == "<p>1 <i></p><i>"
    for number in (2, 1, 3, 2, 1):
        moulds.of(number, draw(number))
    assert drawn == [1, 2, 3, 1]
    with pytest.raises(KeyError):
        moulds.of(1, draw(1))[""].fill({})


def test_folder_of_templates_has_no_page_that_passes_by_the_shell():
    """A page's own blocks are put into the shell by name: one the shell does not know would be lost."""
    folder = Path(__file__).resolve().parents[2] / "renderer" / "templates"
    known = {"title", "scripts", "crumbs", "page_class", "main", "dialogs", "body", "card"}
    for path in folder.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"{% block (\w+) %}", text)) <= known and "super()" not in text, path.name
