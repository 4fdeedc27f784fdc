"""A run as the server sees it, and the figures that come of it."""

import json
import struct
import time
from collections.abc import Callable

import pytest

from check_ssh_exchange import __version__
from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.report import Report, Role, ShortfallKind
from tests.lab.fake_sshd import (
    FIN,
    HEALTHY,
    IDENTIFICATION,
    KEXINIT,
    FakeSshd,
    Gone,
    Peer,
    Script,
    drip,
    gather,
    hear,
    pause,
    payloads,
    send,
    string,
)
from tests.lab.front_door import at, check

CLIENT = f"SSH-2.0-check_ssh_exchange_{__version__}\r\n".encode()
POLITE = [send(IDENTIFICATION), hear(1), send(KEXINIT), hear(4000)]  # waits for each answer of the client
GENEROUS = 20.0  # seconds; no run here comes near it


def run(server: FakeSshd, handshakes: int, **plan: object) -> Report:
    whole = {"handshakes": handshakes, "timeout": GENEROUS, **plan}
    return measure(Target(server.address, server.port), Plan(**whole))  # type: ignore[arg-type]


def endings(report: Report, role: str) -> list[Ending]:
    return [handshake.ending for handshake in report.of_role(Role(role))]


def gone(peer: Peer) -> float:
    assert peer.closed is not None
    return peer.closed


# --- what goes over the wire


@pytest.mark.parametrize("depth", [Depth.BANNER, Depth.KEXINIT])
def test_the_client_says_nothing_before_the_identification_is_whole(depth: Depth) -> None:
    halves = [pause(0.2), send(b"Welcome\r\n" + IDENTIFICATION[:-1]), pause(0.2), send(IDENTIFICATION[-1:])]
    with FakeSshd([*halves, hear(len(CLIENT)), send(KEXINIT)]) as server:
        report = run(server, 3, depth=depth)
    assert report.completed == 3
    for peer in server.peers:
        whole_at, last = peer.said[1]
        assert last == b"\n"
        assert [data for at, data in peer.heard if at < whole_at] == []


def test_depth_banner_sends_our_identification_and_closes() -> None:
    with FakeSshd([send(IDENTIFICATION)]) as server:
        report = run(server, 3, depth=Depth.BANNER)
    assert [peer.received for peer in server.peers] == [CLIENT] * 3
    assert report.completed == 3
    assert (len(report.durations("banner")), report.durations("kexinit")) == (3, [])


def test_depth_kexinit_sends_identification_kexinit_and_a_disconnect_with_reason_11() -> None:
    with FakeSshd([send(IDENTIFICATION), hear(len(CLIENT) + 100), send(KEXINIT)]) as server:
        report = run(server, 3)
    assert report.completed == 3
    for peer in server.peers:
        assert peer.received.startswith(CLIENT)
        kexinit, disconnect = payloads(peer.received.removeprefix(CLIENT))
        assert kexinit[0] == 20
        words = b"check_ssh_exchange: probe done"
        assert disconnect == b"\x01" + struct.pack(">I", 11) + string(words) + string(b"")


def test_a_server_that_sends_all_at_once_gets_the_whole_answer_too() -> None:
    with FakeSshd([send(IDENTIFICATION + KEXINIT)]) as server:
        run(server, 1)
    assert [payload[0] for payload in payloads(server.peers[0].received.removeprefix(CLIENT))] == [20, 1]


# --- baseline, burst, recheck


def test_the_baseline_is_alone_and_the_burst_is_open_at_once() -> None:
    with FakeSshd(HEALTHY, [gather(4), *HEALTHY]) as server:
        report = run(server, 5)
    assert [handshake.role for handshake in report.handshakes] == ["baseline"] + ["burst"] * 4
    assert report.completed == len(server.peers) == 5
    assert server.most_open == 4
    assert not [peer for peer in server.peers if 0 in peer.beside]


def test_a_server_has_time_to_free_what_was_held_before_more_is_asked_of_it() -> None:
    # sshd counts a connection until it has reaped the child, which takes it up to 0.3 s after the client's close.
    with FakeSshd(HEALTHY, [send(b"Exceeded MaxStartups\r\n"), FIN], HEALTHY) as server:
        baseline, *burst, recheck = run(server, 4).handshakes
    assert min(one.started for one in burst) - (baseline.started + baseline.ended) >= 0.2
    assert recheck.started - max(one.started + one.ended for one in burst) >= 0.2


def test_the_burst_is_held_until_every_one_has_its_answer() -> None:
    with FakeSshd(HEALTHY, HEALTHY, HEALTHY, [pause(0.6), *HEALTHY]) as server:
        report = run(server, 4)
    last_word = server.peers[3].said[-1][0]
    assert report.completed == 4
    assert all(gone(peer) >= last_word for peer in server.peers[1:])


