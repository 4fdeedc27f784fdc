"""The plugin's door: arguments in, one answer and one exit code out, whatever happens.

Nothing heavy is imported before `main` has its signal handlers and its net for errors: Icinga and NRPE show what a
plugin writes to stderr as its status, and a traceback says nothing at 3 a.m.
"""

import gc
import os
import sys

from ..interrupt import heed

UNKNOWN = 3


def run() -> None:
    """Check, print, exit: the console script."""
    # A run makes some thousand objects and ends; looking for garbage among them costs a fifteenth of its CPU.
    gc.disable()
    code, output = 3, ""
    try:
        code, output = main(sys.argv[1:])
    finally:
        _leave(code, output)


def main(arguments: list[str]) -> tuple[int, str]:
    """Return the exit code and the output for a command line; raises nothing but what kills a process."""
    try:
        heed()
        return _check(arguments)
    except ModuleNotFoundError as error:
        return UNKNOWN, f"SSH UNKNOWN - the Python module {error.name} is missing: pip install check_ssh_exchange\n"
    except MemoryError:
        return UNKNOWN, "SSH UNKNOWN - this machine has no memory left for a check\n"
    except Exception as error:  # noqa: BLE001 - the last net: a plugin must answer
        from ..text import printable

        return UNKNOWN, f"SSH UNKNOWN - internal error, please report it: {printable(repr(error), 300)}\n"
    except BaseException as error:  # noqa: BLE001 - Interrupted outside a measurement: nothing is known yet
        return UNKNOWN, f"SSH UNKNOWN - interrupted by {error} before the first handshake\n"


def _check(arguments: list[str]) -> tuple[int, str]:
    from ..text import printable
    from .options import Message, UsageError, parse

    try:
        options = parse(arguments)
    except Message as message:
        return UNKNOWN, str(message)
    except UsageError as error:
        return UNKNOWN, f"SSH UNKNOWN - {printable(str(error))} (--help lists the options)\n"
    from .check import check

    return check(options)


def _leave(code: int, output: str) -> None:
    """Write bytes and leave at once: a text stream could refuse a character, and finalization costs 5 ms of CPU."""
    data = output.encode("ascii", "backslashreplace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass  # nobody reads; the exit code is still the answer
    os._exit(code)
