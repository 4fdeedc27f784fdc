"""Which program of a listener asks libwrap, and whether it is linked with it. Pure."""

from .hosts_access import ALLOW, DENY, Rule, rules
from .settings import settings_of
from .snapshot import Snapshot
from .sshd import Daemon
from .trusted import prefix

LIBRARY = "libwrap.so"  # upstream dropped it in 6.7, Debian and its kin put it back
SPLIT = (9, 8)  # since then sshd-session, started for each connection, is linked with it, not the listener
SESSIONS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/lib/ssh/sshd-session",
            "/usr/libexec/sshd-session")  # fmt: skip


def programs(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    """Return the program that meets each connection, all that could be where the release is not known."""
    settings = settings_of(seen, daemon)
    named = settings.get("SshdSessionPath") if settings else ""
    sessions = (named,) if named.startswith("/") else SESSIONS
    if daemon.release is None:
        return (daemon.path, *sessions)
    return sessions if daemon.release >= SPLIT else (daemon.path,)


def is_wrapped(seen: Snapshot, daemon: Daemon) -> bool | None:
    """Return whether a listener's connections pass libwrap, None where no program could be read."""
    root = prefix(daemon)
    found = [seen.stat(f"contains {LIBRARY}:{root}{path}") for path in programs(seen, daemon)]
    known = [bool(one.get("found")) for one in found if one is not None]
    return any(known) if known else None


def tables(seen: Snapshot, daemon: Daemon) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Return the rules of hosts.allow and of hosts.deny, as far as they were read."""
    root = prefix(daemon)
    allow, deny = (_table(seen, root, path) for path in (ALLOW, DENY))
    return allow, deny


def _table(seen: Snapshot, root: str, path: str) -> tuple[Rule, ...]:
    text = seen.text(root + path) or ""
    size = seen.document["files"].get(root + path, {}).get("size", 0)
    if size <= len(text.encode("utf-8", "surrogateescape")):
        return rules(path, text)
    whole = text[: text.rfind("\n") + 1]
    return (*rules(path, whole), Rule(path, whole.count("\n") + 1, (), (), (), "", is_cut=True))
