"""The plugin as a process: its answer in every format and verbosity, in time and under signals."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.ending import Ending

from .lab.fake_sshd import FIN, HEALTHY, IDENTIFICATION, RST, FakeSshd, Script, send
from .lab.front_door import SECONDS, assert_served, at, check, start, wait_until

SILENT: Script = []
NOTICE: Script = [send(b"Exceeded MaxStartups\r\n"), FIN]

KEYS = {
    "": "schema target state summary server handshakes counts early_close_ratio latency diagnosis perfdata",
    "target": "host address port family source",
    "server": "identification protocol software comments speaks_first algorithms post_quantum refused_clients",
    "diagnosis": "cause confidence self_inflicted evidence alternatives remedies runbook",
}
HANDSHAKE = "index role family address source source_port ending text detail connect banner kexinit ended"


OFFERED = {
    "kex": ["curve25519-sha256", "kex-b"], "host_key": ["ssh-ed25519"], "cipher": ["aes128-ctr", "c2"],
    "mac": ["hmac-sha1"], "compression": ["none"],
}  # fmt: skip


def document(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, err = check(*arguments, "--output-format", "json")
    assert err == ""
    assert out.count("\n") == 1
    return code, json.loads(out)


# --- JSON


@pytest.mark.parametrize(
    ("scripts", "code"),
    [
        ([HEALTHY], 0),
        ([HEALTHY] * 4 + [NOTICE, HEALTHY], 1),
        ([[FIN]], 2),
        ([[RST]], 2),
        ([[send(IDENTIFICATION), FIN]], 2),
        ([HEALTHY, NOTICE], 2),
    ],
)
def test_the_document_has_the_keys_of_the_contract_and_the_code_of_the_text(scripts: list[Script], code: int) -> None:
    with FakeSshd(*scripts) as server:
        text = check(*at(server))
    with FakeSshd(*scripts) as server:
        json_code, found = document(*at(server))
        peers = len(server.peers)
    assert text.code == json_code == code
    assert found["schema"] == 1
    for where, keys in KEYS.items():
        value = found[where] if where else found
        is_cut = where == "server" and value is not None and "algorithms" not in value  # closed before its KEXINIT
        assert value is None or list(value) == keys.split()[: 5 if is_cut else None]
    assert found["state"] == ("ok", "warning", "critical")[code]
    told = f"SSH {found['state'].upper()} - {found['summary']}"
    # Two runs: how fast the server closes is the machine's, and how sure the diagnosis is hangs on that.
    assert re.sub(r"[\d.]+|perhaps ", "", text.line) == re.sub(r"[\d.]+|perhaps ", "", told)
    assert [list(handshake) for handshake in found["handshakes"]] == [HANDSHAKE.split()] * peers
    assert list(found["counts"]) == list(Ending)
    assert sum(found["counts"].values()) == peers
    assert set(found["latency"]) <= {"connect", "banner", "kexinit"}
    assert all(list(phase) == ["min", "p50", "p90", "max"] for phase in found["latency"].values())
    assert [label for label in LABELS if label in found["perfdata"]] == list(found["perfdata"])
    page = Path(found["diagnosis"]["runbook"])
    assert page.is_absolute()
    assert page.read_text("ascii").startswith(f"# {found['diagnosis']['cause']}: ")


def test_the_document_of_a_healthy_run_tells_each_handshake() -> None:
    with FakeSshd(HEALTHY) as server:
        _, found = document(*at(server))
        ports = [peer.received.split(b"\r\n")[0] for peer in server.peers]
    assert len(ports) == 5
    assert found["target"] == {"host": "127.0.0.1", "address": "127.0.0.1", "port": server.port, "family": "ipv4",
                               "source": "127.0.0.1"}  # fmt: skip
    assert found["server"] == {"identification": "SSH-2.0-FakeSSH_1.0 for tests", "protocol": "2.0",
                               "software": "FakeSSH_1.0", "comments": "for tests", "speaks_first": False,
                               "algorithms": OFFERED, "post_quantum": False,
                               "refused_clients": ["paramiko"]}  # fmt: skip
    assert [h["index"] for h in found["handshakes"]] == list(range(5))
    assert [h["role"] for h in found["handshakes"]] == ["baseline", *["burst"] * 4]
    assert {h["ending"] for h in found["handshakes"]} == {"completed"}
    assert len({h["source_port"] for h in found["handshakes"]}) == 5
    for shake in found["handshakes"]:
        assert min(shake["connect"], shake["banner"], shake["kexinit"]) >= 0
        assert shake["connect"] + shake["banner"] <= shake["ended"] + 1e-6 < 10  # floats of whole nanoseconds
        assert (shake["text"], shake["detail"]) == (None, None)
    assert found["early_close_ratio"] == 0
    assert set(found["latency"]) == {"connect", "banner", "kexinit"}
    assert all(phase["min"] <= phase["p50"] <= phase["p90"] <= phase["max"] for phase in found["latency"].values())
    assert (found["perfdata"]["handshakes"], found["perfdata"]["early_close"]) == (5, 0)


def test_a_document_of_nothing_is_whole_too() -> None:
    code, found = document("-6", "127.0.0.1")
    assert code == 3
    assert (found["state"], found["summary"]) == (
        "unknown",
        "the host 127.0.0.1 is not a valid IPv6 address",
    )
    assert list(found) == KEYS[""].split()
    assert list(found["target"]) == KEYS["target"].split()
    assert (found["server"], found["handshakes"], found["latency"], found["early_close_ratio"]) == (None, [], {}, None)
    assert found["counts"] == dict.fromkeys(Ending, 0)


def test_brackets_around_an_ipv6_address_are_no_part_of_it() -> None:
    with FakeSshd(HEALTHY, address="::1") as server:
        code, found = document("-H", "[::1]", "-p", str(server.port))
        assert (code, found["target"]["address"], found["target"]["family"]) == (0, "::1", "ipv6")
        assert_served(check("[::1]", "-p", str(server.port), "-6"))


# --- verbosity


def test_verbosity_adds_reasons_then_handshakes_then_the_wire() -> None:
    outputs = []
    for verbosity in ([], ["-v"], ["-vv"], ["-vvv"]):
        with FakeSshd(HEALTHY, HEALTHY, HEALTHY, NOTICE) as server:
            answer = check(*at(server), *verbosity)
            handshakes = len(server.peers)
        assert (answer.code, answer.err) == (1, "")
        assert answer.out.count("|") == 1
        assert answer.out.split("\n")[0].count(" | handshakes=") == 1
        outputs.append(answer.out.removesuffix("\n").split("\n")[1:])
    none, why, each, wire = ([line.split(" ")[0] for line in output] for output in outputs)
    assert none == []
    assert {"server:", "cause:", "evidence:", "on", "runbook:"} <= set(why)
    assert "runbook: check_ssh_exchange --runbook maxstartups" in outputs[1]
    assert "server: SSH-2.0-FakeSSH_1.0 for tests" in outputs[1]
    numbers = [f"#{number}" for number in range(handshakes)]
    assert each == why + numbers
    assert [word for word in wire if word] == why + numbers
    assert sum(line.startswith("    ") and " < " in line for line in outputs[3]) >= handshakes
    assert any(line.endswith(" < Exceeded MaxStartups") for line in outputs[3])
    assert any(" > SSH-2.0-check_ssh_exchange_" in line for line in outputs[3])


def test_a_line_of_a_handshake_names_its_ends_its_ending_and_its_phases() -> None:
    with FakeSshd(HEALTHY) as server:
        *_, last = check(*at(server), "-n", "2", "-vv").out.removesuffix("\n").split("\n")
    assert re.fullmatch(
        r"#1 burst 127\.0\.0\.1:\d+ to 127\.0\.0\.1: completed after \d+(\.\d+)? s "
        r"\(connect [\d.]+ ms, banner [\d.]+ ms, kexinit [\d.]+ ms\)",
        last,
        re.ASCII,
    )


@pytest.mark.parametrize("said", [b"\x1b]0;owned\x07 <b>&|`$(id)\x00\xff\r\n", b"SSH OK - fine | early_close=0%\r\n"])
def test_what_a_server_says_reaches_the_screen_harmless_at_every_verbosity(said: bytes) -> None:
    for verbosity in ("-v", "-vvv"):
        with FakeSshd([send(said), FIN]) as server:
            answer = check(*at(server), "-n", "2", verbosity)
        assert (answer.code, answer.err) == (2, "")
        assert answer.out.startswith("SSH CRITICAL - ")
        assert answer.out.count("|") == 1
        assert answer.out.replace("\n", "").isprintable()


# --- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_json", [False, True])
def test_a_signal_ends_a_hanging_run_with_what_is_known(number: signal.Signals, is_json: bool) -> None:
    options = ["--output-format", "json"] if is_json else []
    out = interrupted([SILENT], number, 1, *options)
    sentence = f"interrupted by {number.name} after 0 of 5 handshakes, 1 still open"
    if is_json:
        found = json.loads(out)
        assert (found["state"], found["summary"], found["handshakes"]) == ("unknown", sentence, [])
        assert list(found) == KEYS[""].split()
    else:
        assert out == (
            f"SSH UNKNOWN - {sentence} | handshakes=0;;;0 completed=0;;;0 closed=0;;;0 reset=0;;;0 "
            "turned_away=0;;;0 closed_after_banner=0;;;0 refused=0;;;0 rejected=0;;;0 timeout=0;;;0\n"
        )


def test_a_signal_loses_no_handshake_that_has_ended() -> None:
    found = json.loads(interrupted([HEALTHY, SILENT], signal.SIGTERM, 5, "--output-format", "json"))
    assert found["summary"] == "interrupted by SIGTERM after 1 of 5 handshakes, 4 still open"
    assert [handshake["ending"] for handshake in found["handshakes"]] == ["completed"]
    assert found["server"]["software"] == "FakeSSH_1.0"
    assert found["perfdata"]["completed"] == 1
    line, _, figures = interrupted([HEALTHY, SILENT], signal.SIGINT, 5).partition(" | ")
    assert line == "SSH UNKNOWN - interrupted by SIGINT after 1 of 5 handshakes, 4 still open"
    assert figures.startswith("handshakes=1;;;0 completed=1;;;0 early_close=0%;0;50;0;100 ")
    assert figures.count("\n") == 1


def interrupted(scripts: list[Script], number: signal.Signals, met: int, *options: str) -> str:
    """Send a signal to a run once the server has accepted `met` clients; return the output."""
    with FakeSshd(*scripts) as server, start(*at(server), "-t", "60", *options) as plugin:
        try:
            wait_until(lambda: len(server.peers) >= met and is_asleep(plugin.pid))
            sent = time.monotonic()
            plugin.send_signal(number)
            out, err = plugin.communicate(timeout=SECONDS)
        finally:
            plugin.kill()
        assert time.monotonic() - sent < 10
        assert (plugin.returncode, err) == (3, "")
        return out


def is_asleep(pid: int) -> bool:
    """Return whether a plugin waits in its event loop.

    The kernel wakes the client of a connection before it lets the server accept it. A plugin that sleeps after that
    has counted the connection.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_two_signals_at_once_are_like_one() -> None:
    with FakeSshd(SILENT) as server, start(*at(server), "-t", "60") as plugin:
        try:
            wait_until(lambda: len(server.peers) >= 1 and is_asleep(plugin.pid))
            # A stopped process takes both in the moment it goes on.
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                plugin.send_signal(number)
            out, err = plugin.communicate(timeout=SECONDS)
        finally:
            plugin.kill()
    assert (plugin.returncode, err) == (3, "")
    assert re.match(r"SSH UNKNOWN - interrupted by SIG(INT|TERM) after 0 of 5 handshakes, 1 still open \| ", out)
    assert out.count("\n") == 1


