"""The end that a signal asks for."""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked us to stop; the message is its name. Raised by a signal handler, wherever the program is."""


def install_handlers() -> None:
    """Let the first signal from now on raise Interrupted."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """Ignore signals from now on: what is known is being written, and another signal would only lose it."""
    for number in SIGNALS:
        # Not SIG_IGN: for a second signal that came together with the first, Python would print a traceback.
        signal.signal(number, lambda *_: None)


def _interrupt(number: int, _: FrameType | None) -> None:
    ignore_signals()
    raise Interrupted(signal.Signals(number).name)
