"""Fetches the browser packages the lock file names and copies what pages need into ``static/vendor``. Serves nothing (asset_store.py).

Run as ``python -m renderer.assets`` at set-up; does nothing when the copies are those of the present lock file.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATIC = Path(__file__).resolve().parent / "static"
VENDOR = STATIC / "vendor"

#: file in node_modules -> name in static/vendor.
COPIES = {"htmx.org/dist/htmx.min.js": "htmx.js", "idiomorph/dist/idiomorph-ext.min.js": "idiomorph.js", "sortablejs/Sortable.min.js": "sortable.js"}
ICONS = "@tabler/icons/icons/outline"


def fingerprint(paths: Iterable[Path]) -> str:
    """One digest over the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """What the copies are made from: they are made again when one of these changes."""
    return [ROOT / "package-lock.json", STATIC / "icons.txt", Path(__file__)]


def icon_names() -> list[str]:
    """The icons pages and definitions may name: ``static/icons.txt``."""
    return (STATIC / "icons.txt").read_text(encoding="utf-8").split()


def sprite(names: Iterable[str], folder: Path) -> str:
    """One SVG of symbols; icons the package does not have are left out (pages show the fallback)."""
    symbols = []
    for name in names:
        path = folder / f"{name}.svg"
        if path.exists():
            shapes = re.findall(r"<(?:path|circle|rect|line|polyline|ellipse)\b[^>]*/>", path.read_text(encoding="utf-8"))
            drawn = "".join(shape for shape in shapes if 'stroke="none" d="M0 0h24v24H0z"' not in shape)
            symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{drawn}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"


def install() -> None:
    """``npm ci`` from the lock file. Exits with one line when it cannot."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm was not found: install Node.js, or run 'make setup', which brings it as a Python package")
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=ROOT, env=os.environ, check=False)
    if done.returncode != 0:
        sys.exit(f"npm ci failed with exit code {done.returncode}; the lines above say why")


def copy() -> None:
    """Copy the files and write the icon sprite and the licence notes."""
    modules = ROOT / "node_modules"
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, target in COPIES.items():
        shutil.copyfile(modules / source, VENDOR / target)
    (VENDOR / "icons.svg").write_text(sprite(icon_names(), modules / ICONS), encoding="utf-8")
    notes = []
    for package in ("htmx.org", "idiomorph", "sortablejs", "@tabler/icons"):
        notes += [f"{package}\n", *(path.read_text(encoding="utf-8") for path in sorted((modules / package).glob("LICENSE*")))]
    (VENDOR / "LICENSES.txt").write_text("\n".join(notes), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """``--force`` copies again even when nothing changed."""
    stamp = VENDOR / ".stamp"
    wanted = fingerprint(sources())
    if "--force" not in arguments and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    lock = ROOT / "node_modules" / ".package-lock.json"
    if not lock.exists() or lock.stat().st_mtime < (ROOT / "package-lock.json").stat().st_mtime or "--force" in arguments:
        install()
    copy()
    stamp.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
