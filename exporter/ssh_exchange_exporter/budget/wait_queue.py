"""Who waits for an account of handshakes, in the order of asking: told the time, no clock."""

from collections.abc import Hashable
from typing import NamedTuple

FORGOTTEN = 120.0  # seconds after which who has not asked again is no longer waiting; scrapes come oftener
MOST = 64  # claims on one account; whoever asks under ever new names pushes the oldest out


class Waiter(NamedTuple):
    """Somebody who waits: for how many handshakes, asked last when, and for how many seconds that counts."""

    handshakes: float
    asked: float
    life: float


class WaitQueue:
    """The claims on one account. Who was first is served first, however little the others ask for.

    Without them a module of two handshakes, asked for each second, would leave one of five waiting for ever.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Waiter] = {}

    def put(self, who: Hashable, handshakes: float, now: float, life: float | None = None) -> None:
        """Note that somebody waits for so many handshakes; who waits already keeps the place.

        The claim counts for `life` seconds. None: who asks for the first time may never come back, and claims nothing;
        who asks again claims until twice the time between the two.
        """
        if life is None:
            earlier = self._waiting.get(who)
            life = 2 * (now - earlier.asked) if earlier else 0.0
        self._waiting[who] = Waiter(handshakes, now, life)
        while len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]

    def drop(self, who: Hashable) -> None:
        """Forget a claim, if there is one."""
        self._waiting.pop(who, None)

    def before(self, who: Hashable, now: float) -> float:
        """Return how many handshakes are to be left to those who asked earlier."""
        if not self._waiting:
            return 0.0
        self._waiting = {
            other: claim for other, claim in self._waiting.items() if now - claim.asked <= max(claim.life, FORGOTTEN)
        }
        handshakes = 0.0
        for other, claim in self._waiting.items():
            if other == who:
                break
            handshakes += claim.handshakes if now - claim.asked <= claim.life else 0.0
        return handshakes
