"""What the broker answers to a request, and where the result came from."""

import time
from enum import StrEnum
from typing import NamedTuple

from .result import Result


class ResponseKind(StrEnum):
    """Where the result of a response came from."""

    FRESH = "fresh"  # a probe made for this request
    SHARED = "shared"  # a probe made for another request at the same time
    CACHED = "cached"  # an earlier probe: none could begin in time
    DEFERRED = "deferred"  # an earlier probe, or a placeholder: the budget did not allow another one
    WAITING = "waiting"  # a placeholder: an earlier run met a penalty, which is waited out
    UNAVAILABLE = "unavailable"  # a placeholder: no probe could begin in time, and there is no earlier one


class ProbeResponse(NamedTuple):
    """A result, where it came from, and its age in seconds since its run ended.

    A placeholder has number 0 and says in its report's fault why there was no probe. After a DEFERRED response the
    budget allows a probe in `wait` seconds.
    """

    result: Result
    kind: ResponseKind = ResponseKind.FRESH
    age: float = 0.0
    wait: float = 0.0

    @property
    def is_probed(self) -> bool:
        """Return whether a probe was made while the request was under way."""
        return self.kind in (ResponseKind.FRESH, ResponseKind.SHARED)


def earlier(result: Result, kind: ResponseKind, wait: float = 0.0) -> ProbeResponse:
    """Return a response from the result of an earlier probe."""
    return ProbeResponse(result, kind, max(0.0, time.monotonic() - result.ended), wait)
