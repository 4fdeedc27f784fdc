"""A plugin's process: signals, one answer, one exit code, whatever happens.

Nothing heavy is imported before the signal handlers and the net for errors are in place: Icinga and NRPE show what a
plugin writes to stderr as its status, and a traceback says nothing at 3 a.m.
"""

import gc
import os
import sys

from ..interrupt import install_handlers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

UNKNOWN = 3


def run(prefix: str, check: "Callable[[list[str]], tuple[int, str]]") -> "NoReturn":
    """Check by the process's arguments, print, exit: a console script."""
    # A run makes some thousand objects and ends; looking for garbage among them costs a fifteenth of its CPU.
    gc.disable()
    code, output = UNKNOWN, ""
    try:
        code, output = guarded(prefix, check, sys.argv[1:])
    finally:
        _leave(code, output)


def guarded(prefix: str, check: "Callable[[list[str]], tuple[int, str]]", arguments: list[str]) -> tuple[int, str]:
    """Return the exit code and the output of a check; raises nothing but what kills a process.

    `check` raises UsageError for a command line that cannot be used, and Message for a text that was asked for.
    """
    try:
        install_handlers()
        return _answered(prefix, check, arguments)
    except ModuleNotFoundError as error:
        from ..text import to_install

        module = error.name or "nagiosplugin"
        return unknown(prefix, f"the Python module {module} is missing: {to_install(module)}")
    except MemoryError:
        return unknown(prefix, "this machine has no memory left for a check")
    except Exception as error:  # noqa: BLE001 - the last net: a plugin must answer
        from ..text import printable

        return unknown(prefix, f"internal error, please report it: {printable(repr(error), 300)}")
    except BaseException as error:  # noqa: BLE001 - Interrupted outside a measurement: nothing is known yet
        return unknown(prefix, f"interrupted by {error} before the first result")


def unknown(prefix: str, sentence: str) -> tuple[int, str]:
    """Return exit code and output of a check that could not be made."""
    return UNKNOWN, f"{prefix} UNKNOWN - {sentence}\n"


def misused(prefix: str, error: Exception) -> tuple[int, str]:
    """Return exit code and output of a command line that cannot be used."""
    from ..text import printable

    return unknown(prefix, f"{printable(str(error))} (--help lists the options)")


def _answered(prefix: str, check: "Callable[[list[str]], tuple[int, str]]", arguments: list[str]) -> tuple[int, str]:
    from .arguments import Message, UsageError

    try:
        return check(arguments)
    except Message as message:
        return message.code, str(message)
    except UsageError as error:
        return misused(prefix, error)


def _leave(code: int, output: str) -> "NoReturn":
    """Write bytes and leave at once: a text stream could refuse a character, and finalization costs 5 ms of CPU."""
    data = output.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass  # the reader is gone; the exit code is still the answer
    os._exit(code)
