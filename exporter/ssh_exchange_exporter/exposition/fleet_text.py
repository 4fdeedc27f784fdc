"""The series of the background targets, for `/metrics`, as text.

prometheus_client needs 2.7 s for 178,000 lines (2,000 targets), 4.1 s in OpenMetrics, at every scrape. It writes what
has rules: headers, escaped labels, bucket bounds. The rest is plain numbers, the same in both formats, put into texts
that are made once. Nothing of it is kept: the lines of 10,000 targets are 82 MB. They are written piece by piece, so
that no step of it holds the interpreter's lock for long and delays the probes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import PHASES, Server

from ..background.targets import BackgroundTarget
from . import offer
from .library import headers, label_text

# Family, type and help; the names of their samples follow from these (OpenMetrics 1.0).
FAMILIES = {
    "ssh_exchange_handshakes": ("counter", "Handshakes by ending."),
    "ssh_exchange_phase_duration_seconds": ("histogram", "Duration of a phase of completed handshakes."),
    "ssh_exchange_cause": ("gauge", "1 for the cause that the last probe was diagnosed with, 0 for the others."),
    "ssh_exchange_state": (
        "gauge",
        "State by the module's thresholds: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
    ),
    "ssh_exchange_early_close_ratio": ("gauge", "Early closes divided by accepted connections in the last probe."),
    "ssh_exchange_server": ("info", "Identification of the server."),
    "ssh_exchange_last_probe_timestamp_seconds": ("gauge", "Start of the last probe, in seconds since the epoch."),
    "ssh_exchange_probes_deferred": ("counter", "Probes deferred by the budget of the server."),
    **offer.FAMILIES,
}


HEADERS = {is_openmetrics: headers(FAMILIES, is_openmetrics=is_openmetrics) for is_openmetrics in (False, True)}


class Chosen(NamedTuple):
    """Which series are written: without `all_causes` only the cause that is 1, and the histograms of `phases`."""

    all_causes: bool = True
    phases: tuple[str, ...] = PHASES


class _Row(NamedTuple):
    """A target with its labels as written between the braces."""

    labels: str
    target: BackgroundTarget

    def fill(self, text: str, *values: object) -> str:
        """Return a text with our labels at each mark and the values at its percent signs."""
        return text.replace(_LABELS, self.labels.replace("%", "%%")) % values


_LABELS = "\0"  # the mark in a text; a label's own is escaped
_PIECE = 50  # targets; a step takes less than a millisecond
_EVERYTHING = Chosen()


class FleetText:
    """The lines of all targets; only one thread may write them at a time."""

    def __init__(self) -> None:
        self._labels: dict[int, tuple[BackgroundTarget, str]] = {}

    def write(self, targets: Iterable[BackgroundTarget], *, is_openmetrics: bool, chosen: Chosen = _EVERYTHING) -> str:
        """Return all families, without the closing line of OpenMetrics."""
        return "".join(self.pieces(targets, is_openmetrics=is_openmetrics, chosen=chosen))

    def pieces(
        self, targets: Iterable[BackgroundTarget], *, is_openmetrics: bool, chosen: Chosen = _EVERYTHING
    ) -> Iterator[str]:
        """Yield all families in pieces, without the closing line of OpenMetrics."""
        rows = self._rows(targets)
        offers = _offers(rows)
        for name, header in HEADERS[is_openmetrics].items():
            yield header
            if name in offer.FAMILIES:
                yield from offers.get(name, ())
                continue
            write = _WRITERS[name]
            for start in range(0, len(rows), _PIECE):
                yield "".join([write(row, chosen) for row in rows[start : start + _PIECE]])

    def _rows(self, targets: Iterable[BackgroundTarget]) -> list[_Row]:
        # The library needs longer to escape the labels of a target than the rest of its lines take.
        kept = {}
        for target in targets:
            kept[id(target)] = self._labels.get(id(target)) or (target, label_text(target.labels))
        self._labels = kept
        return [_Row(labels, target) for target, labels in kept.values()]


def _offers(rows: Sequence[_Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for labels, target in rows:
        if (result := target.result) is not None:
            for name, lines in offer.offer(result.report, labels):
                found.setdefault(name, []).append(lines)
    return found


def _handshakes(row: _Row, _: Chosen) -> str:
    return row.fill(_ENDINGS, *row.target.counters.endings.values())


def _phases(row: _Row, chosen: Chosen) -> str:
    counters, written = row.target.counters, ""
    # A copy: a result of a deeper module may add a phase while this thread iterates.
    for phase, distribution in tuple(counters.distributions.items()):
        if phase in chosen.phases:
            counts = list(accumulate(distribution.counts))
            written += row.fill(_histogram(phase, counters.bounds), *counts, counts[-1], distribution.total)
    return written


@lru_cache(64)
def _histogram(phase: str, bounds: tuple[float, ...]) -> str:
    name, labels = "ssh_exchange_phase_duration_seconds", f'phase="{phase}",{_LABELS}'
    texts = [*map(floatToGoString, bounds), "+Inf"]
    buckets = "".join(f'{name}_bucket{{le="{bound}",{labels}}} %d\n' for bound in texts)
    return f"{buckets}{name}_count{{{labels}}} %d\n{name}_sum{{{labels}}} %r\n"


def _causes(row: _Row, chosen: Chosen) -> str:
    result = row.target.result
    if result is None:
        return ""
    found = result.diagnosis.cause
    return _one_hot(found, is_alone=not chosen.all_causes).replace(_LABELS, row.labels)


@lru_cache(2 * len(Cause))
def _one_hot(found: Cause, *, is_alone: bool) -> str:
    causes = (found,) if is_alone else tuple(Cause)
    return "".join(f'ssh_exchange_cause{{cause="{cause}",{_LABELS}}} {int(cause is found)}\n' for cause in causes)


def _state(row: _Row, _: Chosen) -> str:
    result = row.target.result
    return "" if result is None else f"ssh_exchange_state{{{row.labels}}} {int(result.verdict.state)}\n"


def _ratio(row: _Row, _: Chosen) -> str:
    ratio = row.target.result and row.target.result.report.early_close_ratio
    return "" if ratio is None else f"ssh_exchange_early_close_ratio{{{row.labels}}} {ratio!r}\n"


def _server(row: _Row, _: Chosen) -> str:
    server = row.target.result and row.target.result.report.server
    if server is None:
        return ""
    return f"ssh_exchange_server_info{{{_named(server)},{row.labels}}} 1\n"


@lru_cache(1024)  # servers of a fleet say the same
def _named(server: Server) -> str:
    return label_text({"software": server.software, "protocol": server.protocol, "comments": server.comments})


def _timestamp(row: _Row, _: Chosen) -> str:
    result = row.target.result
    return "" if result is None else f"ssh_exchange_last_probe_timestamp_seconds{{{row.labels}}} {result.at:.3f}\n"


def _deferred(row: _Row, _: Chosen) -> str:
    return f"ssh_exchange_probes_deferred_total{{{row.labels}}} {row.target.deferred}\n"


_ENDINGS = "".join(f'ssh_exchange_handshakes_total{{ending="{ending}",{_LABELS}}} %d\n' for ending in Ending)
_WRITERS: dict[str, Callable[[_Row, Chosen], str]] = {
    "ssh_exchange_handshakes": _handshakes,
    "ssh_exchange_phase_duration_seconds": _phases,
    "ssh_exchange_cause": _causes,
    "ssh_exchange_state": _state,
    "ssh_exchange_early_close_ratio": _ratio,
    "ssh_exchange_server": _server,
    "ssh_exchange_last_probe_timestamp_seconds": _timestamp,
    "ssh_exchange_probes_deferred": _deferred,
}
