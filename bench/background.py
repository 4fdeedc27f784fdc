"""The exporter's background probing: what a fleet costs, how long its /metrics takes, whether a scrape shows."""

import http.client
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

from check_ssh_exchange.ending import Depth
from tests.lab import busy_server as server

from . import daemon, layers, loop, scrape
from .table import Row, spread

TARGETS, MINUTE, HANDSHAKES = 10_000, 60, 5
MOST_CPU, MOST_SECONDS = 2.5, 2.0  # times the minimal loop's, seconds of a scrape
MOST_MEMORY, MOST_BYTES = 300, 50e6  # MiB, bytes of a page with `causes: current`
UNMOVED = 1.25  # times the median latency without scrapes
PAGES = 5  # scrapes of each kind that are timed
TIMED = 40  # targets of the requests that look at latency
PACE = 0.02  # seconds between two of them
SECTIONS = 6  # of the time for latencies, with and without scrapes by turns
AT_ONCE = 200  # handshakes of the minimal loop, each second
TITLE = f"background probing, {TARGETS} targets x {HANDSHAKES} handshakes each minute"
_TARGET = (
    f"CPU per handshake <= {MOST_CPU}x the minimal loop, <= {MOST_MEMORY} MiB, /metrics <= {MOST_SECONDS:g} s, with "
    f"causes: current <= {MOST_BYTES / 1e6:g} MB, banner p50 <= {UNMOVED}x while scraped"
)
_ALL = "causes: all"
_CURRENT = "causes: current"
_KINDS = {
    "OpenMetrics, gzip (Prometheus 2.42)": (scrape.ACCEPT, "gzip"),
    "OpenMetrics": (scrape.ACCEPT, "identity"),
    "text 0.0.4, gzip": (scrape.TEXT, "gzip"),
    "text 0.0.4": (scrape.TEXT, "identity"),
}
_LATENESS = "ssh_exchange_exporter_background_lateness_seconds"
_BANNER = re.compile(r'^ssh_exchange_phase_seconds\{phase="banner",quantile="0.5"\} (\S+)$', re.MULTILINE)


class Watch(NamedTuple):
    """What the exporter did while it was left alone.

    CPU in percent of one core and for each handshake (microseconds), that of the minimal loop in each second of it;
    probes, those that were on time, the mean lateness; MiB resident at the end.
    """

    percent: float
    cpu: float
    loop: list[float]
    probes: float
    on_time: float
    late: float
    memory: float

    @property
    def ratio(self) -> float:
        return self.cpu / fmean(self.loop)  # the exporter's is a mean too


class Found(NamedTuple):
    """All that is measured of one exporter."""

    watch: Watch
    pages: dict[str, list[scrape.Page]]
    peak: float
    peak_unpacked: float
    alone: list[float]
    scraped: list[float]


