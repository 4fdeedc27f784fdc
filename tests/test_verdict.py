"""The state of a run: thresholds, states of endings and causes, versions, and which of them outranks which."""

from itertools import product

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import LABELS, figures
from check_ssh_exchange.ending import EARLY_CLOSES, Depth, Ending
from check_ssh_exchange.plugin.perfdata import fixed
from check_ssh_exchange.report import Certificate, Fault, FaultKind, HostKey, Shortfall, ShortfallKind

from .reports import CLOSED, COMPLETED, RESET, judged, run, state

# --- states without options


@pytest.mark.parametrize(
    ("early", "of", "expected"),
    [(0, 5, "ok"), (1, 100, "warning"), (1, 5, "warning"), (2, 4, "warning"), (3, 5, "critical"), (5, 5, "critical")],
)
@pytest.mark.parametrize("ending", sorted(EARLY_CLOSES))
def test_early_closes_warn_from_the_first_and_are_critical_above_half(
    early: int, of: int, expected: str, ending: Ending
) -> None:
    assert state(run(*[COMPLETED] * (of - early), *[ending] * early)) == expected


@pytest.mark.parametrize(
    ("banner", "expected"),
    [(0.0, "ok"), (1.0, "ok"), (1.001, "warning"), (5.0, "warning"), (5.001, "critical"), (1000.0, "critical")],
)
def test_a_slow_banner_warns_above_one_second_and_is_critical_above_five(banner: float, expected: str) -> None:
    assert state(run(*[COMPLETED] * 5, banner=banner)) == expected


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not COMPLETED])
@pytest.mark.parametrize("count", [1, 5])
def test_no_handshake_completed_is_critical(ending: Ending, count: int) -> None:
    assert state(run(*[ending] * count)) == "critical"


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not COMPLETED])
def test_one_failure_beside_served_handshakes_is_at_least_a_warning(ending: Ending) -> None:
    assert state(run(*[COMPLETED] * 4, ending)) == "warning"


def test_a_fault_of_our_own_is_unknown_whatever_is_known_so_far() -> None:
    for endings in ([], [COMPLETED], [COMPLETED, CLOSED, CLOSED]):
        _, output = judged(run(*endings, asked=5, fault=Fault(FaultKind.LOCAL, "no route in mind")))
        assert output.split(" | ")[0] == "SSH UNKNOWN - no route in mind"


def test_a_name_that_does_not_resolve_is_unknown() -> None:
    report = run(asked=5, fault=Fault(FaultKind.NAME_RESOLUTION, "host.example does not resolve"), address=None)
    _, output = judged(report)
    assert output == (
        "SSH UNKNOWN - host.example does not resolve | handshakes=0;;;0 completed=0;;;0 closed=0;;;0 "
        "reset=0;;;0 turned_away=0;;;0 closed_after_banner=0;;;0 refused=0;;;0 rejected=0;;;0 timeout=0;;;0\n"
    )


def test_fewer_handshakes_than_asked_for_are_no_ok() -> None:
    _, output = judged(run(COMPLETED, COMPLETED, asked=5, shortfalls=(Shortfall(ShortfallKind.TIME, 3),)))
    assert output.split(" | ")[0] == (
        "SSH UNKNOWN - timed out before 3 of the 5 requested handshakes were made: raise --timeout, "
        "OpenSSH_9.2p1 (protocol 2.0), 2/2 handshakes, banner 3.0 ms"
    )


# --- severity


def test_critical_outranks_warning_and_warning_unknown_and_unknown_ok() -> None:
    # Two judgements in one run: what the cause leads to, and a threshold.
    slow = {"ok": 0.1, "warning": 2.0, "critical": 6.0}
    rank = ["ok", "unknown", "warning", "critical"]
    for (banner_state, banner), cause_state in product(slow.items(), rank):
        report = run(COMPLETED, COMPLETED, CLOSED, banner=banner)
        found = state(report, "--state", f"maxstartups={cause_state}", cause=Cause.MAXSTARTUPS)
        assert found == max(banner_state, cause_state, key=rank.index), (banner_state, cause_state)


