"""`python -m faults.soak [RUNS]`: default runs against the whole healthy zoo; each alarm is a false one.

OpenSSH 9.8 and later count per source address, so every run uses its own address in 127.0.0.0/8. No limit is then
reached, however fast the runs follow each other.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.lab import zoo

from .plugin import Answer, run
from .scenario import Target

SERVERS = tuple(name for name in zoo.RECIPES if name not in ("haproxy", "stunnel"))
AT_ONCE = 2  # runs; the machine's cores, so that no server is slow for lack of one


def source(number: int) -> str:
    """Return an address that no other run of this soak uses."""
    return f"127.{60 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"


def answers(runs: int, *options: str) -> Iterator[tuple[str, Answer]]:
    """Yield the answer of each of `runs` runs, with the server's name; without options they are default runs."""
    zoo.build(SERVERS)
    with ExitStack() as stack:
        ports = {name: stack.enter_context(zoo.server(name)).port for name in SERVERS}

        def one(number: int) -> tuple[str, Answer]:
            name = SERVERS[number % len(SERVERS)]
            return name, run(Target("127.0.0.1", ports[name], ("-S", source(number), *options)))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(one, range(runs))


def main(runs: int) -> int:
    """Run, print the alarms and the totals; return 1 if an alarm was raised."""
    if reason := zoo.missing():
        print(reason)
        return 1
    alarms: Counter[str] = Counter()
    for name, answer in answers(runs):
        if answer.document["state"] != "ok" or answer.cause != "healthy":
            alarms[name] += 1
            print(f"{name}: {answer.line}", flush=True)
    print(f"{sum(alarms.values())} alarms in {runs} default runs against {len(SERVERS)} healthy servers")
    return int(bool(alarms))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
