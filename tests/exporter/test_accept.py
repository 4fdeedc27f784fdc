"""Accept headers to formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.exposition.accept import OPENMETRICS, TEXT, chosen

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_3_5, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT),
        ("application/openmetrics-text; version=9.9.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", TEXT),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4", OPENMETRICS),
        ("application/openmetrics-text;q=0.2, */*;q=0.9", TEXT),
        ("application/openmetrics-text;version=x;q=;;,=,;", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", TEXT),
        ("text/plain;q=nan, application/openmetrics-text;q=inf", TEXT),
        ("application/json", TEXT),
    ],
)
def test_the_format_is_the_one_asked_for(accept: str | None, wanted: str) -> None:
    assert chosen(accept) == wanted


PIECES = [
    "text/plain",
    "application/openmetrics-text",
    "*/*",
    "text/*",
    ";",
    ",",
    "q=",
    "0.5",
    "1",
    "version=",
    "1.0.0",
    '"',
    " ",
    "\x00",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_no_header_is_an_error(accept: str) -> None:
    assert chosen(accept) in (TEXT, OPENMETRICS)
