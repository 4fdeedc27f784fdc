"""Feeds: results of background targets handed to cores that take them from a spool."""

import asyncio
from collections.abc import Iterable

from check_ssh_exchange.remote.status_line import text

from ..background.targets import BackgroundTarget
from ..configuration.schedulers import Feed, NagiosSpool
from ..own_metrics import OwnMetrics
from ..result import Result
from .spool import Passive, Spool

PAUSE = 1.0  # seconds between two files: each holds what came meanwhile


class Feeds:
    """The spools of the configuration. To be made and used within one running loop."""

    def __init__(self, own: OwnMetrics) -> None:
        self._own = own
        self._spools: dict[str, Spool] = {}
        self._settings: tuple[NagiosSpool, ...] = ()

    def replace(self, feeds: Iterable[Feed]) -> None:
        """Feed these from now on; what waits for a directory that stays is kept."""
        self._settings = tuple(feed.nagios for feed in feeds)
        directories = {spool.check_result_directory for spool in self._settings}
        self._spools = {path: self._spools.get(path) or Spool(path) for path in sorted(directories)}

    def put(self, target: BackgroundTarget, result: Result) -> None:
        """Hand on the result of a background target."""
        for settings in self._settings:
            # A target without the label is a host of its own name.
            host = target.labels.get(settings.host_label) or target.spec.target.host
            output = text(result.outcome, target.spec.module.expectations().thresholds, verbosity=1)
            code = int(result.verdict.state)
            passive = Passive(
                _field(host), settings.service, result.at, result.at + result.took, code, output.removesuffix("\n")
            )
            self._spools[settings.check_result_directory].put(passive)

    async def run(self) -> None:
        """Write what waits every second, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            await self.write()

    async def write(self) -> None:
        """Write what waits, in a thread: a disk may be slow."""
        for spool in tuple(self._spools.values()):
            self._own.fed.inc(await asyncio.to_thread(spool.write))
            self._own.replaced.inc(spool.replaced)
            spool.replaced = 0
        self._own.feeds_failed.set(sum(bool(spool.error) for spool in self._spools.values()))


def _field(host: str) -> str:
    """Return a host's name without what would end its line."""
    return " ".join(host.split())
