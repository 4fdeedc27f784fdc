"""The state file: one JSON object kept between runs, one small file for each target.

Other users may write in the directory, two checks may run at once, a disk may fill up, a machine may crash: so the
file is never followed through a link, read under a lock, bounded, checked value by value, and replaced in one step.
"""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SCHEMA = 1
MAX_FILE = 1 << 20  # bytes; what a check remembers has a tenth of that at most
_MARK = b'{"schema": 1, "target": '  # how `replace` begins a file
LOCK_WAIT = 0.5  # seconds; a check holds the lock for milliseconds


Document = dict[str, "Any"]


class StateFileError(Exception):
    """The state file cannot be used; the message is a sentence. The check goes on without it."""


class StateFile:
    """A state file of a program. `path` may be a directory: then the file in it is named after the target."""

    def __init__(self, path: str, program: str, target: str) -> None:
        if os.path.isdir(path):
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in target)
            # Targets that differ in characters that a file name cannot have still have files of their own.
            path = os.path.join(path, f"{program}-{name[:180]}-{crc32(target.encode()):08x}.json")
        self._path = path
        self._program = program
        self._target = target
        self._mark = _MARK + json.dumps(target).encode()

    def load(self) -> Document:
        """Return the remembered object; an empty one for no file, or for a damaged file of this target.

        Raises StateFileError for what cannot be read, and for another program's or target's file: that is left alone.
        """
        try:
            data = self._read()
        except FileNotFoundError:
            return {}
        if not data.startswith(self._mark):
            if not data:
                return {}
            if data.startswith(_MARK):
                raise StateFileError(f"{self._path} remembers another target; name a directory to keep several")
            raise StateFileError(
                f"{self._path} exists but was not written by {self._program}; remove it or name another file"
            )
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        return document if document.get("schema") == SCHEMA and document.get("target") == self._target else {}

    def update(self, change: Callable[[Document], Document]) -> None:
        """Replace the remembered object by what `change` makes of it, under a lock. Raises StateFileError."""
        temporary = f"{self._path}.{os.getpid()}"
        with self._locked(), _explained(self._path, "write"):
            document = {"schema": SCHEMA, "target": self._target, **change(self.load())}
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(json.dumps(document).encode())
                    file.flush()
                    os.fsync(descriptor)  # or a crash could leave an empty file under the new name
                os.replace(temporary, self._path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise

    def _read(self) -> bytes:
        with _explained(self._path, "read"):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise StateFileError(f"the state file {self._path} is not a regular file")
                return file.read(MAX_FILE + 1) or b""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that stands beside the file: the file itself is replaced, so a lock on it would get lost."""
        with _explained(self._path, "lock"):
            descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            give_up = time.monotonic() + LOCK_WAIT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up:
                        raise StateFileError(f"the state file {self._path} is locked by another check") from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _explained(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        if what == "read":
            raise
        raise StateFileError(f"cannot {what} the state file {path}: its directory does not exist") from None
    except OSError as error:
        link = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if link else error.strerror or str(error)
        raise StateFileError(f"cannot {what} the state file {path}: {reason}") from None
