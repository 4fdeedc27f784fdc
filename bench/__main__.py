"""`python -m bench`: measure every row, print the page and keep it in bench/RESULTS.md."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.lab import busy_server as server

from . import background, capture, engine, icinga, local_check, machine, probe_endpoint, process
from .table import Row, page

RESULTS = Path(__file__).with_name("RESULTS.md")


class Bench(NamedTuple):
    """A function that measures a row, with its number of rounds in a full and in a quick bench."""

    row: Callable[[int], Row]
    rounds: int
    quick_rounds: int


# A further row is one module with a function `row(rounds) -> Row`, and one line here.
BENCHES = {
    "process": Bench(process.row, 31, 2),
    # Before those that leave tens of thousands of sockets in TIME_WAIT: a host with these is not quiet.
    "local": Bench(local_check.row, 7, 1),
    "engine": Bench(engine.row, 41, 2),
    "probe": Bench(probe_endpoint.row, 11, 1),
    "capture": Bench(capture.row, 5, 1),
    "background": Bench(background.row, 60, 3),  # seconds, not rounds
    "icinga": Bench(icinga.row, 3, 1),
}


def main() -> None:
    """Measure, print, keep; the exit code says nothing about the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it works, not what it costs")
    parser.add_argument("--output", type=Path, help=f"where to keep the page ({RESULTS.name}, only of a whole run)")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(BENCHES):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    facts = machine.facts()
    os.sched_setaffinity(0, server.OUR_CPU)
    rows = []
    for name in options.rows or BENCHES:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        bench = BENCHES[name]
        rows.append(bench.row(bench.quick_rounds if options.quick else bench.rounds))
    written = page("Results of `make bench`" + (" (quick: figures mean nothing)" if options.quick else ""), facts, rows)
    print(written, end="")
    output = options.output or (None if options.quick or options.rows else RESULTS)
    if output:
        output.write_text(written)


if __name__ == "__main__":
    main()
