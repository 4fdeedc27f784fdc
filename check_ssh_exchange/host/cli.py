"""The entry of check_sshd_local."""

from ..plugin import process

PREFIX = "SSHD"
KEPT = ("SUDO_UID", "COLUMNS", "TERM", "NO_COLOR", "LANG", "TZ")  # of the environment, for what prints; PATH is our own


def run() -> None:
    """Check, print, exit: the console script."""
    _isolate()
    process.run(PREFIX, _check)


def _isolate() -> None:
    """As root by sudo, start again with an interpreter that heeds no PYTHON variable and no user's own modules."""
    import os
    import sys

    if os.geteuid() == 0 and os.environ.get("SUDO_UID") and not sys.flags.isolated:
        module = [sys.executable, "-I", "-m", "check_ssh_exchange.host", *sys.argv[1:]]
        os.execve(sys.executable, module, {name: os.environ[name] for name in KEPT if name in os.environ})  # noqa: S606 - the shell is what we do without


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
