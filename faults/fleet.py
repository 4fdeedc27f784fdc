"""`python -m faults.fleet [PATTERN ...]`: what befalls a fleet's exporter, in full length, with figures.

`gearmand` is killed under load, the `exporter` is ended under load by SIGTERM and by SIGKILL, a tenth of a fleet is
`hanging`, the `clock` is set, and 100,000 probes leave no `leak`. tests/exporter/test_fleet_faults.py and
test_fleet_jobs.py have each of these in short.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab import gearmand

from . import clock, hanging, jobs, leaks

JOBS = 2000
TARGETS, INTERVAL, HANGING_SECONDS = 1000, 30.0, 150.0
PROBES, EVERY, LEAK_SECONDS = 100_000, 5_000, 7200.0
GROWTH = 1.1  # of the memory after a third of the probes, at most
FEWEST = 0.75  # of the probes that the interval asks for: one turn of five may lie outside of what was watched

Lines = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be


def gearmand_killed(place: Path) -> Lines:
    """Kill gearmand while jobs are in work and others wait."""
    if reason := gearmand.missing():
        yield reason, True
        return
    yield _told("gearmand killed", jobs.gearmand_killed(place, JOBS), 0)


def exporter_ended(by: signal.Signals, place: Path) -> Lines:
    """End the exporter while jobs are in work and others wait."""
    if reason := gearmand.missing():
        yield reason, True
        return
    twice = 0 if by is signal.SIGTERM else 3
    yield _told(f"exporter ended by {by.name}", jobs.exporter_restarted(place, JOBS, by), twice)


def _told(name: str, found: jobs.Found, twice: int) -> tuple[str, bool]:
    several = len(found.answers) - found.once
    line = (
        f"{name}: {found.jobs} jobs, {found.once} answered once, {several} more than once, "
        f"{found.jobs - len(found.answers)} never; {found.again} submitted again because gearmand forgot them, "
        f"{found.lost:.0f} results lost; {found.seconds:.0f} s"
    )
    return line, len(found.answers) == found.jobs and several <= twice and not found.lost


def fleet_hangs(place: Path) -> Lines:
    """Have a tenth of a fleet hang."""
    found = hanging.watch(place, TARGETS, INTERVAL, HANGING_SECONDS)
    line = (
        f"hanging: {TARGETS} targets each {INTERVAL:.0f} s, a tenth of them silent for {hanging.TIMEOUT} s: "
        f"{found.hung:.0f} handshakes hung; each other server was probed {min(found.probes):.0f} to "
        f"{max(found.probes):.0f} times in {found.seconds:.0f} s; {100 * found.on_time:.1f} % of the probes began "
        f"within 0.5 s, {1000 * found.lateness:.0f} ms late on average"
    )
    yield line, found.fewest >= FEWEST


def clock_set(place: Path) -> Lines:
    """Set the clock while it probes."""
    if reason := clock.missing():
        yield reason, True
        return
    for found in clock.watch(place):
        line = (
            f"clock {found.step:+d} s: {clock.PROBES} probes of each target in {found.seconds:.1f} s, at an interval "
            f"of {clock.INTERVAL:.0f} s; the slowest phase took {1000 * found.longest_phase:.2f} ms on average"
        )
        yield line, found.longest_phase < 1.0 and "Traceback" not in found.log


def leak(place: Path) -> Lines:
    """Probe very often by every door."""
    seen: list[leaks.Look] = []
    for found in leaks.watch(place, PROBES, EVERY, LEAK_SECONDS):
        seen.append(found)
        warm = seen[len(seen) // 3]
        line = (
            f"leak: {found.probes:7.0f} probes, {found.resident / 1024:6.1f} MiB, {found.descriptors} descriptors, "
            f"{found.threads} threads"
        )
        yield line, found.probes < PROBES or found.resident < GROWTH * warm.resident


ALL: dict[str, Callable[[Path], Lines]] = {
    "gearmand": gearmand_killed,
    "exporter, SIGTERM": partial(exporter_ended, signal.SIGTERM),
    "exporter, SIGKILL": partial(exporter_ended, signal.SIGKILL),
    "hanging": fleet_hangs,
    "clock": clock_set,
    "leak": leak,
}


def main(patterns: Sequence[str]) -> int:
    """Run and print; return 1 where something is not as it must be."""
    is_right = True
    for name, run in ALL.items():
        if patterns and not any(pattern in name for pattern in patterns):
            continue
        with TemporaryDirectory() as place:
            for line, is_well in run(Path(place)):
                is_right = is_right and is_well
                print(line if is_well else f"WRONG {line}", flush=True)
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
