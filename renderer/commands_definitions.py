"""The commands about definitions: check a folder, plan and publish it, roll a workspace back."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import publishing
from engine.builtin import DOCUMENTS
from engine.errors import NotFound
from engine.messages import catalogue
from engine.publishing_drift import drift_of
from engine.publishing_plan import Plan, plan_folder
from engine.releasing import prove, release
from engine.scenarios import Result, Told, play_scenarios, quiet
from metadata.bundle import Bundle
from metadata.check import check_folder
from metadata.messages import hint, sentence
from metadata.text import label_text
from metadata.vocabulary import Problem
from renderer import serving
from renderer.commands import Answer, opened_home

_PLAYED = {"zh": "演练 {} 个场景，{} 个成立", "en": "{} scenarios played, {} hold"}
_STANDING = {
    "zh": "另有 {} 条提示说的是现行版本里已有的内容，不妨碍发布（--json 列出）",
    "en": "{} notes more are about what stands in the version in force and keep nothing back (--json lists them)",
}


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


def _played(answer: Answer, results: Sequence[Result], locale: str, *, every: bool = True) -> Answer:
    """An answer with how the scenarios ended, ``every`` one or only those that do not hold; it is good only when all do."""
    told = [line for result in results if every or not result.holds for line in scenario_lines(result, locale)]
    total = [label_text(_PLAYED, locale).format(len(results), sum(result.holds for result in results))] if results else []
    lines = [*answer.lines, *told, *total]
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
    return _played(_planned(found, given.locale), results, given.locale, every=False)


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
