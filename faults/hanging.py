"""A background fleet of which a tenth hangs: each of its probes waits ten seconds for a silent server."""

import time
from pathlib import Path
from typing import NamedTuple

from tests.lab import busy_server
from tests.lab.exporter import Samples, running, wait_for

from .jobs import address, silent

TIMEOUT = 10  # seconds that a hanging probe takes
LATE = "ssh_exchange_exporter_background_lateness_seconds"


class Found(NamedTuple):
    """What `seconds` of a fleet showed: probes of each server that lives, and how late all began."""

    seconds: float
    interval: float
    probes: list[float]  # of each server that lives
    hung: float  # handshakes that waited in vain
    lateness: float  # seconds on average
    on_time: float  # share of the probes that began within half a second

    @property
    def fewest(self) -> float:
        """Fewest probes of a server that lives, as a share of what its interval asks for."""
        return min(self.probes) * self.interval / self.seconds


def watch(place: Path, targets: int, interval: float, seconds: float) -> Found:
    """Probe so many targets, of which every tenth hangs, and look at the others."""
    with busy_server.answering() as server, silent() as silence:
        living = [f"{address(number)}:{server.port}" for number in range(targets) if number % 10]
        hanging = [f"{address(number)}:{silence}" for number in range(0, targets, 10)]
        listed = "\n".join(f"    - {target}" for target in living + hanging)
        text = (
            f"modules: {{default: {{handshakes: 1, depth: banner, exempt: true, timeout: {TIMEOUT}s}}}}\n"
            f"background:\n- interval: {interval:g}s\n  targets:\n{listed}\n"
        )
        with running(place, text) as exporter:
            wait_for(lambda: len(done(exporter.metrics())) == len(living), 100)
            begun, first = time.monotonic(), done(exporter.metrics())
            wait_for(lambda: time.monotonic() - begun >= seconds, seconds + 100)
            last = exporter.metrics()
            took = time.monotonic() - begun
    probes = [now - first[target] for target, now in done(last).items()]
    within = last.value(f"{LATE}_bucket", le="0.5") / last.value(f"{LATE}_count")
    mean = last.value(f"{LATE}_sum") / last.value(f"{LATE}_count")
    hung = sum(last.values("ssh_exchange_handshakes_total", ending="banner_timeout"))
    return Found(took, interval, probes, hung, mean, within)


def done(samples: Samples) -> dict[str, float]:
    """Return how many handshakes of each target have completed, where there are some."""
    name = "ssh_exchange_handshakes_total"
    return {
        sample.labels["target"]: sample.value
        for sample in samples.all
        if sample.name == name and sample.labels["ending"] == "completed" and sample.value
    }
