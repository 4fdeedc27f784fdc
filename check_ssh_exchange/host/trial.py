"""--trial: the same binary with the same configuration, in debug mode on a loopback port, for one handshake.

A restart is tried before it is done: what would keep the new sshd from serving keeps this one from it.
"""

import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
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
    from collections.abc import Iterator
    from typing import IO, Any

SECONDS = 5.0  # until it listens
MAX_SAID = 1 << 18  # bytes; -ddd says 20 kB for a handshake
LOOPBACK = "127.0.0.1"
# Words of the listener's own command line that the trial replaces; those with a value after them.
_REPLACED, _WITH_VALUE = ("-D", "-d", "-dd", "-ddd", "-e", "-i", "-q", "-t", "-T", "-G"), ("-p", "-E")
_FILE = re.compile(r"(?:^|[= ])(/\S+)")  # in a word: -f FILE, -oHostKey=FILE
_OPTIONS = ("listenaddress", "port", "pidfile", "loglevel")


def try_out(seen: Snapshot, ports: tuple[int, ...]) -> None:
    """Add to a snapshot how a trial of each listener ended.

    Those that must not be run are left alone: containers', and whoever else calls himself sshd. Neither is one whose
    files others than root may change: its configuration could name any program for root to run.
    """
    found = [_tried(daemon) for daemon in daemons(seen, ports) if is_trusted(seen, daemon)]
    seen.document["trials"] = found  # type: ignore[index]


def arguments(daemon: Daemon, port: int) -> tuple[str, ...]:
    """Return the words of the trial: the listener's own, but for where it listens, what it logs and its pid file."""
    kept: list[str] = []
    words = list(daemon.arguments)
    while words:
        word = words.pop(0)
        if word in _WITH_VALUE:
            words[:1] = []
        elif word == "-o" and words and _is_replaced(words[0]):
            words.pop(0)
        elif word not in _REPLACED and not (word.startswith("-o") and _is_replaced(word[2:])):
            kept.append(word)
    return (
        daemon.path, "-ddd", "-e", "-p", str(port), f"-oListenAddress={LOOPBACK}:{port}", "-oPidFile=none", *kept
    )  # fmt: skip


def _is_replaced(setting: str) -> bool:
    return setting.partition("=")[0].split(" ")[0].lower() in _OPTIONS


def _named(daemon: Daemon) -> "Iterator[str]":
    """Yield the files that a listener's words name, without those that only the trial's replacements had."""
    for word in chosen(daemon):
        yield from _FILE.findall(word)


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
    for file in _named(daemon):
        if place := _open_to_others(daemon, file):
            return {"pid": daemon.pid, "skipped": f"others than root may change {place}"}
    with socket.socket() as held:  # a port that is free now; the trial says so if it is not any more
        held.bind((LOOPBACK, 0))
        port = held.getsockname()[1]
    words = inside(daemon, *arguments(daemon, port))
    # The output goes to a file without a name: nothing stays, and nobody waits for a reader.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=ENVIRONMENT, cwd="/", start_new_session=True
        )
        try:
            is_listening = _awaited(process, said)
            answer = asked(daemon, Socket(LOOPBACK, port, "", 0, "", 0, 0, ""), port) if is_listening else {}
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return {
            **answer, "pid": daemon.pid, "port": port, "is_listening": is_listening,
            "code": process.returncode, "said": _content(said),
        }  # fmt: skip


def _awaited(process: "subprocess.Popen[bytes]", said: "IO[bytes]") -> bool:
    """Wait until the trial listens; return whether it does. A connection to find out would be its only one."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if "Server listening on" in _content(said):
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return False


def _content(said: "IO[bytes]") -> str:
    said.seek(0)
    return said.read(MAX_SAID).decode("utf-8", "surrogateescape")
