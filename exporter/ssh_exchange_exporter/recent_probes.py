"""The probes that people may look at: the last ones, the last ones that failed, each background target's last."""

from collections import OrderedDict
from collections.abc import Hashable

from .result import Result


class RecentProbes:
    """Keeps at most `limit` results for being recent and `limit` more for having failed (they live longer)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent: OrderedDict[int, Result] = OrderedDict()
        self._failed: OrderedDict[int, Result] = OrderedDict()
        self._latest: dict[Hashable, Result] = {}
        self._of_fleet: dict[int, Result] = {}

    def add(self, result: Result) -> None:
        """Remember a result. Background results that are well are remembered by `keep` alone: they are too many."""
        if not result.is_background:
            self._put(self._recent, result)
        if not result.is_ok:
            self._put(self._failed, result)

    def _put(self, shelf: OrderedDict[int, Result], result: Result) -> None:
        shelf[result.number] = result
        while len(shelf) > self._limit:
            shelf.popitem(last=False)

    def keep(self, owner: Hashable, result: Result) -> None:
        """Remember the last result of a background target in place of the one before."""
        self.forget(owner)
        self._latest[owner] = result
        self._of_fleet[result.number] = result

    def forget(self, owner: Hashable) -> None:
        """Forget a background target's last result."""
        before = self._latest.pop(owner, None)
        if before is not None:
            self._of_fleet.pop(before.number, None)

    def find(self, number: int) -> Result | None:
        """Return a result by its number, None when it is no longer kept."""
        return self._recent.get(number) or self._failed.get(number) or self._of_fleet.get(number)

    def recent(self) -> list[Result]:
        """Return the recent and the failed results, the last first."""
        numbers = sorted({*self._recent, *self._failed}, reverse=True)
        return [self._recent.get(number) or self._failed[number] for number in numbers]
