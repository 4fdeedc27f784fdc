"""What earlier runs add to a diagnosis."""

import pytest

from check_ssh_exchange.diagnosis import history as past
from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.report import Report
from tests.runs import TARGET, run

# --- what earlier runs saw

SERVED = past.History(served_at=1000.0)


def clock(when: float) -> str:
    return f"t={when:.0f}"


def with_past(report: Report, history: past.History = SERVED) -> Diagnosis:
    return past.with_past(diagnose(report), history, report, clock)


@pytest.mark.parametrize(
    ("report", "cause"),
    [
        (run("xxxxx"), Cause.BANNED),
        (run("xxxxx", control=True), Cause.BANNED),
        (run("xxxxx", control=False), Cause.FILTERED),
        (run("xxxxx", second="x"), Cause.FILTERED),
        (run("RRRRR"), Cause.NOT_LISTENING),
        (run("iiiii", icmp=(3, 3, TARGET)), Cause.BANNED),
        (run("ccccc"), Cause.SERVER_FAULT),
    ],
)
def test_silence_after_service_is_a_ban_where_nothing_says_that_the_host_is_dead(report: Report, cause: Cause) -> None:
    diagnosis = with_past(report)
    assert (diagnosis.cause, diagnosis.evidence[-1]) == (cause, "served until t=1000")
    assert diagnose(report).evidence == diagnosis.evidence[:-1]


def test_what_was_never_served_is_not_banned() -> None:
    assert with_past(run("xxxxx"), past.History()) == diagnose(run("xxxxx"))


def test_the_evidence_says_since_when() -> None:
    failing = SERVED._replace(failing_since=2000.0, failing_as="connect_timeout")
    assert with_past(run("xxxxx"), failing).evidence[-1] == "served until t=1000, connect_timeout since t=2000"
