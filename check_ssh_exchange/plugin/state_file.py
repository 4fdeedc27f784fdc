"""The state file: a history kept between runs, one small file for each target.

Somebody else may write in the directory, two checks may run at once, a disk may fill up, a machine may crash: so the
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

from ..diagnosis.history import MAX_RUNS, History, Past
from ..text import printable

SCHEMA = 1
MAX_FILE = 1 << 20  # bytes: MAX_RUNS runs of at most 60 bytes, and room
_MARK = b'{"schema": 1, "target": '  # how `update` begins a file
LOCK_WAIT = 0.5  # seconds; a check holds the lock for milliseconds


class MemoryFault(Exception):
    """The state file cannot be used; the message is a sentence. The check goes on without it."""


class Memory:
    """A state file. `path` may be a directory: then the file in it is named after the target."""

    def __init__(self, path: str, target: str) -> None:
        if os.path.isdir(path):
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in target)
            # Names that differ in what a file name cannot have still have files of their own.
            path = os.path.join(path, f"check_ssh_exchange-{name[:180]}-{crc32(target.encode()):08x}.json")
        self._path = path
        self._target = target
        self._mark = _MARK + json.dumps(target).encode()

    def load(self) -> History:
        """Return what is remembered; an empty history for no file, or a broken one of this target.

        Raises MemoryFault for what cannot be read, and for a file of somebody or something else: that is left alone.
        """
        try:
            data = self._read()
        except FileNotFoundError:
            return History()
        if not data.startswith(self._mark):
            if not data:
                return History()
            whose = "that of another target; name a directory for several" if data.startswith(_MARK) else "no such file"
            raise MemoryFault(f"the state file {self._path} is {whose}")
        try:
            return _history(json.loads(data), self._target)
        except (ValueError, TypeError, KeyError, RecursionError):
            return History()

    def update(self, change: Callable[[History], History]) -> History:
        """Replace the file by what `change` makes of it, and return that. Raises MemoryFault."""
        temporary = f"{self._path}.{os.getpid()}"
        with self._locked(), _explained(self._path, "write"):
            history = change(self.load())
            document = {"schema": SCHEMA, "target": self._target, **history._asdict()}
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
        return history

    def _read(self) -> bytes:
        with _explained(self._path, "read"):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise MemoryFault(f"the state file {self._path} is no regular file")
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
                        raise MemoryFault(f"the state file {self._path} is locked by another check") from None
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
        raise MemoryFault(f"cannot {what} the state file {path}: its directory does not exist") from None
    except OSError as error:
        link = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if link else error.strerror or str(error)
        raise MemoryFault(f"cannot {what} the state file {path}: {reason}") from None


def _history(document: object, target: str) -> History:
    """Return the history in a document; raises ValueError, TypeError or KeyError for what is none."""
    if not isinstance(document, dict) or document["schema"] != SCHEMA or document["target"] != target:
        raise ValueError("another schema or target")
    runs = [Past(_number(at), int(_number(accepted)), int(_number(early))) for at, accepted, early in document["runs"]]
    if any(not 0 <= past.early <= past.accepted for past in runs):
        raise ValueError("more early closes than connections")
    return History(
        runs=tuple(runs[-MAX_RUNS:]),
        served_at=_number(document["served_at"]),
        failing_since=_number(document["failing_since"]),
        failing_as=_text(document["failing_as"]),
        identification=_text(document["identification"]),
        host_key=_text(document["host_key"]),
        wait_until=_number(document["wait_until"]),
        wait=_number(document["wait"]),
        early_at=_number(document["early_at"]),
        early_cause=_text(document["early_cause"]),
    )


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise ValueError("no number, or none that can be")
    return value


def _text(value: object) -> str:
    # What was written was printable; what is read may be anybody's.
    if not isinstance(value, str) or len(value) > 1024 or printable(value) != value:
        raise ValueError("no printable text")
    return value
