"""What Zabbix' preprocessing makes of an exposition: its patterns, without a Zabbix.

Every result here is also asked of a real Zabbix in tests/databases/test_zabbix.py, for the shipped templates.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

PATTERN = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?(?: == (?P<value>\S+))?")
MATCHER = re.compile(r'(?P<label>\w+)(?P<operator>=~|!~|!=|=)"(?P<value>(?:\\.|[^"\\])*)"(?:,|$)')
FUNCTIONS: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": sum, "count": len}


class NoData(Exception):
    """Nothing in the exposition matches."""


def samples(text: str) -> list[Sample]:
    """Return the samples of an exposition."""
    families: list[Metric] = list(text_string_to_metric_families(text))
    return [sample for family in families for sample in family.samples]


def matching(pattern: str, found: list[Sample]) -> list[Sample]:
    """Return the samples that a Prometheus pattern selects; fails for one that is malformed."""
    read = PATTERN.fullmatch(pattern)
    assert read, pattern
    labels = read["labels"] or ""
    assert MATCHER.sub("", labels) == "", pattern
    matchers = [match.groups() for match in MATCHER.finditer(labels)]
    return [
        sample
        for sample in found
        if sample.name == read["name"]
        and (read["value"] is None or sample.value == float(read["value"]))
        and all(_holds(sample.labels.get(label, ""), operator, value) for label, operator, value in matchers)
    ]


def _holds(value: str, operator: str, wanted: str) -> bool:
    # Zabbix' regular expressions are PCRE and need not match the whole value.
    is_equal = value == wanted if operator in ("=", "!=") else re.search(wanted, value) is not None
    return is_equal is not operator.startswith("!")


def value(step: Mapping[str, Any], found: list[Sample]) -> str:
    """Return what a step "Prometheus pattern" reads: one value, a label of it, or a function of all. Raises NoData."""
    pattern, output, word = step["parameters"]
    selected = matching(pattern, found)
    if not selected:
        raise NoData(pattern)
    if output == "function":
        return str(float(FUNCTIONS[word]([sample.value for sample in selected])))
    (one,) = selected  # Zabbix refuses a pattern that selects several
    return one.labels[word] if output == "label" else str(float(one.value))