def test_unfinished_runs_do_not_hide_what_is_critical() -> None:
    assert state(run(COMPLETED, CLOSED, CLOSED, CLOSED, asked=9)) == "critical"
    assert state(run(COMPLETED, COMPLETED, COMPLETED, CLOSED, asked=9)) == "warning"


# --- --state


@pytest.mark.parametrize("wanted", ["ok", "warning", "critical", "unknown"])
@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not COMPLETED])
def test_the_state_of_an_ending_is_the_state_of_a_run_of_nothing_else(ending: Ending, wanted: str) -> None:
    assert state(run(*[ending] * 5), "--state", f"{ending}={wanted}") == wanted


@pytest.mark.parametrize("wanted", ["ok", "warning", "critical", "unknown"])
@pytest.mark.parametrize("endings", [[CLOSED] * 5, [COMPLETED, CLOSED, CLOSED, CLOSED], [COMPLETED, COMPLETED, RESET]])
def test_the_state_of_a_cause_is_the_state_of_a_run_with_that_cause(endings: list[Ending], wanted: str) -> None:
    assert state(run(*endings), "--state", f"maxstartups={wanted}", cause=Cause.MAXSTARTUPS) == wanted


def test_the_state_of_another_cause_or_ending_changes_nothing() -> None:
    assert state(run(*[CLOSED] * 5), "--state", "penalty=ok,refused=ok", cause=Cause.MAXSTARTUPS) == "critical"
    assert (
        state(run(COMPLETED, COMPLETED, CLOSED), "--state", "reset=ok,slow=critical", cause=Cause.BANNED) == "warning"
    )


def test_one_excused_ending_does_not_excuse_another() -> None:
    half = run(COMPLETED, COMPLETED, CLOSED, RESET)
    assert state(half, "--state", "closed=ok") == "warning"
    assert state(half, "--state", "closed=ok,reset=ok") == "ok"
    assert state(run(CLOSED, CLOSED, Ending.REFUSED), "--state", "closed=ok") == "critical"


def test_an_excused_cause_does_not_excuse_slowness() -> None:
    report = run(COMPLETED, COMPLETED, CLOSED, banner=6.0)
    assert state(report, "--state", "maxstartups=ok", cause=Cause.MAXSTARTUPS) == "critical"


def test_a_state_for_completed_concerns_healthy_runs() -> None:
    assert state(run(COMPLETED), "--state", "completed=warning") == "warning"
    assert state(run(COMPLETED), "--state", "healthy=critical") == "critical"


# --- -r and -P


@pytest.mark.parametrize("version", ["OpenSSH_9.2p1", "OpenSSH_9.2p1 Debian-2"])
def test_the_version_asked_for_may_have_comments_or_not(version: str) -> None:
    assert state(run(COMPLETED), "-r", version) == "ok"
    assert state(run(COMPLETED), "-r", "OpenSSH_8.0", "-r", version) == "ok"


def test_another_version_and_another_protocol_are_critical_and_named() -> None:
    served = "OpenSSH_9.2p1 (protocol 2.0), 1/1 handshakes, banner 3.0 ms"
    for options, reason in [
        (["-r", "OpenSSH_9.2"], 'the server is "OpenSSH_9.2p1 Debian-2", expected "OpenSSH_9.2"'),
        (["-r", "a", "-r", "b c"], 'the server is "OpenSSH_9.2p1 Debian-2", expected "a" or "b c"'),
        (["-P", "1.99"], "the protocol is 2.0, expected 1.99"),
    ]:
        assert judged(run(COMPLETED), *options)[1].split(" | ")[0] == f"SSH CRITICAL - {reason}, {served}"
    assert state(run(COMPLETED), "-P", "2.0") == "ok"


def test_what_the_user_expects_cannot_break_the_line() -> None:
    for word in ("a|b", "a\nb", "a\x1b[2Jb"):
        for option in ("-r", "-P"):
            output = judged(run(COMPLETED), option, word)[1]
            assert output.count("\n") == 1
            assert output.count("|") == 1
            assert output.rstrip("\n").isprintable()


