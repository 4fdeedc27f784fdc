"""The pages as text: nothing foreign becomes markup, and what they show is what was measured."""

import base64
import hashlib
import math
import pathlib
import re
import time
from collections.abc import Callable
from enum import Enum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis.cause import PHRASES, Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import Algorithms, Handshake, Report
from ssh_exchange_exporter.pages import text
from ssh_exchange_exporter.pages.axis import axis_of
from ssh_exchange_exporter.pages.drawing import drawing
from ssh_exchange_exporter.pages.history import history_page
from ssh_exchange_exporter.pages.html import CONTENT_SECURITY_POLICY, Markup, escape, frame, join, tag
from ssh_exchange_exporter.pages.landing import FLEET_LIMIT, landing
from ssh_exchange_exporter.pages.rows import bars
from ssh_exchange_exporter.pages.stylesheet import STYLESHEET
from ssh_exchange_exporter.result import FleetRow, Result
from tests.runs import run

from .markup import Element, Page
from .probed import BANNED, EVERY_ENDING, HEALTHY, NAMELESS, NOW, STALLED, THROTTLED, probed, timed

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script></td></title></svg></style>&lt;\u202e\x1b"
HARMLESS = "Harmless"  # as it is when capitalised
REPORTS = {
    "healthy": HEALTHY,
    "throttled": THROTTLED,
    "banned": BANNED,
    "stalled": STALLED,
    "every ending": EVERY_ENDING,
    "nameless": NAMELESS,
    "nothing": run(""),
}


def history(report: Report, **changed: object) -> Page:
    return Page(history_page(probed(report, **changed), NOW))  # type: ignore[arg-type]


def overview(*rows: FleetRow, recent: tuple[Result, ...] = (), modules: tuple[str, ...] = ("default",)) -> Page:
    return Page(landing("0.1.0", rows, recent, modules, NOW))


def fleet_row(report: Report | None, target: str = "host.example:22", number: int = 1) -> FleetRow:
    return FleetRow(target, "default", {}, None if report is None else probed(report, target, number))


def all_pages() -> list[str]:
    rows = [fleet_row(report, name) for name, report in REPORTS.items()] + [fleet_row(None)]
    recent = [probed(report, name) for name, report in REPORTS.items()]
    pages = [history_page(result, NOW) for result in recent]
    return [*pages, landing("0.1.0", rows, recent, ["default", "deep"], NOW), landing("0.1.0", (), (), (), NOW)]


# --- what comes from others


