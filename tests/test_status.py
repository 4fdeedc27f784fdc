"""The status line of a run and its perfdata, and what nagiosplugin's Runtime would have made of them."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.figures import LABELS, UNITS
from check_ssh_exchange.ending import NOT_ACCEPTED, Ending
from check_ssh_exchange.plugin.output import json_line
from check_ssh_exchange.plugin.perfdata import fixed
from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.report import Fault, FaultKind, Report, Server, Shortfall, ShortfallKind
from check_ssh_exchange.text import printable

from .reports import CLOSED, COMPLETED, RESET, TURNED, judged, outcome, run, state

HEALTHY = Diagnosis(Cause.HEALTHY, Confidence.CERTAIN)
COUNTERS = ("handshakes", "completed", "failed", "closed", "reset", "turned_away", "closed_after_banner", "refused",
            "rejected", "timeout")  # fmt: skip


def shortfall(reason: str) -> Shortfall:
    return Shortfall(ShortfallKind.DESCRIPTORS, 1, reason)


def perfdata(report: Report, *options: str) -> dict[str, str]:
    """Return label -> all behind the equals sign."""
    block = judged(report, *options)[0].perfdata
    return dict(item.split("=", 1) for item in block.split(" "))


# --- perfdata


def test_the_whole_block_of_a_mixed_run() -> None:
    report = run(COMPLETED, COMPLETED, CLOSED, RESET, TURNED, Ending.REFUSED, Ending.BANNER_TIMEOUT, Ending.REJECTED)
    assert judged(report, "-w", "failed=@1:2,kexinit_p50=0:0.5", "-c", "connect_max=~:3")[0].perfdata == (
        "handshakes=8;;;0 completed=2;;;0 early_close=50%;0;50;0;100 failed=75%;@1:2;;0;100 "
        "connect_p50=0.00001s;;;0 connect_max=0.00001s;;~:3;0 banner_p50=0.003s;1;5;0 banner_max=0.003s;;;0 "
        "kexinit_p50=0.0015s;0.5;;0 kexinit_max=0.0015s;;;0 "
        "closed=1;;;0 reset=1;;;0 turned_away=1;;;0 closed_after_banner=0;;;0 refused=1;;;0 rejected=1;;;0 "
        "timeout=1;;;0 baseline_banner=0.003s;;;0"
    )


ITEM = re.compile(
    r"(?P<label>[a-z0-9_]{1,19})=(?P<value>-?\d+(?:\.\d{1,6})?)(?P<unit>s|%|)"
    r"(?:;(?P<warn>[@~:.\d-]*)(?:;(?P<crit>[@~:.\d-]*)(?:;(?P<min>0)(?:;(?P<max>100))?)?)?)?",
    re.ASCII,
)


@given(
    st.lists(st.sampled_from(Ending), min_size=1, max_size=12),
    st.floats(0, 3600) | st.floats(0, 1e-4),
    st.lists(st.builds("-{}{}=@1:2.5".format, st.sampled_from("wc"), st.sampled_from(LABELS)), max_size=4),
)
def test_the_grammar_holds_for_every_run(endings: list[Ending], banner: float, options: list[str]) -> None:
    report = run(*endings, banner=banner)
    verdict, output = judged(report, *options)
    assert output.count("|") == 1
    assert output == f"{output.partition(' | ')[0]} | {verdict.perfdata}\n"
    matches = [ITEM.fullmatch(item) for item in verdict.perfdata.split(" ")]
    assert all(matches)
    items = [match for match in matches if match]
    labels = [match["label"] for match in items]
    assert labels == [label for label in LABELS if label in labels]
    assert set(COUNTERS) <= set(labels)
    assert {match["label"]: match["unit"] for match in items} == {label: UNITS[label] for label in labels}
    assert ("early_close" in labels) is any(ending not in NOT_ACCEPTED for ending in endings)
    assert ("banner_p50" in labels) is (COMPLETED in endings)
    assert ("kexinit_p50" in labels) is (COMPLETED in endings)
    assert all(match["max"] == "100" for match in items if match["unit"] == "%")


def test_the_labels_come_in_the_order_of_the_contract() -> None:
    assert list(LABELS)[:18] == [
        "handshakes", "completed", "early_close", "failed", "connect_p50", "connect_max", "banner_p50", "banner_max",
        "kexinit_p50", "kexinit_max", "closed", "reset", "turned_away", "closed_after_banner", "refused", "rejected",
        "timeout", "baseline_banner",
    ]  # fmt: skip
    # Behind those of the contract: what other depths, an estimate and a state file add.
    deeper = [label.rpartition("_")[0] for label in list(LABELS)[18:24]]
    assert deeper == ["hostkey", "hostkey", "kex", "kex", "login", "login"]


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.00001, "0.00001"), (1e-7, "0"), (0.1 + 0.2, "0.3"), (100.0, "100"), (0.0, "0"), (1e6, "1000000"), (5, "5"),
     (1e22, "10000000000000000000000"), (123456.7891234, "123456.789123"), (10, "10")],
)  # fmt: skip
def test_numbers_are_fixed_point(value: float, written: str) -> None:
    assert fixed(value) == written


def test_counters_are_there_and_figures_that_were_not_measured_are_not() -> None:
    assert tuple(perfdata(run(Ending.REFUSED))) == COUNTERS
    assert tuple(perfdata(run(CLOSED))) == (*COUNTERS[:2], "early_close", *COUNTERS[2:])
    assert perfdata(run(CLOSED))["early_close"] == "100%;0;50;0;100"


def test_a_baseline_that_failed_has_no_baseline_figure() -> None:
    labels = perfdata(run(CLOSED, COMPLETED))
    assert "banner_p50" in labels
    assert "baseline_banner" not in labels


def test_quantiles_are_those_of_the_completed_phases() -> None:
    report = run(*[COMPLETED] * 4, CLOSED)
    spread = [h._replace(banner=0.1 * (h.number + 1) if h.banner else None) for h in report.handshakes]
    block = perfdata(report._replace(handshakes=tuple(spread)))
    assert (block["banner_p50"], block["banner_max"]) == ("0.25s;1;5;0", "0.4s;;;0")
    assert block["baseline_banner"] == "0.1s;;;0"


# --- the first line


HOSTILE = [
    b"A" * 1000,
    b"|" * 1000,
    b"\x00\x1b[31m" * 200,
    b"x\r\nSSH OK - fine | early_close=0%\r\n" * 30,
    b"\xff\xfe" * 500,
    b"<script>alert(1)</script>'\"\\;=" * 40,
]


@pytest.mark.parametrize("said", HOSTILE)
@pytest.mark.parametrize("verbosity", ["", "-v", "-vv", "-vvv"])
def test_hostile_texts_stay_short_and_printable(said: bytes, verbosity: str) -> None:
    name = printable(said)
    options = [verbosity] if verbosity else []
    unknown_server = Server(name, "2.0", name, name)
    reports = [
        run(COMPLETED, TURNED, TURNED, said=said),
        run(TURNED, said=said),
        run(Ending.NOT_SSH, said=said),
        run(COMPLETED)._replace(server=unknown_server),
        run(asked=5, fault=Fault(FaultKind.LOCAL, said.decode("latin-1"))),
        run(COMPLETED, asked=2, shortfalls=(shortfall(name), shortfall(name + "x"))),
    ]
    for report in reports:
        verdict, output = judged(report, *options, "-r", "OpenSSH_9.2p1")
        first, *rest = output.removesuffix("\n").split("\n")
        assert len(first.split(" | ")[0]) < 200
        assert first.endswith(f" | {verdict.perfdata}")
        assert output.count("|") == 1
        assert all(line.isascii() and line.isprintable() for line in [first, *rest])
        assert bool(rest) is bool(options)
        assert len(output) < 60_100


def test_the_line_of_a_healthy_run() -> None:
    assert judged(run(*[COMPLETED] * 5, banner=0.0031))[1] == (
        "SSH OK - OpenSSH_9.2p1 (protocol 2.0), 5/5 handshakes, banner 3.1 ms | "
        "handshakes=5;;;0 completed=5;;;0 early_close=0%;0;50;0;100 failed=0%;;;0;100 connect_p50=0.00001s;;;0 "
        "connect_max=0.00001s;;;0 banner_p50=0.0031s;1;5;0 banner_max=0.0031s;;;0 kexinit_p50=0.0015s;;;0 "
        "kexinit_max=0.0015s;;;0 closed=0;;;0 reset=0;;;0 turned_away=0;;;0 closed_after_banner=0;;;0 refused=0;;;0 "
        "rejected=0;;;0 timeout=0;;;0 baseline_banner=0.0031s;;;0\n"
    )


def test_the_cause_leads_when_something_is_wrong() -> None:
    report = run(COMPLETED, COMPLETED, COMPLETED, TURNED, TURNED, said=b"Exceeded MaxStartups\r\n")
    assert judged(report, cause=Cause.MAXSTARTUPS)[1].split(" | ")[0] == (
        'SSH WARNING - 2 of 5 handshakes turned away: MaxStartups throttling, "Exceeded MaxStartups"'
    )


# --- what nagiosplugin's Runtime would have done


@pytest.mark.parametrize("verbosity", ["-v", "-vv", "-vvv"])
def test_perfdata_stands_on_the_first_line_at_every_verbosity(verbosity: str) -> None:
    report = run(COMPLETED, COMPLETED, CLOSED)
    plain, wordy = judged(report)[1], judged(report, verbosity)[1]
    assert wordy.split("\n")[0] + "\n" == plain
    assert wordy.count("|") == 1


def test_no_line_reports_removed_characters() -> None:
    _, output = judged(run(TURNED, said=b"a|b\x00c\nd"))
    assert output.count("\n") == 1
    assert '"a\\x7cb\\x00c / d"' in output


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_never_ok(value: float) -> None:
    try:
        found = state(run(*[COMPLETED] * 5, banner=value))
    except ValueError:
        return  # main() answers UNKNOWN
    assert found != "ok"


def test_a_fault_loses_no_result_measured_before_it() -> None:
    report = run(COMPLETED, COMPLETED, CLOSED, asked=5, fault=Fault(FaultKind.LOCAL, "no file descriptor"))
    _, output = judged(report)
    known = "handshakes=3;;;0 completed=2;;;0 early_close=33.333333%;0;50;0;100 failed=33.333333%;;;0;100"
    assert output.startswith(f"SSH UNKNOWN - no file descriptor | {known}")
    printed = json.loads(json_line(document(outcome(report))))
    assert [handshake["ending"] for handshake in printed["handshakes"]] == ["completed", "completed", "closed"]


def test_judging_one_run_leaves_nothing_behind_for_the_next() -> None:
    healthy, sick = run(*[COMPLETED] * 5), run(*[TURNED] * 5, said=b"Exceeded MaxStartups")
    before = judged(healthy, "-v")
    judged(sick, "-vvv", "-w", "banner_p50=0", "--state", "maxstartups=unknown", "-r", "x")
    assert judged(healthy, "-v") == before
