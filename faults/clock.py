"""An exporter whose clock is set while it probes: libfaketime gives it another time of day.

The monotonic clock stays. A clock that is really set moves the kernel's stamps too. Here they stay, so that every stamp
is off by hours: the harder case for what is measured.
"""

import time
from pathlib import Path
from typing import NamedTuple

from tests.lab import busy_server
from tests.lab.exporter import Program, running, wait_for

from .hanging import done
from .jobs import address

PACKAGE = "faketime"
STEPS = (3600, -7200, 86400, 0)  # seconds that the clock is ahead, one after the other
INTERVAL = 1.0
PROBES = 4  # of each target after each step
SECONDS = 100.0
TARGETS = 10
PHASE = "ssh_exchange_phase_duration_seconds"


class Found(NamedTuple):
    """What there was after a step: seconds until each target had PROBES more, how far its own clock is ahead."""

    step: int
    seconds: float
    ahead: float
    longest_phase: float  # seconds, on average over all handshakes of a target since the start
    log: str


def library() -> Path | None:
    """Return libfaketime, None where it is not installed."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def missing() -> str | None:
    """Return what to install, as a sentence; None where it is there."""
    return None if library() else f"install the Debian package {PACKAGE}"


def watch(place: Path, steps: tuple[int, ...] = STEPS) -> list[Found]:
    """Set the clock by each step while ten targets are probed."""
    setting = place / "clock"
    setting.write_text("+0")
    faked = {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with busy_server.answering() as server:
        targets = [f"{address(number)}:{server.port}" for number in range(TARGETS)]
        listed = ", ".join(f"'{target}'" for target in targets)
        text = (
            "modules: {default: {handshakes: 2, depth: banner, exempt: true}}\nvantage: fra\n"
            f"background: [{{targets: [{listed}], interval: {INTERVAL:g}s}}]\n"
        )
        with running(place, text, env=faked) as exporter:
            return [_step(exporter, setting, targets, step) for step in steps]


def _step(exporter: Program, setting: Path, targets: list[str], step: int) -> Found:
    fresh = setting.with_suffix(".fresh")
    fresh.write_text(f"{step:+d}")
    fresh.replace(setting)
    before, begun = done(exporter.metrics()), time.monotonic()

    def has_gone_on() -> bool:
        now = done(exporter.metrics())
        return all(now.get(target, 0.0) >= before.get(target, 0.0) + 2 * PROBES for target in targets)

    wait_for(has_gone_on, SECONDS)
    took = time.monotonic() - begun
    samples = exporter.metrics()
    stamps = samples.values("ssh_exchange_last_probe_timestamp_seconds")
    means = [
        samples.value(f"{PHASE}_sum", **labels) / count
        for labels in samples.labels(f"{PHASE}_count")
        if (count := samples.value(f"{PHASE}_count", **labels))
    ]
    return Found(step, took, max(stamps) - time.time(), max(means), exporter.log)
