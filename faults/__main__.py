"""`python -m faults [PATTERN ...]`: run the matrix, or the scenarios whose names match, and print a table."""

import sys
from collections.abc import Sequence

from tests.lab import zoo

from .matrix import Matrix, Row, matching

ENOUGH = 95.0  # percent that must be right
WIDTHS = "{:58} {:33} {:17} {:9} {:17} {:>6} {:6} {}"


def cells(row: Row) -> str:
    """One row of the table."""
    expected = "|".join(row.scenario.causes)
    if row.said is None:
        verdict, what = ("skip", row.skipped) if row.skipped else ("WRONG", row.problem)
        return WIDTHS.format(row.scenario.name, expected, "-", "-", "-", f"{row.seconds:.1f}", verdict, what)
    words = row.said.line if row.is_right else f"{row.problem} -- {row.said.line}"
    verdict = "ok" if row.is_right else "WRONG"
    found = (row.said.cause, row.said.confidence, row.local or "-", f"{row.seconds:.1f}", verdict, words)
    return WIDTHS.format(row.scenario.name, expected, *found)


def main(patterns: Sequence[str]) -> int:
    """Run and print; return 1 when too few answers are right or a certain one is wrong."""
    if reason := zoo.missing():
        print(reason)
        return 1
    scenarios = matching(*patterns)
    zoo.build()
    rows: list[Row] = []
    print(WIDTHS.format("scenario", "expected", "said", "how sure", "on the host", "s", "", "first line"))
    with Matrix(scenarios) as matrix:
        for scenario in scenarios:
            found = matrix.rows(scenario.name)
            rows += found
            for row in found:
                print(cells(row), flush=True)
    return conclude(rows)


def conclude(rows: Sequence[Row]) -> int:
    """Print the sums."""
    run = [row for row in rows if not row.skipped]
    right = sum(row.is_right for row in run)
    certain = [row for row in run if row.is_certain]
    truly = sum(row.is_right for row in certain)
    share = 100 * right / len(run) if run else 0.0
    others = sum(row.is_right and row.said is not None and row.said.cause != row.scenario.causes[0] for row in run)
    print(f"{others} of them name another cause that leaves the same marks, or were spared by a random fault")
    skipped = f"; {len(rows) - len(run)} skipped" if len(rows) > len(run) else ""
    print(f"{right} of {len(run)} right ({share:.1f} %), certain: {truly} of {len(certain)} right{skipped}")
    return int(share < ENOUGH or truly < len(certain))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
