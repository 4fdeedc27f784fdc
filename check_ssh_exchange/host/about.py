"""What a judgement is to be about: the monitors, the ports, what is remembered of earlier runs."""

from ..values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_SINCE = 600.0  # seconds


class About(NamedTuple):
    """What to look for.

    `monitors` are the addresses that monitor this host, as `ip_address.plain` writes them; `ports` limits the sshds to
    those that listen there, () for all. `since` is how far back the log counts (seconds). `memory` is what the state
    file holds of earlier runs.
    """

    monitors: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    since: float = DEFAULT_SINCE
    login_user: str | None = None
    memory: "Mapping[str, Any]" = {}
