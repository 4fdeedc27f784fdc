"""The parts that prometheus_client writes, because the formats have rules for them: headers and escaped labels."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

END = "# EOF\n"  # OpenMetrics' last line


class _One(Collector):
    """A collector of given metrics."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _registry(*metrics: Metric) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_One(*metrics))
    return registry


def headers(families: Mapping[str, tuple[str, str]], *, is_openmetrics: bool) -> dict[str, str]:
    """Return the HELP and TYPE lines of each family, given its type and help."""
    generate = generate_openmetrics if is_openmetrics else generate_latest
    found = {}
    for name, (kind, text) in families.items():
        written: str = generate(_registry(Metric(name, text, kind))).decode()
        found[name] = written.removesuffix(END)
    return found


def label_text(labels: Mapping[str, str]) -> str:
    """Return labels as written between the braces, ordered and escaped by the library."""
    metric = GaugeMetricFamily("x", "", labels=list(labels))
    metric.add_metric(list(labels.values()), 0)
    written: str = generate_latest(_registry(metric)).decode()
    sample = written[written.index("\nx{") + 3 :]  # after HELP and TYPE; line ends in labels are escaped
    return sample[: sample.rindex("}")]
