"""What a run is to do: how many handshakes, how deep, from where, until when; what it must ask before it goes on."""

from collections.abc import Callable
from enum import StrEnum

from .ending import Depth
from .report import Family, Report, Server
from .values import NamedTuple

DEFAULT_HANDSHAKES = 5
# OpenSSH's default MaxStartups 10:30:100 never drops a connection below 10 at once, and the baseline's slot may still
# be busy when the burst begins.
DEFAULT_CONCURRENCY = 8
DEFAULT_TIMEOUT = 10.0


class Login(NamedTuple):
    """Whom to log in as (depth login) and which host keys to expect (depths hostkey, kex and login); None: any."""

    user: str | None = None
    identity: str | None = None
    known_hosts: str | None = None


class Target(NamedTuple):
    """What to probe: a name or an address as the user gave it, and a port."""

    host: str
    port: int = 22


class Plan(NamedTuple):
    """How to probe.

    `timeout` is the whole run's deadline in seconds. `concurrency` bounds the handshakes at once after the baseline,
    None for `at_once`'s default. `pause` (seconds) between the handshakes of the burst makes them one at a time, None
    where the server's software decides. The first of `sources` is where we probe from, the second tells limits per
    source apart. `trace` keeps the bytes of each handshake. `control_port` is another TCP port of the host, tried when
    no SYN is answered. `every_host_key`: each handshake asks for another kind of host key at the depths kex and login
    too (depth hostkey always does), those of `host_key_types` first.
    """

    handshakes: int = DEFAULT_HANDSHAKES
    concurrency: int | None = None
    depth: Depth = Depth.KEXINIT
    timeout: float = DEFAULT_TIMEOUT
    family: Family = Family.ANY
    sources: tuple[str, ...] = ()
    all_addresses: bool = False
    exempt: bool = False
    login: Login = Login()
    trace: bool = False
    control_port: int | None = None
    pause: float | None = None
    every_host_key: bool = False
    host_key_types: tuple[str, ...] = ()

    @property
    def at_once(self) -> int:
        """Return how many handshakes are open at once after the baseline."""
        default = max(1, min(self.handshakes - 1, DEFAULT_CONCURRENCY))
        return default if self.concurrency is None else self.concurrency

    def checked(self) -> "Plan":
        """Return the plan with its words as enums; raises ValueError with a sentence for one that cannot be used."""
        for what, number in (("handshakes", self.handshakes), ("concurrency", self.at_once)):
            if not _is_number(number, int) or number < 1:
                raise ValueError(f"{what} must be a whole number of at least 1, not {number!r}")
        if not _is_number(self.timeout, (int, float)) or not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout!r}")
        if self.pause is not None and (not _is_number(self.pause, (int, float)) or not 0 <= self.pause < float("inf")):
            raise ValueError(f"pause must be at least 0 seconds, not {self.pause!r}")
        if isinstance(self.sources, str):
            raise ValueError(f"sources must be a tuple of addresses, not {self.sources!r}")
        return self._replace(depth=_member(Depth, self.depth, "depth"), family=_member(Family, self.family, "family"))


def _is_number(value: object, kinds: "type | tuple[type, ...]") -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _member(kind: "type[Word]", value: str, what: str) -> "Word":
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{what} must be one of {', '.join(kind)}, not {value!r}") from None


class Followup(StrEnum):
    """A test after the burst."""

    SECOND_SOURCE = "second_source"  # from the second source address, while the burst is still held
    ALONE = "alone"  # one more alone, after all have closed
    SECOND_BURST = "second_burst"  # the burst once more: random drops hardly ever fall on the same handshakes twice
    SPEAK_FIRST = "speak_first"  # one in which we speak first: a service that waits for its client then answers
    CONTROL_PORT = "control_port"  # whether anything answers on another port of the host


class Policy(NamedTuple):
    """What a run asks before it goes on; both are pure judgements.

    `refusal` returns why the plan must not be carried out against a server at this number of addresses, None when it
    may; `followups` returns the further tests that the burst calls for; `pause` returns the seconds between handshakes
    that a server's known small limit asks for, 0 for none; `is_refusal` whether words of a server say why it will not
    serve us, so that nothing is to be waited for.
    """

    refusal: Callable[[Server | None, int], str | None]
    followups: Callable[[Report], tuple[Followup, ...]]
    pause: Callable[[Server | None], float] = lambda _: 0.0
    is_refusal: Callable[[bytes], bool] = lambda _: False


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Word = TypeVar("Word", bound=StrEnum)
