"""Faults that a review found, each held by a test of its own."""

import json
import signal
import time
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.diagnosis.maxstartups import MaxStartups
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.measure import Plan, Target, measure

from .lab.fake_sshd import IDENTIFICATION, KEXINIT, FakeSshd, flood, hear, packet, pause, send
from .lab.front_door import at, check, start
from .runs import EXCEEDED, run, shake

HEALTHY = [send(IDENTIFICATION), hear(1), send(KEXINIT), hear(4000)]
LATE = [pause(0.8), *HEALTHY]


@pytest.mark.timing
@pytest.mark.parametrize("concurrency", [2, 4])
def test_a_baseline_that_answers_in_the_pause_before_the_burst_does_not_cut_the_run(concurrency: int) -> None:
    # Patience ends after a quarter of 3 s, the pause after it lasts up to 0.25 s: 0.8 s lies between.
    with FakeSshd(LATE, HEALTHY) as server:
        report = measure(Target("127.0.0.1", server.port), Plan(timeout=3.0, concurrency=concurrency))
    assert (report.completed, len(report.handshakes), report.shortfalls) == (5, 5, ())


def test_a_server_that_floods_before_the_keys_is_bounded_at_depth_kex() -> None:
    ignore = packet(b"\x02" + bytes(4) + bytes(3000))
    with FakeSshd([send(IDENTIFICATION), hear(1), send(KEXINIT), flood(ignore)]) as server:
        plan = Plan(handshakes=1, timeout=10.0, depth=Depth.KEX)
        report = measure(Target("127.0.0.1", server.port), plan)
    assert [str(h.ending) for h in report.handshakes] == ["protocol_error"]


def test_a_signal_ends_a_run_at_depth_kex() -> None:
    with FakeSshd([]) as server, start(*at(server), "-t", "60", "--depth", "kex", "--output-format", "json") as plugin:
        try:
            until = time.monotonic() + 30
            while not server.peers and time.monotonic() < until:
                time.sleep(0.01)
            plugin.send_signal(signal.SIGTERM)
            out, err = plugin.communicate(timeout=30)
        finally:
            plugin.kill()
    assert (plugin.returncode, err) == (3, "")
    assert json.loads(out)["summary"].startswith("interrupted by SIGTERM after 0 of 5 handshakes")


def test_waves_are_not_counted_as_one_burst() -> None:
    # Nine waves of four; one of the third was dropped: at most three of ours were in progress then.
    shakes = [shake(0, "S", role="baseline")]
    shakes += [shake(n, "t" if n == 10 else "S", text=EXCEEDED)._replace(wave=1 + (n - 1) // 4) for n in range(1, 30)]
    report = run("S", by="9.2")._replace(handshakes=(*shakes, shake(30, "S", role="recheck")), asked=30)
    diagnosis = diagnose(report, MaxStartups(10, 30, 100))
    assert not diagnosis.self_inflicted
    assert diagnosis.startups is not None
    assert diagnosis.startups.likeliest >= 9


def test_an_address_that_fails_is_named(tmp_path: Path) -> None:
    served = [shake(n, "S", role="burst" if n > 1 else "baseline") for n in range(2)]
    refused = [shake(n, "R", address="192.0.2.77") for n in range(2, 4)]
    diagnosis = diagnose(run("S", by="9.2")._replace(handshakes=(*served, *refused)))
    assert diagnosis.address == "192.0.2.77"
    assert diagnosis.evidence[:2] == (
        "192.0.2.1: 2 of 2 handshakes completed",
        "192.0.2.77: 2 of 2 handshakes refused: nothing listens on that port",
    )


def test_the_state_of_a_name_that_does_not_resolve_can_be_chosen() -> None:
    # A label of more than 63 letters is no name, so no resolver is asked.
    answer = check("-H", "a" * 64 + ".invalid", "--state", "name_resolution=critical")
    assert answer.code == 2
    assert answer.line.startswith("SSH CRITICAL - ")
