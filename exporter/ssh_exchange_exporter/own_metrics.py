"""The exporter's metrics about itself, in a registry of its own."""

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

PREFIX = "ssh_exchange_exporter"


class OwnMetrics:
    """What the exporter counts of its own work. `origin` is `probe` (asked for over HTTP) or `background`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every counter and histogram, and are no use to Prometheus
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info(f"{PREFIX}_build", "Version of the exporter and of Python.", registry=registry).info(
            {"version": __version__, "pythonversion": platform.python_version()}
        )
        self.probes = Counter(f"{PREFIX}_probes", "Probes that were made.", ["origin"], registry=registry)
        self.deferred = Counter(
            f"{PREFIX}_probes_deferred", "Probes held back by a server's budget.", ["origin"], registry=registry
        )
        for origin in ("probe", "background"):
            self.probes.labels(origin)
            self.deferred.labels(origin)
        self.shared = Counter(
            f"{PREFIX}_probes_shared", "Requests answered by a probe that was under way.", registry=registry
        )
        self.in_flight = Gauge(f"{PREFIX}_probes_in_flight", "Probes under way.", registry=registry)
        self.unknown_module = Counter(
            f"{PREFIX}_module_unknown", "Requests that named a module that there is not.", registry=registry
        )
        self.forbidden = Counter(
            f"{PREFIX}_target_forbidden", "Requests for a target that is not allowed.", registry=registry
        )
        self.lost = Counter(
            f"{PREFIX}_connections_lost", "Connections of clients closed for want of a place.", registry=registry
        )
        self.reload_successful = Gauge(
            f"{PREFIX}_config_last_reload_successful", "Whether the last reload succeeded.", registry=registry
        )
        self.reload_success_timestamp = Gauge(
            f"{PREFIX}_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read without an error.",
            registry=registry,
        )
        self.targets = Gauge(f"{PREFIX}_background_targets", "Background targets.", registry=registry)
        self.bad_target_files = Gauge(
            f"{PREFIX}_target_files_failed", "Target files whose last change cannot be used.", registry=registry
        )
        self.lateness = Histogram(
            f"{PREFIX}_background_lateness_seconds",
            "How long after its time a background probe began.",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
            registry=registry,
        )

    def loaded(self, *, is_good: bool) -> None:
        """Note how a reading of the configuration went."""
        self.reload_successful.set(is_good)
        if is_good:
            self.reload_success_timestamp.set(time.time())
