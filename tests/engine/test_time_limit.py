"""Foreign code that runs on is stopped; what ends in time never notices, nor does anything after it."""

import threading
import time

import pytest

from engine.time_limit import TooSlow, time_limit


def busy(seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_loop_without_end_is_stopped():
    begun = time.monotonic()
    with pytest.raises(TooSlow), time_limit(0.05):
        busy()
    assert time.monotonic() - begun < 10


def test_swallowing_every_exception_does_not_help():
    with pytest.raises(TooSlow), time_limit(0.05):
        while True:
            try:
                busy()
            except Exception:
                continue


def test_what_ends_in_time_is_left_alone_and_so_is_what_follows():
    for _ in range(300):
        with time_limit(0.002):
            pass
    with time_limit(0.05):
        time.sleep(0.01)
    busy(0.1)


def test_ending_at_the_very_limit_harms_nothing_after_it():
    """Whether it was stopped or not, nothing is raised outside."""
    stopped = 0
    for number in range(60):
        try:
            with time_limit(0.003):
                busy(0.0025 + number % 10 * 0.0002)
        except TooSlow:
            stopped += 1
        busy(0.001)
    assert stopped < 60


def test_each_thread_has_its_own_limit():
    results = {}

    def run(name: str, limit: float) -> None:
        try:
            with time_limit(limit):
                busy(0.4)
            results[name] = "done"
        except TooSlow:
            results[name] = "stopped"

    threads = [threading.Thread(target=run, args=given) for given in (("short", 0.05), ("long", 20.0), ("short too", 0.06))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"short": "stopped", "long": "done", "short too": "stopped"}


def test_a_limit_within_a_limit():
    with time_limit(20.0), pytest.raises(TooSlow), time_limit(0.05):
        busy()
    with pytest.raises(TooSlow), time_limit(0.05), time_limit(20.0):
        busy()
