"""Paths that a configuration names."""

import glob
import os

SUFFIXES = (".json", ".yml", ".yaml")


def readable(path: str, directory: str) -> str:
    """Return a file's path from `directory` on; raises ValueError with a sentence unless it can be read."""
    whole = os.path.join(directory, path)
    try:
        with open(whole, "rb"):
            return whole
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def pattern(path: str, directory: str) -> str:
    """Return a pattern of target files from `directory` on; raises ValueError unless it ends as such files do."""
    if not path.lower().endswith(SUFFIXES):
        raise ValueError("should end in .json, .yml or .yaml")
    return os.path.join(glob.escape(directory), path)
