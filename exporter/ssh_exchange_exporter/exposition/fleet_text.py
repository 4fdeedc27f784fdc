"""The series of the background targets, for `/metrics`, as text.

prometheus_client needs 2.7 s for 178,000 lines (2,000 targets), 4.1 s in OpenMetrics, at every scrape. The lines of a
target change only with its probes, so each target caches its own. The library writes what has rules: headers, escaped
labels, bucket bounds. The rest is plain numbers, the same in both formats.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.utils import floatToGoString

from check_ssh_exchange.diagnosis.cause import Cause

from ..background.targets import BackgroundTarget
from ..result import Result
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


class Lines:
    """The lines of one target, rewritten after each probe and each deferral."""

    __slots__ = ("_labels", "_of", "_target", "_texts")

    def __init__(self, target: BackgroundTarget) -> None:
        self._target = target
        self._labels = label_text(target.labels)
        self._of: object = None
        self._texts: dict[str, str] = {}

    def texts(self) -> dict[str, str]:
        """Return the lines by family."""
        target = self._target
        state = (target.result and target.result.number, target.deferred, target.counters)
        if state != self._of:
            self._texts = dict(self._write())
            self._of = state
        return self._texts

    def _write(self) -> Iterator[tuple[str, str]]:
        target, labels = self._target, self._labels
        name = "ssh_exchange_handshakes"
        endings = target.counters.endings.items()
        yield name, "".join(f'{name}_total{{ending="{ending}",{labels}}} {count}\n' for ending, count in endings)
        yield "ssh_exchange_phase_duration_seconds", "".join(self._histograms())
        name = "ssh_exchange_probes_deferred"
        yield name, f"{name}_total{{{labels}}} {target.deferred}\n"
        if target.result is not None:
            yield from self._of_result(target.result)

    def _of_result(self, result: Result) -> Iterator[tuple[str, str]]:
        labels, report = self._labels, result.report
        name = "ssh_exchange_cause"
        found = result.diagnosis.cause
        yield name, "".join(f'{name}{{cause="{cause}",{labels}}} {int(cause is found)}\n' for cause in Cause)
        name = "ssh_exchange_state"
        yield name, f"{name}{{{labels}}} {int(result.verdict.state)}\n"
        if report.early_close_ratio is not None:
            name = "ssh_exchange_early_close_ratio"
            yield name, f"{name}{{{labels}}} {report.early_close_ratio!r}\n"
        if report.server is not None:
            name, server = "ssh_exchange_server", report.server
            info = {"software": server.software, "protocol": server.protocol, "comments": server.comments}
            yield name, f"{name}_info{{{label_text(info)},{labels}}} 1\n"
        yield from offer.offer(report, labels)
        name = "ssh_exchange_last_probe_timestamp_seconds"
        yield name, f"{name}{{{labels}}} {result.at:.3f}\n"

    def _histograms(self) -> Iterator[str]:
        name = "ssh_exchange_phase_duration_seconds"
        counters = self._target.counters
        bounds = [*map(floatToGoString, counters.bounds), "+Inf"]
        # A copy: a result of a deeper module may add a phase while this thread iterates.
        for phase, distribution in tuple(counters.distributions.items()):
            labels = f'phase="{phase}",{self._labels}'
            count = 0
            for bound, inside in zip(bounds, distribution.counts, strict=True):
                count += inside
                yield f'{name}_bucket{{le="{bound}",{labels}}} {count}\n'
            yield f"{name}_count{{{labels}}} {count}\n{name}_sum{{{labels}}} {distribution.total!r}\n"


class FleetText:
    """The lines of all targets; only one thread may write them at a time."""

    def __init__(self) -> None:
        self._lines: dict[int, tuple[BackgroundTarget, Lines]] = {}

    def write(self, targets: Iterable[BackgroundTarget], *, is_openmetrics: bool) -> str:
        """Return all families, without the closing line of OpenMetrics."""
        kept: dict[int, tuple[BackgroundTarget, Lines]] = {}
        for target in targets:
            kept[id(target)] = self._lines.get(id(target)) or (target, Lines(target))
        self._lines = kept
        texts = [lines.texts() for _, lines in kept.values()]
        parts = []
        for name, header in HEADERS[is_openmetrics].items():
            parts.append(header)
            parts += [text[name] for text in texts if name in text]
        return "".join(parts)
