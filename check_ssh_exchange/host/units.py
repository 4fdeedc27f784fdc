"""The units of systemd that start sshd, as `systemctl show` prints them. Pure.

Properties and their words: org.freedesktop.systemd1(5), systemd.socket(5), systemd.service(5). A property that a
release of systemd does not know is left out of the output: PollLimit came with 254.
"""

import re

from ..values import NamedTuple
from .host import has_systemd
from .snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "units of sshd"
WOULD_BE = "configuration of the socket's sshd"
# ssh on Debian and its kin, sshd elsewhere; an alias is shown under its own name again.
PATTERNS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket", "ssh@*.service", "sshd@*.service")
# Times are asked for as microseconds since the boot: every release prints those alike, in no time zone.
PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NeedDaemonReload",
    "NRestarts", "MainPID", "ExecMainStatus", "ExecMainStartTimestampMonotonic", "StateChangeTimestampMonotonic",
    "Accept", "Listen", "BindIPv6Only", "Backlog", "NConnections", "NAccepted", "NRefused", "MaxConnections",
    "MaxConnectionsPerSource", "TriggerLimitIntervalUSec", "TriggerLimitBurst", "PollLimitIntervalUSec",
    "PollLimitBurst",
)  # fmt: skip
MOST_UNITS = 1000
# `Listen=[::]:22 (Stream)`; before systemd 246 `ListenStream=[::]:22` (systemctl-show.c, systemctl.c).
_LISTEN = re.compile(r"^Listen(?:Stream=(\S+)|=(\S+) \(Stream\))$")
_PLACE = re.compile(r"^(?:\[([0-9A-Fa-f:.]+)\](?:%\S+)?|([0-9.]+)):(\d{1,5})$")


class Unit(NamedTuple):
    """A unit: its name, its properties, and the addresses with ports of a socket."""

    name: str
    properties: "Mapping[str, str]"
    listen: tuple[tuple[str, int], ...]

    def word(self, name: str) -> str:
        """Return a property, "" for none."""
        return self.properties.get(name, "")

    def number(self, name: str) -> int:
        """Return a property as a number, 0 for none and for what is none."""
        text = self.word(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 21 else 0

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket."""
        return self.name.endswith(".socket")

    @property
    def is_one_connection(self) -> bool:
        """Whether it serves a single connection: how those end says nothing of sshd."""
        return "@" in self.name

    @property
    def is_active(self) -> bool:
        """Whether it is up."""
        return self.word("ActiveState") in ("active", "reloading")

    @property
    def has_failed(self) -> bool:
        """Whether systemd has given it up."""
        return self.word("ActiveState") == "failed"

    @property
    def is_loop(self) -> bool:
        """Whether it waits to be restarted after it has ended."""
        return self.word("SubState").startswith("auto-restart")

    @property
    def is_enabled(self) -> bool:
        """Whether it is to be started with the host."""
        return self.word("UnitFileState").startswith("enabled")

    @property
    def accepts_itself(self) -> bool:
        """Whether systemd accepts and starts an sshd for each connection: `Accept=yes`."""
        return self.word("Accept") == "yes"

    @property
    def state(self) -> str:
        """What it does, as systemctl says it: active (running)."""
        return f"{self.word('ActiveState') or 'unknown'} ({self.word('SubState') or 'unknown'})"

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of a socket, each once."""
        return tuple(dict.fromkeys(port for _, port in self.listen))


def units(seen: Snapshot) -> tuple[Unit, ...]:
    """Return the units that are loaded, each once; none where systemd is not the init or does not answer."""
    if not has_systemd(seen):
        return ()
    blocks = seen.command(KEY).out.split("\n\n")[:MOST_UNITS]
    found = {one.name: one for one in map(_unit, blocks) if one.name and one.word("LoadState") != "not-found"}
    return tuple(found.values())


def does_not_answer(seen: Snapshot) -> bool:
    """Return whether systemd is the init and told nothing: no bus, no right, no systemctl."""
    return has_systemd(seen) and not seen.command(KEY).out.strip()


def _unit(block: str) -> Unit:
    properties, listen = {}, []
    for line in block.splitlines():
        name, _, value = line.partition("=")
        properties[name] = value.strip()
        found = _LISTEN.match(line.strip())
        place = _PLACE.match(found[1] or found[2]) if found else None
        if place:  # others are unix sockets and vsock
            listen.append((place[1] or place[2], int(place[3])))
    return Unit(properties.get("Id", "")[:256], properties, tuple(listen))
