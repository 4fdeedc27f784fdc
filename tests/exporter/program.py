"""The exporter as a process of its own, from the lab: the faults and the benches start it too."""

from tests.lab.exporter import (
    NEVER_SLOW,
    ROOT,
    START_SECONDS,
    Program,
    Reply,
    Samples,
    T,
    nobody_listens,
    openmetrics,
    running,
    wait_for,
)

__all__ = [
    "NEVER_SLOW", "ROOT", "START_SECONDS", "Program", "Reply", "Samples", "T",
    "nobody_listens", "openmetrics", "running", "wait_for",
]  # fmt: skip
