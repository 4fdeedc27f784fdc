"""From a report to an outcome: what earlier runs add to state, window and notes, and what an excuse covers."""

import json

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.evaluate import Outcome, evaluate
from check_ssh_exchange.diagnosis.history import PARTS, History, Past
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.plan import Plan
from check_ssh_exchange.remote.options import parse
from check_ssh_exchange.remote.status_line import line
from check_ssh_exchange.report import Algorithms, HostKey, Report, Server, Shortfall, ShortfallKind
from tests.runs import EXCEEDED, run

NOON = 1_700_000_000.0
UNBEGUN = Report(host="host.example", port=22, depth=Depth.KEXINIT, asked=5)
WEEK = 7 * 86400.0
THROTTLED = run("SSSSt", "S", says=EXCEEDED, by="9.2", at=NOON)
SERVED = run("SSSSS", by="9.2", at=NOON + 60)


def evaluated(report: Report, history: History | None, *options: str) -> Outcome:
    return evaluate(report, history, parse(["-H", "host.example", *options]).expectations)


def after_a_throttled_run(*options: str) -> Outcome:
    """The outcome of a run in which all was served, right after one that was throttled."""
    return evaluated(SERVED, evaluated(THROTTLED, History(), *options).history, *options)


@pytest.mark.parametrize("words", ["maxstartups=ok", "turned_away=ok", "turned_away=ok,closed=ok"])
def test_the_state_of_a_cause_or_an_ending_holds_for_the_window_too(words: str) -> None:
    for outcome in (evaluated(THROTTLED, History(), "--state", words), after_a_throttled_run("--state", words)):
        assert str(outcome.verdict.state) == "ok", line(outcome)


def test_an_excused_run_does_not_excuse_what_other_causes_closed_in_the_window() -> None:
    fault = run("ccccc", "c", by="9.2", at=NOON - 60)
    option = ("--state", "maxstartups=ok")
    history = evaluated(THROTTLED, evaluated(fault, History(), *option).history, *option).history
    outcome = evaluated(SERVED, history, *option)
    assert line(outcome).startswith("SSH WARNING - perhaps ")
    assert (outcome.diagnosis.cause, outcome.window) == (evaluated(fault, History()).diagnosis.cause, (7, 17))


def test_an_excused_cause_of_this_run_does_not_excuse_the_window() -> None:
    refused = run("RRRRR", at=NOON + 60)
    history = evaluated(THROTTLED, History()).history
    outcome = evaluated(refused, history, "--state", "not_listening=ok")
    assert str(outcome.verdict.state) == "warning", line(outcome)


def test_the_state_of_another_word_does_not_excuse_the_window() -> None:
    outcome = after_a_throttled_run("--state", "closed=ok,reset=ok")
    assert line(outcome).startswith(
        "SSH WARNING - perhaps MaxStartups throttling, early_close_window is 9.090909 % (outside 1)"
    )


@pytest.mark.parametrize("option", ["-w", "-c"])
def test_a_window_outside_either_range_names_the_cause_that_was_seen_last(option: str) -> None:
    lifted = ("-w", "early_close_window=~:") if option == "-c" else ()
    outcome = after_a_throttled_run(*lifted, option, "early_close_window=5")
    assert (outcome.diagnosis.cause, str(outcome.diagnosis.confidence)) == (Cause.MAXSTARTUPS, "possible")
    assert "early_close_window is 9.090909 % (outside 5)" in line(outcome)


def test_a_window_of_seven_days_holds_a_run_a_minute_in_bounded_memory() -> None:
    history, runs = History(), int(WEEK) // 60
    expectations = parse(["-H", "host.example", "--window", "7d"]).expectations
    first = evaluate(THROTTLED._replace(at=NOON + 60), history, expectations)
    history = first.history
    for minute in range(2, runs + 1):
        history = evaluate(SERVED._replace(at=NOON + 60 * minute), history, expectations).history
    assert len(history.runs) <= PARTS + 1
    early, accepted = history.window(NOON + WEEK, WEEK)
    assert early == 1
    assert accepted == 5 * runs + 1
    later = evaluate(SERVED._replace(at=NOON + WEEK + 1200), history, expectations).history
    assert later.window(NOON + WEEK + 1200, WEEK)[0] == 0


