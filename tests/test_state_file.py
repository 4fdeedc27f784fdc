"""The state file, and what earlier runs add to a diagnosis."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis import history as past
from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.diagnosis.history import Closes, History, Past, changes, remember, waits, with_past
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.plugin import state_file
from check_ssh_exchange.plugin.state_file import StateFile, StateFileError

from .lab.fake_sshd import FIN, IDENTIFICATION, KEXINIT, FakeSshd, hear, send
from .lab.front_door import at, check
from .reports import CLOSED, COMPLETED, TURNED, run

NOON = 1_700_000_000.0
HEALTHY = (send(IDENTIFICATION), hear(1), send(KEXINIT), hear(4000))
PENALTY = (send(b"Not allowed at this time\r\n"), FIN)
FILTERED = Diagnosis(Cause.FILTERED, Confidence.POSSIBLE)
SILENT = run(*[Ending.CONNECT_TIMEOUT] * 5)


def remembered(file: StateFile) -> History:
    return History.of_document(file.load())


def update(file: StateFile, change: Callable[[History], History]) -> None:
    file.update(lambda document: change(History.of_document(document))._asdict())


def clock(when: float) -> str:
    return f"T{when - NOON:.0f}"


def test_a_rare_drop_is_seen_over_the_window_and_forgotten_behind_it() -> None:
    history = History()
    for minute in range(120):
        report = run(COMPLETED, TURNED, COMPLETED, COMPLETED, COMPLETED) if minute == 30 else run(*[COMPLETED] * 5)
        history = remember(history, report, diagnose(report), NOON + 60 * minute, 3600)
        expected = (1, 5) if minute == 30 else None
        if expected:
            assert history.runs[-1][:3] == (NOON + 1800, 5, 1)
    assert len(history.runs) == 61
    assert history.window(NOON + 60 * 119, 3600) == (0, 61 * 5)
    assert history.window(NOON + 60 * 30, 3600) == (0, 0)


def test_runs_that_the_clock_put_into_the_future_leave_the_window() -> None:
    history = remember(History(), run(TURNED), diagnose(run(TURNED)), NOON + 9999, 3600)
    history = remember(history, run(COMPLETED), diagnose(run(COMPLETED)), NOON, 3600)
    assert history.window(NOON, 3600) == (0, 1)


def test_a_host_that_served_a_moment_ago_was_not_always_filtered() -> None:
    history = History(served_at=NOON, failing_since=NOON + 60, failing_as="connect_timeout")
    told = with_past(FILTERED, history, SILENT, clock)
    assert told.cause is Cause.BANNED
    assert told.evidence == ("served until T0, connect_timeout since T60",)
    assert told.alternatives == ("the host is down", "the listen backlog is full")


@pytest.mark.parametrize("changed", [{"control": False}, {"handshakes": (*SILENT.handshakes, SILENT.handshakes[0]._replace(is_second_source=True))}])  # fmt: skip # noqa: E501
def test_a_host_that_answers_no_address_has_not_banned_this_one(changed: dict[str, object]) -> None:
    history = History(served_at=NOON)
    told = with_past(FILTERED, history, SILENT._replace(**changed), clock)  # type: ignore[arg-type]
    assert told.cause is Cause.FILTERED


FAR, NEAR = 0.08, 0.0002


@pytest.mark.parametrize(("then", "now", "cause"), [
    (FAR, NEAR, Cause.PROXY),
    (FAR, FAR, Cause.SERVER_FAULT),
    (NEAR, NEAR / 3, Cause.SERVER_FAULT),
    (1.0, NEAR, Cause.SERVER_FAULT),  # a SYN that was sent again says nothing of a distance
    (0.0, NEAR, Cause.SERVER_FAULT),  # an older release did not write it
])  # fmt: skip
def test_a_close_from_much_nearer_than_the_host_is_a_proxys(then: float, now: float, cause: Cause) -> None:
    served = run(COMPLETED, COMPLETED)
    served = served._replace(handshakes=tuple(h._replace(connect=then or None) for h in served.handshakes))
    history = remember(History(), served, diagnose(served), NOON, 3600)
    closed = run(CLOSED, CLOSED)
    closed = closed._replace(handshakes=tuple(h._replace(connect=now, ended=0.01) for h in closed.handshakes))
    told = with_past(diagnose(closed), history, closed, clock)
    assert told.cause is cause
    assert ("when the host served" in told.evidence[-1]) == (cause is Cause.PROXY)


def test_a_cut_is_remembered_until_a_run_is_cut_otherwise() -> None:
    def after(history: History, *endings: Ending) -> History:
        report = run(*endings)
        return remember(history, report, diagnose(report), NOON, 3600)

    history = after(History(), COMPLETED, COMPLETED, COMPLETED, TURNED, TURNED)
    assert history.cut == 2
    assert after(history, *[COMPLETED] * 5).cut == 2
    assert after(history, COMPLETED, TURNED, COMPLETED, TURNED, COMPLETED).cut is None


def test_nothing_is_made_of_a_past_that_was_never_served() -> None:
    assert with_past(FILTERED, History(), SILENT, clock) == FILTERED


def test_a_change_of_software_is_told_once() -> None:
    history = History(identification="SSH-2.0-OpenSSH_8.4p1")
    report = run(COMPLETED)
    assert list(changes(history, report)) == [
        "the server was 'SSH-2.0-OpenSSH_8.4p1' before, now 'SSH-2.0-OpenSSH_9.2p1 Debian-2'",
    ]
    history = remember(history, report, diagnose(report), NOON, 3600)
    assert list(changes(history, report)) == []


def test_the_wait_after_a_penalty_doubles_up_to_its_bound_and_ends_when_served() -> None:
    penalty = Diagnosis(Cause.PENALTY, Confidence.POSSIBLE)
    history, now, waited = History(), NOON, []
    for _ in range(7):
        history = remember(history, run(*[TURNED] * 5), penalty, now, 3600)
        waited.append(history.wait)
        assert waits(history, now + history.wait - 1)
        now += history.wait
        assert not waits(history, now)
    assert waited == [20, 40, 80, 160, 320, 600, 600]
    history = remember(history, run(COMPLETED), diagnose(run(COMPLETED)), now, 3600)
    assert (history.wait, history.wait_until) == (0, 0)


def test_a_wait_that_another_clock_wrote_is_not_kept() -> None:
    assert not waits(History(wait_until=NOON + past.LONGEST_WAIT + 1, wait=20), NOON)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    memory = StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22")
    runs = (Past(NOON, 5, 1), Past(NOON, 5, 2, (Closes("maxstartups", "reset", 2, NOON),)))
    written = History(
        runs, NOON, 0.0, "", "SSH-2.0-x", (("ssh-rsa", "SHA256:k"),), (("ssh-dss", "SHA256:d", NOON),), 1.0, 2.0
    )
    memory.update(lambda _: written._asdict())
    assert History.of_document(memory.load()) == written
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "state.lock"]


OURS = {"schema": 1, "target": "host:22"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"schema": 1, "target": "host:22", "ru',
        b'{"schema": 1, "target": "host:22", ' + b"[" * 100_000,
        json.dumps(OURS).encode(),
        json.dumps({**OURS, **History(failing_as="\x1b[31m")._asdict()}).encode(),
        json.dumps({**OURS, **History(identification="a|b=1")._asdict()}).encode(),
        json.dumps({**OURS, **History(identification="<b>")._asdict()}).encode(),
        json.dumps({**OURS, **History(runs=((1.0, 1, 2),))._asdict()}).encode(),  # type: ignore[arg-type]
        json.dumps({**OURS, **History(served_at=-1.0)._asdict()}).encode(),
        json.dumps({**OURS, **History()._asdict()}).encode().replace(b"0.0", b"NaN"),
    ],
)
def test_a_broken_file_of_ours_is_an_empty_memory_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    memory = StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22")
    assert remembered(memory) == History()
    update(memory, lambda history: history._replace(served_at=NOON))
    assert remembered(memory).served_at == NOON


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\0\xff garbage", "exists but was not written by check_ssh_exchange; remove it or name another file"),
        (b"PermitRootLogin no\n", "exists but was not written by check_ssh_exchange; remove it or name another file"),
        (b"{}", "exists but was not written by check_ssh_exchange; remove it or name another file"),
        (b'{"schema": 2}', "exists but was not written by check_ssh_exchange; remove it or name another file"),
        (b'{"schema": 1, "target": "other:22", "runs": []}', "remembers another target; name a directory to"),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "state").write_bytes(content)
    memory = StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22")
    for use in (memory.load, lambda: memory.update(lambda document: document)):
        with pytest.raises(StateFileError, match=sentence):
            use()
    assert (tmp_path / "state").read_bytes() == content


@given(
    content=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(History._fields), inner),
    )
)
def test_any_json_of_ours_is_a_history_or_an_empty_one(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    path = tmp_path_factory.mktemp("any") / "state"
    path.write_text(json.dumps({**OURS, **(content if isinstance(content, dict) else {"runs": content})}))
    assert isinstance(remembered(StateFile(str(path), "check_ssh_exchange", "host:22")), History)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "state").symlink_to(secret)
    memory = StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22")
    with pytest.raises(StateFileError, match="it is a symbolic link"):
        memory.load()
    with pytest.raises(StateFileError, match="it is a symbolic link"):
        memory.update(lambda document: document)
    assert secret.read_text() == "mine"


def test_a_fifo_does_not_hold_the_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state")
    with pytest.raises(StateFileError, match="is not a regular file"):
        StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22").load()


def test_runs_at_the_same_time_do_not_lose_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each write is flushed to the disk, and forty of them wait for each other here: longer than a check would.
    monkeypatch.setattr(state_file, "LOCK_WAIT", 60.0)
    memory = StateFile(str(tmp_path / "state"), "check_ssh_exchange", "host:22")

    def add() -> None:
        for _ in range(10):
            update(memory, lambda history: history._replace(runs=(*history.runs, Past(NOON, 5, 0))))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(remembered(memory).runs) == 40


def test_a_directory_has_a_file_for_each_target(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server:
        assert check(*at(server), "--state-file", str(tmp_path)).code == 0
        assert check(*at(server), "--state-file", str(tmp_path), "-4").code == 0
    names = sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock"))
    assert len(names) == 2
    assert all(name.startswith(f"check_ssh_exchange-127.0.0.1_{server.port}") for name in names)


def test_the_window_is_perfdata_and_warns_above_one_percent(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with FakeSshd(HEALTHY) as server:
        target = f"127.0.0.1:{server.port}"
        runs = tuple(Past(time.time() - 60 * n, 5, 1 if n == 9 else 0) for n in range(20, 0, -1))
        update(StateFile(state, "check_ssh_exchange", target), lambda _: History(runs=runs))
        answer = check(*at(server), "--state-file", state)
        assert answer.code == 0
        assert " early_close_window=0.952381%;1;;0;100" in answer.out
        update(StateFile(state, "check_ssh_exchange", target), lambda history: history._replace(runs=history.runs[11:]))
        answer = check(*at(server), "--state-file", state, "--window", "1h")
    assert answer.code == 1
    assert answer.line.startswith("SSH WARNING - early_close_window is ")


def test_a_penalty_is_waited_out_and_not_renewed(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with FakeSshd(PENALTY) as server:
        first = check(*at(server), "--state-file", state)
        made = len(server.peers)
        second = check(*at(server), "--state-file", state, "--output-format", "json")
        assert made == 5
        assert len(server.peers) == made
    assert first.code == 2
    assert "no further try before" in first.out
    told = json.loads(second.out)
    assert second.code == 2
    assert (told["diagnosis"]["cause"], told["handshakes"]) == ("penalty", [])
    assert told["summary"].startswith("a penalty against our address seemed to hold at ")


def test_a_state_file_that_cannot_be_used_is_a_note_and_the_check_goes_on(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server:
        answer = check(*at(server), "--state-file", str(tmp_path / "none" / "state"))
    assert answer.code == 0
    assert ", cannot lock the state file /" in answer.line


def test_a_warning_about_the_window_names_the_cause_that_was_seen_last(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    throttled = (send(b"Exceeded MaxStartups\r\n"), FIN)
    with FakeSshd(HEALTHY, HEALTHY, throttled, HEALTHY) as server:
        assert check(*at(server), "--state-file", state).code == 1
        answer = check(*at(server), "--state-file", state, "-v")
    assert answer.code == 1
    assert answer.line.startswith("SSH WARNING - perhaps MaxStartups throttling, early_close_window is ")
    assert "\nevidence: 1 of 11 connections of the window ended early, last at " in answer.out


OF_0_1 = {
    "schema": 1, "target": "host:22", "runs": [[NOON, 5, 1, [["maxstartups", "turned_away", 1, NOON]]]],
    "served_at": NOON, "failing_since": 0.0, "failing_as": "", "identification": "SSH-2.0-x", "host_key": "SHA256:k",
    "wait_until": 0.0, "wait": 0.0,
}  # fmt: skip


def test_a_file_of_0_1_is_read() -> None:
    history = History.of_document(OF_0_1)
    assert history.window(NOON, 3600) == (1, 5)
    assert (history.served_at, history.identification, history.host_keys) == (NOON, "SSH-2.0-x", ())


def test_bad_host_keys_are_no_reason_to_forget_the_runs() -> None:
    for bad in ([[1, 2]], [["ssh-rsa", "x\x1b"]], "x", [["a", "b"]] * 1000):
        history = History.of_document({**OF_0_1, "host_keys": bad})
        assert history.window(NOON, 3600) == (1, 5)
        assert history.host_keys == ()
