"""The pages as text: nothing foreign becomes markup, and what they show is what was measured."""

import base64
import hashlib
import re
import time
from collections.abc import Callable
from enum import Enum

import pytest

from check_ssh_exchange.diagnosis.cause import PHRASES, Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.remedies import Remedy, Where
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import (
    Algorithms,
    Certificate,
    Fault,
    FaultKind,
    HostKey,
    Report,
    Shortfall,
    ShortfallKind,
)
from check_ssh_exchange.text import printable
from ssh_exchange_exporter.pages.html import CONTENT_SECURITY_POLICY, Markup, escape, frame, join, tag
from ssh_exchange_exporter.pages.landing import FLEET_LIMIT, landing
from ssh_exchange_exporter.pages.probe_page import probe_page
from ssh_exchange_exporter.pages.stylesheet import STYLESHEET
from ssh_exchange_exporter.probe_request import Origin
from ssh_exchange_exporter.result import FleetRow, Result
from tests.runs import run

from .markup import Page
from .probed import BANNED, EVERY_ENDING, HEALTHY, NAMELESS, NOW, STALLED, THROTTLED, probed, with_diagnosis

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
    return Page(probe_page(probed(report, **changed), NOW))  # type: ignore[arg-type]


def overview(*rows: FleetRow, recent: tuple[Result, ...] = (), modules: tuple[str, ...] = ("default",)) -> Page:
    return Page(landing("0.1.0", rows, recent, modules, NOW))


def fleet_row(report: Report | None, target: str = "host.example:22", number: int = 1) -> FleetRow:
    return FleetRow(target, "default", {}, None if report is None else probed(report, target, number))


def all_pages() -> list[str]:
    rows = [fleet_row(report, name) for name, report in REPORTS.items()] + [fleet_row(None)]
    recent = [probed(report, name) for name, report in REPORTS.items()]
    pages = [probe_page(result, NOW) for result in recent]
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


KEY = HostKey("kind", "print", Certificate("id", 7, ("name",), 0, 1, "authority"))


def full_result(poison: str) -> Result:
    """A result in which every text that a page could show is the poison, and there is one everywhere."""
    report = EVERY_ENDING._replace(
        handshakes=tuple(
            one._replace(text="said", detail="seen", identification="SSH-2.0-x", host_key=KEY)
            for one in EVERY_ENDING.handshakes
        ),
        algorithms=Algorithms(("kex",), ("key",), ("cipher",), ("mac",)),
        fault=Fault(FaultKind.LOCAL, "fault"),
        control=True,
    )
    remedies = (Remedy(Where.SERVER, "remedy"),)
    diagnosis = Diagnosis(Cause.PROXY, Confidence.LIKELY, ("evidence",), ("alternative",), remedies, address="here")
    plain = with_diagnosis(probed(report), diagnosis)
    clean = plain._replace(outcome=plain.outcome._replace(notes=("note",)))
    result = infected(clean, poison)
    assert isinstance(result, Result)
    verdict = result.verdict._replace(state=clean.verdict.state)  # a word of the program
    return result._replace(outcome=result.outcome._replace(verdict=verdict))


def poisoned_landing(poison: str) -> str:
    result = full_result(poison)
    rows = [FleetRow(poison, poison, {poison: poison}, result), FleetRow(poison, poison, {}, None)]
    return landing(poison, rows, [result], [poison], NOW)


def poisoned_history(poison: str) -> str:
    return probe_page(full_result(poison), NOW)


@pytest.mark.parametrize("make", [poisoned_landing, poisoned_history])
def test_foreign_text_in_every_field_adds_no_element_and_no_attribute(make: Callable[[str], str]) -> None:
    page, expected = Page(make(HOSTILE)), Page(make(HARMLESS))
    assert page.names == expected.names
    assert [one.attributes.keys() for one in page.elements] == [one.attributes.keys() for one in expected.elements]
    script = "<script>alert(2)</script>"
    shown = page.words.count(script) + page.words.count(printable(script))  # a status line is printable already
    assert shown == expected.words.count(HARMLESS) >= 5


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
    assert "history/12?target=host.example%3A22&module=deep" in [one.attributes["href"] for one in page.all("a")]


def test_a_target_before_its_first_probe_is_shown_as_such() -> None:
    page = overview(fleet_row(None))
    assert [one.words for one in page.all("td")][:2] == ["not yet", "waiting for its first probe"]
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
    recent = (probed(THROTTLED, "b", 9, took=0.515), probed(HEALTHY, "a", 8, origin=Origin.PROBE))
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
    assert [one.words for one in page.all("pre")] == [remedy.command for remedy in diagnosis.remedies]
    assert f"On the {diagnosis.remedies[0].where}:" in [one.words for one in page.all("p")]
    assert "More in the runbook: maxstartups" in [one.words for one in page.all("p")]


@pytest.mark.parametrize("cause", Cause)
def test_every_page_that_names_a_cause_leads_to_its_runbook(cause: Cause) -> None:
    result = with_diagnosis(probed(STALLED), Diagnosis(cause, Confidence.LIKELY))
    links = [one.attributes["href"] for one in Page(probe_page(result, NOW)).all("a")]
    assert set(links) >= {f"../runbook/{cause}", "../runbook/"}
    page = overview(FleetRow("t", "default", {}, result), recent=(result,))
    named = [(one.words, one.attributes["href"]) for one in page.all("a") if "runbook" in one.attributes["href"]]
    assert named == [("Runbook", "runbook/"), *[(PHRASES[cause], f"runbook/{cause}")] * 2]


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
    assert NAMELESS.fault.sentence in page.words
    assert "nothing to draw" in page.words
    assert not page.all("table")


def test_fault_and_notes_are_shown() -> None:
    shortfalls = (Shortfall(ShortfallKind.DESCRIPTORS, 3), Shortfall(ShortfallKind.FURTHER_TEST, reason="no time"))
    page = history(HEALTHY._replace(fault=Fault(FaultKind.LOCAL, "no descriptors left"), shortfalls=shortfalls))
    for words in ("no descriptors left", "at most 3 at once", "a further test was not possible: no time"):
        assert words in page.words


def test_a_fault_that_the_summary_cuts_is_shown_in_full() -> None:
    fault = "no descriptors left, " * 40
    assert fault.strip() in history(HEALTHY._replace(fault=Fault(FaultKind.LOCAL, fault))).words


def test_links_of_the_page_of_a_probe_lead_one_folder_up() -> None:
    links = {one.attributes["href"] for one in history(HEALTHY).all("a")}
    own = {"../", "../metrics", "../config", "../runbook/", "../-/healthy", "#content"}
    assert links == own | {"../runbook/healthy"}
