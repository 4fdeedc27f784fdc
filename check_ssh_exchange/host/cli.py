"""The entry of check_sshd_local."""

from ..plugin import process

PREFIX = "SSHD"


def run() -> None:
    """Check, print, exit: the console script."""
    process.run(PREFIX, _check)


def main(arguments: list[str]) -> tuple[int, str]:
    """Return the exit code and the output for a command line; raises nothing but what kills a process."""
    return process.guarded(PREFIX, _check, arguments)


def _check(arguments: list[str]) -> tuple[int, str]:
    import os

    from ..text import printable
    from .check import CannotCheck, check
    from .options import parse

    try:
        return check(parse(arguments, os.environ.get, os.geteuid()))
    except CannotCheck as error:
        return process.unknown(PREFIX, printable(str(error)))
