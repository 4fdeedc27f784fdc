"""The entry of check_ssh_exchange."""

from ..plugin import process

PREFIX = "SSH"


def run() -> None:
    """Check, print, exit: the console script."""
    process.run(PREFIX, _check)


def main(arguments: list[str]) -> tuple[int, str]:
    """Return the exit code and the output for a command line; raises nothing but what kills a process."""
    return process.guarded(PREFIX, _check, arguments)


def _check(arguments: list[str]) -> tuple[int, str]:
    from .check import check
    from .options import parse

    return check(parse(arguments))
