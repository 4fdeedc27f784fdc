"""The latency that we report, beside what a packet capture saw of the same handshakes."""

import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.report import Report, Role
from tests.lab import busy_server as server

from . import machine, pcap
from .table import Row

MEDIAN, WORST = 20, 1000  # microseconds
AT_ONCE = 200
DELAY = 0.02  # the server's, random up to this: the loop is busy at every moment of an answer
SNAPSHOT = 160  # bytes kept of a packet: headers and the beginning of an identification
FLUSH = 0.3
TITLE = f"banner latency against a packet capture, {AT_ONCE} at once"
_TARGET = f"median error <= {MEDIAN} us, worst <= {WORST} us"
_HOW = (
    "tcpdump on lo with stamps in nanoseconds; for each connection (found by its source port) the time from SYN-ACK to "
    "the segment with the identification is compared with the handshake's `banner`; the server waits 0 to "
    f"{DELAY * 1000:g} ms before it answers, at random; errors without their sign, in microseconds."
)


class NoCapture(Exception):
    """No capture was made; the message says why."""


@contextmanager
def tcpdump(port: int, directory: Path) -> Iterator[Path]:
    """Capture a port's packets on lo into a file that is whole when the context has ended."""
    found = machine.program("tcpdump")
    if not found:
        raise NoCapture(f"tcpdump is {machine.remedy('tcpdump')}")
    file, words = directory / "capture", directory / "words"
    command = [found, "-i", "lo", "-n", "-w", "-", "-U", "-B", "16384", "-s", str(SNAPSHOT), "--immediate-mode"]
    command += ["--time-stamp-precision=nano", f"tcp port {port}"]
    with file.open("wb") as output, words.open("wb") as errors:
        # tcpdump gives up its rights before it opens a file; what it inherits it can always write to.
        process = subprocess.Popen(command, stdout=output, stderr=errors)
    try:
        os.sched_setaffinity(process.pid, server.THEIR_CPU)
        deadline = time.monotonic() + server.START_SECONDS
        while b"listening on" not in words.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoCapture(f"tcpdump captures nothing (it needs root): {words.read_text().strip()}")
            time.sleep(0.01)
        yield file
        time.sleep(FLUSH)
        process.send_signal(signal.SIGINT)
        process.wait(server.START_SECONDS)
    finally:
        process.kill()
        process.wait()


def row(rounds: int) -> Row:
    """Measure in `rounds` bursts."""
    plan = Plan(handshakes=AT_ONCE + 1, concurrency=AT_ONCE, depth=Depth.BANNER, exempt=True)
    with tempfile.TemporaryDirectory() as home, server.answering(DELAY) as target:
        try:
            with tcpdump(target.port, Path(home)) as file:
                reports = [measure(Target(server.fresh_address(), target.port), plan) for _ in range(rounds)]
        except NoCapture as reason:
            return Row(TITLE, _TARGET, str(reason), None, _HOW)
        seen = latencies(file.read_bytes(), target.port)
    by_round = [errors(report, seen) for report in reports]
    every = [error for found in by_round for error in found]
    if not all(by_round):
        return Row(TITLE, _TARGET, "the capture lacks the handshakes of a whole round", None, _HOW)
    lines = [_line(f"round {number}", found) for number, found in enumerate(by_round, 1)]
    middle, worst = statistics.median(every), max(every)
    return Row(
        TITLE,
        _TARGET,
        f"median error {middle:.0f} us, worst {worst:.0f} us",
        len(every) == rounds * AT_ONCE and middle <= MEDIAN and worst <= WORST,
        _HOW,
        ("", "handshakes compared", "median error", "99 %", "worst"),
        (*lines, _line("all", every)),
    )


def _line(what: str, found: list[float]) -> tuple[str, ...]:
    ordered = sorted(found)
    figures = statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]
    return what, str(len(found)), *(f"{figure:.0f}" for figure in figures)


def latencies(capture: bytes, port: int) -> dict[tuple[str, int], float]:
    """Return the seconds from SYN-ACK to identification by server address and client port."""
    established: dict[tuple[str, int], int] = {}
    seen: dict[tuple[str, int], float] = {}
    for segment in pcap.segments(capture):
        if segment.source[1] != port:
            continue
        key = socket.inet_ntoa(segment.source[0]), segment.destination[1]
        if segment.flags & pcap.SYN:
            established.setdefault(key, segment.at)
        elif segment.payload.startswith(b"SSH-") and key in established:
            seen.setdefault(key, (segment.at - established[key]) / 1e9)
    return seen


def errors(report: Report, seen: dict[tuple[str, int], float]) -> list[float]:
    """Return by how many microseconds each handshake of the burst differs from the capture."""
    return [
        abs(handshake.banner - seen[handshake.address, handshake.source_port]) * 1e6
        for handshake in report.of_role(Role.BURST)
        if handshake.banner is not None and (handshake.address, handshake.source_port) in seen
    ]
