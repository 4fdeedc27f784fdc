"""What a run measured, as frozen values: no socket, no clock, no judgement."""

from enum import StrEnum

from .ending import EARLY_CLOSES, NOT_ACCEPTED, Depth, Ending
from .values import NamedTuple

PHASES = ("connect", "banner", "kexinit", "kex", "login")


class Handshake(NamedTuple):
    """One handshake; `number` counts from 0 in the order of their SYNs.

    Durations are seconds, None for a phase that was not completed. `started` counts from the run's start, `ended` from
    the handshake's own SYN. `text` is what the server said besides its identification, escaped; `detail` says in our
    words what ended it. `wire`, where asked for: (seconds since its SYN, "<" or ">", escaped bytes).
    """

    number: int
    role: str
    family: str
    address: str
    source: str
    source_port: int
    ending: Ending
    started: float
    ended: float
    text: str | None = None
    detail: str | None = None
    connect: float | None = None
    banner: float | None = None
    kexinit: float | None = None
    kex: float | None = None
    login: float | None = None
    identification: str | None = None
    icmp: tuple[int, int, str] | None = None
    segments_in: int | None = None
    wire: tuple[tuple[float, str, str], ...] = ()
    wave: int = 0
    is_witness: bool = False
    spoke_first: bool = False

    @property
    def is_early_close(self) -> bool:
        """Whether the server accepted the connection and ended it before the depth asked for."""
        return self.ending in EARLY_CLOSES

    @property
    def is_accepted(self) -> bool:
        """Whether a connection came about."""
        return self.ending not in NOT_ACCEPTED


class Followup(StrEnum):
    """A test after the burst."""

    WITNESS = "witness"  # from the second source address, while the burst is still held
    AGAIN = "again"  # one more alone, after all have closed
    ASK = "ask"  # one in which we speak first: a service that waits for its client then shows what it is
    CONTROL = "control"  # whether anything answers on another port of the host


class Algorithms(NamedTuple):
    """What the server's KEXINIT offers, in its order, escaped."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    cipher: tuple[str, ...]
    mac: tuple[str, ...]


class Server(NamedTuple):
    """A server's identification string and its parts, escaped; `comments` is "" where there are none."""

    identification: str
    protocol: str
    software: str
    comments: str

    @property
    def version(self) -> str:
        """Return software and comments as check_ssh's option -r compares them."""
        return f"{self.software} {self.comments}" if self.comments else self.software


class Report(NamedTuple):
    """A whole run. `fault` is why it could not be done or finished, `notes` what was done differently from the plan.

    `control` is what the control port did; `window` counts early closes and accepted connections of this run and those
    remembered; `held_back` is why no handshake was made.
    """

    host: str
    port: int
    depth: Depth
    asked: int
    address: str | None = None
    family: str | None = None
    source: str | None = None
    handshakes: tuple[Handshake, ...] = ()
    server: Server | None = None
    algorithms: Algorithms | None = None
    resolve: float | None = None
    took: float = 0.0
    fault: str | None = None
    fault_cause: str | None = None
    notes: tuple[str, ...] = ()
    control: str | None = None
    host_key: str | None = None
    window: tuple[int, int] | None = None
    held_back: str | None = None

    @property
    def counts(self) -> dict[Ending, int]:
        """Return how many handshakes had each ending, zeros too."""
        counts = dict.fromkeys(Ending, 0)
        for handshake in self.handshakes:
            counts[handshake.ending] += 1
        return counts

    @property
    def completed(self) -> int:
        """Return how many handshakes reached the depth asked for."""
        return sum(handshake.ending is Ending.COMPLETED for handshake in self.handshakes)

    @property
    def early_closes(self) -> int:
        """Return how many handshakes the server accepted and ended early."""
        return sum(handshake.is_early_close for handshake in self.handshakes)

    @property
    def early_close_ratio(self) -> float | None:
        """Return early closes divided by accepted connections, None when none was accepted."""
        accepted = sum(handshake.is_accepted for handshake in self.handshakes)
        return self.early_closes / accepted if accepted else None

    @property
    def serves_us(self) -> bool:
        """Whether a handshake from our first source reached the depth asked for."""
        return any(h.ending is Ending.COMPLETED and not h.is_witness for h in self.handshakes)

    def of_role(self, role: str) -> tuple[Handshake, ...]:
        """Return the handshakes of one role."""
        return tuple(handshake for handshake in self.handshakes if handshake.role == role)

    def durations(self, phase: str) -> list[float]:
        """Return the sorted durations of a phase over the handshakes that completed.

        One that failed later tells how long a server in trouble takes, which is no latency of its service.
        """
        served = (handshake for handshake in self.handshakes if handshake.ending is Ending.COMPLETED)
        return sorted(value for handshake in served if (value := getattr(handshake, phase)) is not None)


def quantile(ordered: list[float], fraction: float) -> float:
    """Return a quantile of sorted values, linear between neighbours; raises IndexError for none."""
    position = fraction * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
