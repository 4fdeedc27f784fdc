"""What servers see of several monitors on a simulated clock: startups at once, penalties, and how old answers are."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from check_ssh_exchange.diagnosis.maxstartups import DEFAULT
from check_ssh_exchange.plan import Target
from ssh_exchange_exporter.background.share import phase
from ssh_exchange_exporter.budget.source_budget import SourceBudget
from ssh_exchange_exporter.configuration.configuration import Budget
from ssh_exchange_exporter.runner import REST

from . import simulated_fleet as fleet
from .simulated_server import BURST, SLOWEST, Penalties, Run, Startups, run

LEAST_ROUND_TRIP = 0.001
BOOTED_WITHIN = 1e7  # seconds before the simulation begins
CRON_SPREAD = 0.05  # seconds between programs that all start at the full minute
HANDSHAKES = BURST + 1
_CONDITIONS = fleet.Conditions(0.5, 0.5)
_FIRST_MOMENT = 2.0 * BOOTED_WITHIN


class Met(NamedTuple):
    """What all servers saw in all rounds; `twos` and `threes` count meetings of at least two and three runs."""

    server_rounds: int
    handshakes: int
    twos: int
    threes: int
    most: int
    dropped: int
    dropping: int


class Path(NamedTuple):
    """A vantage point's way to a server."""

    vantage: str
    round_trip: float


Plan = dict[str, list[tuple[Path, float]]]


def by_schedule(servers: Sequence[Target], names: Sequence[str], rounds: int, chance: random.Random) -> Plan:
    """Return when exporters probe each server by their own schedule; a vantage may be empty."""
    plan: Plan = {one.host: [] for one in servers}
    for name in names:
        trips = {one.host: chance.uniform(LEAST_ROUND_TRIP, SLOWEST) for one in servers}
        exporter = fleet.Exporter(servers, fleet.EPOCH - chance.uniform(0, BOOTED_WITHIN), _CONDITIONS, name)
        for turn in exporter.turns(fleet.EPOCH + rounds * fleet.INTERVAL):
            plan[turn.host].append((Path(name, trips[turn.host]), turn.begun))
    return plan


def by_the_minute(servers: Sequence[Target], count: int, rounds: int, chance: random.Random) -> Plan:
    """Return when `count` programs probe each server that all begin at the full minute."""
    plan: Plan = {}
    for one in servers:
        paths = [Path("", chance.uniform(LEAST_ROUND_TRIP, SLOWEST)) for _ in range(count)]
        minutes = [fleet.EPOCH + number * fleet.INTERVAL for number in range(rounds)]
        plan[one.host] = [(path, at + chance.uniform(0, CRON_SPREAD)) for at in minutes for path in paths]
    return plan


def meet(plan: Plan, rounds: int, chance: random.Random, others: int = 0, burst: int = BURST) -> Met:
    """Return what the servers see; each has `others` unauthenticated connections of other clients all the time."""
    handshakes = twos = threes = most = dropped = dropping = 0
    for visits in plan.values():
        startups = Startups(chance, others)
        handshakes += (1 + burst) * len(visits)
        runs = sorted(run(begun, chance, path.round_trip, burst) for path, begun in visits)
        for together in _meetings(runs):
            twos += len(together) >= 2
            threes += len(together) >= 3
            if len(together) == 1 and others + 1 + burst <= DEFAULT.start:
                continue  # alone it is served whatever chance says
            for connection in sorted(one for each in together for one in each.connections()):
                startups.accept(connection)
        most = max(most, startups.most)
        dropped += startups.dropped
        dropping += startups.dropped > 0
    return Met(len(plan) * rounds, handshakes, twos, threes, most, dropped, dropping)


def _meetings(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Yield the runs, in the order of time, those together of which one begins while a slot of another is taken."""
    together: list[Run] = []
    until = 0.0
    for one in runs:
        if together and one.begun >= until:
            yield together
            together = []
        together.append(one)
        until = max(until, one.freed)
    if together:
        yield together


def penalising(servers: Sequence[Target], vantages: Sequence[str], interval: float, seconds: float) -> int:
    """Return how many servers refuse these exporters, all behind one address, within `seconds`."""
    return sum(_penalises(server, vantages, interval, seconds) for server in servers)


def _penalises(server: Target, vantages: Sequence[str], interval: float, seconds: float) -> bool:
    account = Penalties()
    begins = [phase(server, name, interval) + at for name in vantages for at in range(0, int(seconds), int(interval))]
    runs = [Run(begun, SLOWEST / 2, 0.0) for begun in begins]
    # Each connection is accepted when it begins and counts when it ends: 1 after 0 where both are at one moment.
    moments = sorted(
        moment
        for one in runs
        for begun, count in ((one.begun, 1), (one.burst_begun, BURST))
        for moment in ((begun, 0, count), (begun + one.wave, 1, count))
    )
    for at, is_end, count in moments:
        for _ in range(count):
            if is_end:
                account.end(at)
            elif not account.accept(at):
                return True
    return False


class Served(NamedTuple):
    """How the requests for /probe of one exporter were answered, and whether the server refused a handshake."""

    fresh: int
    shared: int
    last: int
    refused: int
    oldest: float

    @property
    def requests(self) -> int:
        return self.fresh + self.shared + self.last


def scraped(offsets: Sequence[float], interval: float, seconds: float) -> Served:
    """Return how one exporter answers several Prometheis that scrape /probe of one server, each at its own offset."""
    size = Budget()
    budget, account = SourceBudget(size.handshakes, size.per_second), Penalties()
    times = sorted(offset + at for offset in offsets for at in range(0, int(seconds), int(interval)))
    fresh = shared = last = 0
    ended = freed = 0.0
    begun, oldest = _FIRST_MOMENT, 0.0
    for time in times:
        now = _FIRST_MOMENT + time
        if now < ended:
            shared += 1
            continue
        now = max(now, freed)
        if budget.covers(HANDSHAKES, now, "requester"):
            one = Run(now, SLOWEST / 2, 0.0)
            ended, freed = one.ended, one.ended + REST
            _pay(account, one)
            budget.take(HANDSHAKES, now, "requester")
            budget.settle(0.0, freed)
            begun = now
            fresh += 1
        else:
            budget.wait_for(HANDSHAKES, now, "requester", comes_back=False)
            last += 1
            oldest = max(oldest, now - begun)
    return Served(fresh, shared, last, account.refused, oldest)


def _pay(account: Penalties, one: Run) -> None:
    account.accept(one.begun)
    account.end(one.begun + one.wave)
    for _ in range(BURST):
        account.accept(one.burst_begun)
    for _ in range(BURST):
        account.end(one.ended)
