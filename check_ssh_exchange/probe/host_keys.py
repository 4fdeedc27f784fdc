"""Which host key each handshake of a run asks for: every handshake for another, so that a run sees them all."""

from collections.abc import Sequence

from .connection import Connection


class Requests:
    """The turn of a server's kinds of host keys, certificates first."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made = 0

    def next(self, opened: Sequence[Connection]) -> tuple[bytes, ...]:
        """Return the algorithms that the next handshake asks for, best first.

        While no server of the run has said what it offers: every kind that there is, in the same order.
        """
        from ..wire.host_key import EVERY, requests

        offered = next((c.exchange.kexinit.host_key for c in opened if c.exchange.kexinit), None)
        if offered is None:
            return EVERY
        kinds = requests(offered)
        self._made += 1  # the first was asked for by the handshake that told us
        return kinds[self._made % len(kinds) :][:1] if kinds else ()