def infected(value: object, poison: str) -> object:
    """A value with the poison in place of every text in it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return poison
    if isinstance(value, dict):
        return {f"{poison}{name}": infected(one, poison) for name, one in value.items()}
    if isinstance(value, tuple):
        members = [infected(one, poison) for one in value]
        return value._make(members) if hasattr(value, "_make") else tuple(members)
    return value


def full_result(poison: str) -> Result:
    """A result in which every text that a page could show is the poison, and there is one everywhere."""
    report = EVERY_ENDING._replace(
        handshakes=tuple(
            one._replace(text="said", detail="seen", identification="SSH-2.0-x") for one in EVERY_ENDING.handshakes
        ),
        algorithms=Algorithms(("kex",), ("key",), ("cipher",), ("mac",)),
        fault="fault",
        notes=("note",),
        control="control",
        host_key="key",
        held_back="held",
        window=(3, 9),
    )
    diagnosis = Diagnosis(Cause.PROXY, Confidence.LIKELY, ("evidence",), ("alternative",), ("remedy",), address="here")
    clean = probed(report)._replace(diagnosis=diagnosis)
    result = infected(clean, poison)
    assert isinstance(result, Result)
    return result._replace(verdict=result.verdict._replace(state=clean.verdict.state))  # a word of ours


def poisoned_landing(poison: str) -> str:
    result = full_result(poison)
    rows = [FleetRow(poison, poison, {poison: poison}, result), FleetRow(poison, poison, {}, None)]
    return landing(poison, rows, [result], [poison], NOW)


def poisoned_history(poison: str) -> str:
    return history_page(full_result(poison), NOW)


@pytest.mark.parametrize("make", [poisoned_landing, poisoned_history])
def test_foreign_text_in_every_field_adds_no_element_and_no_attribute(make: Callable[[str], str]) -> None:
    page, expected = Page(make(HOSTILE)), Page(make(HARMLESS))
    assert page.names == expected.names
    assert [one.attributes.keys() for one in page.elements] == [one.attributes.keys() for one in expected.elements]
    assert page.words.count("<script>alert(2)</script>") == expected.words.count(HARMLESS) >= 5


def test_what_cannot_be_printed_is_written_as_its_number() -> None:
    assert escape("a\u202eb\x00\x1b\ud800\n") == "a\\u202eb\\u0000\\u001b\\ud800\\u000a"


def test_only_markup_is_taken_as_markup() -> None:
    assert tag("p", {"title": '"'}, "<b>", Markup("<br>"), 5, None) == '<p title="&quot;">&lt;b&gt;<br>5</p>'
    assert join(["<", Markup("<br>")]) == "&lt;<br>"
    assert tag("p", None, Markup("<br>") + "<b>") == "<p>&lt;br&gt;&lt;b&gt;</p>"  # a sum is no Markup any more


@pytest.mark.parametrize("name", ["style", "onclick", "onerror", "srcdoc"])
def test_attributes_that_the_policy_forbids_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="not allowed"):
        tag("p", {name: "x"})


# --- what every page keeps to


@pytest.mark.parametrize("page", all_pages())
def test_a_page_has_no_script_no_style_attribute_and_nothing_from_elsewhere(page: str) -> None:
    read = Page(page)
    assert not {"script", "img", "iframe", "object", "base"} & read.names.keys()
    for element in read.elements:
        assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
        for name in ("href", "src", "action"):
            assert re.match(r"data:image/|\.{0,2}/|#|[-\w]+(/|$)|$", element.attributes.get(name, "")), element
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.parametrize("page", all_pages())
def test_a_page_is_well_formed_and_has_what_a_screen_reader_needs(page: str) -> None:
    read = Page(page)
    assert read.one("html").attributes["lang"] == "en"
    assert "width=device-width" in page
    assert (len(read.all("main")), len(read.all("header")), len(read.all("h1"))) == (1, 1, 1)
    levels = [int(one.name[1]) for one in read.elements if re.fullmatch("h[1-6]", one.name)]
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    ids = [one.attributes["id"] for one in read.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for element in read.elements:
        assert element.attributes.get("aria-labelledby", ids[0]) in ids
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(one.attributes["scope"] in ("col", "row") for one in read.all("th"))


def test_the_policy_allows_exactly_the_stylesheet_that_the_page_has() -> None:
    style = Page(frame("x", Markup(), depth=0)).one("style").words
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ) == CONTENT_SECURITY_POLICY


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them_and_endings_too(scheme: int) -> None:
    colours = dict(re.findall(r"--([\w-]+):(#\w{6});", re.findall(r":root\{(.*?)\}", STYLESHEET)[scheme]))
    for behind in ("ground", "card", "band"):
        for name in ("text", "quiet", "link"):
            assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
        for ending in Ending:
            assert contrast(colours[ending], colours[behind]) >= 3.0, (ending, behind)
    for state in ("ok", "warning", "critical", "unknown"):
        assert contrast(colours[state], colours[f"{state}-back"]) >= 4.5, state
    assert contrast(colours["card"], colours["link"]) >= 4.5  # the button


# --- the landing page


def test_the_fleet_has_what_fails_first_and_then_the_order_of_targets() -> None:
    page = overview(
        fleet_row(HEALTHY, "b"),
        fleet_row(None, "c"),
        fleet_row(THROTTLED, "z"),
        fleet_row(HEALTHY, "a"),
        fleet_row(STALLED, "y"),
        fleet_row(NAMELESS, "d"),
        fleet_row(THROTTLED, "e"),
    )
    names = [one.words for one in page.all("th") if one.attributes["scope"] == "row"]
    assert names == ["y", "e", "z", "d", "c", "a", "b"]
    assert "7 targets:1 critical2 warning1 unknown1 not yet2 ok" in page.words


def test_a_fleet_row_says_state_cause_ratio_latency_and_age_and_leads_to_its_probe() -> None:
    row = FleetRow("host.example:22", "deep", {"site": "fra"}, probed(THROTTLED, number=12))
    page = overview(row)
    (heading,) = [one for one in page.all("th") if one.attributes["scope"] == "row"]
    assert heading.words == "host.example:22module deep, site=fra"
    assert [one.words for one in page.all("td")] == ["warning", "MaxStartups throttling", "33 %", "1.2 ms", "12 s ago"]
    assert "history/12" in [one.attributes["href"] for one in page.all("a")]


def test_a_target_before_its_first_probe_is_shown_as_such() -> None:
    page = overview(fleet_row(None))
    assert [one.words for one in page.all("td")][:2] == ["not yet", "waits for its first probe"]
    assert not [one for one in page.all("a") if one.attributes["href"].startswith("history")]


def test_targets_beyond_the_limit_are_counted_by_state() -> None:
    rows = [fleet_row(None, f"new{number}") for number in range(3)]
    result = probed(HEALTHY)
    rows += [FleetRow(f"t{number:05}", "default", {}, result) for number in range(FLEET_LIMIT)]
    page = overview(*rows)
    assert len(page.all("tr")) == 1 + FLEET_LIMIT
    assert "3 further targets are not shown: 3 ok." in page.words


def test_five_thousand_rows_are_written_fast() -> None:
    results = [probed(report) for report in (HEALTHY, THROTTLED, BANNED)]
    rows = [FleetRow(f"t{n}", "default", {"site": "fra", "rack": "b"}, results[n % 3]) for n in range(5000)]
    begun = time.process_time()
    landing("0.1.0", rows, results, ["default"], NOW)
    assert time.process_time() - begun < 3.0  # 0.3 on an idle core; something quadratic takes a minute


def test_recent_probes_come_with_their_summary_in_the_order_given() -> None:
    recent = (probed(THROTTLED, "b", 9, took=0.515), probed(HEALTHY, "a", 8, is_background=False))
    page = overview(recent=recent)
    links = [(one.words, one.attributes["href"]) for one in page.all("a") if "history" in one.attributes["href"]]
    assert links == [("b", "history/9"), ("a", "history/8")]
    assert recent[0].summary in page.words
    assert "515 ms" in page.words


def test_the_form_asks_for_target_module_and_debug_each_with_its_label() -> None:
    page = overview(modules=("deep", "default"))
    form = page.one("form")
    assert (form.attributes["action"], form.attributes["method"]) == ("probe", "get")
    assert [one.attributes["name"] for one in page.all("input") + page.all("select")] == ["target", "debug", "module"]
    labelled = {one.attributes.get("for") for one in page.all("label")}
    assert {"target", "module"} <= labelled
    assert [one.words for one in page.all("option") if "selected" in one.attributes] == ["default"]


def test_without_the_right_to_probe_there_is_no_form() -> None:
    page = Page(landing("0.1.0", (), (), ("default",), NOW, can_probe=False))
    assert not page.all("form")
    assert "Probes cannot be started from this page" in page.words


# --- the page of a probe


@pytest.mark.parametrize(
    ("report", "state", "sure"),
    [(HEALTHY, "ok", "certain"), (THROTTLED, "warning", "likely"), (NAMELESS, "unknown", "certain")],
)
def test_the_cause_stands_in_large_with_state_and_confidence(report: Report, state: str, sure: str) -> None:
    page, result = history(report), probed(report)
    assert page.one("h1").words == PHRASES[result.diagnosis.cause]
    assert page.one("span", "badge").words == state
    assert page.one("span", "sure").words == sure
    assert result.summary in page.words


def test_evidence_alternatives_remedies_and_runbook_are_there() -> None:
    page, diagnosis = history(THROTTLED), probed(THROTTLED).diagnosis
    assert diagnosis.evidence
    assert diagnosis.alternatives
    assert {*diagnosis.evidence, *diagnosis.alternatives} <= {one.words for one in page.all("li")}
    assert [one.words for one in page.all("pre")] == list(diagnosis.remedies)
    assert diagnosis.runbook in [one.words for one in page.all("code")]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.HEALTHY])
def test_the_runbook_that_a_page_names_exists(cause: Cause) -> None:
    page = Page(history_page(probed(STALLED, diagnosis=Diagnosis(cause, Confidence.LIKELY)), NOW))
    (path,) = [one.words for one in page.all("code") if one.words.startswith("docs/")]
    assert (pathlib.Path(__file__).parents[2] / path).is_file()


def test_every_handshake_has_a_row_with_its_phases_in_milliseconds() -> None:
    page = history(THROTTLED)
    headings = [one.words for one in page.all("th") if one.attributes["scope"] == "col"]
    assert headings[:7] == ["#", "Role", "Ending", "connect (ms)", "banner (ms)", "kexinit (ms)", "End (ms)"]
    cells = [one.words for one in page.all("td")]
    assert cells[:8] == ["baseline", "completed", "0.02", "1.2", "1.1", "2.6", "", "192.0.2.1"]
    assert cells.count("Exceeded MaxStartups") == 2


def test_a_probe_without_handshakes_says_why() -> None:
    page = history(NAMELESS)
    assert NAMELESS.fault is not None
    assert NAMELESS.fault in page.words
    assert "nothing to draw" in page.words
    assert not page.all("table")


def test_fault_and_notes_are_shown() -> None:
    page = history(HEALTHY._replace(fault="no descriptors left", notes=("three at once", "less time")))
    for words in ("no descriptors left", "three at once", "less time"):
        assert words in page.words


def test_links_of_the_page_of_a_probe_lead_one_folder_up() -> None:
    links = {one.attributes["href"] for one in history(HEALTHY).all("a")}
    assert links == {"../", "../metrics", "../config", "../-/healthy", "#content"}


# --- the drawing


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
        "Baseline: one alone",
        "Burst: 12 at once",
        "Recheck: from 192.0.2.10",
        "Recheck: one more alone",
        "Recheck: we spoke first",
    ]


def test_the_picture_has_a_summary_in_words() -> None:
    picture = drawn(THROTTLED).one("svg", "drawing")
    assert picture.attributes["role"] == "img"
    assert picture.attributes["aria-label"] == (
        "6 handshakes in 513 ms: 4 completed, 2 turned_away. "
        "Baseline: one alone; Burst: 4 at once; Recheck: one more alone."
    )


def test_a_pause_is_left_out_where_it_would_make_the_phases_invisible() -> None:
    page = drawn(THROTTLED)
    assert len(page.all("rect", "pause")) == 2
    assert "Pauses in which nothing happened are left out (2, the longest" in page.words
    assert min(percent(one, "width") for one in outlines(page)) > 10


def test_a_pause_is_drawn_where_the_handshakes_take_longer_than_it() -> None:
    shakes = tuple(one._replace(started=min(1, one.number) * 2.25, ended=2.0) for one in HEALTHY.handshakes)
    page = drawn(HEALTHY._replace(handshakes=shakes))
    assert not page.all("rect", "pause")
    assert "left out" not in page.words


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
    assert [one.words for one in page.all("text", "name")][::2] == ["Baseline: one alone", "Recheck: one more alone"]
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
    wave=st.integers(0, 30),
    is_witness=st.booleans(),
    spoke_first=st.booleans(),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SHAKES, max_size=40))
def test_any_report_makes_a_page_whose_bars_lie_inside_of_the_drawing(shakes: list[Handshake]) -> None:
    report = Report("host", 22, Depth.KEXINIT, len(shakes), handshakes=tuple(shakes))
    result = probed(HEALTHY)._replace(report=report)
    page = Page(history_page(result, NOW))
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


# --- words for times


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "now"),
        (0.4, "now"),
        (12, "12 s ago"),
        (59.9, "59 s ago"),
        (200, "3 min ago"),
        (7300, "2 h ago"),
        (1e6, "11 d ago"),
    ],
)
def test_ages(seconds: float, words: str) -> None:
    assert text.age(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.00031, "0.31 ms"), (0.15, "150 ms"), (0.9996, "1.0 s"), (8.51, "8.5 s"), (120.2, "120 s")],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words
