"""What is wrong with a configuration: every error with its file, line and path."""

from collections.abc import Iterable

from check_ssh_exchange.text import printable

# A file of a hundred thousand targets can hold as many mistakes. More than this does not help the reader.
MAX_ERRORS = 200
SURROGATE = "contains an unpaired surrogate and cannot be encoded as UTF-8"


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
