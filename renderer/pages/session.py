"""Logging in and out, one-click people of a demo, one-time links, language, the choice of a workspace, the own account. Shows no record."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from engine import accounts, actors
from engine.errors import Denied, Fault, Invalid, NotFound, Refusal
from engine.messages import sentence, told_faults, told_together
from metadata.text import label_text
from renderer import errors
from renderer.requests import LOCALE_COOKIE, Routes, Visit, client_ip, is_loopback
from renderer.security import ACCOUNT, PUBLIC
from renderer.translations import LOCALES, _, speaking

routes = Routes()


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody a demo's login page offers."""

    workspace: str
    login: str
    name: str
    roles: str


def _next(visit: Visit, given: str) -> str:
    """Only addresses of our own pages are gone to."""
    return given if given.startswith("/") and not given.startswith(("//", "/\\")) and "\n" not in given else "/"


@routes.get("/", PUBLIC)
def start(visit: Visit) -> Response:
    """The only workspace of the person, or the choice among several."""
    if visit.session is None:
        return visit.redirect("/login")
    names = actors.memberships(visit.home, visit.session.account.login)
    if len(names) == 1 and "all" not in visit.request.query_params:
        return visit.redirect(f"/w/{names[0]}/")
    entries = [entry for entry in visit.home.workspaces() if entry.name in names]
    return visit.page("workspaces.html", entries=entries)


@routes.get("/login", PUBLIC)
def login_page(visit: Visit) -> Response:
    """The login form; in a demo on this machine also its people."""
    if visit.session is not None:
        return visit.redirect("/")
    return _login_page(visit)


def _login_page(visit: Visit, *, login: str = "", problem: str = "", status: int = 200) -> Response:
    return visit.page(
        "login.html",
        status=status,
        login=login,
        problem=problem,
        next=_next(visit, visit.request.query_params.get("next", visit.text("next", "/"))),
        demos=_demos(visit),
    )


def _demos(visit: Visit) -> list[tuple[str, list[DemoPerson]]]:
    """(workspace title, people) of demo workspaces; nothing unless both ends are this machine."""
    if not is_loopback(visit.site, visit.request):
        return []
    found = []
    for entry in visit.home.workspaces():
        if not entry.demo:
            continue
        workspace = visit.home.workspace(entry.name)
        with workspace.database.read() as connection:
            people = actors.people_of(connection, workspace)
        found.append(
            (entry.title, _one_per_role(entry.name, people, {key: label_text(role.title, visit.locale, key) for key, role in workspace.roles.items()}))
        )
    return found


def _one_per_role(workspace: str, people: list[tuple[int, str, str, tuple[str, ...]]], titles: dict[str, str]) -> list[DemoPerson]:
    """Two people of each role at most, in the order of the roles' appearance."""
    shown: dict[tuple[str, ...], int] = {}
    found = []
    for _id, login, name, roles in people:
        shown[roles] = shown.get(roles, 0) + 1
        if shown[roles] <= 2:
            found.append(DemoPerson(workspace, login, name, "、".join(titles.get(role, role) for role in roles)))
    return found


@routes.post("/login", PUBLIC)
def log_in(visit: Visit) -> Response:
    """Check login and password; the form again with the reason when they are wrong."""
    login = visit.text("login")
    try:
        token = accounts.log_in(visit.home, login, visit.text("password"), ip=client_ip(visit.site, visit.request), agent=_agent(visit))
    except Refusal as refusal:
        response = _login_page(visit, login=login, problem=told_together(refusal, visit.locale), status=errors.status_of(refusal))
        response.headers.update(errors.headers(refusal))
        return response
    return _begin(visit, token, _next(visit, visit.text("next", "/")))


@routes.post("/login/as", PUBLIC)
def log_in_as(visit: Visit) -> Response:
    """One click: a person of a demo workspace, on this machine only."""
    if not is_loopback(visit.site, visit.request):
        raise Denied("demo_only")
    workspace = visit.home.workspace(visit.text("workspace"))
    if not workspace.demo:
        raise Denied("demo_only")
    with workspace.database.read() as connection:
        known = {login: name for _id, login, name, _roles in actors.people_of(connection, workspace)}
    login = visit.text("login")
    if login not in known:
        raise NotFound("unknown_person", login=login)
    account = accounts.ensure_account(visit.home, login, known[login])
    token = accounts.start_session(visit.home, account.id, ip=client_ip(visit.site, visit.request), agent=_agent(visit))
    wanted = _next(visit, visit.text("next", "/"))
    return _begin(visit, token, wanted if wanted.startswith(f"/w/{workspace.name}/") else f"/w/{workspace.name}/")


