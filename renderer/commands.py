"""What each command does: settings to a home, one call of the engine, the answer in words and as data. Parsing and telling are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from getpass import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine import publishing
from engine.background import advance
from engine.backup import backup
from engine.builtin import DOCUMENTS
from engine.errors import Invalid, NotFound
from engine.home import Home
from engine.publishing_folders import export_definitions
from engine.publishing_restore import restore
from engine.rehearsal import Ran
from metadata.bundle import Bundle
from metadata.text import label_text
from renderer import serving


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says: lines for people, data for ``--json``; ``good``: whether the exit code is 0."""

    lines: list[str] = field(default_factory=list)
    data: Any = None
    good: bool = True


@contextmanager
def opened_home(*, migrate: bool = False) -> Iterator[Home]:
    """The installation for the time of one command."""
    home = serving.open_home(serving.read_settings(), migrate=migrate)
    try:
        yield home
    finally:
        home.close()


def read_instant(text: str) -> datetime:
    """An instant with offset. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("not_an_instant", text=text) from None
    if found.tzinfo is None:
        raise Invalid("not_an_instant", text=text)
    return found


def preset_folder(name: str) -> Path:
    """The folder of an installed preset, or the folder given. Raises NotFound."""
    spec = find_spec("presets")
    shelves = [Path(place) for place in (spec.submodule_search_locations or ()) if Path(place).is_dir()] if spec is not None else []
    for folder in (*(shelf / name for shelf in shelves), Path(name)):
        if (folder / "preset.json").is_file():
            return folder
    known = sorted(item.name for shelf in shelves for item in shelf.iterdir() if (item / "preset.json").is_file())
    raise NotFound("unknown_preset", preset=name, presets=", ".join(known))


# --- serving -----------------------------------------------------------------------------------------------------------------------------------


def serve(given: Namespace) -> Answer:
    """Web and worker, until stopped."""
    settings = serving.read_settings()
    host, port = given.host or settings.host, settings.port if given.port is None else given.port
    serving.check_serving(settings, host, given.processes)
    listener = serving.listen(host, port)
    home = serving.open_home(settings, migrate=settings.embedded)
    try:
        if settings.embedded:
            home.migrate()
        if given.first_run_demo and not home.workspaces():
            serving.say({"zh": "首次运行：正在创建示范工作区 demo……", "en": "First run: making the workspace 'demo'…"}, given.locale)
            serving.first_run(home, read_preset(given.first_run_demo))
        serving.greet(home, serving.base_url(settings, host, listener.getsockname()[1]), given.locale)
        serving.serve(home, listener, processes=given.processes, worker=not given.no_worker)
    finally:
        listener.close()
        home.close()
    return Answer()


def worker(given: Namespace) -> Answer:
    """Run due work, once or until stopped; with ``--now`` as of an instant, in sandboxes only."""
    if given.now and not given.once:
        raise Invalid("now_needs_once")
    with opened_home() as home:
        done = serving.rehearse(home, read_instant(given.now)) if given.now else serving.work(home, once=given.once)
    return Answer([f"{done}"] if given.once else [], {"done": done})


def migrate(given: Namespace) -> Answer:
    """System tables up to this release."""
    with opened_home(migrate=True) as home:
        changed = home.migrate()
    return Answer(changed, {"migrated": changed})


def settings(given: Namespace) -> Answer:
    """Every setting."""
    rows = serving.read_settings().rows()
    lines = []
    for row in rows:
        help = row["help"]
        assert isinstance(help, dict)
        lines += [f"{row['name']} = {row['value']}  [{row['source']}]", f"    {help[given.locale]}"]
    return Answer(lines, rows)


# --- workspaces ----------------------------------------------------------------------------------------------------------------------------------


def workspace_create(given: Namespace) -> Answer:
    """A new workspace from a preset."""
    bundle = read_preset(given.preset)
    with opened_home() as home:
        made = publishing.create_workspace(
            home,
            given.name,
            bundle,
            title=given.title,
            sandbox=given.sandbox or given.now is not None,
            demo=given.demo,
            now=read_instant(given.now) if given.now else None,
        )
    return Answer([made.name], {"name": made.name, "version": made.version})


def read_preset(name: str) -> Bundle:
    """The definitions of a preset. Raises Invalid with every problem of its files."""
    bundle, problems = Bundle.read_folder(preset_folder(name), DOCUMENTS)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise Invalid("publish_problems", count=len(errors), problems=errors)
    return bundle


def workspace_list(given: Namespace) -> Answer:
    """All workspaces."""
    with opened_home() as home:
        entries = home.workspaces()
    words = [" ".join([entry.name, entry.title, *(word for word in ("sandbox", "demo") if getattr(entry, word))]) for entry in entries]
    return Answer(words, [asdict(entry) for entry in entries])


def workspace_clone(given: Namespace) -> Answer:
    """A copy of definitions, never of data."""
    with opened_home() as home:
        made = publishing.clone_workspace(home, given.source, given.name, title=given.title, sandbox=given.sandbox)
    return Answer([made.name], {"name": made.name, "version": made.version})


def workspace_export(given: Namespace) -> Answer:
    """The definitions as a folder or archive."""
    with opened_home() as home:
        number = export_definitions(publishing.operator(home, given.name), given.file)
    return Answer([given.file], {"file": given.file, "version": number})


def workspace_backup(given: Namespace) -> Answer:
    """Everything of a workspace in one file."""
    words = _passphrase(given)
    with opened_home() as home:
        manifest = backup(home, given.name, Path(given.file), passphrase=words)
    rows = sum(item.get("rows", 0) for item in manifest["members"].values())
    notice = label_text(
        {
            "zh": "加密字段仍为密文：恢复时需要" + ("口令" if words else "本机的密钥（TANGRAM_SECRET_KEY 或 secret.key）"),
            "en": "Encrypted fields stay sealed: a restore needs "
            + ("the passphrase" if words else "this installation's secret (TANGRAM_SECRET_KEY or secret.key)"),
        },
        given.locale,
    )
    return Answer([f"{given.file}: {rows}", notice], {"file": given.file, "rows": rows, "version": manifest["state"]["version"]})


def workspace_restore(given: Namespace) -> Answer:
    """A workspace from such a file."""
    words = _passphrase(given)
    with opened_home() as home:
        made = restore(home, Path(given.file), given.name, passphrase=words)
    notice = label_text({"zh": "对外消息已暂停，由管理员确认后放行", "en": "Outgoing messages are held until an operator releases them"}, given.locale)
    return Answer([made.name, notice], {"name": made.name, "version": made.version})


def _passphrase(given: Namespace) -> str:
    """The words of --passphrase, asked for when it was given without; "" when it was not given."""
    if given.passphrase is None:
        return ""
    return given.passphrase or getpass("--passphrase: ")


# --- clock -------------------------------------------------------------------------------------------------------------------------------------------


def clock(given: Namespace) -> Answer:
    """Move a sandbox's clock, running what falls due on the way."""
    with opened_home() as home:
        zone = home.workspace(given.workspace).timezone
        done = advance(home, given.workspace, read_instant(given.instant))
    lines = [f"{item.at.astimezone(zone).isoformat()} {item.rule} {item.entity or '-'} {item.record or '-'} {item.state}" for item in done.ran]
    now = done.now.astimezone(zone).isoformat()
    return Answer([*lines, now], {"now": now, "ran": [ran_json(item, zone) for item in done.ran]})


def ran_json(item: Ran, zone: ZoneInfo) -> dict[str, Any]:
    """One run as data."""
    return {**asdict(item), "at": item.at.astimezone(zone).isoformat()}
