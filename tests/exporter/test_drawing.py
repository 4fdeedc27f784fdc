"""The drawing of a probe: rows, bars, axis."""

import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import Handshake, Report
from ssh_exchange_exporter.pages.axis import axis_of
from ssh_exchange_exporter.pages.drawing import drawing
from ssh_exchange_exporter.pages.probe_page import probe_page
from ssh_exchange_exporter.pages.rows import bars
from ssh_exchange_exporter.pages.stylesheet import STYLESHEET
from tests.runs import run

from .markup import Element, Page
from .probed import EVERY_ENDING, HEALTHY, NOW, THROTTLED, probed, timed


def history(report: Report, **changed: object) -> Page:
    return Page(probe_page(probed(report, **changed), NOW))  # type: ignore[arg-type]


def drawn(report: Report) -> Page:
    return Page(f"<body>{drawing(report)}</body>")


def percent(element: Element, name: str) -> float:
    value = float(element.attributes[name].removesuffix("%"))
    assert math.isfinite(value)
    return value


def outlines(page: Page) -> list[Element]:
    return [one for one in page.all("rect", "whole") if one.attributes["x"].endswith("%")]


def test_every_handshake_is_a_row_coloured_by_its_ending_and_named_by_a_word() -> None:
    page = drawn(EVERY_ENDING)
    rows = [one for one in page.all("g") if one.classes and one.classes[0].startswith("e-")]
    assert [one.classes[0] for one in rows] == [f"e-{one.ending}" for one in EVERY_ENDING.handshakes]
    words = [one.words for one in page.all("text")]
    assert [word for word in words if word in list(Ending)] == [str(one.ending) for one in EVERY_ENDING.handshakes]
    assert all(f".{one.classes[0]}{{" in STYLESHEET for one in rows)


def test_baseline_burst_and_rechecks_are_named() -> None:
    names = [one.words for one in drawn(EVERY_ENDING).all("text", "name")]
    assert names == [
        "Baseline: one handshake",
        "Burst: 12 at once",
        "Recheck: from 192.0.2.10",
        "Recheck: one handshake",
        "Recheck: client spoke first",
    ]


def test_the_picture_has_a_summary_in_words() -> None:
    picture = drawn(THROTTLED).one("svg", "drawing")
    assert picture.attributes["role"] == "img"
    assert picture.attributes["aria-label"] == (
        "6 handshakes in 513 ms: 4 completed, 2 turned_away. "
        "Baseline: one handshake; Burst: 4 at once; Recheck: one handshake."
    )


def test_a_pause_is_left_out_where_it_would_make_the_phases_invisible() -> None:
    page = drawn(THROTTLED)
    assert len(page.all("rect", "pause")) == 2
    assert "2 pauses between handshakes are cut from the axis, the longest" in page.words
    assert min(percent(one, "width") for one in outlines(page)) > 10


def test_a_pause_is_drawn_where_the_handshakes_take_longer_than_it() -> None:
    shakes = tuple(one._replace(started=min(1, one.number) * 2.25, ended=2.0) for one in HEALTHY.handshakes)
    page = drawn(HEALTHY._replace(handshakes=shakes))
    assert not page.all("rect", "pause")
    assert "cut from the axis" not in page.words


def test_phases_follow_each_other_from_the_syn_and_never_reach_beyond_the_end() -> None:
    one = HEALTHY.handshakes[0]._replace(started=1.0, connect=0.1, banner=0.2, kexinit=None, kex=0.4, ended=0.6)
    assert [(bar.phase, round(bar.start, 3), round(bar.end, 3)) for bar in bars(one)] == [
        ("connect", 1.0, 1.1),
        ("banner", 1.1, 1.3),
        ("kex", 1.3, 1.6),
    ]
    silent = one._replace(banner=None, kex=None)
    assert [(bar.phase, round(bar.end, 3)) for bar in bars(silent)] == [("connect", 1.1), ("", 1.6)]


