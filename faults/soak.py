"""`python -m faults.soak [RUNS]`: default runs against the whole healthy zoo; each alarm is a false one.

OpenSSH 9.8 and later count per source address, so every run uses its own address in 127.0.0.0/8. No limit is then
reached, however fast the runs follow each other.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from tests.lab import zoo

from .plugin import Answer, run
from .scenario import Target

SERVERS = tuple(name for name in zoo.RECIPES if name not in ("haproxy", "stunnel"))
Asked = TypeVar("Asked")
AT_ONCE = 2  # runs; the machine's cores, so that no server is slow for lack of one


def source(number: int) -> str:
    """Return an address that no other run of this soak uses."""
    return f"127.{60 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"


def answers(runs: int, *options: str) -> Iterator[tuple[str, Answer]]:
    """Yield the answer of each of `runs` runs, with the server's name; without options they are default runs."""
    zoo.build(SERVERS)
    with ExitStack() as stack:
        ports = {name: stack.enter_context(zoo.server(name)).port for name in SERVERS}
        yield from in_turn(
            runs, ports, lambda number, port: run(Target("127.0.0.1", port, ("-S", source(number), *options)))
        )


def in_turn(runs: int, ports: Mapping[str, int], ask: Callable[[int, int], Asked]) -> Iterator[tuple[str, Asked]]:
    """Ask the servers in turn, by the number of the run and the port; yield each answer with the server's name."""
    names = tuple(ports)

    def one(number: int) -> tuple[str, Asked]:
        name = names[number % len(names)]
        return name, ask(number, ports[name])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(one, range(runs))


def alarms(found: Iterable[tuple[str, str]], total: str) -> int:
    """Print each alarm, a server's name and its line, and their number with `total`; return 1 if there was one."""
    counted = 0
    for name, line in found:
        counted += 1
        print(f"{name}: {line}", flush=True)
    print(f"{counted} alarms in {total}")
    return int(bool(counted))


def main(runs: int) -> int:
    """Run, print the alarms and the totals; return 1 if an alarm was raised."""
    if reason := zoo.missing():
        print(reason)
        return 1
    return alarms(
        (
            (name, answer.line)
            for name, answer in answers(runs)
            if answer.document["state"] != "ok" or answer.cause != "healthy"
        ),
        f"{runs} default runs against {len(SERVERS)} healthy servers",
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
