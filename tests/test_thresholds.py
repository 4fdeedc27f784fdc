"""Ranges and states as users write them."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nagiosplugin.range import Range

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.plugin.thresholds import parse_range, parse_states, parse_thresholds, shortest
from check_ssh_exchange.remote.options import WORDS

NUMBERS = st.one_of(
    st.integers(-99999, 99999).map(str),
    st.decimals(-9999, 9999, places=3, allow_nan=False).map(str),
    st.sampled_from(["0", "-0", "00", "0.0", ".5", "-.5", "007"]),
)
# What separates the parts of a range, and what other parsers of numbers take.
PIECES = st.lists(st.sampled_from([*"@~:-.019", "+", "e", "E", "_", " ", ",", "x", "\n", "\0", "٣", "²", "inf", "nan"]))


@st.composite
def ranges(draw: st.DrawFn) -> str:
    start = draw(st.one_of(st.none(), st.just("~"), st.just(""), NUMBERS))
    end = draw(st.one_of(st.just(""), NUMBERS))
    low = -math.inf if start == "~" else float(start or 0)
    if end and low > float(end):
        start, end = end, start or "0"
    spec = end if start is None else f"{start}:{end}"
    if spec in ("", ":"):
        spec = "0:"
    return draw(st.sampled_from(["", "@"])) + spec


def alerts(spec: str, value: float) -> bool:
    """Whether a range alerts on a value, in the words of the plugin guidelines."""
    inside = spec.startswith("@")
    start, colon, end = spec.removeprefix("@").rpartition(":")
    low = -math.inf if start == "~" else float(start or 0)
    high = float(end) if end else math.inf
    assert colon or end
    return (low <= value <= high) is inside


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("5", "5"),
        ("0", "0"),
        ("0:5", "5"),
        (":5", "5"),
        ("0.0:5", "5"),
        ("-0:5", "5"),
        ("@0:5", "@5"),
        ("@:5", "@5"),
        ("@5", "@5"),
        ("0.5", "0.5"),
        (".5", ".5"),
        ("1:5", "1:5"),
        ("5:5", "5:5"),
        ("@1:5", "@1:5"),
        ("-5:-1", "-5:-1"),
        ("-5:0", "-5:0"),
        ("~:5", "~:5"),
        ("~:-5", "~:-5"),
        ("~:", "~:"),
        ("5:", "5:"),
        ("0:", "0:"),
        ("@5:", "@5:"),
        ("@~:5", "@~:5"),
    ],
)
def test_a_range_is_kept_as_written_and_has_one_shortest_form(written: str, short: str) -> None:
    assert parse_range(written) == written
    assert shortest(written) == short


@given(ranges())
def test_every_range_of_the_guidelines_is_what_nagiosplugin_takes_it_for(spec: str) -> None:
    assert Range(shortest(parse_range(spec))) == Range(spec)


@given(ranges(), st.floats(-20000, 20000))
def test_the_shortest_form_alerts_where_the_written_one_does(spec: str, value: float) -> None:
    assert alerts(parse_range(spec), value) is alerts(spec, value) is (not Range(spec).match(value))


@given(ranges())
def test_the_shortest_form_stays_as_it_is(spec: str) -> None:
    shortest = parse_range(spec)
    assert parse_range(shortest) == shortest
    assert len(shortest) <= len(spec)


@given(PIECES.map("".join))
@example("5\n")
@example("٣")
@example("1_000")
def test_whatever_is_accepted_has_ascii_digits_only_and_is_the_same_range_for_nagiosplugin(spec: str) -> None:
    try:
        shortest = parse_range(spec)
    except ValueError:
        return
    assert re.fullmatch(r"[@~:\-.0-9]+", shortest, re.ASCII)
    assert Range(shortest) == Range(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "", "@", ":", "@:", "~", "@~", "5:6:7", "1:2:", "::", "abc", "5x", "x5", "--5", "-", ".", "5.", "1..2", "1.2.3",
        "1e3", "1E3", "1e-05", "inf", "-inf", "nan", "infinity", "1_000", "٣", "\uff11", "²", " 5", "5 ", "5 : 6", "+5",
        "5%", "5s", "0x10", "5;6", "5,6", "@@5", "5@", "~5:6", "5:~", "5\n", "\n5", "5\0", "5|6", "=5", "True",
    ],
)  # fmt: skip
def test_a_malformed_range_is_refused_with_a_sentence(spec: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_range(spec)
    assert str(refused.value) == f"{spec!r} is not a valid Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"


@pytest.mark.parametrize("spec", ["6:5", "-5", "-.1", "@6:5", "0:-1", ":-1", "0.2:0.1", "-1:-2"])
def test_a_range_that_ends_before_it_begins_is_refused(spec: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_range(spec)
    assert str(refused.value) == f"{spec!r} is not a valid range: it ends before it begins"


@pytest.mark.parametrize("spec", ["9" * 5000, "9" * 400, "0:" + "9" * 5000, "0." + "9" * 5000])
def test_a_number_of_absurd_length_is_refused_as_nagiosplugin_cannot_read_it(spec: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid Nagios range, as in 5, 1:5, ~:5, 5: or @1:5\Z"):
        parse_range(spec)


def test_thresholds_are_pairs_of_labels_and_ranges() -> None:
    assert parse_thresholds("banner_p50=0:0.5", LABELS) == {"banner_p50": "0:0.5"}
    assert parse_thresholds("early_close=10,completed=@0:3,timeout=~:2", LABELS) == {
        "early_close": "10",
        "completed": "@0:3",
        "timeout": "~:2",
    }


def test_of_two_ranges_for_one_label_the_later_holds() -> None:
    assert parse_thresholds("failed=1,failed=2", LABELS) == {"failed": "2"}


@pytest.mark.parametrize("label", LABELS)
def test_every_label_takes_a_range(label: str) -> None:
    assert parse_thresholds(f"{label}=1:2", LABELS) == {label: "1:2"}


@pytest.mark.parametrize("text", ["", "5", "banner_p50", "banner_p50:5", "banner_p50=1,", ",banner_p50=1"])
def test_a_threshold_without_its_equals_sign_is_refused(text: str) -> None:
    item = next(part for part in text.split(",") if "=" not in part)
    with pytest.raises(ValueError) as refused:
        parse_thresholds(text, LABELS)
    assert str(refused.value) == f"{item!r} is not a valid LABEL=RANGE, as in handshakes=5"


@pytest.mark.parametrize("label", ["", "banner", "BANNER_P50", " banner_p50", "banner_p50 ", "banner_p51"])
def test_an_unknown_label_is_refused_with_the_known_ones(label: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_thresholds(f"{label}=1", LABELS)
    assert str(refused.value) == f"{label!r} is not a perfdata label; these are: {', '.join(LABELS)}"


@pytest.mark.parametrize("word", [*Ending, *Cause])
def test_every_ending_and_every_cause_can_be_given_a_state(word: str) -> None:
    assert parse_states(f"{word}=WARNING", WORDS, "an ending or a cause") == {word: "warning"}


def test_states_may_stand_in_a_list() -> None:
    assert parse_states("closed=ok,maxstartups=Critical,refused=unknown", WORDS, "an ending or a cause") == {
        "closed": "ok",
        "maxstartups": "critical",
        "refused": "unknown",
    }


@pytest.mark.parametrize("word", ["", "early_close", "Closed", " closed", "timeout"])
def test_an_unknown_word_is_refused_with_the_known_ones(word: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_states(f"{word}=ok", WORDS, "an ending or a cause")
    known = ", ".join(dict.fromkeys([*Ending, *Cause]))
    assert str(refused.value) == f"{word!r} is not an ending or a cause; these are: {known}"


@pytest.mark.parametrize("item", ["closed", "closed=", "closed=warn", "closed=1", "closed= ok", "closed=ok=ok"])
def test_an_unknown_state_is_refused_with_the_known_ones(item: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_states(item, WORDS, "an ending or a cause")
    assert str(refused.value) == f"{item!r} does not name a state: ok, warning, critical or unknown"
