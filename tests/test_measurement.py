"""measure() and what it is made of: plans at the door, signals, threads, the import of asyncssh."""

import ctypes.util
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.interrupt import Interrupted
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.report import FaultKind
from tests.test_rules import CASES

from .lab.fake_sshd import HEALTHY, FakeSshd
from .lab.front_door import refusal

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("depth", ["banner", "kexinit"])
def test_a_depth_may_be_a_plain_word(depth: str) -> None:
    with FakeSshd(HEALTHY) as server:
        report = measure(Target(server.address, server.port), Plan(depth=depth))  # type: ignore[arg-type]
    assert (report.completed, report.fault) == (5, None)


def test_a_depth_that_does_not_exist_is_refused_before_anything_is_opened() -> None:
    with FakeSshd(HEALTHY) as server, pytest.raises(ValueError, match="depth must be one of banner, kexinit"):
        measure(Target(server.address, server.port), Plan(depth="deep"))  # type: ignore[arg-type]
    assert server.peers == []


def test_a_signal_that_comes_when_the_report_is_whole_loses_nothing() -> None:
    def interrupt() -> None:
        raise Interrupted("SIGTERM")

    with FakeSshd(HEALTHY) as server:
        report = measure(Target(server.address, server.port), Plan(), on_done=interrupt)
    assert (report.completed, report.fault) == (5, None)


def test_a_signal_during_the_run_is_its_fault() -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted("SIGALRM")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with FakeSshd([]) as server:  # accepts, and stays silent
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            report = measure(Target(server.address, server.port), Plan(timeout=60.0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert report.fault is not None
    assert report.fault.kind is FaultKind.INTERRUPTED
    assert report.fault.sentence == "interrupted by SIGALRM after 0 of 5 handshakes, 1 still open"


def test_a_thread_that_cannot_be_started_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    report = measure(Target("name.invalid", 22), Plan())
    assert report.fault is not None
    assert report.fault.sentence == "no thread is left to resolve name.invalid (ulimit -u, pids cgroup)"


def test_two_threads_that_import_asyncssh_leave_ctypes_as_it_was() -> None:
    pytest.importorskip("asyncssh")
    script = """if True:
        import ctypes.util, threading
        from check_ssh_exchange.plan import Plan
        from check_ssh_exchange.probe.login import Credentials
        before = ctypes.util.find_library
        threads = [threading.Thread(target=Credentials, args=(Plan(),)) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(ctypes.util.find_library is before)"""
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"
    assert ctypes.util.find_library("c") is not None


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_no_rule_reads_what_is_written_for_people(case: tuple[object, ...]) -> None:
    report = case[1]
    reworded = tuple(h._replace(detail="other words" if h.detail else None) for h in report.handshakes)  # type: ignore[attr-defined]
    before, after = diagnose(report), diagnose(report._replace(handshakes=reworded))  # type: ignore[attr-defined,arg-type]
    assert (after.cause, after.confidence) == (before.cause, before.confidence)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_remedy_names_one_machine(case: tuple[object, ...]) -> None:
    for remedy in diagnose(case[1]).remedies:  # type: ignore[arg-type]
        assert str(remedy).count("on the server: ") + str(remedy).count("on the monitor: ") <= 1
        assert not remedy.command.startswith(("on ", "is the host"))


@pytest.mark.parametrize("option", ["-p", "-n", "--concurrency", "--control-port"])
def test_a_number_of_thousands_of_digits_is_refused_in_one_short_sentence(option: str) -> None:
    said = refusal("-H", "127.0.0.1", option, "9" * 5000)
    assert "is not a valid " in said
    assert len(said) < 250


@pytest.mark.parametrize("option", ["-t", "--window"])
def test_a_duration_of_thousands_of_digits_is_refused_in_one_short_sentence(option: str) -> None:
    said = refusal("-H", "127.0.0.1", option, "9" * 5000)
    assert "is not a valid " in said
    assert len(said) < 250
