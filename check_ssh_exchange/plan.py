"""What a run is to do: how many handshakes, how deep, from where, until when."""

from .ending import Depth
from .values import NamedTuple

DEFAULT_HANDSHAKES = 5
# OpenSSH's default MaxStartups 10:30:100 never drops a connection below 10 at once, and the baseline's slot may still
# be busy when the burst begins.
DEFAULT_CONCURRENCY = 8
DEFAULT_TIMEOUT = 10.0


class Login(NamedTuple):
    """Whom to log in as (depth login) and which host keys to accept (depths kex and login); None: accept any."""

    user: str | None = None
    identity: str | None = None
    known_hosts: str | None = None


class Target(NamedTuple):
    """What to probe: a name or an address as the user gave it, and a port."""

    host: str
    port: int = 22


class Plan(NamedTuple):
    """How to probe. `timeout` is the whole run's deadline in seconds; the first of `sources` is where we probe from."""

    handshakes: int = DEFAULT_HANDSHAKES
    concurrency: int | None = None
    depth: Depth = Depth.KEXINIT
    timeout: float = DEFAULT_TIMEOUT
    family: str = "any"
    sources: tuple[str, ...] = ()
    all_addresses: bool = False
    exempt: bool = False
    login: Login = Login()
    trace: bool = False
    control_port: int | None = None

    @property
    def at_once(self) -> int:
        """Return how many handshakes are open at once after the baseline."""
        return self.concurrency or max(1, min(self.handshakes - 1, DEFAULT_CONCURRENCY))
