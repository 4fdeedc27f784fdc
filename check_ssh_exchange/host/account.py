"""A user's authorized_keys as sshd with StrictModes sees them: whose they are, and who may write to them. Pure."""

import re
from collections.abc import Iterator

from ..text import printable
from ..values import NamedTuple
from .finding import ROOT, Lack
from .settings import Settings
from .snapshot import Snapshot
from .sshd import Daemon
from .trusted import prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_FILES = 8  # patterns of AuthorizedKeysFile; the default has two
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,63}", re.ASCII)
_WRITABLE = 0o022  # by the group, by others: misc.c, safe_path


class Account(NamedTuple):
    """A user as the name service has it."""

    name: str
    uid: int
    home: str
    shell: str

    def files(self, settings: Settings) -> tuple[str, ...]:
        """Return the files of AuthorizedKeysFile; sshd_config(5): %h %u %U %%, relative ones are below the home."""
        tokens = {"%%": "%", "%h": self.home, "%u": self.name, "%U": str(self.uid)}
        patterns = [word for word in settings.get("AuthorizedKeysFile").split() if word.lower() != "none"]
        made = [re.sub("%[%huU]", lambda found: tokens[found[0]], word) for word in patterns[:MOST_FILES]]
        return tuple(path if path.startswith("/") else f"{self.home.rstrip('/')}/{path}" for path in made)

    def way(self, file: str) -> tuple[str, ...]:
        """Return a file and the directories above it that count: up to the home, or up to / where it is elsewhere."""
        found = [file]
        while (parent := found[-1].rpartition("/")[0]) != found[-1]:
            found.append(parent or "/")
            if found[-1] in (self.home, "/") or len(found) > 32:
                break
        return tuple(found)


def is_name(name: str) -> bool:
    """Return whether this may be a user's name, and can be no option of a program."""
    return bool(_NAME.fullmatch(name))


def account_of(seen: Snapshot, daemon: Daemon) -> Account | None:
    """Return the user that we were asked for, in the root of a listener; None where there is none."""
    told = (seen.command(f"account at {daemon.root}"), seen.command(key_of_file(daemon)))
    fields = "".join(one.out for one in told).partition("\n")[0].split(":")
    if len(fields) != 7 or not fields[2].isascii() or not fields[2].isdecimal() or len(fields[2]) > 10:
        return None
    return Account(fields[0], int(fields[2]), fields[5].rstrip("/") or "/", fields[6])


def is_absent(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether the user does not exist: getent(1) exits with 2, a search of passwd with 1."""
    return seen.command(f"account at {daemon.root}").code == 2 or seen.command(key_of_file(daemon)).code == 1


def key_of_file(daemon: Daemon) -> str:
    """Return the key under which the user's passwd line is recorded where getent is missing."""
    return f"account at {daemon.root}, in its passwd"


def quoted(name: str) -> str:
    """Return a user's name as grep takes it literally."""
    return re.sub(r"([.$\\])", r"\\\1", name)


class Access(NamedTuple):
    """What sshd would say of the user's keys: what is in its way, and what we could not see."""

    faults: tuple[str, ...] = ()
    unseen: tuple[Lack, ...] = ()


def access(seen: Snapshot, daemon: Daemon, account: Account, settings: Settings) -> Access:
    """Return whether one of the user's files can be used; faults are those of the files that are there."""
    root = prefix(daemon)
    files = account.files(settings)
    faults: list[str] = []
    there = 0
    for file in files:
        if any(seen.is_denied(root + path) for path in account.way(file)):
            return Access(unseen=(Lack(ROOT, f"whether sshd can use {printable(file, 200)}"),))
        if seen.stat(root + file) is None:
            continue
        there += 1
        found = list(_faults(seen, root, account, file)) if settings.get("StrictModes").lower() != "no" else []
        if not found:
            return Access()
        faults += found
    if not there and files and settings.get("AuthorizedKeysCommand").lower() in ("", "none"):
        names = " and ".join(printable(file, 200) for file in files)
        faults.append(f"{printable(account.name, 64)} has no authorized keys: no {names}")
    return Access(tuple(dict.fromkeys(faults)))


def _faults(seen: Snapshot, root: str, account: Account, file: str) -> "Iterator[str]":
    if seen.link(root + file) is not None:  # where it leads is what counts, and that was not looked at
        return
    for path in account.way(file):
        told = seen.stat(root + path)
        if told is not None and (fault := _fault(told, account)):
            yield f"sshd with StrictModes ignores {printable(file, 200)}: {printable(path, 200)} {fault}"


def _fault(told: "dict[str, Any]", account: Account) -> str:
    if told["uid"] not in (0, account.uid):
        return f"belongs to uid {told['uid']}, not to {printable(account.name, 64)} or root"
    if told["mode"] & _WRITABLE:
        return f"has mode {told['mode'] & 0o7777:04o}, others may write to it"
    return ""
