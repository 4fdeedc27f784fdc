"""Find the processes that live in a directory, and end them all."""

import errno
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 30.0  # SIGKILL cannot be refused; the rest is for processes in the middle of disk I/O
POLL_SECONDS = 0.005


def rooted_in(root: Path) -> list[int]:
    """Return the processes whose root directory is this one or below it: sshd's children chroot further down."""
    return _processes(lambda entry: (entry / "root").readlink().is_relative_to(root))


def started_from(home: Path) -> list[int]:
    """Return the processes with a path in this directory on their command line: daemons, their workers, plugins."""
    return _processes(lambda entry: f"{home}/".encode() in (entry / "cmdline").read_bytes())


def kill(find: Callable[[Path], list[int]], directory: Path) -> None:
    """Kill all processes that `find` returns for a directory, and those they fork meanwhile.

    Process groups and parents do not identify them: sshd's children call setsid and may outlive their parent, and a
    daemon leaves its running plugins behind. Raises TimeoutError.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while pids := find(directory):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} of {directory} survive SIGKILL")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def remove_group(group: Path) -> None:
    """Remove a control group whose processes have been killed; one is in it for a moment after it has left its root.

    Raises TimeoutError.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"{group} has processes still") from error
            time.sleep(POLL_SECONDS)
        else:
            return


def _processes(belongs: Callable[[Path], bool]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it ended meanwhile
                if belongs(entry):
                    found.append(int(entry.name))
    return found
