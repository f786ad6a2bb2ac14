"""What each command does: settings to a home, one call of the engine, the answer in words and as data. Parsing and telling are cli.py's."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
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
from engine.messages import catalogue
from engine.publishing_drift import drift_of
from engine.publishing_folders import export_definitions
from engine.publishing_plan import Plan, plan_folder
from engine.publishing_restore import restore
from engine.rehearsal import Ran
from engine.releasing import prove, release
from engine.scenarios import Result, Told, play_scenarios, quiet
from metadata.bundle import Bundle
from metadata.check import check_folder
from metadata.messages import hint, sentence
from metadata.text import label_text
from metadata.vocabulary import Problem
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


# --- definitions ---------------------------------------------------------------------------------------------------------------------------------


def check(given: Namespace) -> Answer:
    """All problems of a folder, or the drift of a workspace's tables."""
    if given.database:
        with opened_home() as home:
            found = drift_of(publishing.operator(home, given.database))
        return Answer([item.sentence(given.locale) for item in found], [{"message": item.sentence(given.locale)} for item in found], not found)
    if not given.path or not Path(given.path).is_dir():
        raise NotFound("file_unreadable", path=given.path or "PATH", reason="-")
    words = serving.all_words(serving.read_settings().plugin_folder)
    answer = _problems(check_folder(given.path, words.vocabulary(), DOCUMENTS), given.locale)
    if not given.scenarios or not answer.good:
        return answer
    return _played(answer, play_scenarios(words, Bundle.read_folder(given.path, DOCUMENTS)[0], told=telling(given)), given.locale)


def _played(answer: Answer, results: Sequence[Result], locale: str) -> Answer:
    """An answer with how the scenarios ended; it is good only when all hold."""
    lines = [*answer.lines, *(line for result in results for line in scenario_lines(result, locale))]
    data = {**(answer.data or {}), "scenarios": [scenario_data(result) for result in results]}
    return Answer(lines, data, answer.good and all(result.holds for result in results))


def scenario_lines(result: Result, locale: str) -> list[str]:
    """How a scenario ended, and below it each thing that did not come true."""
    words = label_text({"zh": "成立", "en": "holds"} if result.holds else {"zh": "不成立", "en": "does not hold"}, locale)
    return [
        f"{result.key} {label_text(result.title, locale)}: {words} ({result.seconds:.2f} s)",
        *(f"  {problem_line(item, locale)}" for item in result.problems),
    ]


def scenario_data(result: Result) -> dict[str, Any]:
    """How a scenario ended, as data."""
    return {
        "key": result.key,
        "title": result.title,
        "holds": result.holds,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "problems": [problem_data(item) for item in result.problems],
    }


def _problems(problems: list[Problem], locale: str) -> Answer:
    good = not any(problem.severity == "error" for problem in problems)
    return Answer([problem_line(problem, locale) for problem in problems], {"problems": [problem_data(problem) for problem in problems]}, good)


def problem_line(problem: Problem, locale: str) -> str:
    """One problem on one line: file:line, JSON pointer, code, sentence, hint."""
    place = problem.file + (f":{problem.line}" if problem.line else "") + (f":{problem.column}" if problem.column else "")
    advice = hint(problem.code, problem.params, locale)
    return f"{place} {problem.pointer or '/'} [{problem.code}] {sentence(problem.code, problem.params, locale, catalogue())}" + (
        f" ({advice})" if advice else ""
    )


def problem_data(problem: Problem) -> dict[str, Any]:
    """One problem as data, in both languages."""
    return {
        "file": problem.file,
        "pointer": problem.pointer,
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "severity": problem.severity,
        "message": {locale: sentence(problem.code, problem.params, locale, catalogue()) for locale in ("zh", "en")},
        "hint": {locale: hint(problem.code, problem.params, locale) for locale in ("zh", "en")},
    }


def plan(given: Namespace) -> Answer:
    """What a publish would do."""
    with opened_home() as home:
        ctx = publishing.operator(home, given.workspace)
        found = plan_folder(ctx, given.path)
        results = prove(ctx.workspace, found, telling(given))
    return _played(_planned(found, given.locale), results, given.locale)


_STANDING = {
    "zh": "另有 {} 条提示说的是现行版本里已有的内容，不妨碍发布（--json 列出）",
    "en": "{} notes more are about what stands in the version in force and keep nothing back (--json lists them)",
}


def _planned(found: Plan, locale: str) -> Answer:
    conflicts = [f"{kind}/{key} {pointer}" for (kind, key), pointers in found.conflicts.items() for pointer in pointers]
    data = {
        "base_version": found.base_version,
        "digest": found.digest,
        "ready": found.ready,
        "changes": found.sentences(locale),
        "conflicts": conflicts,
        "problems": [problem_data(problem) for problem in found.problems],
        "standing": [problem_data(problem) for problem in found.standing],
    }
    lines = [*(problem_line(problem, locale) for problem in found.problems), *conflicts, *found.sentences(locale)]
    return Answer([*lines, label_text(_STANDING, locale).format(len(found.standing))] if found.standing else lines, data, found.ready)


def publish(given: Namespace) -> Answer:
    """Publish a folder."""
    with opened_home() as home:
        ctx = publishing.operator(home, given.workspace)
        found = plan_folder(ctx, given.path)
        if not found.ready:
            return _planned(found, given.locale)
        made = release(ctx, found, note=given.note, skip_scenarios=given.skip_scenarios, told=telling(given))
    return Answer([*found.sentences(given.locale), f"#{made.number}"], {"version": made.number, "state": made.state, "changes": found.sentences(given.locale)})


def telling(given: Namespace) -> Told:
    """Tells whoever waits at a terminal how many scenarios have been played; on the standard error, so that the answer stays alone."""
    if given.json or not sys.stderr.isatty():
        return quiet

    def tell(done: int, total: int, result: Result) -> None:
        sys.stderr.write(f"\r{done}/{total}" + ("\n" if done == total else ""))
        sys.stderr.flush()

    return tell


def rollback(given: Namespace) -> Answer:
    """Publish an earlier version again."""
    with opened_home() as home:
        made = publishing.rollback(publishing.operator(home, given.workspace), given.version)
    return Answer([f"#{made.number}"], {"version": made.number, "restores": given.version})


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
