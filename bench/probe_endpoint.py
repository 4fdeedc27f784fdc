"""The exporter's /probe: how many handshakes a second of its CPU yields, beside blackbox_exporter's tcp prober."""

import asyncio
import itertools
import statistics
import time
from typing import NamedTuple

from tests.lab import busy_server as server

from . import daemon, scrape
from .table import Row, ratio, spread

TARGET = 3.0
HANDSHAKES = 5
AT_ONCE = 400  # a probe of this exporter lasts 0.25 s by design: with fewer at once it would mostly wait
PROBES = 800  # of this exporter in a round; blackbox_exporter makes as many handshakes, in as many probes
PLACES = 2 * PROBES  # each is asked every other round, long after it was left alone
WARM = 3  # rounds until all are known, as they are to a program that has run for a while
SETTLE = 0.7  # seconds; a server rests 0.3 s after a probe, and what a round has left is closed
TITLE = f"handshakes per CPU-second, /probe with {HANDSHAKES} handshakes, depth banner"
MOST_FAILED = 0.05  # of a round; on a busy machine a probe among hundreds under way may run out of time
OURS = f"""
modules:
  default: {{handshakes: {HANDSHAKES}, concurrency: {HANDSHAKES - 1}, depth: banner, exempt: true}}
"""
# As it comes with blackbox_exporter.
THEIRS = """
modules:
  ssh_banner:
    prober: tcp
    tcp:
      query_response:
        - expect: "^SSH-2.0-"
        - send: "SSH-2.0-blackbox-ssh-check"
"""


class Side(NamedTuple):
    """A program in the comparison: its request, the content of a good answer, requests in a round."""

    daemon: daemon.Daemon
    flood: scrape.Flood
    query: str
    good: str
    handshakes: int
    probes: int

    async def spent(self, addresses: list[str], port: int) -> "Spent":
        """Make a round and return what it took. Raises NoAnswer."""
        paths = [
            f"/probe?{self.query}&target={address}:{port}"
            for address in itertools.islice(itertools.cycle(addresses), self.probes)
        ]
        wall, cpu = time.monotonic(), self.daemon.cpu()
        found = await self.flood.ask(paths)
        wall, cpu = time.monotonic() - wall, self.daemon.cpu() - cpu
        failed = [text for answer in found if self.good not in (text := scrape.text(answer))]
        if len(failed) > MOST_FAILED * self.probes:
            raise scrape.NoAnswer(f"{self.daemon.name} has made {len(failed)} probes that failed: {failed[0][:3000]}")
        return Spent((self.probes - len(failed)) * self.handshakes / cpu, cpu / self.probes * 1e6, 100 * cpu / wall)


class Spent(NamedTuple):
    """Handshakes for each second of CPU, CPU for each probe in microseconds, share of the time at work in percent."""

    handshakes: float
    probe: float
    busy: float


def row(rounds: int) -> Row:
    """Measure in `rounds` rounds, each of as many handshakes by both programs."""
    with server.answering() as target:
        try:
            with daemon.blackbox(THEIRS) as theirs, daemon.exporter(OURS) as ours, scrape.aside():
                return _row(asyncio.run(_measure(rounds, ours, theirs, target.port)))
        except daemon.NoDaemon as reason:
            return Row(TITLE, f">= {TARGET}x blackbox_exporter", str(reason), None, _HOW.format(rounds=rounds))


async def _measure(rounds: int, ours: daemon.Daemon, theirs: daemon.Daemon, port: int) -> dict[str, list[Spent]]:
    addresses = [server.fresh_address() for _ in range(PLACES)]
    good = f'ssh_exchange_handshakes{{ending="completed"}} {HANDSHAKES}.0\n'
    sides = [
        Side(ours, scrape.Flood(ours.port), "module=default", good, HANDSHAKES, PROBES),
        Side(theirs, scrape.Flood(theirs.port), "module=ssh_banner", "probe_success 1\n", 1, PROBES * HANDSHAKES),
    ]
    spent: dict[str, list[Spent]] = {side.daemon.name: [] for side in sides}
    try:
        for side in sides:
            await side.flood.open(AT_ONCE)
        warm = min(WARM, rounds)
        for number in range(warm + rounds):
            for side in sides:
                taken = await side.spent(addresses, port)
                if number >= warm:
                    spent[side.daemon.name].append(taken)
                await asyncio.sleep(SETTLE)
            addresses = addresses[PROBES:] + addresses[:PROBES]
    finally:
        for side in sides:
            side.flood.close()
    return spent


_HOW = (
    "Both programs on one CPU, in turn, {rounds} rounds; the server and the client on the other; "
    f"{AT_ONCE} requests under way on connections that are kept, with Prometheus' headers, for {PLACES} addresses of "
    f"one server; a round is {PROBES * HANDSHAKES} handshakes, {PROBES} of our probes and {PROBES * HANDSHAKES} of "
    "blackbox_exporter's, whose module ssh_banner is one handshake each; user and system time of the program, median "
    "(least to greatest); the ratio is the median over the rounds."
)


def _row(spent: dict[str, list[Spent]]) -> Row:
    ours, theirs = ([one.handshakes for one in taken] for taken in spent.values())
    measured = ratio(ours, theirs)
    lines = tuple(_line(name, taken, theirs) for name, taken in spent.items())
    return Row(
        TITLE,
        f">= {TARGET}x blackbox_exporter",
        f"{measured:.2f}x",
        measured >= TARGET,
        _HOW.format(rounds=len(ours)),
        ("program", "handshakes per CPU-second", "CPU per probe, us", "at work", "against blackbox_exporter"),
        lines,
    )


def _line(name: str, taken: list[Spent], theirs: list[float]) -> tuple[str, ...]:
    handshakes = [one.handshakes for one in taken]
    busy = statistics.median(one.busy for one in taken)
    probe = spread([one.probe for one in taken], 0)
    return name, spread(handshakes, 0), probe, f"{busy:.0f} %", f"{ratio(handshakes, theirs):.2f}x"
