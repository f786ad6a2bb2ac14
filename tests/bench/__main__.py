"""``python -m tests.bench [SECTION ...]``: measure the product, print the tables, keep them in docs/benchmarks.md."""

import argparse
import sys

from tests.bench import costs, imports, lists, million, requests, rules, site_day, start
from tests.bench.report import keep

SECTIONS = {
    "requests": requests.measure,
    "costs": costs.measure,
    "import": imports.measure,
    "start": start.measure,
    "million": million.measure,
    "lists": lists.measure,
    "rules": rules.measure,
    "site": site_day.measure,
}


def main() -> int:
    """Run the chosen sections, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of: {' '.join(SECTIONS)} (default: all)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append", help="only this database")
    parser.add_argument("--rows", type=int, default=100_000, help="records of the request section")
    parser.add_argument("--rounds", type=int, default=45, help="turns each server takes")
    parser.add_argument("--requests", type=int, default=60, help="requests of one kind in one turn")
    parser.add_argument("--only", default="", help="only kinds of requests whose name holds this")
    parser.add_argument("--import-rows", type=int, default=10**9, help="rows of a file to import, at most")
    parser.add_argument("--million", type=int, default=1_000_000, help="rows of the million section and customers of the lists section, in tens of thousands")
    parser.add_argument("--scale", choices=["S", "M", "L"], default="L", help="size of the site section's site")
    parser.add_argument("--folder", default="", help="where the site section keeps what it made, for the next run")
    parser.add_argument("--keep", action="store_true", help="leave docs/benchmarks.md as it is")
    given = parser.parse_args()
    unknown = set(given.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    given.database = given.database or ["sqlite", "postgresql"]
    for name in given.sections or SECTIONS:
        section = SECTIONS[name](given)
        section.show()
        if not given.keep:
            keep([section])
    return 0


if __name__ == "__main__":
    sys.exit(main())
