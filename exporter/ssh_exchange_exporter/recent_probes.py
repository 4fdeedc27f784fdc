"""The probes kept for the pages: recent ones, failed ones, and the last one of each background target."""

from collections import OrderedDict
from collections.abc import Hashable

from .result import Result


class RecentProbes:
    """Keeps at most `limit` recent results and `limit` failed ones, which stay longer."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent: OrderedDict[int, Result] = OrderedDict()
        self._failed: OrderedDict[int, Result] = OrderedDict()
        self._latest: dict[Hashable, Result] = {}
        self._of_fleet: dict[int, Result] = {}

    def add(self, result: Result) -> None:
        """Add a result. Those of a scheduler without a failure are too many; `keep` has those of background targets."""
        if not result.is_routine:
            self._put(self._recent, result)
        if not result.is_ok:
            self._put(self._failed, result)

    def _put(self, kept: OrderedDict[int, Result], result: Result) -> None:
        kept[result.number] = result
        while len(kept) > self._limit:
            kept.popitem(last=False)

    def keep(self, owner: Hashable, result: Result) -> None:
        """Keep a result as the last one of a background target."""
        self.forget(owner)
        self._latest[owner] = result
        self._of_fleet[result.number] = result

    def forget(self, owner: Hashable) -> None:
        """Forget the last result of a background target."""
        before = self._latest.pop(owner, None)
        if before is not None:
            self._of_fleet.pop(before.number, None)

    def find(self, number: int) -> Result | None:
        """Return a result by its number, or None where it is not kept."""
        return self._recent.get(number) or self._failed.get(number) or self._of_fleet.get(number)

    def recent(self) -> list[Result]:
        """Return the recent and failed results, latest first."""
        numbers = sorted({*self._recent, *self._failed}, reverse=True)
        return [self._recent.get(number) or self._failed[number] for number in numbers]
