"""What a run measured, as frozen values: no socket, no clock, no judgement."""

from enum import StrEnum

from .ending import EARLY_CLOSES, NOT_ACCEPTED, Depth, Ending, Reason
from .values import NamedTuple

PHASES = ("connect", "banner", "kexinit", "hostkey", "kex", "login")
_COMPLETED = Ending.COMPLETED
_NONE = dict.fromkeys(Ending, 0)  # copied for each report: to look through an Enum takes longer


class Role(StrEnum):
    """A handshake's part in the run; the value is the word in JSON."""

    BASELINE = "baseline"  # alone, before the others
    BURST = "burst"  # at once with others, held until all of its wave have an answer
    RECHECK = "recheck"  # a further test after the burst
    CONTROL = "control"  # a connection to the control port; in no report


class Family(StrEnum):
    """An address family, and `any` where both will do."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Handshake(NamedTuple):
    """One handshake; `number` counts from 0 in the order of their SYNs.

    Durations are seconds, None for a phase that was not completed. `started` counts from the run's start, `ended` from
    the handshake's own SYN. `text` is what the server said besides its identification, escaped. `reason` says for rules
    what ended it, `detail` for people. `icmp` is the type, code and sender of an ICMP answer; `segments_in` counts the
    TCP segments that came in, None where the kernel does not tell. `wave` counts the waves of the burst from 1, 0
    elsewhere. `host_key_algorithm` is the one that depth hostkey asked for. `wire`, where asked for: (seconds since its
    SYN, "<" or ">", escaped bytes).
    """

    number: int
    role: Role
    family: Family
    address: str
    source: str
    source_port: int
    ending: Ending
    started: float
    ended: float
    text: str | None = None
    reason: Reason | None = None
    detail: str | None = None
    connect: float | None = None
    banner: float | None = None
    kexinit: float | None = None
    hostkey: float | None = None
    kex: float | None = None
    login: float | None = None
    identification: str | None = None
    icmp: tuple[int, int, str] | None = None
    segments_in: int | None = None
    wire: tuple[tuple[float, str, str], ...] = ()
    wave: int = 0
    is_second_source: bool = False
    spoke_first: bool = False
    disconnect: int | None = None
    host_key_algorithm: str | None = None
    host_key: "HostKey | None" = None

    @property
    def phases(self) -> "list[tuple[str, float]]":
        """Return the phases that were completed, each with its seconds, one after another.

        `kex` is counted from the KEXINIT, so the time of `hostkey` is within it and counts once.
        """
        found = [(phase, took) for phase in PHASES if (took := getattr(self, phase)) is not None]
        within = self.hostkey if self.kex is not None and self.hostkey is not None else 0.0
        return [(phase, max(0.0, took - within) if phase == "kex" else took) for phase, took in found]

    @property
    def is_early_close(self) -> bool:
        """Whether the server accepted the connection and ended it before the depth asked for."""
        return self.ending in EARLY_CLOSES

    @property
    def is_accepted(self) -> bool:
        """Whether a connection came about."""
        return self.ending not in NOT_ACCEPTED


class Algorithms(NamedTuple):
    """What the server's KEXINIT offers, in its order, escaped."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    cipher: tuple[str, ...]
    mac: tuple[str, ...]
    compression: tuple[str, ...] = ()


class Certificate(NamedTuple):
    """What a host certificate says, escaped; its signature was not checked.

    `valid_after` and `valid_before` are seconds since the epoch, `valid_before` None for a certificate without an end.
    """

    key_id: str
    serial: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int | None
    ca_fingerprint: str
    is_host: bool = True


def plain_type(algorithm: str) -> str:
    """Return the type of key that a host key algorithm shows, without its certificate: ssh-rsa for rsa-sha2-512."""
    plain, mark, _ = algorithm.partition("-cert-v")
    if plain in ("rsa-sha2-512", "rsa-sha2-256"):
        return "ssh-rsa"
    return f"{plain}@openssh.com" if mark and plain.startswith("sk-") else plain


class HostKey(NamedTuple):
    """A host key that the server has shown: its type, its fingerprint (that of the plain key, as ssh-keygen -l)."""

    type: str
    fingerprint: str
    certificate: Certificate | None = None

    @property
    def plain_type(self) -> str:
        """Return the type of the key without its certificate: `ssh-ed25519`."""
        return plain_type(self.type)


class Server(NamedTuple):
    """A server's identification string and its parts, escaped; `comments` is "" where there are none.

    `size` is the string's length on the wire in bytes, CR LF included, 0 where it is not known.
    """

    identification: str
    protocol: str
    software: str
    comments: str
    size: int = 0

    @classmethod
    def of(cls, identification: str) -> "Server":
        """Return the parts of an identification, `SSH-protocol-software comments`, that was checked before."""
        _, protocol, version = identification.split("-", 2)
        software, _, comments = version.partition(" ")
        return cls(identification, protocol, software, comments)

    @property
    def version(self) -> str:
        """Return software and comments as check_ssh's option -r compares them."""
        return f"{self.software} {self.comments}" if self.comments else self.software


