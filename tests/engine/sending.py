"""A worker process that sends the outbox of one workspace until it is killed or nothing is left: ``python -m tests.engine.sending WORKSPACE``."""

import os
import sys
import time

from engine.delivery import KIND
from engine.home import Home
from engine.settings import Settings
from engine.worker import Worker
from renderer.serving import all_words


def main() -> None:
    """Drain again and again."""
    home = Home.open(Settings.from_environment(os.environ), all_words())
    worker = Worker(home, {KIND.name: KIND})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        worker.drain(sys.argv[1])
        time.sleep(0.02)


if __name__ == "__main__":
    main()