def test_of_a_thousand_handshakes_two_hundred_are_drawn_with_baseline_and_recheck() -> None:
    report = timed(run("S" * 999, "t"))
    page = drawn(report)
    assert len(outlines(page)) == 200
    assert [one.words for one in page.all("text", "name")][::2] == ["Baseline: one handshake", "Recheck: one handshake"]
    assert "800 further handshakes of the burst are not drawn" in page.words
    assert float(page.one("svg", "drawing").attributes["height"]) < 2000
    assert len(history(report).all("tr")) == 1001


def test_waves_beyond_twenty_are_not_drawn() -> None:
    shakes = HEALTHY.handshakes[:1] + tuple(
        HEALTHY.handshakes[1]._replace(number=wave, wave=wave, started=wave * 0.25) for wave in range(1, 31)
    )
    page = drawn(HEALTHY._replace(handshakes=shakes))
    assert [one.words for one in page.all("text", "name")][-1] == "Burst, wave 20: 1 at once"
    assert "10 further handshakes of the burst are not drawn" in page.words


def test_the_axis_keeps_order_and_one_scale_over_its_segments() -> None:
    axis = axis_of([(0.0, 0.004), (0.25, 0.26), (0.2505, 0.262), (0.51, 0.511)])
    assert [(one.start, one.end) for one in axis.segments] == [(0.0, 0.004), (0.25, 0.262), (0.51, 0.511)]
    assert axis.at(0.002) - axis.at(0.001) == pytest.approx(axis.at(0.252) - axis.at(0.251))
    assert axis.at(0.1) == axis.at(0.004) < axis.at(0.25)
    assert [round(length, 3) for _, _, length in axis.pauses] == [0.246, 0.248]


@pytest.mark.parametrize(
    ("end", "labels"),
    [
        (0.01, ["0", "2 ms", "4 ms", "6 ms", "8 ms"]),
        (8.5, ["0", "2 s", "4 s", "6 s", "8 s"]),
        (0.00005, ["0", "0.01 ms", "0.02 ms", "0.03 ms", "0.04 ms"]),
    ],
)
def test_ticks_are_round_and_in_sensible_units(end: float, labels: list[str]) -> None:
    shown = [tick.label for tick in axis_of([(0.0, end)]).ticks() if tick.label]
    assert shown[0] == "0"
    assert set(shown) & set(labels) == set(labels)


SHAKES = st.builds(
    Handshake,
    number=st.integers(0, 2000),
    role=st.sampled_from(["baseline", "burst", "recheck", "odd"]),
    family=st.just("ipv6"),
    address=st.text(max_size=20),
    source=st.text(max_size=20),
    source_port=st.integers(0, 65535),
    ending=st.sampled_from(Ending),
    started=st.floats(0, 1e5),
    ended=st.floats(0, 1e5),
    text=st.none() | st.text(max_size=30),
    detail=st.none() | st.text(max_size=30),
    connect=st.none() | st.floats(0, 1e5),
    banner=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    kexinit=st.none() | st.floats(0, 1e-6),
    kex=st.none() | st.floats(0, 1e5),
    login=st.none() | st.floats(0, 1e5),
    host_key=st.none(),
    wave=st.integers(0, 30),
    is_second_source=st.booleans(),
    spoke_first=st.booleans(),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SHAKES, max_size=40))
def test_any_report_makes_a_page_whose_bars_lie_inside_of_the_drawing(shakes: list[Handshake]) -> None:
    report = Report("host", 22, Depth.KEXINIT, len(shakes), handshakes=tuple(shakes))
    healthy = probed(HEALTHY)
    result = healthy._replace(outcome=healthy.outcome._replace(report=report))
    page = Page(probe_page(result, NOW))
    assert len(outlines(page)) + _left_out(page) == len(shakes)
    for element in page.elements:
        if element.name in ("rect", "line", "svg"):
            for name in {"x", "width", "x1", "x2", "y", "y1", "y2", "height"} & element.attributes.keys():
                percent(element, name)
        if element.name == "rect" and element.attributes.get("x", "").endswith("%"):
            assert 0 <= percent(element, "x") <= 100
            assert percent(element, "width") >= 0
    for one in outlines(page):
        assert percent(one, "x") + percent(one, "width") <= 100.01


def _left_out(page: Page) -> int:
    found = re.search(r"([\d,]+) further handshakes? of the burst", page.words)
    return int(found[1].replace(",", "")) if found else 0