def test_without_an_identification_there_is_no_version_to_compare() -> None:
    _, output = judged(run(CLOSED), "-r", "OpenSSH_9.2p1", "-P", "2.0")
    assert "expected" not in output


# --- thresholds

CERTIFIED = HostKey("ssh-rsa-cert-v01@openssh.com", "SHA256:x", Certificate("id", 1, (), 0, 2000, "SHA256:ca"))


@pytest.mark.parametrize("option", ["-w", "-c"])
@pytest.mark.parametrize("label", [label for label in LABELS if label != "startups_estimate"])
def test_every_label_can_alert(label: str, option: str) -> None:
    depth = Depth.HOSTKEY if label.startswith("host") else Depth.LOGIN
    report = run(COMPLETED, COMPLETED, COMPLETED, depth=depth)
    window = (2, 400)
    deeper = (h._replace(hostkey=0.1, kex=0.1, login=0.2, host_key=CERTIFIED) for h in report.handshakes)
    report = report._replace(at=1000.0, handshakes=tuple(deeper))
    value = dict(figures(report, window=window))[label]
    lifted = ["-c", f"{label}=~:"]
    inside, outside = f"{label}={fixed(value)}:{fixed(value + 1)}", f"{label}=@{fixed(value)}:{fixed(value + 1)}"
    assert state(report, *lifted, option, inside, window=window) == "ok"
    assert state(report, *lifted, option, outside, window=window) == {"-w": "warning", "-c": "critical"}[option]


def test_early_closes_of_earlier_runs_warn_above_one_percent() -> None:
    assert state(run(COMPLETED), window=(4, 400)) == "ok"
    assert state(run(COMPLETED), window=(5, 400)) == "warning"
    assert state(run(COMPLETED), window=(0, 0)) == "ok"


def test_a_violated_threshold_of_a_duration_is_named_with_its_value_and_range() -> None:
    _, output = judged(run(COMPLETED, COMPLETED, banner=2.0), "-w", "kexinit_max=@0.001:1", cause=Cause.HEALTHY)
    assert output.split(" | ")[0] == (
        "SSH WARNING - banner_p50 is 2 s (outside 1), kexinit_max is 0.0015 s (inside 0.001 to 1), "
        "OpenSSH_9.2p1 (protocol 2.0), 2/2 handshakes, banner 2000 ms"
    )


def test_a_violated_threshold_of_a_counter_is_named_in_a_healthy_run() -> None:
    # Nothing else in the line would say why the state is not OK.
    for label, value in [("handshakes", "2"), ("completed", "2"), ("failed", "0 %"), ("early_close", "0 %")]:
        _, output = judged(run(COMPLETED, COMPLETED), "-c", f"{label}=@~:100")
        assert output.split(", ")[0] == f"SSH CRITICAL - {label} is {value} (inside -infinity to 100)"


def test_a_threshold_of_what_was_not_measured_does_not_alert() -> None:
    assert state(run(Ending.REFUSED), "-w", "kexinit_max=@~:99", "--state", "refused=ok") == "ok"


def test_negative_ranges_and_open_ones_do_not_alert_by_themselves() -> None:
    # nagiosplugin takes "no range" for "0:", for which any negative value is critical.
    assert state(run(COMPLETED), "-w", "early_close=~:,banner_p50=~:", "-c", "early_close=~:,banner_p50=~:") == "ok"


def test_a_user_range_replaces_the_default() -> None:
    report = run(COMPLETED, COMPLETED, COMPLETED, CLOSED)
    assert state(report, "-w", "early_close=30") == "ok"
    assert state(report, "-c", "early_close=20") == "critical"


def test_a_user_range_on_a_counter_of_failures_replaces_the_warning_for_them() -> None:
    report = run(COMPLETED, COMPLETED, COMPLETED, COMPLETED, Ending.CONNECT_TIMEOUT)
    assert state(report, "-w", "timeout=1") == "ok"
    assert state(report, "-w", "failed=60", "-c", "failed=80") == "ok"
    assert state(report, "-c", "timeout=0") == "critical"
    assert state(report, "-w", "refused=0") == "warning"
