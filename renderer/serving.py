"""Starting: settings to an opened home with all words, a port to listen on, the first run, web and worker. Commands are cli.py's, pages app.py's."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

import plugins
from engine.actors import people_of
from engine.background import advance, worker_of
from engine.demo.fill import fill
from engine.errors import Denied, Unavailable
from engine.home import Home
from engine.publishing import create_workspace
from engine.registry import Registry, engine_registry
from engine.settings import Settings
from engine.workspace_checking import with_expressions
from metadata.bundle import Bundle
from metadata.text import Label, label_text
from renderer.app import create_app

#: The workspace a first run makes.
DEMO = "demo"


def read_settings() -> Settings:
    """The settings of this process's environment. Raises Invalid with every wrong one."""
    return Settings.from_environment(os.environ)


def all_words(folder: Path | None = None) -> Registry:
    """The engine's words and the plugins', frozen. ``folder``: where plugins lie that are no installed packages."""
    registry = engine_registry()
    plugins.load(registry, folder=folder)
    return with_expressions(registry).freeze()


def open_home(settings: Settings, *, migrate: bool = False) -> Home:
    """The installation with all words. Raises Unavailable with the reason it cannot be opened."""
    return Home.open(settings, all_words(settings.plugin_folder), migrate=migrate)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Unavailable when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable("port_in_use", host=host, port=port) from error
        raise Unavailable("address_refused", host=host, port=port, reason=error.strerror or str(error)) from error
    listener.set_inheritable(True)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host in ("localhost", ""):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_serving(settings: Settings, host: str, processes: int) -> None:
    """Raises Unavailable for what would lose data or leak logins: several processes on SQLite, a public address without TLS in front."""
    if processes > 1 and settings.embedded:
        raise Unavailable("several_processes_on_sqlite")
    if not is_loopback(host) and not settings.trusted_proxies and not settings.public_url.startswith("https://"):
        raise Unavailable("public_without_proxy", host=host)


def base_url(settings: Settings, host: str, port: int) -> str:
    """What people type into the browser."""
    shown = host if ":" not in host else f"[{host}]"
    return settings.public_url.rstrip("/") or f"http://{shown}:{port}"


def people_to_try(home: Home) -> list[tuple[str, str, str]]:
    """(workspace, login, name and roles) of one person per role in each demo workspace: whom a first visitor may be."""
    found = []
    for entry in home.workspaces():
        if entry.demo:
            workspace = home.workspace(entry.name)
            seen: set[str] = set()
            with workspace.database.read() as connection:
                for _, login, name, roles in people_of(connection, workspace):
                    if roles and roles[0] not in seen:
                        seen.add(roles[0])
                        found.append((entry.name, login, f"{name} ({', '.join(roles)})"))
    return found


def link_url(settings: Settings, token: str) -> str:
    """The page where a person sets a password, once."""
    return f"{base_url(settings, settings.host, settings.port)}/welcome/{token}"


def say(words: Label, locale: str) -> None:
    """One line to whoever started this, at once."""
    sys.stdout.write(label_text(words, locale) + "\n")
    sys.stdout.flush()


def greet(home: Home, url: str, locale: str) -> None:
    """Where to log in and as whom; where the key lies that must be kept with the backups."""
    say({"zh": f"Tangram 已启动：{url}", "en": f"Tangram is running: {url}"}, locale)
    if home.settings.embedded:
        key = home.settings.home / "secret.key"
        say(
            {
                "zh": f"数据目录：{home.settings.home}（请把其中的 {key.name} 与备份分开妥善保存，没有它加密字段无法读取）",
                "en": f"Data: {home.settings.home} (keep its {key.name} safe, apart from the backups: encrypted fields cannot be read without it)",
            },
            locale,
        )
    people = people_to_try(home)
    if people:
        say({"zh": "示范工作区可在登录页一键登录，人员有：", "en": "Demo people, logged in by one click on the login page:"}, locale)
    for workspace, login, name in people:
        say(f"  {url}/w/{workspace}/  {login}  {name}", locale)
    if not home.workspaces():
        say(
            {
                "zh": "还没有工作区，可用 tangram workspace create NAME --preset PRESET 创建",
                "en": "There is no workspace yet: tangram workspace create NAME --preset PRESET",
            },
            locale,
        )


def first_run(home: Home, bundle: Bundle) -> None:
    """The workspace ``demo`` with a small set of demo data; whole, or not there."""
    title = label_text(bundle.preset.title, "zh") if bundle.preset is not None else ""
    create_workspace(home, DEMO, bundle, title=title, demo=True, then=lambda: fill(home, DEMO, "S"))


def work(home: Home, *, once: bool) -> int:
    """Run due work: all that is due now, or until the process is told to stop."""
    worker = worker_of(home)
    if once:
        worker.look(now=True)
        return worker.drain()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker.start()
    stop.wait()
    worker.stop()
    return 0


def rehearse(home: Home, to: datetime) -> int:
    """Move the clock of every sandbox that is not there yet, running what falls due; how many runs there were. Raises Denied when there is no sandbox."""
    sandboxes = [entry.name for entry in home.workspaces() if entry.sandbox]
    if not sandboxes:
        raise Denied("clock_of_live_workspace", workspace=", ".join(entry.name for entry in home.workspaces()))
    return sum(len(advance(home, name, to).ran) for name in sandboxes if home.look(name)[1].now <= to)


@contextmanager
def working(home: Home, wanted: bool) -> Iterator[None]:
    """A worker beside the web for the time of a block."""
    worker = worker_of(home) if wanted else None
    if worker is not None:
        worker.start()
    try:
        yield
    finally:
        if worker is not None:
            worker.stop()


def serve(home: Home, listener: socket.socket, *, processes: int = 1, worker: bool = True) -> None:
    """Serve until told to stop. With several processes each opens its own home from the environment."""
    settings = home.settings
    words: dict[str, Any] = {
        "log_level": settings.log_level,
        "loop": "uvloop",
        "http": "httptools",
        "server_header": False,
        "access_log": settings.log_level == "debug",
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "timeout_graceful_shutdown": 10,
    }
    with working(home, worker):
        if processes == 1:
            app = create_app(home)
            calm_collector()
            uvicorn.Server(uvicorn.Config(app, **words)).run(sockets=[listener])
            return
        config = uvicorn.Config("renderer.serving:application", factory=True, workers=processes, **words)
        Multiprocess(config, target=uvicorn.Server(config).run, sockets=[listener]).run()


def application() -> FastAPI:
    """The application of one of several processes."""
    app = create_app(open_home(read_settings()))
    calm_collector()
    return app


def calm_collector() -> None:
    """What was made at start lives as long as the process: the collector of cycles need not walk it again."""
    gc.freeze()
