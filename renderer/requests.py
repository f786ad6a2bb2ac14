"""From a request to a Visit (pages) or a Context (API): session or token, CSRF, workspace, language, pace. Shows nothing and changes no record."""

from __future__ import annotations

import base64
import json
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from secrets import token_hex
from typing import Annotated, Any, ParamSpec, TypeVar
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from engine import accounts, actors, api_tokens
from engine.clock import State
from engine.context import Cause, Context
from engine.errors import Denied, Invalid, NotFound, NotLoggedIn, Refusal
from engine.home import Home
from engine.messages import told_together
from engine.workspace import Workspace
from renderer import errors, shell
from renderer.security import MEMBER, SAFE_METHODS, Pace, Permission, csrf_matches, make_csrf, permission_of, same_origin
from renderer.templates import Pages
from renderer.translations import DEFAULT, LOCALES, preferred, speaking

DOOR_COOKIE, LOCALE_COOKIE, FLASH_COOKIE = "tangram-door", "tangram-locale", "tangram-flash"
MAX_FIELDS = 3000
#: Unsigned messages an address may send in a minute; then it is turned away before anything is looked up.
STRANGERS_A_MINUTE = 10
#: Requests at work at the same time; further ones wait.
THREADS = 40
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Site:
    """What is made once for the application and used by every request."""

    home: Home
    pages: Pages
    pace: Pace
    secure: bool = False
    strangers: Pace = field(default_factory=lambda: Pace(STRANGERS_A_MINUTE))  # messages from outside that nobody signed, by address
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "request"))

    def in_thread(self, work: Callable[P, T], *given: P.args, **_named: P.kwargs) -> Awaitable[T]:
        """Do the work of a request in a thread of its own, in one hop, while the loop serves others."""
        return get_running_loop().run_in_executor(self.threads, work, *given)

    @property
    def session_cookie(self) -> str:
        """The session cookie's name; browsers hold ``__Host-`` cookies to TLS and this host."""
        return "__Host-tangram" if self.secure else "tangram"


