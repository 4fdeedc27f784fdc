"""The exporter's background probing: what a fleet costs, how long its /metrics takes, and whether a scrape shows."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from tests.lab import busy_server as server

from . import daemon, scrape
from .table import Row

TARGETS, MINUTE, HANDSHAKES = 2000, 60, 5
MOST_CPU, MOST_SECONDS = 10.0, 2.0  # percent of one core, seconds of a scrape
UNMOVED = 1.25  # times the median latency without scrapes
PAGES = 5  # scrapes of each kind that are timed
TIMED = 40  # targets of the requests that look at latency
PACE = 0.02  # seconds between two of them
SECTIONS = 6  # of the time for latencies, with and without scrapes by turns
TITLE = f"background probing, {TARGETS} targets x {HANDSHAKES} handshakes each minute"
_TARGET = f"<= {MOST_CPU:g} % of one core, /metrics <= {MOST_SECONDS:g} s, banner p50 <= {UNMOVED}x while scraped"
_KINDS = {
    "OpenMetrics, gzip (Prometheus 2.42)": (scrape.ACCEPT, "gzip"),
    "OpenMetrics": (scrape.ACCEPT, "identity"),
    "text 0.0.4, gzip": (scrape.TEXT, "gzip"),
    "text 0.0.4": (scrape.TEXT, "identity"),
}
_LATENESS = "ssh_exchange_exporter_background_lateness_seconds"
_BANNER = re.compile(r'^ssh_exchange_phase_seconds\{phase="banner",quantile="0.5"\} (\S+)$', re.MULTILINE)


class Watch(NamedTuple):
    """What the exporter did while it was left alone: CPU in percent of one core, probes, and those that were late."""

    cpu: float
    probes: float
    on_time: float
    late: float


def row(seconds: int) -> Row:
    """Measure for this many seconds. Below a minute, use proportionally fewer targets and probe each more often."""
    interval = min(seconds, MINUTE)
    count = TARGETS * interval // MINUTE
    with server.answering() as target:
        targets = [f"{server.fresh_address()}:{target.port}" for _ in range(count)]
        timed = [f"{server.fresh_address()}:{target.port}" for _ in range(TIMED)]
        with daemon.exporter(_configuration(targets, interval)) as exporter, scrape.aside():
            _await_all(exporter, count, interval)
            watch = _watch(exporter, seconds)
            pages = {kind: [scrape.page(exporter.port, "/metrics", *how) for _ in range(PAGES)]
                     for kind, how in _KINDS.items()}  # fmt: skip
            alone, scraped = _latencies(exporter, timed, seconds / SECTIONS)
    return _row(count, seconds, watch, pages, alone, scraped)


def _configuration(targets: list[str], interval: int) -> str:
    listed = ", ".join(f'"{target}"' for target in targets)
    return f"""
modules:
  default: {{handshakes: {HANDSHAKES}}}
  timed: {{handshakes: 1, depth: banner, exempt: true}}
background:
  - {{targets: [{listed}], interval: {interval}s}}
