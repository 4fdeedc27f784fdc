"""An OpenSSH 9.8 or later on a simulated clock: MaxStartups with its random drops, and penalties by source. Pure.

sshd.c and srclimit.c, the same from 9.8 to 10.6: each connection that ends before a login adds a second to its
source's account, a second is forgiven each second; above `least` the source is refused until the account is empty, and
a refused connection adds nothing.
"""

import heapq
import random
from typing import NamedTuple

from check_ssh_exchange.diagnosis.maxstartups import DEFAULT, MaxStartups, drop_percent
from check_ssh_exchange.probe.schedule import PAUSE

LEAST_PENALTY = 15.0  # seconds: PerSourcePenalties min:15
NOAUTH = 1.0  # seconds: PerSourcePenalties noauth:1
ANSWER = 0.005  # seconds that sshd takes for its part of a handshake
MOST_REAP = 0.3  # seconds from the close to the free slot, at most as measured
SLOWEST = 0.2  # seconds of the longest round trip between a vantage point and a server
BURST = 4  # handshakes of a default run beside its baseline


class Connection(NamedTuple):
    """When the server accepts a connection, and when its slot is free again."""

    accepted: float
    freed: float


class Run(NamedTuple):
    """A run at depth kexinit over a path with this round trip, by default of five handshakes."""

    begun: float
    round_trip: float
    reap: float
    burst: int = BURST

    @property
    def wave(self) -> float:
        """The seconds of handshakes that are made at once: connect, and the answer to our identification."""
        return 2.5 * self.round_trip + ANSWER

    @property
    def burst_begun(self) -> float:
        return self.begun + self.wave + PAUSE

    @property
    def ended(self) -> float:
        return self.burst_begun + self.wave

    @property
    def freed(self) -> float:
        """When the last slot is free again."""
        return self._connection(self.burst_begun).freed

    def connections(self) -> list[Connection]:
        """Return the baseline and the burst, as the server sees them."""
        return [self._connection(self.begun), *[self._connection(self.burst_begun)] * self.burst]

    def _connection(self, begun: float) -> Connection:
        return Connection(begun + 1.5 * self.round_trip, begun + self.wave + 0.5 * self.round_trip + self.reap)


def run(begun: float, chance: random.Random, round_trip: float, burst: int = BURST) -> Run:
    """Return a run; how long the server takes to free its slots is up to chance."""
    return Run(begun, round_trip, chance.uniform(0.0, MOST_REAP), burst)


class Startups:
    """The unauthenticated connections of one server; `others` are those of clients that are no monitors."""

    def __init__(self, chance: random.Random, others: int = 0, setting: MaxStartups = DEFAULT) -> None:
        self._chance = chance
        self._setting = setting
        self._others = others
        self._freed: list[float] = []
        self.most = 0
        self.dropped = 0

    def accept(self, connection: Connection) -> bool:
        """Return whether a connection is served; they must come in the order of time."""
        while self._freed and self._freed[0] <= connection.accepted:
            heapq.heappop(self._freed)
        held = self._others + len(self._freed)
        self.most = max(self.most, held + 1)
        percent = drop_percent(held, self._setting)
        if percent and self._chance.uniform(0.0, 100.0) < percent:
            self.dropped += 1
            return False
        heapq.heappush(self._freed, connection.freed)
        return True


class Penalties:
    """The account of one source address at one server."""

    def __init__(self, least: float = LEAST_PENALTY) -> None:
        self._least = least
        self._paid_at = 0.0
        self._is_active = False
        self.refused = 0

    def accept(self, now: float) -> bool:
        """Return whether a connection is served."""
        if now >= self._paid_at:
            self._is_active = False
        if self._is_active:
            self.refused += 1
        return not self._is_active

    def end(self, now: float) -> None:
        """Count a connection that was served and has ended without a login."""
        self._paid_at = max(self._paid_at, now) + NOAUTH
        self._is_active = self._is_active or self._paid_at - now > self._least
