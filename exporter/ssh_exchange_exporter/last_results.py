"""What earlier probes of a target by a module saw: the last result, and the history that diagnoses look back on."""

import time
from collections import OrderedDict
from typing import TypeVar

from check_ssh_exchange.diagnosis.history import History

from .result import Result

Key = tuple[object, ...]
T = TypeVar("T")
MOST_REMEMBERED = 20_000


class LastResults:
    """Remembers the targets that were probed last, at most so many."""

    def __init__(self) -> None:
        self._results: OrderedDict[Key, Result] = OrderedDict()
        self._pasts: OrderedDict[Key, History] = OrderedDict()

    def result(self, key: Key) -> Result | None:
        """Return the last result of a target by a module."""
        return self._results.get(key)

    def past(self, key: Key) -> History:
        """Return what earlier runs saw."""
        return self._pasts.get(key, History())

    def put(self, key: Key, result: Result) -> None:
        """Remember a result as the last one."""
        self._put(self._results, key, result)

    def remember(self, key: Key, history: History) -> None:
        """Remember what runs saw so far."""
        self._put(self._pasts, key, history)

    @staticmethod
    def _put(shelf: OrderedDict[Key, T], key: Key, value: T) -> None:
        shelf[key] = value
        shelf.move_to_end(key)
        if len(shelf) > MOST_REMEMBERED:
            shelf.popitem(last=False)


def without_trace(result: Result) -> Result:
    """Return a result without the bytes of its handshakes, which are for who asked for them and most of its size."""
    report = result.report
    if not any(handshake.wire for handshake in report.handshakes):
        return result
    handshakes = tuple(handshake._replace(wire=()) for handshake in report.handshakes)
    return result._replace(report=report._replace(handshakes=handshakes))


def clock(when: float) -> str:
    """Return a moment as evidence names it; whoever reads a page may live in another zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when))
