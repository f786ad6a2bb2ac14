"""Senders killed with SIGKILL at random points: every message arrives, each time with its own key, and none is left behind.

``TANGRAM_TEST_SIZE=full``: a hundred kills per database.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import outbox
from engine.connections import keep_connection
from engine.delivery import KIND
from engine.home import Home
from engine.outbox_reading import counts
from engine.rules.effects import Send
from engine.settings import Settings
from engine.worker import Worker
from renderer.serving import all_words
from tests.engine.garden import make_garden
from tests.receivers import HttpReceiver, http_receiver

ROOT = Path(__file__).resolve().parents[2]
KILLS = 100 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 3
AT_ONCE = 15  # messages put before each kill


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def test_no_message_is_lost_when_senders_are_killed_and_every_try_has_its_key(database_kind, tmp_path, request, receiver):
    words = {
        "TANGRAM_HOME": str(tmp_path),
        "TANGRAM_SECRET_KEY": "k" * 40,
        "TANGRAM_OUTBOUND_NETWORKS": "127.0.0.0/8",
        "TANGRAM_JOB_LEASE": "1",
        "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL",
    }
    if database_kind == "postgresql":
        words["TANGRAM_DATABASE_URL"] = request.getfixturevalue("new_postgres_database")()
    home = Home.open(Settings.from_environment(words), all_words(), migrate=True)
    garden = make_garden(home)
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    environment = {**os.environ, **words, "PYTHONPATH": str(ROOT)}
    expected: set[str] = set()
    for kill in range(KILLS):
        for number in range(AT_ONCE):
            with garden.acting() as ctx:
                outbox.send(ctx, Send("hook", "x", f"k{kill}-{number}", "到访"), rule="", run=None)
            expected.add(f"k{kill}-{number}")
        before = len(receiver.requests)
        sender = subprocess.Popen([sys.executable, "-m", "tests.engine.sending", garden.name], env=environment, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert sender.stdout is not None and sender.stdout.readline() == b"ready\n"
            while len(receiver.requests) == before:  # it has begun to send
                time.sleep(0.002)
            time.sleep(random.uniform(0, 0.15))
        finally:
            sender.send_signal(signal.SIGKILL)
            sender.wait()
    worker, until = Worker(home, {KIND.name: KIND}), time.monotonic() + 60
    while counts(garden.ctx) != {"sent": len(expected)} and time.monotonic() < until:
        worker.drain(garden.name)
        time.sleep(0.1)
    assert counts(garden.ctx) == {"sent": len(expected)}
    assert set(receiver.keys()) == expected
    home.close()
