"""The one way out of the house: HTTP and mail to addresses that were checked first. No redirects, a deadline, a limit to what is read back.

A name is resolved, every address it has is looked at, and exactly one of those is connected to: nothing can be resolved differently in between.
"""

from __future__ import annotations

import http.client
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Literal
from urllib.parse import urlsplit

from engine.connectors import SendFailed

#: Seconds one call may last from the first byte out to the last byte in, and the most that is sent or read back.
SECONDS = 5.0
MOST_BYTES = 1 << 20
MAIL_SECONDS = 20.0
Security = Literal["tls", "starttls", "none"]
_Address = IPv4Address | IPv6Address
#: Where an IPv6 address carries an IPv4 one: NAT64 in its last 32 bits, 6to4 behind its first 16.
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered. ``body``: at most a mebibyte of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outbound:
    """``allowed``: networks that may be reached although they are private or this machine itself, as TANGRAM_OUTBOUND_NETWORKS names them."""

    allowed: Sequence[str] = ()
    seconds: float = SECONDS
    _kept: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False, compare=False)

    def remembered(self, key: str, make: Callable[[], tuple[str, float]]) -> str:
        """A token of a service, made anew when there is none or its seconds are over; in this process only."""
        found = self._kept.get(key)
        if found is None or found[0] <= time.monotonic():
            token, seconds = make()
            found = self._kept[key] = (time.monotonic() + seconds, token)
        return found[1]

    def forget(self, key: str) -> None:
        """The service no longer takes the token."""
        self._kept.pop(key, None)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET an http(s) address, as ``post``."""
        return self._call("GET", url, b"", headers or {})

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """POST to an http(s) address. Redirects are answers like any other. Raises SendFailed when no answer came."""
        return self._call("POST", url, body, headers)

    def _call(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.username or parts.password:
            raise SendFailed("outbound_address", again=False)
        if len(body) > MOST_BYTES:
            raise SendFailed("outbound_too_large", again=False, limit=MOST_BYTES)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self._connected(parts.hostname, port or (443 if parts.scheme == "https" else 80), self.seconds) as raw:
            return _exchange(_secured(raw, parts.hostname) if parts.scheme == "https" else raw, method, parts.netloc, target, body, headers)

    def mail(self, host: str, port: int, message: EmailMessage, *, security: Security = "starttls", login: str = "", password: str = "") -> Mapping[str, Any]:
        """Hand a mail to its server; gives the receivers it refused. Raises SendFailed; what the server says will not change is not tried again."""
        with self._connected(host, port, MAIL_SECONDS) as raw:
            server = _Mail(_secured(raw, host) if security == "tls" else raw, host, MAIL_SECONDS)
            try:
                if security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if login:
                    server.login(login, password)
                return dict(server.send_message(message))
            except smtplib.SMTPResponseException as refused:
                raise SendFailed("mail_refused", again=400 <= refused.smtp_code < 500, code=refused.smtp_code, said=_text(refused.smtp_error)) from refused
            except smtplib.SMTPRecipientsRefused as refused:
                code, said = next(iter(refused.recipients.values()), (0, b""))
                raise SendFailed("mail_refused", again=400 <= code < 500, code=code, said=_text(said)) from refused
            except (smtplib.SMTPException, ssl.SSLError) as error:
                raise SendFailed("mail_failed", reason=str(error)[:200]) from error
            finally:
                with suppress(OSError):
                    server.quit()
                server.close()

    @contextmanager
    def _connected(self, host: str, port: int, seconds: float) -> Iterator[socket.socket]:
        """A connection to one checked address of a host, cut off at the deadline whatever the other side does."""
        address = self.checked(host, port)
        late = threading.Event()
        try:
            raw = socket.create_connection(address, timeout=seconds)
        except OSError as error:
            raise SendFailed("outbound_unreachable", host=host, reason=_reason(error)) from error

        knife = raw.dup()  # TLS takes the socket itself away

        def cut() -> None:
            late.set()
            with suppress(OSError):
                knife.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield raw
        except (OSError, EOFError, http.client.HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise SendFailed("outbound_too_slow", host=host, seconds=round(seconds)) from error
            raise SendFailed("outbound_broken", host=host, reason=_reason(error)) from error
        else:
            if late.is_set():  # what was read ended where it was cut, though it may look whole
                raise SendFailed("outbound_too_slow", host=host, seconds=round(seconds))
        finally:
            timer.cancel()
            knife.close()
            raw.close()

    def checked(self, host: str, port: int) -> tuple[str, int]:
        """The first address of a host, when all that it has may be reached. Raises SendFailed."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise SendFailed("outbound_unknown_host", host=host[:120]) from error
        addresses = [str(item[4][0]) for item in found]
        for one in addresses:
            if not self._may_reach(ip_address(one.partition("%")[0])):
                raise SendFailed("outbound_forbidden", again=False, host=host[:120])
        return addresses[0], port

    def _may_reach(self, address: _Address) -> bool:
        inner = unwrapped(address)
        if any(one in network for network in map(ip_network, self.allowed) for one in (address, inner) if one.version == network.version):
            return True
        return all(one.is_global and not one.is_multicast and not one.is_reserved for one in (address, inner))


def unwrapped(address: _Address) -> _Address:
    """The IPv4 address an IPv6 one stands for (mapped, 6to4, Teredo, NAT64); the address itself for any other."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


class _Given(http.client.HTTPConnection):
    """HTTP over a connection that stands already."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__("given")
        self.sock = sock
        self.auto_open = 0


class _Mail(smtplib.SMTP):
    """SMTP over a connection that stands already."""

    def __init__(self, sock: socket.socket, host: str, seconds: float) -> None:
        self._given = sock
        try:
            super().__init__(host, 1, local_hostname="localhost", timeout=seconds)
        except smtplib.SMTPException as error:
            raise SendFailed("mail_failed", reason=str(error)[:200]) from error
        self._host = host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._given


def _exchange(sock: socket.socket, method: str, host: str, target: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    connection = _Given(sock)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        fixed = {"Host": host, "User-Agent": "Tangram", "Connection": "close"}
        if method == "POST":
            fixed["Content-Length"] = str(len(body))
        for name, value in {**fixed, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read(MOST_BYTES))
    except (ValueError, UnicodeError) as error:  # what cannot stand in a request line or header
        raise SendFailed("outbound_address", again=False) from error
    finally:
        connection.close()


def _secured(raw: socket.socket, host: str) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise SendFailed("outbound_certificate", host=host, reason=error.verify_message) from error


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]


def _text(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]
