"""--trial: the same binary with the same configuration, in debug mode on a loopback port, for one handshake.

A restart is tried before it is done: what would keep the new sshd from serving keeps this one from it.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

from .door import ENVIRONMENT
from .local_probe import asked
from .snapshot import Snapshot
from .sources.binaries import inside
from .sshd import Daemon, Socket, daemons
from .trusted import is_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

SECONDS = 5.0  # until it listens
MAX_SAID = 1 << 18  # bytes; -ddd says 20 kB for a handshake
LOOPBACK = "127.0.0.1"
# Words of the listener's own command line that the trial replaces; those with a value after them.
_REPLACED, _WITH_VALUE = ("-D", "-d", "-dd", "-ddd", "-e", "-i", "-q", "-t", "-T", "-G"), ("-p", "-E")
_OPTIONS = ("listenaddress", "port", "pidfile", "loglevel")


def try_out(seen: Snapshot, ports: tuple[int, ...]) -> None:
    """Add to a snapshot how a trial of each listener ended.

    Those that must not be run are left alone: containers', and whoever else calls himself sshd.
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


def _tried(daemon: Daemon) -> "dict[str, Any]":
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
