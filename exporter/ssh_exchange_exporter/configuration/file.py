"""A configuration file: read as a whole, read again when it has changed, and what is wrong with it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from check_ssh_exchange.text import printable

# A file of a hundred thousand targets can hold as many mistakes. More than this does not help the reader.
MAX_ERRORS = 200
SURROGATE = "contains an unpaired surrogate and cannot be encoded as UTF-8"


class Stamp(NamedTuple):
    """What differs once a file was changed, replaced or reached through another link.

    The ctime is in it because it changes with the permissions.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def stamp_of(path: str | Path) -> Stamp | None:
    """Return the stamp of a file; None if there is none.

    Take it before the file is read: what is written in the meantime then shows at the next comparison.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def read_text(path: str, most: int) -> str:
    """Return a file of at most `most` bytes of UTF-8; raises ConfigurationError."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{path}: {unreadable(error)}"]) from None
    if len(data) > most:
        raise ConfigurationError([f"{path}: must be at most {most >> 20} MiB"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}: is not valid UTF-8"]) from None


class ConfigurationError(Exception):
    """A file that cannot be used. `errors` are printable lines `FILE:LINE: PATH: SENTENCE`, in the file's order."""

    def __init__(self, errors: Iterable[str]) -> None:
        lines = [_clean(error) for error in dict.fromkeys(errors)]
        if len(lines) > MAX_ERRORS:
            lines[MAX_ERRORS:] = [f"{len(lines) - MAX_ERRORS} more errors are not shown"]
        self.errors: tuple[str, ...] = tuple(lines)
        super().__init__("\n".join(lines))


def unreadable(error: Exception) -> str:
    """Return the sentence for a file that cannot be opened or read: `cannot be read: permission denied`."""
    return f"cannot be read: {(getattr(error, 'strerror', None) or str(error)).lower()}"


def _clean(error: str) -> str:
    return error if error.isascii() and error.isprintable() and len(error) <= 1024 else printable(error)
