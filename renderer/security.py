"""What every answer and every request is held to: permissions of routes, headers, CSRF tokens, pace. Reads no record; edge.py applies it."""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from threading import Lock
from typing import Any, Literal

from starlette.datastructures import Headers

from engine.errors import Refusal, Unavailable

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; media-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def security_headers(secure: bool) -> dict[str, str]:
    """What stands on every answer that does not say otherwise. ``secure``: served over TLS."""
    return {**HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if secure else {})}


#: The routes open to everybody, by the path they are declared with. A new one is added here by hand or the application does not start.
PUBLIC_ROUTES = frozenset(
    {
        "/",
        "/login",
        "/login/as",
        "/welcome/{token}",
        "/static/{name}",
        "/favicon.ico",
        "/healthz",
        "/readyz",
        "/metrics",
        "/preferences",
        "/intake/{ws}/{source}",
        "/_kitchen",
    }
)


class TooLarge(Refusal):
    """The body is larger than this route takes (413)."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a request needs before anything is done: nothing, an account, a person of the workspace; and perhaps a right of its roles.

    ``verb`` says for records what the grant is asked for afterwards, in the same transaction. ``upload``: the body may be as large as a file.
    ``quiet``: asked by open pages themselves: it does not prolong a login, and without one it does not lead there. ``acts``: all that is done happens in
    one transaction of the workspace, which looks itself who asks.
    """

    door: Literal["public", "account", "member"]
    right: str = ""
    verb: str = ""
    upload: bool = False
    quiet: bool = False
    acts: bool = False

    async def __call__(self) -> None:
        """A FastAPI dependency that does nothing: it only carries the permission on the route."""


PUBLIC = Permission("public")
ACCOUNT = Permission("account")
MEMBER = Permission("member")


def permission_of(route: Any) -> Permission | None:
    """The permission a route carries: on its endpoint (pages) or among its dependencies (API)."""
    found = getattr(getattr(route, "endpoint", None), "permission", None)
    if isinstance(found, Permission):
        return found
    for dependency in getattr(route, "dependencies", ()):
        if isinstance(dependency.dependency, Permission):
            return dependency.dependency
    return None


def check_routes(routes: Iterable[Any]) -> None:
    """Raises RuntimeError naming every route without a permission, and every open one that is not on the list."""
    wrong = []
    for route in routes:
        path = getattr(route, "path", str(route))
        permission = permission_of(route)
        if permission is None:
            wrong.append(f"{path} carries no permission")
        elif permission.door == "public" and path not in PUBLIC_ROUTES:
            wrong.append(f"{path} is open to everybody but not on the list PUBLIC_ROUTES")
    if wrong:
        raise RuntimeError("routes refused:\n" + "\n".join(sorted(wrong)))


# --- CSRF ------------------------------------------------------------------------------------------------------------------------------


def make_csrf(secret: str) -> str:
    """A token of a session (or of a login page's own cookie); different each time, so that compression tells nothing about it."""
    salt = token_hex(8)
    return f"{salt}.{_csrf_mac(secret, salt)}"


def _csrf_mac(secret: str, salt: str) -> str:
    return hmac.new(secret.encode(), f"csrf {salt}".encode(), sha256).hexdigest()[:40]


def csrf_matches(secret: str, token: str) -> bool:
    """Whether the token was made for this session."""
    salt, _sep, mac = token.partition(".")
    return bool(secret) and hmac.compare_digest(mac.encode(), _csrf_mac(secret, salt).encode())


def same_origin(headers: Headers, host: str) -> bool:
    """Whether the browser says that our own page sent this. Without either header it was not a browser."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.split("://", 1)[-1] == host


# --- pace ------------------------------------------------------------------------------------------------------------------------------


class Pace:
    """At most so many requests a minute per caller, in this process."""

    def __init__(self, limit: int = 600, window: float = 60.0) -> None:
        self._limit, self._window = limit, window
        self._times: dict[str, deque[float]] = {}
        self._mutex = Lock()

    def take(self, caller: str, *, count: bool = True) -> None:
        """Count one (or only look whether one more would be too many). Raises Unavailable("too_many_attempts", retry_after=seconds)."""
        now = time.monotonic()
        with self._mutex:
            times = self._times.setdefault(caller, deque())
            while times and times[0] <= now - self._window:
                times.popleft()
            if len(times) >= self._limit:
                raise Unavailable("too_many_attempts", retry_after=max(1, round(times[0] + self._window - now)))
            if count:
                times.append(now)
            if len(self._times) > 5000:
                self._times = {name: kept for name, kept in self._times.items() if kept and kept[-1] > now - self._window}
