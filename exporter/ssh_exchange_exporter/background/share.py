"""How exporters with one configuration share its targets: which probes a target, and at which moment. Pure.

Both follow from hashes alone, so that exporters need not know of each other.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from check_ssh_exchange.plan import Target

REMEMBERED = 100_000  # targets; each costs a hash for every shard


class Shard(NamedTuple):
    """One of `of` exporters, numbered from 1."""

    number: int = 1
    of: int = 1

    def holds(self, target: Target) -> bool:
        """Return whether this exporter probes a target. A server is probed by one, whatever labels it has."""
        return self.of == 1 or _owner(target.host.lower(), target.port, self.of) == self.number


@lru_cache(REMEMBERED)
def _owner(host: str, port: int, shards: int) -> int:
    # Rendezvous hashing: the shard with the highest hash. One more shard takes 1/N of each other's targets and moves
    # none between those.
    return max(range(1, shards + 1), key=lambda number: (_hash(f"{number} {host} {port}"), number))


def phase(target: Target, vantage: str, interval: float) -> float:
    """Return at how many seconds of each interval a vantage point probes a target; intervals begin at the epoch.

    Each vantage point has another moment for a server, so that several do not open their handshakes together.
    """
    return interval * _hash(f"{vantage} {target.host.lower()} {target.port}") / 2**64


def seconds_until(moment: float, interval: float, epoch: float) -> float:
    """Return the seconds from `epoch` (since the epoch) to the next `moment` of an interval, in [0, interval)."""
    return (moment - epoch) % interval


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
