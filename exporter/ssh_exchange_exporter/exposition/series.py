"""The series of one probe, for `/probe`."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.report import PHASES, Report, quantile

from ..question import Answer
from ..result import Result

QUANTILES = (0.0, 0.5, 0.9, 1.0)


class ProbeSeries(Collector):
    """What one answer says, as metrics. `took` is how long the answer took, `timeout` what it might have (seconds)."""

    def __init__(self, answer: Answer, result: Result, took: float, timeout: float) -> None:
        self._answer = answer
        self._result = result
        self._took = took
        self._timeout = timeout

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        report = self._result.report
        yield GaugeMetricFamily("probe_success", "Whether a handshake completed.", float(report.completed > 0))
        yield GaugeMetricFamily("probe_duration_seconds", "How long this answer took.", self._took)
        yield GaugeMetricFamily("probe_timeout_seconds", "How long this answer might have taken.", self._timeout)
        yield from _resolved(report)
        yield handshakes(report)
        if report.early_close_ratio is not None:
            yield GaugeMetricFamily(
                "ssh_exchange_early_close_ratio",
                "Early closes divided by the connections that the server accepted.",
                report.early_close_ratio,
            )
        yield phases(report)
        yield causes(self._result.diagnosis.cause)
        yield GaugeMetricFamily(
            "ssh_exchange_state",
            "State by the module's thresholds: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
            int(self._result.verdict.state),
        )
        yield server_info(report)
        yield GaugeMetricFamily(
            "ssh_exchange_result_age_seconds",
            "Age of the result: above 0 where the budget did not allow another probe.",
            self._answer.age,
        )


def registry_of(answer: Answer, result: Result, took: float, timeout: float) -> CollectorRegistry:
    """Return a registry with this answer alone in it."""
    registry = CollectorRegistry()
    registry.register(ProbeSeries(answer, result, took, timeout))
    return registry


def _resolved(report: Report) -> Iterator[Metric]:
    if report.resolve is not None:
        yield GaugeMetricFamily("probe_dns_lookup_time_seconds", "How long the name took.", report.resolve)
    if report.family is not None:
        yield GaugeMetricFamily("probe_ip_protocol", "Whether the address is IPv4 or IPv6.", float(report.family[-1]))


def handshakes(report: Report) -> Metric:
    """Return how many handshakes had each ending."""
    family = GaugeMetricFamily("ssh_exchange_handshakes", "Handshakes by their ending.", labels=["ending"])
    for ending, count in report.counts.items():
        family.add_metric([ending], count)
    return family


def phases(report: Report) -> Metric:
    """Return the durations of each phase over the handshakes that completed."""
    family = Metric("ssh_exchange_phase_seconds", "Duration of a phase over the handshakes that completed.", "summary")
    for phase in PHASES:
        ordered = report.durations(phase)
        if ordered:
            for fraction in QUANTILES:
                labels = {"phase": phase, "quantile": f"{fraction:g}"}
                family.add_sample("ssh_exchange_phase_seconds", labels, quantile(ordered, fraction))
            family.add_sample("ssh_exchange_phase_seconds_count", {"phase": phase}, len(ordered))
            family.add_sample("ssh_exchange_phase_seconds_sum", {"phase": phase}, sum(ordered))
    return family


def causes(found: Cause) -> Metric:
    """Return 1 for the cause that was found and 0 for every other."""
    family = GaugeMetricFamily("ssh_exchange_cause", "1 for the cause that the diagnosis names.", labels=["cause"])
    for cause in Cause:
        family.add_metric([cause], float(cause is found))
    return family


def server_info(report: Report) -> Metric:
    """Return what the server says it is; nothing where it said nothing."""
    family = InfoMetricFamily("ssh_exchange_server", "The server's identification.")
    server = report.server
    if server is not None:
        info = {"software": server.software, "protocol": server.protocol, "comments": server.comments}
        family.add_metric([], info)
    return family
