"""What is wrong with a configuration: every error, each with its place."""

from collections.abc import Iterable

from check_ssh_exchange.text import printable

MAX_ERRORS = 200  # nobody reads more, and a file of a hundred thousand targets can hold as many mistakes


class ConfigurationFault(Exception):
    """A file that cannot be used. `errors` are printable lines `FILE:LINE: PATH: SENTENCE`, in the file's order."""

    def __init__(self, errors: Iterable[str]) -> None:
        lines = [_clean(error) for error in dict.fromkeys(errors)]
        if len(lines) > MAX_ERRORS:
            lines[MAX_ERRORS:] = [f"{len(lines) - MAX_ERRORS} more errors are not shown"]
        self.errors: tuple[str, ...] = tuple(lines)
        super().__init__("\n".join(lines))


def _clean(error: str) -> str:
    return error if error.isascii() and error.isprintable() and len(error) <= 1024 else printable(error)
