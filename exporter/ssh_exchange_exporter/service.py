"""The service: all parts of the exporter, and their reload."""

import asyncio
import logging
import time
from collections.abc import Iterator

from . import plugin_modules
from .background.scheduler import Scheduler
from .background.share import Shard
from .background.targets import BackgroundTarget, Fleet, TargetSpec
from .broker import ProbeBroker
from .budget.server_state import ServerStates
from .configuration.allowed import Allowed
from .configuration.configuration import Configuration, Group, load, shard_of
from .configuration.file import ConfigurationError
from .configuration.target import parse_target
from .configuration.target_files import FileTarget, TargetFiles
from .gearman_metrics import GearmanMetrics
from .own_metrics import OwnMetrics
from .prober import Prober
from .recent_probes import RecentProbes
from .result import Result
from .schedulers.checks import Checks
from .schedulers.feeds import Feeds
from .schedulers.gearman.settings import Settings, settings_of
from .schedulers.gearman.worker import Worker

LOG = logging.getLogger(__package__)

LOOK = 5.0  # seconds between two checks of the target files


class Service:
    """The parts behind the HTTP endpoints. To be made within a running loop."""

    def __init__(
        self, path: str | None, configuration: Configuration, history_limit: int, shard: Shard | None = None
    ) -> None:
        plugin_modules.load()
        self.path = path
        self._shard = shard
        self.configuration = configuration
        self.allowed = Allowed(configuration.allowed_targets)
        self.own = OwnMetrics()
        self.own.loaded(is_good=True)
        self.recent = RecentProbes(history_limit)
        self.prober = Prober()
        self.servers = ServerStates(configuration.budget)
        self.broker = ProbeBroker(self.prober, self.servers, self.own, self._on_result)
        self.checks = Checks(self.broker, self.own, lambda: self.allowed, configuration.max_in_flight)
        self.fleet = Fleet()
        self.scheduler = Scheduler(
            self.fleet, self.broker, self.own, configuration.max_in_flight, self._on_background_result
        )
        self.feeds = Feeds(self.own)
        self._gearman_metrics = GearmanMetrics(self.own.registry)
        self._gearman: tuple[Settings, Worker] | None = None
        self.is_ready = False
        self._files: list[TargetFiles] = []
        self._file_errors: dict[str, tuple[str, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self.own.in_flight.set_function(lambda: self.prober.in_flight)
        self.own.targets.set_function(lambda: len(self.fleet.targets))

    def _on_result(self, result: Result, before: Result | None) -> None:
        # A dead host fails the same way every minute: only a change is logged and kept.
        is_news = result.finding != before.finding if before else not result.is_ok
        if is_news or not result.is_routine:
            self.recent.add(result)
        level = logging.INFO if is_news else logging.DEBUG
        if LOG.isEnabledFor(level):
            fields = {"target": result.target, "module": result.module, "id": result.number, "result": result.summary}
            LOG.log(level, "probe", extra={"fields": fields})

    def _on_background_result(self, target: BackgroundTarget, result: Result) -> None:
        self.recent.keep(target.spec.name, result)
        self.feeds.put(target, result)

    async def start(self) -> None:
        """Read the target files and start background probing."""
        self._files = await asyncio.to_thread(files_of, self.configuration)
        self._take_over()
        await self._attach()
        running = (self.scheduler.run(), self._watch(), self.feeds.run())
        self._tasks = [asyncio.create_task(one) for one in running]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        self.is_ready = True

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Log a failure of a background task and turn /-/ready to 503."""
        if not task.cancelled() and (error := task.exception()):
            self.is_ready = False
            LOG.error("background probing failed", exc_info=error)

    async def reload(self, elsewhere: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Reload the configuration; with errors, those found `elsewhere` included, return them and keep the old one."""
        async with self._reloading:
            errors = elsewhere
            try:
                configuration = await asyncio.to_thread(load, self.path)
                files = await asyncio.to_thread(files_of, configuration)
            except ConfigurationError as invalid:
                errors += invalid.errors
            if errors:
                self.own.loaded(is_good=False)
                for error in errors:
                    LOG.error("configuration not reloaded", extra={"fields": {"error": error}})
                return errors
            self.configuration = configuration
            self.allowed = Allowed(configuration.allowed_targets)
            self._files = files
            self.servers.resize(configuration.budget)
            self.scheduler.most = configuration.max_in_flight
            if self.checks.most != configuration.max_in_flight:
                self.checks.resize(configuration.max_in_flight)
            self._take_over()
            await self._attach()
            self.own.loaded(is_good=True)
            LOG.info("configuration reloaded")
            return ()

    async def _attach(self) -> None:
        """Attach to the schedulers of the configuration; leave those that are no longer in it."""
        configuration = self.configuration
        self.feeds.replace(configuration.feeds)
        gearman = configuration.gearman
        wanted = None if gearman is None else await asyncio.to_thread(settings_of, gearman, configuration.max_in_flight)
        if self._gearman and self._gearman[0] != wanted:
            await self._gearman[1].close()
            self._gearman = None
        if wanted and self._gearman is None:
            self._gearman = (wanted, Worker(wanted, self.checks, self._gearman_metrics))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            async with self._reloading:
                if await asyncio.to_thread(_have_changed, self._files):
                    self._take_over()
                self._log_file_errors()

    def _take_over(self) -> None:
        specs = list(self._specs())
        gone = self.fleet.replace(specs, self.configuration.histogram_buckets, time.monotonic(), time.time())
        for target in gone:
            self.recent.forget(target.spec.name)
        self._log_file_errors()
        self.scheduler.wake()

    def _log_file_errors(self) -> None:
        found = {path: errors for files in self._files for path, errors in files.errors.items()}
        for path, errors in found.items():
            if self._file_errors.get(path) != errors:
                for error in errors:
                    LOG.error("target file not used", extra={"fields": {"error": error}})
        self._file_errors = found
        self.own.bad_target_files.set(len(found))

    def _specs(self) -> Iterator[TargetSpec]:
        seen: set[tuple[object, ...]] = set()
        shard, vantage = self._shard or shard_of(self.configuration.shard), self.configuration.vantage
        for group, files in zip(self.configuration.background, self._files, strict=True):
            module = self.configuration.modules[group.module]
            listed = [FileTarget(text, {}) for text in group.targets] + files.targets()
            for text, labels in listed:
                # In Prometheus an empty label equals a missing one: targets that differ only by it are the same.
                merged = tuple(sorted((name, value) for name, value in {**group.labels, **labels}.items() if value))
                target = parse_target(text)
                if not shard.holds(target):
                    continue
                spec = TargetSpec(text, target, merged, group.module, module, group.interval, vantage)
                if spec.name in seen:
                    LOG.warning("duplicate target, the first one is used", extra={"fields": {"target": text}})
                    continue
                seen.add(spec.name)
                yield spec

    async def stop(self, seconds: float) -> None:
        """Stop: wait up to `seconds` for probes in flight, then cancel them."""
        self.is_ready = False
        for task in self._tasks:
            task.cancel()
        if self._gearman:
            await self._gearman[1].close()
        await self.broker.close(seconds)
        await self.feeds.write()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.prober.close()


def _have_changed(files: list[TargetFiles]) -> bool:
    return sum(one.look() for one in files) > 0  # any() would leave the rest unread


def files_of(configuration: Configuration) -> list[TargetFiles]:
    """Return the target files of each background group, read once (blocking)."""

    def read(group: Group) -> TargetFiles:
        files = TargetFiles(group.target_files)
        files.look()
        return files

    return [read(group) for group in configuration.background]
