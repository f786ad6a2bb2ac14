"""What operators watch: requests and seconds counted at the edge, told in Prometheus' text format. Keeps no path, no person."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter

STARTED = time.time()


class Counts:
    """The counters of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._seconds = 0.0

    def note(self, method: str, status: int, seconds: float) -> None:
        """One answered request."""
        with self._lock:
            self._answers[method if method in ("GET", "POST", "PATCH", "PUT", "DELETE") else "OTHER", f"{status // 100}xx"] += 1
            self._seconds += seconds

    def text(self) -> str:
        """Prometheus' text format."""
        with self._lock:
            answers, seconds = dict(self._answers), self._seconds
        lines = ["# TYPE tangram_requests_total counter"]
        lines += [f'tangram_requests_total{{method="{method}",status="{status}"}} {number}' for (method, status), number in sorted(answers.items())]
        lines += [
            "# TYPE tangram_request_seconds_total counter",
            f"tangram_request_seconds_total {seconds:.6f}",
            "# TYPE tangram_start_time_seconds gauge",
            f"tangram_start_time_seconds {STARTED:.0f}",
        ]
        resident = _resident()
        if resident:
            lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {resident}"]
        return "\n".join(lines) + "\n"


def _resident() -> int:
    """Resident bytes where the system tells (Linux)."""
    if not sys.platform.startswith("linux"):
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


COUNTS = Counts()
