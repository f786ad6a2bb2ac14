"""Makes sure the browser tests have a Chromium with Chinese fonts: found, or installed by the system's package manager, or a clear failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")
HINT = (
    "No Chromium was found. Install one with 'apt-get install chromium fonts-noto-cjk' (Debian, Ubuntu) or 'brew install --cask chromium' (macOS), "
    "or set TANGRAM_BROWSER to the path of a Chromium or Chrome."
)


def find_browser() -> str | None:
    """The path of a Chromium, or None. TANGRAM_BROWSER wins."""
    given = os.environ.get("TANGRAM_BROWSER")
    if given:
        return given if Path(given).exists() else None
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return next((place for place in PLACES if Path(place).exists()), None)


def _install() -> None:
    """Install Chromium and CJK fonts where apt-get and the rights for it exist."""
    apt = shutil.which("apt-get")
    if apt is None:
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and shutil.which("sudo") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-noto-cjk"]):
        print("browser for tests: apt-get", *command, flush=True)
        if subprocess.run([*prefix, apt, *command], env=environment, stdout=subprocess.DEVNULL).returncode != 0:
            return


def main() -> int:
    """Exit 0 when a browser stands ready, else 1 with the way out."""
    if find_browser() is None:
        _install()
    if find_browser() is None:
        print(HINT, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
