"""Section 5: how soon a server on an existing installation with demo data answers, and what it holds in memory."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from engine import accounts
from engine.settings import Settings
from renderer.serving import DEMO, open_home
from tests.bench.load import Call, serving
from tests.bench.report import Section, verdict

GOAL, MEMORY = 3.0, 150
PAGE, WORKSPACE_PAGE = "/login", f"/w/{DEMO}/"


def measure(given: argparse.Namespace) -> Section:
    """The section's table: the median of some starts."""
    section = Section("start", "Second start of `tangram serve`, the real-estate demo in place", ("what", "figure", "goal", "kept"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {"TANGRAM_HOME": folder, "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_LOG_LEVEL": "warning"}
        for words in (["workspace", "create", DEMO, "--preset", "real_estate", "--demo"], ["demo-data", DEMO, "--scale", "S"]):
            subprocess.run([sys.executable, "-m", "renderer.cli", *words], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)
        cookie = _session(environment)
        found = [_start(environment, cookie) for _ in range(5)]
    first, inside, used = (statistics.median(one[at] for one in found) for at in range(3))
    memory = max(one[3] for one in found)
    section.rows += [
        ("from the command to the first page (s)", f"{first:.2f}", f"< {GOAL:.0f}", verdict(first, GOAL)),
        ("to the first page inside the workspace (s)", f"{inside:.2f}", f"< {GOAL:.0f}", verdict(inside, GOAL)),
        ("processor time until then (s)", f"{used:.2f}", "", ""),
        ("resident memory after 200 pages (MB)", f"{memory:.0f}", f"< {MEMORY}", verdict(memory, MEMORY)),
    ]
    section.remarks.append("Memory after the requests of a whole run stands with the requests section.")
    return section


def _session(environment: dict[str, str]) -> str:
    """A page session of some person of the demo."""
    home = open_home(Settings.from_environment(environment))
    account = next(item for item in accounts.all_accounts(home) if not item.disabled)
    token = accounts.start_session(home, account.id)
    home.close()
    return f"tangram={token}"


def _start(environment: dict[str, str], cookie: str) -> tuple[float, float, float, float]:
    """Seconds to the first page and to the first inside, processor seconds by then, MB after 200 more."""
    begin = time.perf_counter()
    with serving(lambda port: ["-m", "renderer.cli", "serve", "--port", str(port)], PAGE, environment) as server:
        first = time.perf_counter() - begin
        call = Call("GET", lambda _: WORKSPACE_PAGE, lambda _: {"cookie": cookie})
        server.measure(call, range(1))
        inside, used = time.perf_counter() - begin, server.cpu()
        server.measure(call, range(200))
        return first, inside, used, server.memory() / 2**20
