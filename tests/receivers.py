"""Receivers of messages on this machine, for tests: an HTTP server that counts keys, a mail server with STARTTLS and logins, a server that misbehaves."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class HttpReceiver:
    """``answers``: status codes of the next requests, 200 when there are no more; ``location`` and ``reply`` go with every answer."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    location: str = ""
    retry_after: str = ""
    reply: bytes = b"{}"
    requests: list[Request] = field(default_factory=list)

    def keys(self) -> Counter[str]:
        """How often each key came."""
        return Counter(request.headers.get("webhook-id", "") for request in self.requests)


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """A server on a free port of this machine."""
    told = HttpReceiver()
    mutex = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with mutex:
                told.requests.append(Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status = told.answers.pop(0) if told.answers else 200
            self.send_response(status)
            for name, value in (("Location", told.location), ("Retry-After", told.retry_after)):
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.reply)))
            self.end_headers()
            self.wfile.write(told.reply)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with each connection what the test says; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_answered, args=(connection, answer), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _answered(connection: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    with connection:
        try:
            answer(connection)
        except OSError:
            return


def dripping(connection: socket.socket) -> None:
    """A byte now and then: never silent long enough for a time-out of one read."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(600):
        connection.sendall(b"X-A: b\r\n")
        time.sleep(0.05)


# --- mail ----------------------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class MailReceiver:
    """``accounts``: login -> password it demands, none when empty. ``refuse``: (code, text) for the receiver of every mail."""

    port: int = 0
    accounts: dict[str, str] = field(default_factory=dict)
    refuse: tuple[int, str] | None = None
    mails: list[bytes] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@contextmanager
def mail_receiver(certificate: Path | None = None) -> Iterator[MailReceiver]:
    """A mail server on a free port; with a certificate it offers STARTTLS."""
    told = MailReceiver()

    class Handler(socketserver.StreamRequestHandler):
        secure = False

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())
            self.wfile.flush()

        def handle(self) -> None:
            self.say("220 mail.test")
            while line := self.rfile.readline():
                if not self.obey(line.decode().strip()):
                    return

        def obey(self, line: str) -> bool:
            verb = line.partition(" ")[0].upper()
            if verb == "EHLO":
                self.say("250-mail.test")
                if certificate is not None and not self.secure:
                    self.say("250-STARTTLS")
                self.say("250 AUTH PLAIN")
            elif verb == "STARTTLS":
                self.say("220 go on")
                self.start_tls()
            elif verb == "AUTH":
                _, login, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                told.logins.append(login)
                self.say("235 welcome" if told.accounts.get(login) == password else "535 wrong login")
            elif verb == "RCPT" and told.refuse is not None:
                self.say(f"{told.refuse[0]} {told.refuse[1]}")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(part)
                told.mails.append(b"".join(lines))
                told.secured.append(self.secure)
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return False
            else:
                self.say("250 good")
            return True

        def start_tls(self) -> None:
            assert certificate is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb")  # type: ignore[assignment]
            self.secure = True

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.port = server.server_address[1]
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def make_certificate(folder: Path) -> Path:
    """A certificate of this machine with its key in one file, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path