def test_a_signal_ends_a_run_at_depth_kex() -> None:
    with (
        FakeSshd(SILENT) as server,
        start(*at(server), "-t", "60", "--depth", "kex", "--output-format", "json") as plugin,
    ):
        try:
            wait_until(lambda: len(server.peers) >= 1)
            plugin.send_signal(signal.SIGTERM)
            out, err = plugin.communicate(timeout=SECONDS)
        finally:
            plugin.kill()
    assert (plugin.returncode, err) == (3, "")
    assert json.loads(out)["summary"].startswith("interrupted by SIGTERM after 0 of 5 handshakes")


@pytest.mark.timing
def test_a_timeout_below_a_second_is_kept_and_no_ok() -> None:
    with FakeSshd(SILENT) as server:
        begun = time.monotonic()
        code, found = document(*at(server), "-t", "0.5")
        assert time.monotonic() - begun < 5
    assert (code, found["state"]) == (2, "critical")
    assert {handshake["ending"] for handshake in found["handshakes"]} == {"banner_timeout"}
    assert len(found["handshakes"]) >= 5
    assert all(handshake["ended"] < 3 for handshake in found["handshakes"])


def test_the_state_of_a_name_that_does_not_resolve_can_be_chosen() -> None:
    # A label of more than 63 letters is not a valid name, so no resolver is queried.
    answer = check("-H", "a" * 64 + ".invalid", "--state", "name_resolution=critical")
    assert answer.code == 2
    assert answer.line.startswith("SSH CRITICAL - ")
