"""The files a listener was configured from, and when it read them last. Pure.

sshd reads them at its start and at each SIGHUP, with which it runs itself again: the process stays as old as it was
(proc(5), starttime), but it writes its PidFile anew (sshd.c, sighup_restart and main).
"""

from collections.abc import Iterable

from .settings import file_of, settings_of
from .snapshot import Snapshot
from .sshd import Daemon
from .trusted import is_trusted, prefix
from .units import Unit

USUAL = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")  # the second is SUSE's
DROP_INS = "/etc/ssh/sshd_config.d"
PID_FILE = "/run/sshd.pid"


def named(seen: Snapshot, daemon: Daemon) -> str | None:
    """Return the file behind `-f`; None where the usual ones are read, "" where who says so is not to be believed."""
    path = file_of(daemon)
    if not path:
        return None
    return path if path.startswith("/") and is_trusted(seen, daemon) else ""


def hidden_file(seen: Snapshot, daemon: Daemon) -> str:
    """Return the file behind `-f` where it is not here, and we may not see in which root it is; "" elsewhere.

    Such a listener may be in a chroot or in a container: neither the files nor the programs here say anything of it.
    """
    path = named(seen, daemon) if daemon.process.root is None else ""
    is_absent = seen.document["stats"].get(path, {}).get("error") == "ENOENT"
    return path if path and is_absent else ""


def pid_file(seen: Snapshot, daemon: Daemon) -> str:
    """Return the path of a listener's PidFile as its root has it, "" for none."""
    settings = settings_of(seen, daemon) if is_trusted(seen, daemon) else None
    path = settings.get("PidFile") if settings else PID_FILE
    return path if path.startswith("/") else ""


def changed(seen: Snapshot, daemon: Daemon) -> tuple[float, str]:
    """Return when which of the files was changed last, (0, "") for none that is known."""
    root, path = prefix(daemon), named(seen, daemon)
    paths = [path] if path else []
    if path is None:
        drop_ins = [name for name in seen.names(root + DROP_INS) if name.endswith(".conf")]
        paths = [*USUAL, *(f"{DROP_INS}/{name}" for name in drop_ins)]
    times = [(float((seen.stat(root + path) or {}).get("mtime", 0.0)), path) for path in paths]
    return max(times, default=(0.0, ""))


def read_at(seen: Snapshot, daemon: Daemon, units: Iterable[Unit]) -> float:
    """Return when a listener read its configuration last (seconds since the epoch), 0 where it is not known."""
    times = [daemon.process.started]
    path = prefix(daemon) + pid_file(seen, daemon)
    if (seen.text(path) or "").strip() == str(daemon.pid):
        times.append(float((seen.stat(path) or {}).get("mtime", 0.0)))
    for unit in units:
        names = ("ExecMainStartTimestampMonotonic", "StateChangeTimestampMonotonic")
        started, since = (unit.number(name) for name in names)  # microseconds
        if unit.number("MainPID") == daemon.pid and started <= since:
            times.append(daemon.process.started + (since - started) / 1e6)  # `systemctl reload` changes the state
    return max(times) if daemon.process.started else 0.0