class FaultKind(StrEnum):
    """What kept us from measuring."""

    NAME_RESOLUTION = "name_resolution"
    BUDGET = "budget"  # more handshakes were asked for than the server tolerates
    INTERRUPTED = "interrupted"
    LOCAL = "local"  # this machine or what it was told: descriptors, addresses, keys, libraries


class Fault(NamedTuple):
    """Why a run could not be made, or finished; `sentence` is for people."""

    kind: FaultKind
    sentence: str


class ShortfallKind(StrEnum):
    """How a run did less than was asked."""

    TIME = "time"  # the time was up
    DESCRIPTORS = "descriptors"  # fewer at once than asked: no descriptors were left
    FURTHER_TEST = "further_test"  # a test after the burst was not possible


class Shortfall(NamedTuple):
    """What a run did less than was asked.

    `number`: for TIME the handshakes that were not made, for DESCRIPTORS how many were open at once. `reason` is this
    machine's sentence, "" where there is none.
    """

    kind: ShortfallKind
    number: int = 0
    reason: str = ""


class Report(NamedTuple):
    """A whole run, measurements only.

    `asked` counts the handshakes asked for, further tests not included. `at` is when the report was made (seconds since
    the epoch), `resolve` what name resolution took and `took` the run after it (seconds). `control` is whether the
    control port answered, None where it was not tried, `control_took` how long that took (seconds). `speaks_first`: the
    server waits for its client's line, and this run spoke first. `pause` is what was left between handshakes (seconds),
    0 for a burst at once. A report without handshakes, fault and shortfalls is of a run that was not begun.
    """

    host: str
    port: int
    depth: Depth
    asked: int
    address: str | None = None
    family: Family | None = None
    source: str | None = None
    handshakes: tuple[Handshake, ...] = ()
    server: Server | None = None
    algorithms: Algorithms | None = None
    resolve: float | None = None
    took: float = 0.0
    at: float = 0.0
    fault: Fault | None = None
    shortfalls: tuple[Shortfall, ...] = ()
    control: bool | None = None
    control_took: float | None = None
    speaks_first: bool = False
    pause: float = 0.0

    @property
    def counts(self) -> dict[Ending, int]:
        """Return how many handshakes had each ending, zeros too."""
        counts = _NONE.copy()
        for ending in self.endings:
            counts[ending] += 1
        return counts

    @property
    def endings(self) -> list[Ending]:
        """Return how each handshake ended."""
        return [handshake.ending for handshake in self.handshakes]

    @property
    def is_served(self) -> bool:
        """Whether there were handshakes, and each reached the depth asked for."""
        endings = self.endings
        return bool(endings) and endings.count(_COMPLETED) == len(endings)

    @property
    def completed(self) -> int:
        """Return how many handshakes reached the depth asked for."""
        return self.endings.count(_COMPLETED)

    @property
    def early_closes(self) -> int:
        """Return how many handshakes the server accepted and ended early."""
        return sum([ending in EARLY_CLOSES for ending in self.endings])

    @property
    def accepted(self) -> int:
        """Return how many connections the server accepted."""
        return sum([ending not in NOT_ACCEPTED for ending in self.endings])

    @property
    def early_close_ratio(self) -> float | None:
        """Return early closes divided by accepted connections, None when none was accepted."""
        accepted = self.accepted
        return self.early_closes / accepted if accepted else None

    @property
    def nearest(self) -> float | None:
        """Return the shortest time from SYN to SYN-ACK (seconds), None without a connection."""
        return min((h.connect for h in self.handshakes if h.connect is not None), default=None)

    @property
    def host_keys(self) -> tuple[HostKey, ...]:
        """Return the host keys that were shown, each once, in the order in which they came."""
        return tuple(dict.fromkeys(h.host_key for h in self.handshakes if h.host_key is not None))

    @property
    def serves_us(self) -> bool:
        """Whether a handshake from our first source reached the depth asked for."""
        return any(h.ending is Ending.COMPLETED and not h.is_second_source for h in self.handshakes)

    @property
    def burst(self) -> tuple[Handshake, ...]:
        """Return the handshakes of the burst."""
        return self.of_role(Role.BURST)

    def of_role(self, role: Role) -> tuple[Handshake, ...]:
        """Return the handshakes of one role."""
        return tuple(handshake for handshake in self.handshakes if handshake.role == role)

    def durations(self, phase: str) -> list[float]:
        """Return the sorted durations of a phase over the handshakes that completed.

        A handshake that failed later shows how long a server in trouble takes, not the latency of its service.
        """
        took = [getattr(handshake, phase) for handshake in self.handshakes if handshake.ending is _COMPLETED]
        return sorted([value for value in took if value is not None])


def quantile(ordered: list[float], fraction: float) -> float:
    """Return a quantile of sorted values, linear between neighbours; raises IndexError for none."""
    position = fraction * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
