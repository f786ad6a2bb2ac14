"""Measuring one server process from outside: processor time per request as the operating system accounts it, and the median answer time."""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of request costs: CPU of the server process, median time and 95th percentile, in microseconds per request."""

    cpu: float
    median: float
    p95: float
    requests: int


@dataclass(frozen=True, slots=True)
class Call:
    """One request to repeat; everything is made anew for each number, so that many callers can take turns. ``then`` is given the answer's body."""

    method: str
    path: Callable[[int], str]
    headers: Callable[[int], dict[str, str]]
    body: Callable[[int], bytes] | None = None
    status: int = 200
    then: Callable[[int, bytes], None] | None = None


class Server:
    """A running server process on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def cpu(self) -> float:
        """Seconds of processor time used so far by all threads: the process's own clock, to the nanosecond (Linux)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self) -> int:
        """Resident bytes now."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def measure(self, call: Call, numbers: Iterable[int], warm: int = 0) -> Cost:
        """Send requests one after another on one connection, the first ``warm`` of them uncounted; every status is checked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        before = 0.0
        for index, number in enumerate(numbers):
            if index == warm:
                before = self.cpu()
            body = call.body(number) if call.body else None
            start = time.perf_counter()
            connection.request(call.method, call.path(number), body=body, headers=call.headers(number))
            answer = connection.getresponse()
            content = answer.read()
            if index >= warm:
                times.append(time.perf_counter() - start)
            if answer.status != call.status:
                raise AssertionError(f"{call.method} {call.path(number)}: {answer.status} {content[:500]!r}")
            if call.then is not None:
                call.then(number, content)
        connection.close()
        slow = sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]
        return Cost((self.cpu() - before) / len(times) * 1e6, statistics.median(times) * 1e6, slow * 1e6, len(times))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(arguments: Callable[[int], list[str]], ready: str, environment: dict[str, str] | None = None, seconds: float = 30) -> Iterator[Server]:
    """Start ``python ARGUMENTS(port)``, wait until ``ready`` answers anything below 500, and stop it at the end."""
    port = free_port()
    process = subprocess.Popen([sys.executable, *arguments(port)], env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", ready)
                if connection.getresponse().status < 500:
                    break
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {arguments(port)}")
            time.sleep(0.02)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(10)
