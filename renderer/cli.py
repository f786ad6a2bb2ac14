"""The command line: which commands there are, what they take, and how their answers and refusals are told. Each command is one call of the engine (commands.py)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import orjson

from engine.errors import Refusal
from engine.messages import told, told_faults
from renderer import commands, commands_data, commands_definitions, commands_messages, commands_people, commands_plugins
from renderer.commands import Answer
from renderer.commands_definitions import problem_data, problem_line

Command = Callable[[argparse.Namespace], Answer]


def locale_of(environment: dict[str, str]) -> str:
    """English where the terminal asks for it, Chinese otherwise."""
    words = environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    return "en" if words.lower().startswith("en") else "zh"


def build_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="tangram", description="A CRM built from JSON definitions.")
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Command, help: str, *arguments: tuple[tuple[str, ...], dict[str, object]], under: object = None) -> None:
        made = (under or subparsers).add_parser(name, help=help, description=help)  # type: ignore[attr-defined]
        made.add_argument("--json", action="store_true", help="answer as JSON")
        for names, words in arguments:
            made.add_argument(*names, **words)
        made.set_defaults(run=run)

    def group(name: str, help: str) -> object:
        return subparsers.add_parser(name, help=help, description=help).add_subparsers(metavar="COMMAND", required=True)

    def arg(*names: str, **words: object) -> tuple[tuple[str, ...], dict[str, object]]:
        return names, words

    # fmt: off
    workspace, login = arg("workspace", metavar="WORKSPACE"), arg("login", metavar="LOGIN")
    command("serve", commands.serve, "web, and worker unless told otherwise", arg("--host"), arg("--port", type=int), arg("--processes", type=int, default=1),
            arg("--no-worker", action="store_true"), arg("--first-run-demo", metavar="PRESET", help="when there is no workspace yet, make one named demo with demo data"))
    command("worker", commands.worker, "run due work", arg("--once", action="store_true", help="run what is due and exit"),
            arg("--now", metavar="ISO", help="with --once, in sandboxes: as of this instant, running what falls due until then in order"))
    _workspace_commands(command, group("workspace", "make, list, copy, keep and bring back workspaces"), arg)
    command("check", commands_definitions.check, "all problems of a folder of definitions; with --database the drift between definitions and tables",
            arg("path", metavar="PATH", nargs="?"), arg("--database", metavar="WORKSPACE"),
            arg("--scenarios", action="store_true", help="play the folder's scenarios, each in a throw-away sandbox"))
    command("plan", commands_definitions.plan, "what publishing a folder would change", workspace, arg("path", metavar="PATH"))
    command("publish", commands_definitions.publish, "publish a folder, all or nothing", workspace, arg("path", metavar="PATH"), arg("--note", default=""),
            arg("--skip-scenarios", metavar="REASON", help="in an emergency: publish without playing the scenarios; the reason stands with the version"))
    command("rollback", commands_definitions.rollback, "publish an earlier version again as the newest", workspace, arg("version", metavar="VERSION", type=int))
    _people_commands(command, group, workspace, login, arg)
    entity, file = arg("entity", metavar="ENTITY"), arg("file", metavar="FILE")
    command("import", commands_data.import_, "read an xlsx or csv file; what became of each row", workspace, entity, file,
            arg("--mapping", metavar="M", help="a saved mapping's name, or a JSON file of header to field"), arg("--dry-run", action="store_true"))
    command("export", commands_data.export_, "write what a person may see as xlsx or csv", workspace, entity, file, arg("--where", metavar="EXPR", default=""),
            arg("--as", metavar="LOGIN", dest="as_login", required=True))
    command("demo-data", commands_data.demo_data, "made-up people and records", workspace, arg("--scale", choices=["S", "M", "L"], default="S"), arg("--seed", type=int))
    command("schema", commands_data.schema, "an entity's record as plain JSON Schema", workspace, entity)
    command("reference", commands_data.reference, "every word of the definition language, as markdown", arg("file", metavar="FILE", nargs="?", help="write it here"))
    _plugin_commands(command, group("plugin", "what widens the language"), arg)
    command("clock", commands.clock, "move a sandbox's clock forward", workspace, arg("instant", metavar="ISO"))
    command("migrate", commands.migrate, "bring the system tables up to this release")
    command("settings", commands.settings, "every setting with its value and where it came from")
    # fmt: on
    _message_commands(command, group, workspace)
    return parser


def _workspace_commands(command: Callable[..., None], made: object, arg: Callable[..., object]) -> None:
    # fmt: off
    command("create", commands.workspace_create, "a new workspace from a preset", arg("name", metavar="NAME"),
            arg("--preset", required=True, help="a preset's name, or a folder"), arg("--title", default=""), arg("--demo", action="store_true", help="people log in by one click on this machine"),
            arg("--sandbox", action="store_true", help="a rehearsal: its clock stands still"), arg("--now", metavar="ISO", help="where a sandbox's clock starts"), under=made)
    command("list", commands.workspace_list, "all workspaces", under=made)
    command("clone", commands.workspace_clone, "a new workspace with another's definitions, without its data", arg("source", metavar="FROM"), arg("name", metavar="NAME"),
            arg("--title", default=""), arg("--sandbox", action="store_true"), under=made)
    command("export", commands.workspace_export, "the definitions, with their base, as a folder or .zip", arg("name", metavar="NAME"), arg("file", metavar="FILE"), under=made)
    passphrase = arg("--passphrase", nargs="?", const="", metavar="WORDS", help="protects the keys of encrypted fields; asked for when no words are given")
    command("backup", commands.workspace_backup, "everything in one file", arg("name", metavar="NAME"), arg("file", metavar="FILE"), passphrase, under=made)
    command("restore", commands.workspace_restore, "a workspace from such a file", arg("file", metavar="FILE"), arg("name", metavar="NAME"), passphrase, under=made)
    # fmt: on


def _people_commands(command: Callable[..., None], group: Callable[[str, str], object], workspace: object, login: object, arg: Callable[..., object]) -> None:
    """Commands about who may enter."""
    # fmt: off
    user, token = group("user", "people who log in"), group("token", "tokens for programs")
    command("add", commands_people.user_add, "a person, an account, and a link to set a password", workspace, login, arg("--role", action="append", required=True),
            arg("--team", default=""), arg("--name", default=""), under=user)
    command("link", commands_people.user_link, "a new link to set a password", login, under=user)
    command("list", commands_people.user_list, "every account of the installation", under=user)
    command("disable", commands_people.user_disable, "end an account's sessions and links, and refuse its tokens, in every workspace", login, under=user)
    command("enable", commands_people.user_enable, "let a disabled account log in again", login, under=user)
    command("create", commands_people.token_create, "a bearer token, shown once", workspace, login, arg("--name", default=""), under=token)
    command("list", commands_people.token_list, "a person's live tokens, by number", workspace, login, under=token)
    command("revoke", commands_people.token_revoke, "end a token, from the next request on", workspace, login, arg("token", metavar="NUMBER", type=int), under=token)
    # fmt: on


def _plugin_commands(command: Callable[..., None], under: object, arg: Callable[..., object]) -> None:
    pin = arg("--pin", action="store_true", help="pin the folder's plugins by their SHA-256")
    folder = arg("--folder", metavar="PATH", help="instead of the plugin folder")
    command("list", commands_plugins.plugin_list, "every plugin with what it touches, and those left out", pin, under=under)
    command("new", commands_plugins.plugin_new, "a plugin to begin with, its tests with it", arg("name", metavar="NAME"), folder, under=under)


def _message_commands(command: Callable[..., None], group: Callable[[str, str], object], workspace: object) -> None:
    """Commands about messages from and to the outside."""
    source = (("source",), {"metavar": "SOURCE"})
    made = group("source", "keys of those who may send messages in")
    command("create", commands_messages.source_create, "a key for a source, shown once; an earlier one ends", workspace, source, under=made)
    command("list", commands_messages.source_list, "the sources that have or had a key", workspace, under=made)
    command("revoke", commands_messages.source_revoke, "end the key of a source", workspace, source, under=made)
    made = group("outbox", "messages to the outside")
    command("release", commands_messages.outbox_release, "let the held messages of a restored workspace go", workspace, under=made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 only on success, 1 when it was refused, 2 for a command that is not one."""
    given = build_parser().parse_args(arguments)
    locale = given.locale = locale_of(dict(os.environ))
    try:
        answer = given.run(given)
    except Refusal as refusal:
        _tell(refusal, locale, given.json)
        return 1
    except KeyboardInterrupt:
        return 130
    try:
        _show(answer, given.json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if answer.good else 1


def _show(answer: Answer, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(answer.data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS).decode())
    elif answer.lines:
        sys.stdout.write("\n".join(answer.lines) + "\n")
    sys.stdout.flush()


def _tell(refusal: Refusal, locale: str, as_json: bool) -> None:
    """A refusal on the error stream: one line, and one more for each fault or problem of definitions."""
    given = refusal.params.get("problems")
    problems = given if isinstance(given, list | tuple) else ()
    faults = [] if problems else list(zip(refusal.faults, told_faults(refusal, locale), strict=True))
    if as_json:
        errors = [{"pointer": fault.pointer, "code": fault.code, "message": text} for fault, (_, text) in faults]
        data = {"code": refusal.code, "message": told(refusal, locale), "errors": errors, "problems": [problem_data(problem) for problem in problems]}
        sys.stderr.write(orjson.dumps(data, default=str, option=orjson.OPT_APPEND_NEWLINE).decode())
        return
    lines = [f"tangram: {told(refusal, locale)}", *(f"  {text}" for _, (_, text) in faults), *(f"  {problem_line(problem, locale)}" for problem in problems)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