@dataclass(slots=True)
class Visit:
    """One request of a page: who, where, what was sent; and the ways to answer it."""

    request: Request
    site: Site
    locale: str
    permission: Permission
    session: accounts.Session | None = None
    token: str = ""
    looked: tuple[Workspace, State] | None = None
    context: Context | None = None
    form: FormData = field(default_factory=FormData)
    new_cookies: dict[str, tuple[str, int]] = field(default_factory=dict)

    # -- what was asked

    @property
    def ctx(self) -> Context:
        """The context of the person in this workspace; only where the route's permission says so."""
        if self.context is None:
            raise RuntimeError("this route has no workspace: give it the permission MEMBER")
        return self.context

    @property
    def home(self) -> Home:
        """The installation."""
        return self.site.home

    @property
    def base(self) -> str:
        """The address of the workspace: /w/NAME."""
        return f"/w/{self.ctx.workspace.name}"

    @property
    def path(self) -> Mapping[str, Any]:
        """The path's parameters."""
        return self.request.path_params

    @property
    def wants_part(self) -> bool:
        """Whether htmx asks for a fragment; a restored history entry, and a page drawn anew (which takes its ``main`` out of it), want the whole page."""
        given = self.request.headers
        return given.get("hx-request") == "true" and given.get("hx-history-restore-request") != "true" and self.target != "main"

    @property
    def target(self) -> str:
        """The id of the element a fragment goes to."""
        return str(self.request.headers.get("hx-target", ""))

    def number(self, name: str) -> int:
        """A path parameter as an id. Raises NotFound."""
        given = str(self.path[name])
        if not given.isascii() or not given.isdigit() or len(given) > 18:
            raise NotFound("no_such_page")
        return int(given)

    def text(self, name: str, default: str = "") -> str:
        """One text of the form."""
        found = self.form.get(name, default)
        return found if isinstance(found, str) else default

    def texts(self, name: str) -> list[str]:
        """All texts of one name of the form."""
        return [item for item in self.form.getlist(name) if isinstance(item, str)]

    def upload(self, name: str) -> UploadFile:
        """A sent file. Raises Invalid when there is none."""
        found = self.form.get(name)
        if not isinstance(found, UploadFile):
            raise Invalid("file_missing")
        return found

    def raw(self) -> dict[str, Any]:
        """The form as raw input by name: a text, or a list where a name came several times (the empty one that stands for "none" left out)."""
        found: dict[str, Any] = {}
        for name in dict.fromkeys(self.form):
            values = self.texts(name)
            found[name] = values[0] if len(values) == 1 else [value for value in values if value != ""]
        return found

    @staticmethod
    def mark() -> str:
        """A mark for a form, by which one that is sent twice does its work once."""
        return token_hex(16)

    def csrf(self) -> str:
        """A token for the forms of this page."""
        if self.token:
            return make_csrf(self.token)
        secret = self.request.cookies.get(DOOR_COOKIE) or self.new_cookies.get(DOOR_COOKIE, ("", 0))[0]
        if not secret:
            secret = make_csrf("door").replace(".", "")
            self.new_cookies[DOOR_COOKIE] = (secret, 3600)
        return make_csrf(secret)

    # -- answers

    def page(self, template: str, /, *, status: int = 200, **data: Any) -> Response:
        """A whole page inside the shell (or the bare one, for pages without a workspace)."""
        return self._finish(HTMLResponse(self.site.pages.page(template, shell.page_view(self), data), status))

    def kept_page(self, template: str, key: Hashable, values: Mapping[str, str], draw: Callable[[], Mapping[str, Any]]) -> Response:
        """A whole page of which everything but ``values`` is told by the key and the person's menus; see ``Pages.kept_page``."""
        return self._finish(HTMLResponse(self.site.pages.kept_page(template, shell.page_view(self), key, values, draw)))

    def part(self, template: str, /, *, status: int = 200, toast: str = "", kind: str = "ok", **data: Any) -> Response:
        """A fragment; ``toast`` is shown beside it."""
        response = HTMLResponse(self.site.pages.render(template, page=shell.part_view(self), **data), status)
        if toast:
            response.headers["HX-Trigger"] = toast_header(toast, kind)
        return self._finish(response)

    def nothing(self, *, toast: str = "", kind: str = "ok", status: int = 204, events: Mapping[str, Any] | None = None) -> Response:
        """No content; perhaps a toast or other events for the page."""
        response = Response(status_code=status, headers={"HX-Reswap": "none"} if status >= 400 else None)
        found = dict(events or {})
        if toast:
            found["toast"] = {"text": toast, "kind": kind}
        if found:
            response.headers["HX-Trigger"] = json.dumps(found)
        return self._finish(response)

    def redirect(self, address: str, *, toast: str = "", kind: str = "ok", undo: str = "") -> Response:
        """Go to another page of ours; the toast is shown there. ``undo``: what its button posts to."""
        if self.request.headers.get("hx-request") == "true":
            response = Response(status_code=204, headers={"HX-Redirect": address})
        else:
            response = RedirectResponse(address, 303)
        if toast:
            packed = base64.urlsafe_b64encode(json.dumps({"text": toast[:400], "kind": kind, "undo": undo}).encode()).decode()
            response.set_cookie(FLASH_COOKIE, packed, max_age=60, httponly=True, samesite="lax", secure=self.site.secure)
        return self._finish(response)

    def take_flash(self) -> dict[str, str] | None:
        """The toast a redirect left for this page."""
        given = self.request.cookies.get(FLASH_COOKIE)
        if not given or self.wants_part:
            return None
        self.new_cookies[FLASH_COOKIE] = ("", 0)
        try:
            found = json.loads(base64.urlsafe_b64decode(given.encode()))
        except ValueError:
            return None
        return {name: str(found.get(name, "")) for name in ("text", "kind", "undo")} if isinstance(found, dict) else None

    def _finish(self, response: Response) -> Response:
        for name, (value, age) in self.new_cookies.items():
            if value:
                response.set_cookie(name, value, max_age=age, httponly=True, samesite="lax", secure=self.site.secure)
            else:
                response.delete_cookie(name)
        response.headers.setdefault("Vary", "HX-Request, HX-Target, Cookie")
        return response


