"""Which host key each handshake of a run asks for: each for another kind, so that a run sees as many as it can."""

from collections.abc import Sequence

from .connection import Address, Connection


class Requests:
    """The turn of a server's kinds of host keys: those of `wanted` types first, certificates before keys alone."""

    __slots__ = ("_made", "_wanted")

    def __init__(self, wanted: Sequence[str] = ()) -> None:
        self._made = 0
        self._wanted = frozenset(wanted)

    def next(self, address: Address, opened: Sequence[Connection]) -> tuple[bytes, ...]:
        """Return the algorithms that the next handshake asks for, best first.

        While no server of the run has said what it offers: every kind that there is, in the same order.
        """
        from ..wire.host_key import EVERY, requests

        offers = [c for c in opened if c.exchange.kexinit is not None]
        told = next((c for c in offers if c.address is address), offers[0] if offers else None)
        if told is None or told.exchange.kexinit is None:
            return self._ordered(EVERY)
        kinds = self._ordered(requests(told.exchange.kexinit.host_key))
        self._made += 1  # the first was asked for by the handshake that told us
        return kinds[self._made % len(kinds) :][:1] if kinds else ()

    def _ordered(self, names: Sequence[bytes]) -> tuple[bytes, ...]:
        if not self._wanted:
            return tuple(names)
        from ..report import plain_type

        return tuple(sorted(names, key=lambda name: plain_type(name.decode()) not in self._wanted))