"""


def _await_all(exporter: daemon.Daemon, count: int, interval: int) -> None:
    deadline = time.monotonic() + 3 * interval + daemon.START_SECONDS
    while True:
        seen = scrape.page(exporter.port, "/metrics").text.count("\nssh_exchange_last_probe_timestamp_seconds{")
        if seen == count:
            return
        if time.monotonic() > deadline:
            raise scrape.NoAnswer(f"{seen} of {count} targets were probed in {3 * interval} s")
        time.sleep(interval / 10)


def _watch(exporter: daemon.Daemon, seconds: int) -> Watch:
    before = scrape.page(exporter.port, "/metrics").text
    time.sleep(1)  # the scrape is over and answered, but its thread may still put things away
    cpu, wall = exporter.cpu(), time.monotonic()
    time.sleep(seconds)
    cpu, wall = exporter.cpu() - cpu, time.monotonic() - wall
    after = scrape.page(exporter.port, "/metrics").text

    def grown(name: str) -> float:
        return _sample(after, name) - _sample(before, name)

    probes = grown('ssh_exchange_exporter_probes_total{origin="background"}')
    late = grown(f"{_LATENESS}_sum")
    began = grown(f"{_LATENESS}_count")
    return Watch(100 * cpu / wall, probes, grown(f'{_LATENESS}_bucket{{le="0.1"}}') / began, late / began)


def _sample(text: str, name: str) -> float:
    (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found)


def _latencies(exporter: daemon.Daemon, timed: list[str], seconds: float) -> tuple[list[float], list[float]]:
    """Return banner latencies by turns without scrapes and with one after the other, in seconds."""
    found: tuple[list[float], list[float]] = ([], [])
    next_one = 0
    for section in range(SECTIONS):
        with _scraping(exporter) if section % 2 else nullcontext():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                target = timed[next_one % len(timed)]
                next_one += 1
                text = scrape.page(exporter.port, f"/probe?module=timed&target={target}", scrape.TEXT, "identity").text
                found[section % 2].extend(map(float, _BANNER.findall(text)))
                time.sleep(PACE)
    return found


@contextmanager
def _scraping(exporter: daemon.Daemon) -> Iterator[None]:
    ended = threading.Event()

    def scrape_on() -> None:
        # It shares a CPU with the server and would delay its answers, which is not the exporter's latency.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not ended.is_set():
            scrape.download(exporter.port, "/metrics")

    thread = threading.Thread(target=scrape_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _quantile(values: list[float], fraction: float) -> float:
    return sorted(values)[int(len(values) * fraction)] * 1e6


def _row(
    count: int,
    seconds: int,
    watch: Watch,
    pages: dict[str, list[scrape.Page]],
    alone: list[float],
    scraped: list[float],
) -> Row:
    slowest = max(sorted(page.took for page in found)[PAGES // 2] for found in pages.values())
    moved = _quantile(scraped, 0.5) / _quantile(alone, 0.5)
    series = sum(not line.startswith("#") for line in pages["text 0.0.4"][-1].text.splitlines())
    figures = [
        ("CPU, percent of one core", f"{watch.cpu:.1f}"),
        ("background probes in that time", f"{watch.probes:.0f}"),
        ("begun within 0.1 s of their time", f"{100 * watch.on_time:.1f} %"),
        ("late on average", f"{watch.late * 1000:.1f} ms"),
        ("series on /metrics", str(series)),
    ]
    for kind, found in pages.items():
        took = sorted(page.took for page in found)
        size = f"{found[-1].packed / 1e6:.2f} MB"
        figures.append((f"/metrics, {kind}", f"{took[PAGES // 2]:.2f} s ({took[0]:.2f} to {took[-1]:.2f}), {size}"))
    for what, latencies in (("without scrapes", alone), ("with scrapes", scraped)):
        p50, p99 = _quantile(latencies, 0.5), _quantile(latencies, 0.99)
        figures.append((f"banner {what}, us", f"p50 {p50:.0f}, p99 {p99:.0f} of {len(latencies)}"))
    return Row(
        TITLE,
        _TARGET,
        f"{watch.cpu:.1f} %, {slowest:.2f} s, {moved:.2f}x",
        watch.cpu <= MOST_CPU and slowest <= MOST_SECONDS and moved <= UNMOVED,
        f"{count} targets at an interval of {min(seconds, MINUTE)} s, depth kexinit, one server behind all; user "
        f"and system time of the exporter over {seconds} s, begun when all had been probed, without a scrape; "
        f"then {PAGES} scrapes of each kind, the median (least to greatest) of the client's wait; then requests "
        f"for /probe, one handshake each, for {seconds} s, half of the time beside a client that scrapes all the time, "
        "at the lowest priority since it shares the server's CPU. A probe's time is the exporter's first beat after "
        "its turn, at most half a second later.",
        ("what", "measured"),
        tuple(figures),
    )
