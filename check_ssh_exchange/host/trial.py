"""--trial: the same binary with the same configuration, in debug mode on a loopback port, for one handshake.

A restart is tried before it is done: what would keep the new sshd from serving keeps this one from it. The port is
ours, and the sshd serves the one connection that we give it, as from inetd: if it listened itself, then at every
ListenAddress of its configuration too, and it would serve whoever comes first.
"""

import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from contextlib import suppress

from .door import ENVIRONMENT
from .local_probe import asked
from .settings import chosen
from .snapshot import Snapshot
from .sources.binaries import inside
from .sshd import Daemon, Socket, daemons
from .trusted import is_trusted, prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

SECONDS = 5.0  # for our connection to be accepted, and for an sshd whose client is gone to end
MAX_SAID = 1 << 18  # bytes; -ddd says 20 kB for a handshake
LOOPBACK = "127.0.0.1"
_FILE = re.compile(r"(?:^|[= ])(/\S+)")  # in a word: -f FILE, -oHostKey=FILE


def try_out(seen: Snapshot, ports: tuple[int, ...]) -> None:
    """Add to a snapshot how a trial of each listener ended.

    Those that must not be run are left alone: containers', and whoever else calls himself sshd. Neither is one whose
    files others than root may change: its configuration could name any program for root to run.
    """
    found = [_tried(daemon) for daemon in daemons(seen, ports) if is_trusted(seen, daemon)]
    seen.document["trials"] = found  # type: ignore[index]


def arguments(daemon: Daemon) -> tuple[str, ...]:
    """Return the words of the trial: those of the listener's that choose its configuration, after our own."""
    return (daemon.path, "-i", "-ddd", "-e", "-oPidFile=none", *chosen(daemon))


def _open_to_others(daemon: Daemon, file: str) -> str:
    """Return which of a file and the directories above it others than root may change, "" for none."""
    root = prefix(daemon)
    path = f"{root}{file}" if root else os.path.realpath(file)
    if root and os.path.realpath(path) != os.path.realpath(root) + file:
        return file  # a link leads elsewhere, in the listener's root or in ours
    above = path
    while True:
        try:
            found = os.stat(above)
        except OSError:
            return above.removeprefix(root) or "/"
        by_group = found.st_mode & stat.S_IWGRP and found.st_gid
        # In a directory like /tmp, which has the sticky bit, nobody moves what is root's; but files appear in it.
        is_sticky = found.st_mode & stat.S_ISVTX and above not in (path, os.path.dirname(path))
        if found.st_uid or ((found.st_mode & stat.S_IWOTH or by_group) and not is_sticky):
            return above.removeprefix(root) or "/"
        if above in (root, "/"):
            return ""
        above = os.path.dirname(above)


def _tried(daemon: Daemon) -> "dict[str, Any]":
    for file in (file for word in chosen(daemon) for file in _FILE.findall(word)):
        if place := _open_to_others(daemon, file):
            return {"pid": daemon.pid, "skipped": f"others than root may change {place}"}
    # The output goes to a file without a name: nothing stays, and nobody waits for a reader.
    with socket.create_server((LOOPBACK, 0), backlog=1) as listener, tempfile.TemporaryFile() as said:
        listener.settimeout(SECONDS)
        port = listener.getsockname()[1]
        started: list[subprocess.Popen[bytes]] = []
        serving = threading.Thread(target=_serve, args=(daemon, listener, said, started))
        serving.start()
        answer = asked(daemon, Socket(LOOPBACK, port, "", 0, "", 0, 0, ""), port)
        serving.join()
        code = _ended(started[0]) if started else None
        return {**answer, "pid": daemon.pid, "code": code, "said": _content(said)}


def _serve(
    daemon: Daemon, listener: socket.socket, said: "IO[bytes]", started: "list[subprocess.Popen[bytes]]"
) -> None:
    """Accept one connection and start the sshd that serves it."""
    try:
        connection, _ = listener.accept()
        with connection:
            words = inside(daemon, *arguments(daemon))
            started.append(
                subprocess.Popen(
                    words, stdin=connection.fileno(), stdout=connection.fileno(), stderr=said,
                    env=ENVIRONMENT, cwd="/", start_new_session=True,
                )
            )  # fmt: skip
    except OSError as error:
        said.write(f"cannot start {daemon.path}: {error.strerror or error}\n".encode("utf-8", "surrogateescape"))


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for an sshd whose client is gone; return its exit code."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS)
    with suppress(OSError):  # and its children, which have its process group
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _content(said: "IO[bytes]") -> str:
    said.seek(0)
    return said.read(MAX_SAID).decode("utf-8", "surrogateescape")
