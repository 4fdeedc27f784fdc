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
import shlex
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

from ..diagnosis.maxstartups import MaxStartups
from ..text import printable
from ..values import NamedTuple
from .answers import answer_of
from .snapshot import Snapshot
from .sshd import Daemon

MOST_LINES = 4096  # `sshd -T` prints about a hundred, one more for each AllowUsers, AcceptEnv or ListenAddress
LENT_KEY = "/dev/stdin"  # the key that it was lent then
# sshd.c, the letters that take a word, and those that choose what is configured: -4 -6 and, with a word, the others.
_WITH_WORD = "CEbcfghkoup"
_CHOOSING = "cfghopu"
_FAMILIES = ("-4", "-6")
MOST_WORDS = 64
# compat/setproctitle.c: a title is cut there, and with it the words; RHEL 8 names every cipher in its own.
LONGEST_TITLE = 1000
NOBODY = "doesnotexist"  # a client that has not said who it is; Match User takes a name all the same
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
        return MaxStartups(*map(int, found.groups())) if found and 1 <= int(found[2]) <= 100 else None

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
    answer = answer_of(seen, pid, monitor)
    return None if answer is None else parse(answer)


@lru_cache(64)
def parse(text: str) -> Settings:
    """Return what sshd printed; lines without a value, as of an empty list, have the value ""."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines()[:MOST_LINES]:
        name, _, value = line.strip().partition(" ")
        if name and value.strip() != LENT_KEY:
            found.setdefault(name.lower(), []).append(value.strip())
    return Settings({name: tuple(values) for name, values in found.items()})


# --- the words that a listener was started with


def chosen(daemon: Daemon) -> tuple[str, ...]:
    """Return the words of a listener that choose its configuration: -f, -o, -p, -h and their kin.

    Its title has its words joined by blanks, so a value with blanks (-o "Port 22") is put together again.
    """
    words = list(daemon.arguments[:MOST_WORDS])
    title = daemon.process.title
    if "[listener]" not in title and len(title) >= LONGEST_TITLE:
        words = words[:-1]
    found: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            continue
        letters = word[1:]
        at = next((at for at, letter in enumerate(letters) if letter in _WITH_WORD), None)
        found += [f"-{letter}" for letter in letters[:at] if f"-{letter}" in _FAMILIES]
        if at is None:
            continue
        value = letters[at + 1 :] or (words.pop(0) if words else "")
        while words and not words[0].startswith("-"):
            value += f" {words.pop(0)}"
        if letters[at] in _CHOOSING and value:
            found += [f"-{letters[at]}", value]
    return tuple(found)


def file_of(daemon: Daemon) -> str:
    """Return the file of -f, "" where a listener has the one by default."""
    words = chosen(daemon)
    return next((value for letter, value in pairwise(words) if letter == "-f"), "")


def shell_line(daemon: Daemon, *words: str) -> str:
    """Return a command for a person at this host that asks a listener's binary about its configuration."""
    chroot = () if daemon.root == "/" else ("chroot", daemon.root)
    return shlex.join(printable(word, 200) for word in (*chroot, daemon.path, *words, *chosen(daemon)))


def client(seen: Snapshot, daemon: Daemon, monitor: str) -> str:
    """Return what -C of sshd(8) takes for a connection from a monitor."""
    user = seen.document.get("login_user") or NOBODY
    fields = [f"user={user}", f"host={monitor}", f"addr={monitor}"]
    fields += [f"laddr={_local(daemon, monitor)}", f"lport={next(iter(daemon.ports), 22)}"]
    if (daemon.release or (0, 0)) >= (7, 8):  # an earlier one takes no rdomain; a later one refuses to be without
        fields.append("rdomain=")
    return ",".join(fields)


def _local(daemon: Daemon, monitor: str) -> str:
    """Return the address that a monitor will have reached: one of its family, as far as the sockets say it."""
    family = [socket.address for socket in daemon.listening if (":" in socket.address) == (":" in monitor)]
    named = [address for address in family if address not in ("0.0.0.0", "::")]  # noqa: S104 - compared, not bound
    return next(iter(named), "::1" if ":" in monitor else "127.0.0.1")
