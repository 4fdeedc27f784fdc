"""The series of one probe, for `/probe`, as text.

prometheus_client takes as long to write these 70 lines as five handshakes take to make, since it looks at every letter
of labels that are the same in every response. It writes them once, when this module is loaded.
"""

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client.utils import floatToGoString

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import PHASES, Report, Server, quantile

from ..probe_response import ProbeResponse
from .library import END, headers, label_text

QUANTILES = (0.0, 0.5, 0.9, 1.0)

# Family, type and help, in the order in which they are written.
FAMILIES = {
    "probe_success": ("gauge", "Whether a handshake completed."),
    "probe_duration_seconds": ("gauge", "How long this answer took."),
    "probe_timeout_seconds": ("gauge", "How long this answer might have taken."),
    "probe_dns_lookup_time_seconds": ("gauge", "How long the name took."),
    "probe_ip_protocol": ("gauge", "Whether the address is IPv4 or IPv6."),
    "ssh_exchange_handshakes": ("gauge", "Handshakes by their ending."),
    "ssh_exchange_early_close_ratio": ("gauge", "Early closes divided by the connections that the server accepted."),
    "ssh_exchange_phase_seconds": ("summary", "Duration of a phase over the handshakes that completed."),
    "ssh_exchange_cause": ("gauge", "1 for the cause that the diagnosis names."),
    "ssh_exchange_state": ("gauge", "State by the module's thresholds: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."),
    "ssh_exchange_server": ("info", "The server's identification."),
    "ssh_exchange_result_age_seconds": (
        "gauge",
        "Age of the result: above 0 where the budget did not allow another probe.",
    ),
}
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
    """Return what one answer says. `took` is how long the answer took, `timeout` what it might have (seconds)."""
    samples = dict(_samples(response, took, timeout))
    written = [header + samples[name] for name, header in HEADERS[is_openmetrics].items() if name in samples]
    return "".join(written) + (END if is_openmetrics else "")


def _samples(response: ProbeResponse, took: float, timeout: float) -> Iterator[tuple[str, str]]:
    """Yield the lines of each family; one that there is nothing to say of is left out with its header."""
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


@lru_cache(1024)
def _server(server: Server) -> str:
    info = {"software": server.software, "protocol": server.protocol, "comments": server.comments}
    return f"ssh_exchange_server_info{{{label_text(info)}}}"


def _line(series: str, value: float) -> str:
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return f"{series} {written}\n"