def test_concurrency_bounds_the_burst_and_waves_follow_each_other() -> None:
    with FakeSshd(HEALTHY, [gather(3), *HEALTHY]) as server:
        report = run(server, 7, concurrency=3)
    assert report.completed == len(server.peers) == 7
    assert server.most_open == 3
    assert not [peer for peer in server.peers[4:] if {0, 1, 2, 3} & {*peer.beside}]


def test_a_wave_is_held_while_one_of_it_is_unanswered() -> None:
    with FakeSshd(HEALTHY, [pause(0.4), *HEALTHY], HEALTHY) as server:
        report = run(server, 5, concurrency=2)
    assert report.completed == 5
    assert server.most_open == 2
    assert min(gone(peer) for peer in server.peers[1:3]) >= server.peers[1].said[-1][0]


def test_the_recheck_comes_alone_after_all_have_closed() -> None:
    with FakeSshd(HEALTHY, HEALTHY, [send(b"Exceeded MaxStartups\r\n"), FIN], HEALTHY) as server:
        report = run(server, 5)
    assert [handshake.role for handshake in report.handshakes] == ["baseline"] + ["burst"] * 4 + ["recheck"]
    assert sorted(endings(report, "burst")) == [Ending.COMPLETED] * 3 + [Ending.TURNED_AWAY]
    assert endings(report, "recheck") == [Ending.COMPLETED]
    assert len(server.peers) == 6
    assert server.peers[5].beside == []


def test_a_run_in_which_all_is_well_has_no_recheck() -> None:
    with FakeSshd(HEALTHY) as server:
        report = run(server, 4)
    assert len(report.handshakes) == len(server.peers) == 4


@pytest.mark.parametrize("served", [0, 1, 2, 4])
def test_a_server_that_answers_exactly_the_kth_is_counted_right(served: int) -> None:
    scripts: list[Script] = [[FIN]] * 5
    scripts[served] = HEALTHY
    with FakeSshd(*scripts, [FIN]) as server:
        report = run(server, 5)
    first = [handshake for handshake in report.handshakes if handshake.role != "recheck"]
    assert [handshake.number for handshake in first] == [0, 1, 2, 3, 4]
    assert sorted(handshake.ending for handshake in first) == [Ending.CLOSED] * 4 + [Ending.COMPLETED]
    assert (first[0].ending is Ending.COMPLETED) == (served == 0)


@pytest.mark.timing
def test_silent_connections_do_not_keep_answered_ones_from_completing() -> None:
    with FakeSshd(HEALTHY, [], HEALTHY, [], HEALTHY) as server:
        report = run(server, 5, timeout=1.5)
    assert sorted(endings(report, "burst")) == [Ending.BANNER_TIMEOUT] * 2 + [Ending.COMPLETED] * 2
    assert report.took < 3.0
    assert report.early_close_ratio == 0.0


@pytest.mark.timing
def test_a_silent_server_ends_a_whole_run_inside_the_deadline() -> None:
    with FakeSshd([]) as server:
        report = run(server, 5, timeout=1.0)
    assert set(report.counts) == set(Ending)
    assert report.counts[Ending.BANNER_TIMEOUT] == len(report.handshakes) >= 5
    assert report.took < 2.5


def test_a_hundred_at_once_are_really_at_once() -> None:
    with FakeSshd(HEALTHY, [gather(100), *HEALTHY]) as server:
        report = run(server, 101, concurrency=100, exempt=True)
    assert report.completed == 101
    assert server.most_open == 100


@pytest.mark.timing
@pytest.mark.parametrize("concurrency", [2, 4])
def test_a_baseline_that_answers_in_the_pause_before_the_burst_does_not_cut_the_run(concurrency: int) -> None:
    # Patience ends after a quarter of 3 s, the pause after it lasts up to 0.25 s: 0.8 s lies between.
    with FakeSshd([pause(0.8), *POLITE], POLITE) as server:
        report = measure(Target("127.0.0.1", server.port), Plan(timeout=3.0, concurrency=concurrency))
    assert (report.completed, len(report.handshakes), report.shortfalls) == (5, 5, ())


# --- latency


@pytest.mark.timing
def test_a_server_that_thinks_has_a_slow_banner_and_a_fast_connect() -> None:
    with FakeSshd([pause(0.3), *HEALTHY]) as server:
        report = run(server, 3)
    for handshake in report.handshakes:
        assert handshake.connect is not None
        assert handshake.banner is not None
        assert 0.29 <= handshake.banner < 2.0
        assert handshake.connect < 0.1


@pytest.mark.timing
def test_the_kexinit_has_its_own_latency() -> None:
    with FakeSshd([send(IDENTIFICATION), hear(len(CLIENT)), pause(0.3), send(KEXINIT)]) as server:
        (handshake,) = run(server, 1).handshakes
    assert handshake.banner is not None
    assert handshake.kexinit is not None
    assert handshake.banner < 0.29 <= handshake.kexinit < 2.0


