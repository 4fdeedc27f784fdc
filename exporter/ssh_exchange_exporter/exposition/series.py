"""The series of one probe, for `/probe`, as text.

prometheus_client needs as long for these 70 lines as five handshakes take, since it checks every character of labels
that are the same in every response. Here they are written once, with gaps for what is measured anew each time.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import PHASES, Algorithms, Family, Server, quantile

from ..probe_response import ProbeResponse
from . import offer
from .library import END, headers, label_text

QUANTILES = (0.0, 0.5, 0.9, 1.0)
# For a number below a million, as the seconds of a probe are: there Python writes it as Go does.
GAP = "%r"

# Family, type and help, in the order in which they are written.
FAMILIES = {
    "probe_success": ("gauge", "1 if at least one handshake completed."),
    "probe_duration_seconds": ("gauge", "Seconds until this response was ready."),
    "probe_timeout_seconds": ("gauge", "Seconds that this response was allowed to take."),
    "probe_dns_lookup_time_seconds": ("gauge", "Seconds that the name took to resolve."),
    "probe_ip_protocol": ("gauge", "IP version of the probed address: 4 or 6."),
    "ssh_exchange_handshakes": ("gauge", "Handshakes by ending."),
    "ssh_exchange_early_close_ratio": ("gauge", "Early closes divided by accepted connections."),
    "ssh_exchange_phase_seconds": ("summary", "Duration of a phase of completed handshakes."),
    "ssh_exchange_cause": ("gauge", "1 for the cause that the probe was diagnosed with, 0 for the others."),
    "ssh_exchange_state": ("gauge", "State by the module's thresholds: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."),
    "ssh_exchange_server": ("info", "Identification of the server."),
    "ssh_exchange_result_age_seconds": (
        "gauge",
        "Age of the result in seconds; above 0 where no new probe could be made.",
    ),
}
FAMILIES.update(offer.FAMILIES)
# Here only: a fleet of 10,000 targets would have 500,000 of these.
FAMILIES["ssh_exchange_algorithm"] = ("info", "Algorithms that the server offers, by kind.")
HEADERS = {is_openmetrics: headers(FAMILIES, is_openmetrics=is_openmetrics) for is_openmetrics in (False, True)}

_ENDINGS = [f"ssh_exchange_handshakes{{{label_text({'ending': ending})}}}" for ending in Ending]
_CAUSES = {cause: f"ssh_exchange_cause{{{label_text({'cause': cause})}}}" for cause in Cause}


class Shape(NamedTuple):
    """All that a response says but its durations: the next one of a healthy server says the same."""

    is_openmetrics: bool
    timeout: float
    age: float
    is_success: bool
    is_resolved: bool
    family: Family | None
    counts: tuple[int, ...]
    early_close_ratio: float | None
    phases: tuple[str, ...]
    cause: Cause
    state: int
    server: Server | None
    offers: tuple[tuple[str, str], ...]
    algorithms: Algorithms | None


def probe_text(response: ProbeResponse, took: float, timeout: float, *, is_openmetrics: bool = False) -> str:
    """Return the metrics of one response; `took` and `timeout` are its duration and its limit in seconds."""
    result, report = response.result, response.result.report
    phases = {phase: ordered for phase in PHASES if (ordered := report.durations(phase))}
    shape = Shape(
        is_openmetrics=is_openmetrics,
        timeout=timeout,
        age=response.age,
        is_success=report.completed > 0,
        is_resolved=report.resolve is not None,
        family=report.family,
        counts=tuple(report.counts.values()),
        early_close_ratio=report.early_close_ratio,
        phases=tuple(phases),
        cause=result.diagnosis.cause,
        state=int(result.verdict.state),
        server=report.server,
        offers=tuple(offer.offer(report)),
        algorithms=report.algorithms,
    )
    measured = [took] if report.resolve is None else [took, report.resolve]
    for ordered in phases.values():
        measured += [quantile(ordered, fraction) for fraction in QUANTILES]
        measured += [float(len(ordered)), sum(ordered)]
    return _template(shape) % tuple(measured)


@lru_cache(256)  # of 4 to 9 KB
def _template(shape: Shape) -> str:
    """Return the text of a response with a GAP for each duration."""
    samples = {name: lines.replace("%", "%%") for name, lines in _known(shape)} | dict(_measured(shape))
    written = [header + samples[name] for name, header in HEADERS[shape.is_openmetrics].items() if name in samples]
    return "".join(written) + (END if shape.is_openmetrics else "")


def _known(shape: Shape) -> Iterator[tuple[str, str]]:
    single = {
        "probe_success": shape.is_success,
        "probe_timeout_seconds": shape.timeout,
        "probe_ip_protocol": None if shape.family is None else float(shape.family[-1]),
        "ssh_exchange_early_close_ratio": shape.early_close_ratio,
        "ssh_exchange_state": shape.state,
        "ssh_exchange_result_age_seconds": shape.age,
    }
    yield from ((name, _line(name, value)) for name, value in single.items() if value is not None)
    yield "ssh_exchange_handshakes", "".join(map(_line, _ENDINGS, shape.counts))
    yield "ssh_exchange_cause", "".join(_line(series, cause is shape.cause) for cause, series in _CAUSES.items())
    yield "ssh_exchange_server", _server(shape.server) if shape.server else ""
    yield from shape.offers
    if shape.algorithms is not None:
        yield "ssh_exchange_algorithm", _algorithms(shape.algorithms)


def _measured(shape: Shape) -> Iterator[tuple[str, str]]:
    yield "probe_duration_seconds", f"probe_duration_seconds {GAP}\n"
    if shape.is_resolved:
        yield "probe_dns_lookup_time_seconds", f"probe_dns_lookup_time_seconds {GAP}\n"
    yield "ssh_exchange_phase_seconds", "".join(map(_phase, shape.phases))


@lru_cache(len(PHASES))
def _phase(phase: str) -> str:
    """Return the lines of a phase: its quantiles, the number of its handshakes, their sum."""
    name, whole = "ssh_exchange_phase_seconds", label_text({"phase": phase})
    parts = [label_text({"phase": phase, "quantile": f"{fraction:g}"}) for fraction in QUANTILES]
    series = [*(f"{name}{{{part}}}" for part in parts), f"{name}_count{{{whole}}}", f"{name}_sum{{{whole}}}"]
    return "".join(f"{one} {GAP}\n" for one in series)


@lru_cache(256)  # servers of a fleet offer the same
def _algorithms(offered: Algorithms) -> str:
    pairs = dict.fromkeys((kind, name) for kind, names in offered._asdict().items() for name in names)
    series = (label_text({"kind": kind, "name": name}) for kind, name in pairs)
    return "".join(_line(f"ssh_exchange_algorithm_info{{{labels}}}", 1) for labels in series)


@lru_cache(1024)
def _server(server: Server) -> str:
    info = {"software": server.software, "protocol": server.protocol, "comments": server.comments}
    return _line(f"ssh_exchange_server_info{{{label_text(info)}}}", 1)


def _line(series: str, value: float) -> str:
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return f"{series} {written}\n"