def _agent(visit: Visit) -> str:
    return str(visit.request.headers.get("user-agent", ""))[:300]


def _begin(visit: Visit, token: str, address: str) -> Response:
    if visit.session is not None:
        accounts.end_session(visit.home, visit.session.digest)
    response = visit.redirect(address)
    age = visit.home.settings.session_days * 86400
    response.set_cookie(visit.site.session_cookie, token, max_age=age, httponly=True, samesite="lax", secure=visit.site.secure, path="/")
    return response


@routes.post("/logout", ACCOUNT)
def log_out(visit: Visit) -> Response:
    """End this session."""
    if visit.session is not None:
        accounts.end_session(visit.home, visit.session.digest)
    response = visit.redirect("/login")
    response.delete_cookie(visit.site.session_cookie, path="/", secure=visit.site.secure, httponly=True, samesite="lax")
    return response


@routes.post("/preferences", PUBLIC)
def preferences(visit: Visit) -> Response:
    """The language, of the account when there is one, of this browser anyway."""
    locale = visit.text("locale")
    if locale in LOCALES:
        if visit.session is not None:
            accounts.set_locale(visit.home, visit.session.account.id, locale)
        response = visit.redirect(_next(visit, visit.text("next", "/")))
        response.set_cookie(LOCALE_COOKIE, locale, max_age=31536000, httponly=True, samesite="lax", secure=visit.site.secure)
        return response
    return visit.redirect(_next(visit, visit.text("next", "/")))


@routes.get("/welcome/{token}", PUBLIC)
def welcome(visit: Visit) -> Response:
    """A one-time link: choose a password."""
    account = accounts.link_account(visit.home, str(visit.path["token"]))
    return visit.page("welcome.html", account=account, problems=())


@routes.post("/welcome/{token}", PUBLIC)
def choose_password(visit: Visit) -> Response:
    """Set it and log in; the form again with the reasons when it is too easy."""
    token = str(visit.path["token"])
    account = accounts.link_account(visit.home, token)
    try:
        if visit.text("password") != visit.text("again"):
            raise Invalid("password_differs", faults=[Fault("/again", "password_differs")])
        accounts.redeem_link(visit.home, token, visit.text("password"))
    except Invalid as refusal:
        problems = [text for _pointer, text in told_faults(refusal, visit.locale)] or [sentence(refusal.code, refusal.params, visit.locale)]
        return visit.page("welcome.html", status=422, account=account, problems=problems)
    started = accounts.start_session(visit.home, account.id, ip=client_ip(visit.site, visit.request), agent=_agent(visit))
    return _begin(visit, started, "/")


@routes.get("/account", ACCOUNT)
def account_page(visit: Visit) -> Response:
    """The own account: password, sessions."""
    return _account_page(visit)


def _account_page(visit: Visit, problems: dict[str, str] | None = None, status: int = 200) -> Response:
    assert visit.session is not None
    sessions = accounts.sessions_of(visit.home, visit.session.account.id)
    return visit.page("account.html", status=status, account=visit.session.account, sessions=sessions, own=visit.session.digest, problems=problems or {})


@routes.post("/account/password", ACCOUNT)
def change_password(visit: Visit) -> Response:
    """A new password by its owner; ends the other sessions and this one goes on anew."""
    assert visit.session is not None
    account = visit.session.account
    try:
        if visit.text("new") != visit.text("again"):
            raise Invalid("password_differs", faults=[Fault("/again", "password_differs")])
        accounts.change_password(visit.home, account.id, visit.text("old"), visit.text("new"))
    except Invalid as refusal:
        problems = {pointer.strip("/"): text for pointer, text in told_faults(refusal, visit.locale)} or {"new": told_together(refusal, visit.locale)}
        return _account_page(visit, problems, 422)
    token = accounts.start_session(visit.home, account.id, ip=client_ip(visit.site, visit.request), agent=_agent(visit))
    visit.session = None
    with speaking(visit.locale):
        response = visit.redirect("/account", toast=_("The password is changed; other devices are logged out."))
    response.set_cookie(
        visit.site.session_cookie, token, max_age=visit.home.settings.session_days * 86400, httponly=True, samesite="lax", secure=visit.site.secure, path="/"
    )
    return response


@routes.post("/account/sessions/end", ACCOUNT)
def end_session(visit: Visit) -> Response:
    """Log another device out."""
    assert visit.session is not None
    accounts.end_session(visit.home, visit.text("digest"), visit.session.account.id)
    return visit.redirect("/account", toast=_("That device is logged out."))
