"""The exporter as a process of its own, from the lab: the faults and the benches start it too."""

from tests.lab.exporter import ROOT, START_SECONDS, Program, Reply, Samples, T, openmetrics, running, wait_for

__all__ = ["ROOT", "START_SECONDS", "Program", "Reply", "Samples", "T", "openmetrics", "running", "wait_for"]
