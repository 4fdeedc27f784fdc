"""A file that is read as a whole, and read again when it has changed."""

import os
from pathlib import Path
from typing import NamedTuple

from .errors import ConfigurationError, unreadable


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
