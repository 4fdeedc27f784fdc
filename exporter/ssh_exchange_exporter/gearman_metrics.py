"""What the Mod-Gearman worker counts, for /metrics and for its status queue."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from .schedulers.gearman.fate import Fate

PREFIX = "ssh_exchange_exporter_gearman"


class GearmanMetrics:
    """Counters of jobs by what became of them, of results lost, and whether each server is connected."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Counter(f"{PREFIX}_jobs", "Jobs taken, by what became of them.", ["fate"], registry=registry)
        for fate in Fate:
            self._jobs.labels(fate)
        self._lost = Counter(f"{PREFIX}_results_lost", "Results that no gearmand took.", registry=registry)
        self._connected = Gauge(
            f"{PREFIX}_connected", "1 while the connection to the gearmand is up.", ["server"], registry=registry
        )
        self.done = 0

    def job(self, fate: Fate) -> None:
        """Count a job."""
        self.done += 1
        self._jobs.labels(fate).inc()

    def lost(self) -> None:
        """Count a result that is given up."""
        self._lost.inc()

    def connected(self, server: str, *, is_up: bool) -> None:
        """Note whether a server is connected."""
        self._connected.labels(server).set(is_up)

    def forget(self) -> None:
        """Forget the servers: the configuration names others."""
        self._connected.clear()