def row(seconds: int) -> Row:
    """Measure for this many seconds. Below a minute, use proportionally fewer targets and probe each more often."""
    interval = min(seconds, MINUTE)
    count = TARGETS * interval // MINUTE
    with server.answering() as target, TemporaryDirectory() as place:
        parts = layers.measure(target.port, max(2, seconds // 10))
        listed = Path(place) / "targets.json"
        addresses = [f"{server.fresh_address()}:{target.port}" for _ in range(count)]
        listed.write_text(json.dumps([{"targets": addresses}]))
        timed = [f"{server.fresh_address()}:{target.port}" for _ in range(TIMED)]
        with daemon.exporter(_configuration(listed, interval)) as exporter, scrape.aside():
            _await_all(exporter, count, interval)
            watch = _watch(exporter, seconds, target.port)
            pages = _all_pages(exporter, _ALL, "gzip")
            alone, scraped = _latencies(exporter, timed, seconds / SECTIONS)
            peak = exporter.memory("VmHWM")
            pages |= _all_pages(exporter, _ALL, "identity")
            peak_unpacked = exporter.memory("VmHWM")
            _reload(exporter, _configuration(listed, interval, "current"))
            pages |= _all_pages(exporter, _CURRENT, "gzip") | _all_pages(exporter, _CURRENT, "identity")
    return _row(count, seconds, Found(watch, pages, peak, peak_unpacked, alone, scraped), parts)


def _configuration(listed: Path, interval: int, causes: str = "all") -> str:
    return f"""
modules:
  default: {{handshakes: {HANDSHAKES}}}
  timed: {{handshakes: 1, depth: banner, exempt: true}}
background:
  - {{target_files: ["{listed}"], interval: {interval}s}}
series: {{causes: {causes}}}
"""


def _reload(exporter: daemon.Daemon, configuration: str) -> None:
    exporter.file.write_text(configuration)
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=scrape.SECONDS)
    connection.request("POST", "/-/reload")
    answer = connection.getresponse()
    if answer.status != 200:
        raise scrape.NoAnswer(f"reload: {answer.status} {answer.read().decode()}")
    connection.close()


def _all_pages(exporter: daemon.Daemon, causes: str, coding: str) -> dict[str, list[scrape.Page]]:
    return {
        f"{causes}, {kind}": [scrape.page(exporter.port, "/metrics", accept, wanted) for _ in range(PAGES)]
        for kind, (accept, wanted) in _KINDS.items()
        if wanted == coding
    }


def _await_all(exporter: daemon.Daemon, count: int, interval: int) -> None:
    deadline = time.monotonic() + 3 * interval + daemon.START_SECONDS
    time.sleep(interval)  # not asked before: a page of the whole fleet is a load of its own
    while True:
        seen = _metrics(exporter).count("\nssh_exchange_last_probe_timestamp_seconds{")
        if seen == count:
            return
        if time.monotonic() > deadline:
            raise scrape.NoAnswer(f"{seen} of {count} targets were probed in {3 * interval} s")
        time.sleep(interval / 10)


def _metrics(exporter: daemon.Daemon) -> str:
    return scrape.page(exporter.port, "/metrics").text


def _watch(exporter: daemon.Daemon, seconds: int, port: int) -> Watch:
    before = _metrics(exporter)
    time.sleep(1)  # the scrape is over and answered, but its thread may still put things away
    cpu, wall = exporter.cpu(), time.monotonic()
    beside = []
    while time.monotonic() < wall + seconds:
        beside.append(_loop(port))
        time.sleep(max(0.0, min(1.0, wall + seconds - time.monotonic())))
    cpu, wall = exporter.cpu() - cpu, time.monotonic() - wall
    memory = exporter.memory("VmRSS")
    after = _metrics(exporter)

    def grown(name: str) -> float:
        return _sample(after, name) - _sample(before, name)

    probes = grown('ssh_exchange_exporter_probes_total{origin="background"}')
    late = grown(f"{_LATENESS}_sum")
    began = grown(f"{_LATENESS}_count")
    on_time = grown(f'{_LATENESS}_bucket{{le="0.1"}}') / began
    return Watch(100 * cpu / wall, cpu / probes / HANDSHAKES * 1e6, beside, probes, on_time, late / began, memory)


def _loop(port: int) -> float:
    """Return what a handshake costs the minimal loop now, on the exporter's CPU, in microseconds."""
    os.sched_setaffinity(0, server.OUR_CPU)
    try:
        begun = time.thread_time()
        loop.handshakes((server.fresh_address(), port), AT_ONCE, Depth.KEXINIT)
        return (time.thread_time() - begun) / AT_ONCE * 1e6
    finally:
        os.sched_setaffinity(0, server.THEIR_CPU)


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


def _row(count: int, seconds: int, found: Found, parts: list[tuple[str, str]]) -> Row:
    watch = found.watch
    slowest = max(sorted(page.took for page in pages)[PAGES // 2] for pages in found.pages.values())
    largest = max(len(page.text) for kind, pages in found.pages.items() for page in pages if kind.startswith(_CURRENT))
    moved = _quantile(found.scraped, 0.5) / _quantile(found.alone, 0.5)
    memory = max(watch.memory, found.peak, found.peak_unpacked)
    is_reached = watch.ratio <= MOST_CPU and memory <= MOST_MEMORY and slowest <= MOST_SECONDS
    return Row(
        TITLE,
        _TARGET,
        f"{watch.ratio:.2f}x, {memory:.0f} MiB, {slowest:.2f} s, {largest / 1e6:.1f} MB, {moved:.2f}x",
        is_reached and largest <= MOST_BYTES and moved <= UNMOVED,
        f"{count} targets at an interval of {min(seconds, MINUTE)} s, depth kexinit, one server behind all; user "
        f"and system time of the exporter over {seconds} s, begun when all had been probed, without a scrape, by the "
        f"handshakes of that time; beside it, each second, {AT_ONCE} handshakes at once of the minimal loop, as deep "
        "and on the same CPU: median (least to greatest), and for the ratio its mean. "
        f"Then {PAGES} scrapes of each kind, the median (least to greatest) of the client's wait; then requests "
        f"for /probe, one handshake each, for {seconds} s, half of the time beside a client that scrapes all the time, "
        "at the lowest priority since it shares the server's CPU. A probe's time is the exporter's first beat after "
        "its turn, at most half a second later. Memory is judged at its most, after pages in gzip and as text, the "
        f"size of a page as text. {layers.HOW}",
        ("what", "measured"),
        (*_figures(found), *parts),
    )


def _figures(found: Found) -> Iterator[tuple[str, str]]:
    watch = found.watch
    yield "CPU per handshake, us", f"{watch.cpu:.0f}"
    yield "CPU per handshake of the minimal loop, us", spread(watch.loop, 0)
    yield "CPU, percent of one core", f"{watch.percent:.1f}"
    yield "background probes in that time", f"{watch.probes:.0f}"
    yield "begun within 0.1 s of their time", f"{100 * watch.on_time:.1f} %"
    yield "late on average", f"{watch.late * 1000:.1f} ms"
    yield "memory, MiB", f"{watch.memory:.0f}, at most {found.peak:.0f}, with unpacked pages {found.peak_unpacked:.0f}"
    pages = found.pages[f"{_ALL}, text 0.0.4"]
    yield "series on /metrics", str(sum(not line.startswith("#") for line in pages[-1].text.splitlines()))
    for kind, pages in found.pages.items():
        took = sorted(page.took for page in pages)
        size = f"{pages[-1].packed / 1e6:.2f} MB"
        yield f"/metrics, {kind}", f"{took[PAGES // 2]:.2f} s ({took[0]:.2f} to {took[-1]:.2f}), {size}"
    for what, latencies in (("without scrapes", found.alone), ("with scrapes", found.scraped)):
        p50, p99 = _quantile(latencies, 0.5), _quantile(latencies, 0.99)
        yield f"banner {what}, us", f"p50 {p50:.0f}, p99 {p99:.0f} of {len(latencies)}"