def test_a_banner_takes_until_its_last_byte() -> None:
    with FakeSshd([drip(IDENTIFICATION, 0.01), send(KEXINIT)]) as server:
        (handshake,) = run(server, 1).handshakes
    assert handshake.banner is not None
    assert handshake.banner >= 0.009 * (len(IDENTIFICATION) - 1)


@pytest.mark.timing
def test_failed_handshakes_enter_no_latency_figure() -> None:
    with FakeSshd(HEALTHY, [pause(0.8), FIN], [pause(0.8), send(b"No\r\n"), FIN], HEALTHY) as server:
        answer = check("-H", server.address, "-p", str(server.port), "-n", "4", "--output-format", "json")
    found = json.loads(answer.out)
    assert found["counts"]["closed"] == found["counts"]["turned_away"] == 1
    failed = [handshake for handshake in found["handshakes"] if handshake["ending"] != "completed"]
    assert [handshake["banner"] for handshake in failed] == [None, None]
    assert all(handshake["ended"] >= 0.79 for handshake in failed)
    assert found["latency"]["banner"]["max"] < 0.7
    assert found["perfdata"]["banner_max"] < 0.7
    assert found["perfdata"]["early_close"] == round(100 * 2 / len(found["handshakes"]), 6)


def test_a_server_that_completes_no_handshake_has_no_latency() -> None:
    with FakeSshd([FIN]) as server:
        answer = check("-H", server.address, "-p", str(server.port), "--output-format", "json")
    found = json.loads(answer.out)
    assert answer.code == 2
    assert (found["counts"]["closed"], found["early_close_ratio"], found["server"]) == (5, 1.0, None)
    assert {"banner", "kexinit"}.isdisjoint(found["latency"])
    assert not [label for label in found["perfdata"] if label.startswith(("banner_", "kexinit_", "baseline_"))]


@pytest.mark.timing
def test_a_handshake_that_failed_after_its_banner_enters_no_latency_figure() -> None:
    slow_and_gone = [pause(0.5), send(IDENTIFICATION), hear(1), FIN]
    with FakeSshd(POLITE, slow_and_gone, slow_and_gone, slow_and_gone, slow_and_gone, POLITE) as server:
        answer = check(*at(server), "-c", "banner_max=0.4", "-c", "early_close=~:", "-w", "early_close=~:")
    assert " closed_after_banner=4;" in answer.out
    assert answer.code == 0, answer.out


# --- a pace


def one_a_second(script: Script) -> Callable[[Peer], None]:
    """A server that serves one connection a second and ends the others at once, as IOS XR does."""
    last = [0.0]

    def step(peer: Peer) -> None:
        if time.monotonic() - last[0] < 1.0:
            FIN(peer)
            raise Gone
        last[0] = time.monotonic()
        for part in script:
            part(peer)

    return step


ROUTER: Script = [send(b"SSH-2.0-Cisco-2.0\r\n"), send(KEXINIT), hear(1)]


def test_a_router_with_a_small_limit_is_paced_and_the_run_says_so() -> None:
    with FakeSshd([one_a_second(ROUTER)]) as server:
        report = measure(Target(server.address, server.port), Plan(timeout=30.0))
        outcome = evaluate(report, None, Expectations())
    assert [str(h.ending) for h in report.handshakes] == ["completed"] * 5
    assert report.pause > 1
    assert outcome.notes == ("paced: 1.1 s between handshakes",)


def test_another_server_with_that_limit_is_a_rate_limit_of_our_own_making_and_no_alarm() -> None:
    other: Script = [send(b"SSH-2.0-Device\r\n"), send(KEXINIT), hear(1)]
    with FakeSshd([one_a_second(other)]) as server:
        report = measure(Target(server.address, server.port), Plan(timeout=30.0))
        paced = measure(Target(server.address, server.port), Plan(timeout=30.0, pause=1.2))
    outcome = evaluate(report, None, Expectations())
    assert outcome.diagnosis.cause is Cause.RATE_LIMIT
    assert outcome.diagnosis.self_inflicted
    assert str(outcome.verdict.state) == "warning"
    assert "--pause 1" in outcome.diagnosis.remedies[0].command
    assert paced.completed >= 4  # the first comes soon after the run before


def test_a_pause_that_does_not_fit_is_a_shortfall() -> None:
    # The burst's time ends at 5.95 s: the first of it has three seconds for a slow machine, the second never any.
    with FakeSshd(HEALTHY) as server:
        report = measure(Target(server.address, server.port), Plan(timeout=7.0, pause=3.0))
    assert [(one.kind, one.number) for one in report.shortfalls] == [(ShortfallKind.TIME, 3)]
