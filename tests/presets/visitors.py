"""A process of its own at the front desk: registers visits of one telephone from several threads at once, when it is told to. Prints what each was told."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from engine.actors import enter_person
from engine.home import Home
from engine.records import service
from engine.settings import Settings
from renderer.serving import all_words


def main(workspace: str, login: str, phone: str, times: int) -> None:
    """Say that it is ready, wait for a line, register ``times`` visits at once; prints for each which row of the verdict decided."""
    home = Home.open(Settings.from_environment(os.environ), all_words())
    enter_person(home, workspace, login)
    print("ready", flush=True)
    sys.stdin.readline()

    def visit(number: int) -> int:
        return int(service.create(enter_person(home, workspace, login), "touch", {"kind": "visit", "name": f"来客{number}", "phone": phone}).record["row"])

    with ThreadPoolExecutor(times) as pool:
        print(*sorted(pool.map(visit, range(times))), flush=True)
    home.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
