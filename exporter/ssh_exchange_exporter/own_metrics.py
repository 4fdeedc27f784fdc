"""Metrics of the exporter itself, in a separate registry."""

import platform
import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from check_ssh_exchange import __version__

from .probe_request import Origin

PREFIX = "ssh_exchange_exporter"


class OwnMetrics:
    """Counters and gauges of the exporter; `origin` says who asked for a probe."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and Prometheus does not use them
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info(f"{PREFIX}_build", "Version of the exporter and of Python.", registry=registry).info(
            {"version": __version__, "pythonversion": platform.python_version()}
        )
        self.probes = Counter(f"{PREFIX}_probes", "Probes made.", ["origin"], registry=registry)
        self.deferred = Counter(
            f"{PREFIX}_probes_deferred", "Probes deferred by the budget of a server.", ["origin"], registry=registry
        )
        for origin in Origin:
            self.probes.labels(origin)
            self.deferred.labels(origin)
        self.shared = Counter(f"{PREFIX}_probes_shared", "Requests that shared a probe in flight.", registry=registry)
        self.in_flight = Gauge(f"{PREFIX}_probes_in_flight", "Probes in flight.", registry=registry)
        self.unknown_module = Counter(f"{PREFIX}_module_unknown", "Requests for an unknown module.", registry=registry)
        self.forbidden = Counter(
            f"{PREFIX}_target_forbidden", "Requests for a target that is not allowed.", registry=registry
        )
        self.lost = Counter(
            f"{PREFIX}_connections_lost",
            "Client connections closed because a connection limit was reached.",
            registry=registry,
        )
        self.reload_successful = Gauge(
            f"{PREFIX}_config_last_reload_successful",
            "1 if the last reload of the configuration succeeded.",
            registry=registry,
        )
        self.reload_success_timestamp = Gauge(
            f"{PREFIX}_config_last_reload_success_timestamp_seconds",
            "Time of the last successful load of the configuration, in seconds since the epoch.",
            registry=registry,
        )
        self.targets = Gauge(f"{PREFIX}_background_targets", "Number of background targets.", registry=registry)
        self.bad_target_files = Gauge(
            f"{PREFIX}_target_files_failed", "Target files whose current content is not valid.", registry=registry
        )
        self.fed = Counter(f"{PREFIX}_results_fed", "Results written for other cores.", registry=registry)
        self.replaced = Counter(
            f"{PREFIX}_results_replaced",
            "Results replaced by newer ones before they were written.",
            registry=registry,
        )
        self.feeds_failed = Gauge(
            f"{PREFIX}_feeds_failed", "Feeds that cannot be written, or that nobody reads.", registry=registry
        )
        self.lateness = Histogram(
            f"{PREFIX}_background_lateness_seconds",
            "Delay between the scheduled time of a background probe and its start.",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
            registry=registry,
        )

    def loaded(self, *, is_good: bool) -> None:
        """Record whether the configuration was loaded."""
        self.reload_successful.set(is_good)
        if is_good:
            self.reload_success_timestamp.set(time.time())
