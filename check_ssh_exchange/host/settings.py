"""The effective configuration of a listener, as `sshd -G` (9.3 and later) or `sshd -T` printed it. Pure.

    settings = settings_of(seen, daemon)            # None where sshd could not be asked
    settings = settings_of(seen, daemon, address)   # as it is for a client from there, Match blocks included
    settings.get("UseDNS")           # the first value, "" where there is none; names are compared without case
    settings.all("ListenAddress")    # every value, one for each line
    settings.yes("UseDNS")           # whether it is on
    settings.number("PerSourceMaxStartups")  # None where it is "none", absent or no number
    settings.seconds("LoginGraceTime")       # likewise
    settings.maxstartups()           # MaxStartups(start, rate, full), None where it is absent or impossible
    settings.penalties()             # {"crash": 90.0, ..., "overflow": "permissive"}, None where there are none or off

What sshd prints is read, never its file: drop-ins, Match blocks and the first value that counts are sshd's own work.
It is what is on disk now; a listener runs with what was there when it started or was reloaded.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from ..diagnosis.maxstartups import MaxStartups
from ..values import NamedTuple
from .snapshot import Snapshot
from .sshd import Daemon

MOST_LINES = 4096  # `sshd -T` prints about a hundred, one more for each AllowUsers, AcceptEnv or ListenAddress
WITHOUT_KEYS = ", without host keys"  # ends what a second asking is recorded as, where sshd has no key that it can read
LENT_KEY = "/dev/stdin"  # the key that it was lent then
_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?", re.ASCII)
_STARTUPS = re.compile(r"([0-9]{1,9}):([0-9]{1,3}):([0-9]{1,9})", re.ASCII)


class Settings(NamedTuple):
    """Every keyword in small letters with its values, in the order in which sshd printed them."""

    values: Mapping[str, tuple[str, ...]]

    def get(self, name: str) -> str:
        """Return the first value of a keyword, "" where it has none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a keyword."""
        return self.values.get(name.lower(), ())

    def yes(self, name: str) -> bool:
        """Return whether a keyword is on."""
        return self.get(name).lower() == "yes"

    def number(self, name: str) -> float | None:
        """Return the value of a keyword as a number."""
        value = self.get(name)
        return float(value) if _NUMBER.fullmatch(value) else None

    def seconds(self, name: str) -> float | None:
        """Return the value of a keyword that is a time; sshd prints each in seconds."""
        return self.number(name)

    def maxstartups(self) -> MaxStartups | None:
        """Return MaxStartups; sshd prints all three numbers, also where one was configured.

        One number N is printed as N:30:N up to 10.0 and from 10.3 on; 10.1 and 10.2 make 10:30:N of it (servconf.c).
        """
        found = _STARTUPS.fullmatch(self.get("MaxStartups"))
        return MaxStartups(int(found[1]), int(found[2]), int(found[3])) if found else None

    def penalties(self) -> "Mapping[str, float | str] | None":
        """Return PerSourcePenalties by their names, None where they are off or sshd has none (before 9.8).

        Numbers are whole up to 10.2, fractions later.
        """
        words = self.get("PerSourcePenalties").split()
        if not words or words[0].lower() in ("no", "none"):
            return None
        pairs = (word.lower().partition(":") for word in words[:64])
        return {name: float(value) if _NUMBER.fullmatch(value) else value for name, _, value in pairs}


def settings_of(seen: Snapshot, daemon: Daemon, monitor: str = "") -> Settings | None:
    """Return the settings of a listener, with `monitor` those for clients from that address; None where not known."""
    return settings_of_pid(seen, daemon.pid, monitor)


def settings_of_pid(seen: Snapshot, pid: int, monitor: str = "") -> Settings | None:
    """Return the settings of the listener with this process id."""
    key = key_of(pid, monitor)
    outputs = (seen.command(key), seen.command(key + WITHOUT_KEYS))
    return next((parse(output.out) for output in outputs if output.is_good), None)


def key_of(pid: int, monitor: str = "") -> str:
    """Return what the command that asks a listener's binary is recorded as."""
    return f"configuration of {pid}" + (f" for {monitor}" if monitor else "")


@lru_cache(64)
def parse(text: str) -> Settings:
    """Return what sshd printed; lines without a value, as of an empty list, have the value ""."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines()[:MOST_LINES]:
        name, _, value = line.strip().partition(" ")
        if name and value.strip() != LENT_KEY:
            found.setdefault(name.lower(), []).append(value.strip())
    return Settings({name: tuple(values) for name, values in found.items()})
