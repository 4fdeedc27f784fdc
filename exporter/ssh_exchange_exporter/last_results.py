"""The last result and the history of each target and module."""

from collections import OrderedDict
from typing import TypeVar

from check_ssh_exchange.diagnosis.history import NO_HISTORY, History

from .result import Result

Key = tuple[object, ...]
T = TypeVar("T")
MOST_REMEMBERED = 20_000


class LastResults:
    """Last results and histories of at most MOST_REMEMBERED targets, the oldest dropped first."""

    def __init__(self) -> None:
        self._results: OrderedDict[Key, Result] = OrderedDict()
        self._pasts: OrderedDict[Key, History] = OrderedDict()

    def result(self, key: Key) -> Result | None:
        """Return the last result of a target and module, or None."""
        return self._results.get(key)

    def past(self, key: Key) -> History:
        """Return the history of earlier runs, empty at first."""
        return self._pasts.get(key, NO_HISTORY)

    def put(self, key: Key, result: Result) -> None:
        """Store a result as the last one."""
        self._put(self._results, key, result)

    def remember(self, key: Key, history: History) -> None:
        """Store the history of the runs so far."""
        self._put(self._pasts, key, history)

    @staticmethod
    def _put(entries: OrderedDict[Key, T], key: Key, value: T) -> None:
        entries[key] = value
        entries.move_to_end(key)
        if len(entries) > MOST_REMEMBERED:
            entries.popitem(last=False)


def without_trace(result: Result) -> Result:
    """Return a result without its traced bytes, which only debug=true shows and which are most of its size."""
    report = result.report
    if not any(handshake.wire for handshake in report.handshakes):
        return result
    handshakes = tuple(handshake._replace(wire=()) for handshake in report.handshakes)
    return result._replace(outcome=result.outcome._replace(report=report._replace(handshakes=handshakes)))