def toast_header(text: str, kind: str = "ok") -> str:
    """The HX-Trigger value that shows a toast."""
    return json.dumps({"toast": {"text": text, "kind": kind}})


# --- pages -------------------------------------------------------------------------------------------------------------------------------

Handler = Callable[[Visit], Response]


class Routes:
    """The routes of one module of pages; each is declared with its permission."""

    def __init__(self) -> None:
        self.found: list[Route] = []

    def get(self, path: str, permission: Permission = MEMBER) -> Callable[[Handler], Handler]:
        """A page that changes nothing."""
        return self._add(path, ["GET"], permission)

    def post(self, path: str, permission: Permission = MEMBER) -> Callable[[Handler], Handler]:
        """A page that may change something; CSRF is checked before the handler runs."""
        return self._add(path, ["POST"], permission)

    def _add(self, path: str, methods: list[str], permission: Permission) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            async def endpoint(request: Request) -> Response:
                form = FormData()
                if request.method not in SAFE_METHODS:
                    form = await request.form(max_fields=MAX_FIELDS, max_files=20)
                site: Site = request.app.state.site
                return await site.in_thread(_answer, request, permission, handler, form)

            endpoint.permission = permission  # type: ignore[attr-defined]
            self.found.append(Route(path, endpoint, methods=methods, name=f"{handler.__module__.rsplit('.', 1)[-1]}.{handler.__name__}"))
            return handler

        return register


def _answer(request: Request, permission: Permission, handler: Handler, form: FormData) -> Response:
    site: Site = request.app.state.site
    visit = Visit(request, site, DEFAULT, permission, form=form)
    try:
        _identify(visit)
        with speaking(visit.locale):
            _admit(visit)
            return handler(visit)
    except Refusal as refusal:
        if permission.quiet and isinstance(refusal, NotLoggedIn):
            return Response(status_code=401)  # an open page asked by itself: it stays where it is
        return refused(visit, refusal)
    except Exception as error:  # the edge: a mistake of ours becomes a page with a number
        return failed(visit, error)


def _identify(visit: Visit) -> None:
    """Whose session it is, and in which language to answer, whether or not there is one."""
    token = visit.request.cookies.get(visit.site.session_cookie, "")
    try:
        if token:
            used = not visit.permission.quiet
            if visit.permission.door == "member":
                visit.session, visit.looked = accounts.read_session_in(visit.home, str(visit.path["ws"]), token, used=used)
            else:
                visit.session = accounts.read_session(visit.home, token, used=used)
            visit.token = token if visit.session else ""
    finally:
        visit.locale = _locale(visit.request, visit.session)


def _admit(visit: Visit) -> None:
    """Session, pace, CSRF, workspace, right: in this order, before the handler does anything."""
    request, permission = visit.request, visit.permission
    if permission.door != "public" and visit.session is None:
        raise NotLoggedIn("not_logged_in")
    visit.site.pace.take(f"account:{visit.session.account.id}" if visit.session else f"ip:{client_ip(visit.site, request)}")
    if request.method not in SAFE_METHODS:
        secret = visit.token or request.cookies.get(DOOR_COOKIE, "")
        sent = request.headers.get("x-csrf-token") or visit.text("csrf")
        if not same_origin(request.headers, request.headers.get("host", "")) or not csrf_matches(secret, sent):
            raise Denied("csrf_failed")
    if permission.door == "member" and visit.session is not None:
        ip = client_ip(visit.site, request)
        visit.context = actors.enter(
            visit.home, str(visit.path["ws"]), visit.session.account, locale=visit.locale, cause=Cause("person"), ip=ip, looked=visit.looked
        )
        if permission.right and permission.right not in visit.context.actor.rights:
            raise Denied("right_missing", right=permission.right)


def _locale(request: Request, session: accounts.Session | None) -> str:
    chosen = request.cookies.get(LOCALE_COOKIE, "") or (session.account.locale if session else "")
    return chosen if chosen in LOCALES else preferred(request.headers.get("accept-language", ""))


def client_ip(site: Site, request: Request) -> str:
    """The client's address: the peer's, or what a trusted proxy says."""
    peer = request.client.host if request.client else ""
    if not site.home.settings.trusted_proxies:
        return peer
    trusted = [ip_network(item, strict=False) for item in site.home.settings.trusted_proxies]
    hops = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    while hops and _inside(peer, trusted):
        peer = hops.pop()
    return peer