def test_runs_far_apart_are_kept_one_by_one() -> None:
    history = evaluated(SERVED, History((Past(NOON, 5, 0),))).history
    assert history.runs == (Past(NOON, 5, 0), Past(NOON + 60, 5, 0))


def test_without_a_history_nothing_is_compared_and_no_window_is_counted() -> None:
    outcome = evaluate(SERVED, None, parse(["-H", "host.example"]).expectations)
    assert (outcome.window, outcome.notes, outcome.history) == (None, (), History())


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"depth": "deep"}, "depth must be one of banner, kexinit, hostkey, kex, login, not 'deep'"),
        ({"family": "ipx"}, "family must be one of any, ipv4, ipv6, not 'ipx'"),
        ({"handshakes": 0}, "handshakes must be a whole number of at least 1, not 0"),
        ({"handshakes": 2.5}, "handshakes must be a whole number of at least 1, not 2.5"),
        ({"concurrency": -1}, "concurrency must be a whole number of at least 1, not -1"),
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1, not 0"),
        ({"timeout": 0.0}, "timeout must be more than 0 seconds, not 0.0"),
        ({"timeout": "3"}, "timeout must be more than 0 seconds, not '3'"),
        ({"timeout": float("nan")}, "timeout must be more than 0 seconds, not nan"),
        ({"timeout": float("inf")}, "timeout must be more than 0 seconds, not inf"),
        ({"sources": "127.0.0.1"}, "sources must be a tuple of addresses, not '127.0.0.1'"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_a_sentence(
    changed: dict[str, object], sentence: str
) -> None:
    plan = Plan()._replace(**changed)  # type: ignore[arg-type]
    with pytest.raises(ValueError) as refused:
        plan.checked()
    assert str(refused.value) == sentence


def test_a_run_that_waits_for_a_penalty_is_critical_and_makes_no_other_claim() -> None:
    history = History(wait_until=NOON + 30, wait=40)
    outcome = evaluated(UNBEGUN._replace(at=NOON), history)
    assert (outcome.diagnosis.cause, str(outcome.verdict.state)) == (Cause.PENALTY, "critical")
    assert line(outcome).startswith("SSH CRITICAL - a penalty against our address seemed to hold at ")


@pytest.mark.parametrize("history", [History(), History(wait_until=NOON - 1, wait=20)])
def test_a_run_without_an_ended_handshake_is_not_taken_for_one_that_waits(history: History) -> None:
    late = UNBEGUN._replace(at=NOON, shortfalls=(Shortfall(ShortfallKind.TIME, 4),))
    for report in (UNBEGUN._replace(at=NOON), late):
        outcome = evaluated(report, history)
        assert (outcome.diagnosis.cause, str(outcome.verdict.state)) == (Cause.UNEXPLAINED, "unknown")
    assert evaluated(late, History(wait_until=NOON + 30, wait=40)).diagnosis.cause is Cause.UNEXPLAINED


def named(software: str, at: float = NOON) -> Report:
    return run("SSSSS", by="9.2", at=at)._replace(server=Server(f"SSH-2.0-{software}", "2.0", software, ""))


def notes_of(*names: str) -> list[tuple[str, ...]]:
    """The notes of runs one after another, against a server that names itself so."""
    history, notes = History(), []
    for number, name in enumerate(names):
        outcome = evaluated(named(name, NOON + 60 * number), history)
        history = outcome.history
        notes.append(outcome.notes)
    return notes


def test_a_new_identification_is_told_and_one_that_always_changes_once() -> None:
    changed = "the server was 'SSH-2.0-a' before, now 'SSH-2.0-b'"
    always = "the server names itself differently each time"
    assert notes_of("a", "a", "b", "b", "b") == [(), (), (changed,), (), ()]
    assert notes_of("a", "b", "c", "d", "e") == [(), (changed,), (always,), (), ()]


def test_a_server_with_another_name_in_each_handshake_is_not_told_at_all() -> None:
    def at_random(start: int) -> Report:
        report = named(f"x{start}", NOON + start)
        shakes = tuple(h._replace(identification=f"SSH-2.0-x{start + n}") for n, h in enumerate(report.handshakes))
        return report._replace(handshakes=shakes)

    history = History()
    for start in range(0, 50, 10):
        outcome = evaluated(at_random(start), history)
        history = outcome.history
        assert outcome.notes == ()


def test_a_slow_kexinit_is_a_warning_unless_its_state_is_set() -> None:
    late = run("S" * 5, by="9.2")
    late = late._replace(handshakes=tuple(h._replace(banner=0.01, kexinit=3.2) for h in late.handshakes))
    assert str(evaluated(late, History()).verdict.state) == "warning"
    assert str(evaluated(late, History(), "--state", "slow=ok").verdict.state) == "ok"
    assert str(evaluated(late, History(), "-w", "banner_p50=5").verdict.state) == "ok"


def test_what_our_own_burst_alone_meets_is_critical_only_where_the_user_set_the_range() -> None:
    report = run("Stttt", "S", again="tttt", says=EXCEEDED, by="9.2")
    assert evaluated(report, History()).diagnosis.self_inflicted
    assert str(evaluated(report, History()).verdict.state) == "warning"
    assert str(evaluated(report, History(), "-c", "early_close=50").verdict.state) == "critical"


@pytest.mark.parametrize(
    ("pattern", "state"),
    [
        ("OpenSSH_*", "ok"),
        ("OpenSSH_9.?p1", "ok"),
        ("*", "ok"),
        ("OpenSSH_9.2p1", "ok"),
        ("OpenSSH_8*", "critical"),
        ("OpenSSH_9.2p", "critical"),
        ("[O]penSSH_9.2p1", "critical"),
    ],
)
def test_an_accepted_version_may_have_wildcards(pattern: str, state: str) -> None:
    assert str(evaluated(SERVED, History(), "-r", pattern).verdict.state) == state


# --- host keys


def showing(*keys: tuple[str, str], ending: str = "S", at: float = NOON) -> Report:
    """A run in which each handshake was shown one of these keys, in turn."""
    report = run(ending * 5, by="9.2", at=at, depth=Depth.HOSTKEY)
    shakes = [h._replace(host_key=HostKey(*keys[n % len(keys)])) for n, h in enumerate(report.handshakes)]
    offered = Algorithms(("curve25519-sha256",), ("ssh-ed25519", "rsa-sha2-512"), ("aes128-ctr",), ("hmac-sha1",))
    return report._replace(handshakes=tuple(shakes), algorithms=offered)


A, B, C = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43, "SHA256:" + "C" * 43
ED25519, RSA = ("ssh-ed25519", A), ("ssh-rsa", B)


@pytest.mark.parametrize(
    ("keys", "expected", "state"),
    [
        ([ED25519, RSA], [A], "ok"),
        ([ED25519, RSA], [B], "ok"),
        ([ED25519, RSA], [C], "critical"),
        ([ED25519], [C], "unknown"),  # nobody asked for the RSA key
        ([ED25519, ("ssh-ed25519", C)], [A], "critical"),  # a backend with another key
    ],
)
def test_expected_fingerprints(keys: list[tuple[str, str]], expected: list[str], state: str) -> None:
    options = [word for one in expected for word in ("--depth", "hostkey", "--host-key", one)]
    assert str(evaluated(showing(*keys), None, *options).verdict.state) == state


def test_a_wrong_key_is_the_cause_whatever_else_happens() -> None:
    report = showing(ED25519, RSA)
    first, *others = report.handshakes
    turned = first._replace(ending=Ending.TURNED_AWAY, text="Exceeded MaxStartups", host_key=None)
    outcome = evaluated(report._replace(handshakes=(*others, turned)), None, "--depth", "hostkey", "--host-key", C)
    assert (str(outcome.verdict.state), outcome.diagnosis.cause) == ("critical", Cause.HOST_KEY)
    assert "besides: MaxStartups throttling" in outcome.diagnosis.evidence


def test_a_changed_key_is_told_for_an_hour_where_no_window_is_set() -> None:
    history, states = History(), []
    for at, key in [(0, A), (60, C), (120, C), (3500, C), (3700, C)]:
        outcome = evaluated(showing(("ssh-ed25519", key), at=NOON + at), history)
        history = outcome.history
        states.append(str(outcome.verdict.state))
    assert states == ["ok", "warning", "warning", "warning", "ok"]


def test_a_server_that_invents_types_of_keys_fills_no_memory() -> None:
    history = History()
    for number in range(100):
        history = evaluated(showing((f"kind-{number}", A), at=NOON + number), history).history
    assert len(history.host_keys) <= 16
    written = json.loads(json.dumps(history._asdict()))
    assert History.of_document(written).host_keys == history.host_keys
