"""The series of one probe, for `/probe`, as text.

prometheus_client needs as long for these 70 lines as five handshakes take, since it checks every character of labels
that are the same in every response. Here it writes them once, when this module is loaded.
"""

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client.utils import floatToGoString

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import PHASES, Algorithms, Report, Server, quantile

from ..probe_response import ProbeResponse
from . import offer
from .library import END, headers, label_text

QUANTILES = (0.0, 0.5, 0.9, 1.0)

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

_ENDINGS = {ending: f"ssh_exchange_handshakes{{{label_text({'ending': ending})}}}" for ending in Ending}
_CAUSES = {cause: f"ssh_exchange_cause{{{label_text({'cause': cause})}}}" for cause in Cause}
_QUANTILES = {
    (phase, fraction): f"ssh_exchange_phase_seconds{{{label_text({'phase': phase, 'quantile': f'{fraction:g}'})}}}"
    for phase in PHASES
    for fraction in QUANTILES
}
_OF_PHASE = {phase: label_text({"phase": phase}) for phase in PHASES}


def probe_text(response: ProbeResponse, took: float, timeout: float, *, is_openmetrics: bool = False) -> str:
    """Return the metrics of one response; `took` and `timeout` are its duration and its limit in seconds."""
    samples = dict(_samples(response, took, timeout))
    written = [header + samples[name] for name, header in HEADERS[is_openmetrics].items() if name in samples]
    return "".join(written) + (END if is_openmetrics else "")


def _samples(response: ProbeResponse, took: float, timeout: float) -> Iterator[tuple[str, str]]:
    """Yield the lines of each family that has a value."""
    result, report = response.result, response.result.report
    single = {
        "probe_success": report.completed > 0,
        "probe_duration_seconds": took,
        "probe_timeout_seconds": timeout,
        "probe_dns_lookup_time_seconds": report.resolve,
        "probe_ip_protocol": None if report.family is None else float(report.family[-1]),
        "ssh_exchange_early_close_ratio": report.early_close_ratio,
        "ssh_exchange_state": int(result.verdict.state),
        "ssh_exchange_result_age_seconds": response.age,
    }
    yield from ((name, _line(name, value)) for name, value in single.items() if value is not None)
    yield "ssh_exchange_handshakes", "".join(_ending(ending, count) for ending, count in report.counts.items())
    yield "ssh_exchange_phase_seconds", "".join(_phases(report))
    yield "ssh_exchange_cause", _causes(result.diagnosis.cause)
    yield "ssh_exchange_server", _line(_server(report.server), 1) if report.server else ""
    yield from offer.offer(report)
    if report.algorithms is not None:
        yield "ssh_exchange_algorithm", _algorithms(report.algorithms)


@lru_cache(1024)  # nearly always zero
def _ending(ending: Ending, count: int) -> str:
    return _line(_ENDINGS[ending], count)


@lru_cache(len(Cause))
def _causes(found: Cause) -> str:
    return "".join(_line(series, cause is found) for cause, series in _CAUSES.items())


def _phases(report: Report) -> Iterator[str]:
    name = "ssh_exchange_phase_seconds"
    for phase in PHASES:
        ordered = report.durations(phase)
        if ordered:
            for fraction in QUANTILES:
                yield _line(_QUANTILES[phase, fraction], quantile(ordered, fraction))
            yield _line(f"{name}_count{{{_OF_PHASE[phase]}}}", len(ordered))
            yield _line(f"{name}_sum{{{_OF_PHASE[phase]}}}", sum(ordered))


@lru_cache(256)  # servers of a fleet offer the same
def _algorithms(offered: Algorithms) -> str:
    pairs = dict.fromkeys((kind, name) for kind, names in offered._asdict().items() for name in names)
    series = (label_text({"kind": kind, "name": name}) for kind, name in pairs)
    return "".join(_line(f"ssh_exchange_algorithm_info{{{labels}}}", 1) for labels in series)


@lru_cache(1024)
def _server(server: Server) -> str:
    info = {"software": server.software, "protocol": server.protocol, "comments": server.comments}
    return f"ssh_exchange_server_info{{{label_text(info)}}}"


def _line(series: str, value: float) -> str:
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return f"{series} {written}\n"