def _inside(address: str, networks: list[Any]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def is_loopback(site: Site, request: Request) -> bool:
    """Whether the request comes from this machine, to this machine, through no proxy."""
    peer = request.client.host if request.client else ""
    host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    return (
        _inside(peer, [ip_network("127.0.0.0/8"), ip_network("::1/128")])
        and host in ("127.0.0.1", "localhost", "::1")
        and "x-forwarded-for" not in request.headers
    )


def refused(visit: Visit, refusal: Refusal) -> Response:
    """The page or toast of a refusal; without a login, the way to it."""
    if isinstance(refusal, NotLoggedIn):
        address = visit.request.url.path if visit.request.method == "GET" and not visit.wants_part else ""
        return visit.redirect("/login" + (f"?next={quote(address)}" if address not in ("", "/") else ""))
    status = errors.status_of(refusal)
    text = told_together(refusal, visit.locale)
    with speaking(visit.locale):
        if visit.request.headers.get("hx-request") == "true":
            response = Response(status_code=status, headers={"HX-Reswap": "none", "HX-Trigger": toast_header(text, "error"), **errors.headers(refusal)})
        else:
            response = visit.page("error.html", status=status, code=status, text=text, number="")
            response.headers.update(errors.headers(refusal))
    return response


def failed(visit: Visit, error: Exception) -> Response:
    """A mistake of ours: a number for people, the cause chain for the log."""
    number = errors.note_failure(error, f"{visit.request.method} {visit.request.url.path}")
    text = str(errors.failure_problem(number, visit.locale)["detail"])
    with speaking(visit.locale):
        if visit.request.headers.get("hx-request") == "true":
            return Response(status_code=500, headers={"HX-Reswap": "none", "HX-Trigger": toast_header(text, "error")})
        return visit.page("error.html", status=500, code=500, text=text, number=number)


# --- API ---------------------------------------------------------------------------------------------------------------------------------


def guarded(verb: str = "", *, right: str = "", upload: bool = False, public: bool = False, acts: bool = False) -> dict[str, Any]:
    """Keyword arguments of an API route: the permission it carries. ``verb``: what is asked of the grant on records afterwards."""
    return {"dependencies": [Depends(Permission("public" if public else "member", right, verb, upload, acts=acts))]}


def api_context(request: Request) -> Context:
    """The context of an API call: bearer token, or the session of a page (then CSRF is checked). Raises NotLoggedIn, NotFound, Denied."""
    site: Site = request.app.state.site
    permission = permission_of(request.scope["route"])
    if permission is None:
        raise RuntimeError("an API route carries no permission: declare it with **guarded(...)")
    locale, ip = preferred(request.headers.get("accept-language", "")), client_ip(site, request)
    scheme, _sep, bearer = request.headers.get("authorization", "").partition(" ")
    workspace = str(request.path_params["ws"])
    if scheme.lower() == "bearer" and bearer:
        try:
            ctx = api_tokens.enter_with_token(site.home, workspace, bearer.strip(), locale=locale, ip=ip, acts=permission.acts)
        except NotFound as refusal:
            raise NotLoggedIn("not_logged_in") from refusal
    else:
        token = request.cookies.get(site.session_cookie, "")
        session, looked = accounts.read_session_in(site.home, workspace, token) if token else (None, None)
        if session is None:
            raise NotLoggedIn("not_logged_in")
        if request.method not in SAFE_METHODS and not (
            same_origin(request.headers, request.headers.get("host", "")) and csrf_matches(token, request.headers.get("x-csrf-token", ""))
        ):
            raise Denied("csrf_failed")
        ctx = actors.enter(site.home, workspace, session.account, locale=locale, cause=Cause("api"), ip=ip, looked=looked)
    site.pace.take(f"person:{workspace}:{ctx.actor.person_id}")
    request.state.context = ctx
    if permission.right and permission.right not in ctx.actor.rights:
        raise Denied("right_missing", right=permission.right)
    return ctx


ApiContext = Annotated[Context, Depends(api_context)]
