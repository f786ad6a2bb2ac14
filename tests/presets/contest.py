"""People of a site who act at the same instant, from a process of its own: ``python -m tests.presets.contest WORKSPACE`` with plans on standard input.

A plan is what one person does, step by step: ``{"as": LOGIN, "press": [ENTITY, ID, ACTION, PARAMETERS]}`` or ``{"as": LOGIN, "create": [ENTITY, VALUES]}``; it ends
early after a refusal with its code ``until``. Each plan has a thread. Says ``ready`` when the workspace stands, begins on a line ``go``, then tells how often each
code came out, ``done`` for what was done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.actors import enter_person
from engine.errors import Refusal
from engine.home import Home
from engine.records import service
from engine.settings import Settings
from renderer.serving import all_words

ROOT = Path(__file__).parents[2]
Plan = Sequence[Mapping[str, Any]]


def act(home: Home, workspace: str, step: Mapping[str, Any]) -> str:
    """One step; the code of its refusal, or ``done``."""
    ctx = enter_person(home, workspace, step["as"])
    try:
        if "press" in step:
            entity, record, action, params = step["press"]
            service.act(ctx, entity, record, action, params, json=True)
        else:
            entity, values = step["create"]
            service.create(ctx, entity, values, json=True)
    except Refusal as refusal:
        return refusal.faults[0].code if refusal.code == "invalid" and refusal.faults else refusal.code
    return "done"


def follow(home: Home, workspace: str, plan: Plan) -> Counter[str]:
    """A plan from its beginning to its end, or to the refusal that ends it."""
    found: Counter[str] = Counter()
    for step in plan:
        code = act(home, workspace, step)
        found[code] += 1
        if code == step.get("until"):
            break
    return found


def contest(home: Home, workspace: str, plans: Sequence[Plan]) -> Counter[str]:
    """The plans shared out to two processes, all begun together; what came out of both. Raises CalledProcessError for one that failed."""
    settings = home.settings
    words = {"TANGRAM_HOME": str(settings.home), "TANGRAM_SECRET_KEY": settings.secret_key, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
    if not settings.embedded:
        words["TANGRAM_DATABASE_URL"] = settings.database_url
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.presets.contest", workspace]
        environment = {**os.environ, **words, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT, "env": environment}
        running = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(2)]  # type: ignore[call-overload]
        for number, process in enumerate(running):
            process.stdin.write(json.dumps(plans[number::2]) + "\n")
            process.stdin.flush()
        for process in running:
            assert process.stdout.readline() == "ready\n"
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            found.update(json.loads(process.stdout.readline()))
    return found


def main() -> None:
    """One of the processes."""
    workspace = sys.argv[1]
    words = {key: value for key, value in os.environ.items() if key.startswith("TANGRAM_") and not key.startswith("TANGRAM_TEST")}
    home = Home.open(Settings.from_environment(words), all_words())
    home.workspace(workspace)
    plans: Sequence[Plan] = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(max(1, len(plans))) as pool:
        found = sum(pool.map(lambda plan: follow(home, workspace, plan), plans), Counter[str]())
    print(json.dumps(found), flush=True)
    home.close()


if __name__ == "__main__":
    main()
