"""Nine real servers at every depth: what the plugin says of them, and what they say of the plugin."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nagiosplugin
import pytest

from check_ssh_exchange.ending import Ending
from faults.holding import held
from tests.lab import zoo
from tests.lab.front_door import NEVER_SLOW, Answer, check

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

SERVERS = [name for name in zoo.RECIPES if name not in ("haproxy", "stunnel")]
OPENSSH = [name for name in SERVERS if name.startswith("openssh")]
WITH_PENALTIES = ["openssh-10.0", "openssh-10.6"]
WITHOUT_PENALTIES = ["openssh-8.4", "openssh-9.2"]
DROPBEAR = [name for name in SERVERS if name.startswith("dropbear")]
DEPTHS = ("banner", "kexinit", "kex", "login")
LOG_SECONDS = 60.0  # a server logs a closing within milliseconds; the rest is for a busy machine

# Each test comes from an address of its own: penalties and limits are kept per address.
SOURCES = {depth: f"127.0.1.{number}" for number, depth in enumerate(DEPTHS, 1)}
JSON_SOURCES = {depth: f"127.0.2.{number}" for number, depth in enumerate(DEPTHS, 1)}
OTHER_SOURCE = "127.0.3.1"

COUNTERS = ("closed", "reset", "turned_away", "closed_after_banner", "refused", "rejected", "timeout")
PHASES = {
    "banner": ["connect", "banner"],
    "kexinit": ["connect", "banner", "kexinit"],
    "kex": ["connect", "banner", "kexinit", "hostkey", "kex"],
    "login": ["connect", "banner", "kexinit", "hostkey", "kex", "login"],
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, zoo.Server]]:
    # Two runs at once hold up to ten slots, where the default MaxStartups begins to drop.
    with zoo.server(request.param, options={"MaxStartups": "100"}) as running:
        yield request.param, running


def probe(server: zoo.Server, *arguments: str) -> Answer:
    answer = check("-H", server.address, "-p", str(server.port), *NEVER_SLOW, *arguments)
    assert answer.err == ""
    return answer


def document(server: zoo.Server, *arguments: str) -> tuple[int, dict[str, Any]]:
    answer = probe(server, "--output-format", "json", *arguments)
    return answer.code, json.loads(answer.out)


def depth_options(server: zoo.Server, depth: str) -> list[str]:
    options = ["--depth", depth]
    if depth in ("kex", "login"):
        options += ["--known-hosts", str(server.known_hosts)]
    return options + (["--user", server.user, "--identity", str(server.identity)] if depth == "login" else [])


def login(server: zoo.Server, *more: str, **changed: object) -> Answer:
    options = {"user": server.user, "identity": server.identity, "known-hosts": server.known_hosts} | changed
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return probe(server, "--depth", "login", *words, *more)


def software(name: str) -> str:
    """What the server calls itself, as a regular expression."""
    kind, _, version = name.partition("-")
    if kind == "openssh":
        return rf"OpenSSH_{re.escape(version) if name != 'openssh-10.6' else '[0-9.]+'}p[0-9]"
    return rf"dropbear_{re.escape(version) if name != 'dropbear-2026.94' else '[0-9.]+'}" if version else "tinyssh"


def perfdata_pattern(depth: str) -> str:
    """Every figure of a run of five that went well, in the contract's order."""
    seconds, limits = r"[0-9]+(\.[0-9]{1,6})?s", {"banner_p50": "60;60"}
    figures = ["handshakes=5;;;0", "completed=5;;;0", "early_close=0%;0;50;0;100", "failed=0%;;;0;100"]
    timed = [f"{phase}_{what}" for phase in PHASES[depth] if phase != "hostkey" for what in ("p50", "max")]
    extra = [label for label in timed if label.startswith(("kex_", "login_"))]
    figures += [f"{label}={seconds};{limits.get(label, ';')};0" for label in timed if label not in extra]
    figures += [f"{label}=0;;;0" for label in COUNTERS]
    return " ".join([*figures, *(f"{label}={seconds};;;0" for label in ("baseline_banner", *extra))])


def await_log(server: zoo.Server, *patterns: str) -> None:
    """Wait until the server has written all of these."""
    deadline = time.monotonic() + LOG_SECONDS
    while absent := [pattern for pattern in patterns if not re.search(pattern, server.log())]:
        assert time.monotonic() < deadline, f"not logged: {absent}\n{server.log()}"
        time.sleep(0.02)


# --- a server in good health


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_healthy_server_is_ok_at_every_depth_in_text_and_json(server: tuple[str, zoo.Server], depth: str) -> None:
    name, running = server
    options = depth_options(running, depth)
    with ThreadPoolExecutor() as pool:
        text = pool.submit(probe, running, *options, "-S", SOURCES[depth])
        code, told = document(running, *options, "-S", JSON_SOURCES[depth])
    assert_ok_line(text.result(), name, depth)
    assert (code, told["state"]) == (0, "ok")
    assert_consistent(told, name, running, depth)
    assert_logged(name, running, depth, [handshake["source_port"] for handshake in told["handshakes"]])


def assert_ok_line(answer: Answer, name: str, depth: str) -> None:
    line = rf"SSH OK - {software(name)} \(protocol 2\.0\), 5/5 handshakes, banner [0-9.]+ ms \| "
    assert re.fullmatch(line + perfdata_pattern(depth) + "\n", answer.out), answer.out
    assert answer.code == 0


def assert_consistent(told: dict[str, Any], name: str, running: zoo.Server, depth: str) -> None:
    assert told["schema"] == 1
    assert told["target"] == {"host": "127.0.0.1", "address": "127.0.0.1", "port": running.port, "family": "ipv4",
                              "source": JSON_SOURCES[depth]}  # fmt: skip
    assert re.fullmatch(software(name), told["server"]["software"])
    assert told["server"]["protocol"] == "2.0"
    assert told["server"]["identification"].startswith(f"SSH-2.0-{told['server']['software']}")
    handshakes = told["handshakes"]
    assert [handshake["index"] for handshake in handshakes] == [0, 1, 2, 3, 4]
    assert [handshake["role"] for handshake in handshakes] == ["baseline"] + 4 * ["burst"]
    assert {(h["family"], h["address"], h["source"]) for h in handshakes} == {
        ("ipv4", "127.0.0.1", JSON_SOURCES[depth])
    }
    assert len({handshake["source_port"] for handshake in handshakes}) == 5
    tally = Counter(handshake["ending"] for handshake in handshakes)
    assert tally == {"completed": 5}
    assert told["counts"] == {ending: tally[ending] for ending in Ending}
    assert told["early_close_ratio"] == 0
    for phase in ("connect", "banner", "kexinit"):
        took = sorted(handshake[phase] for handshake in handshakes if handshake[phase] is not None)
        assert len(took) == (5 if phase in PHASES[depth] else 0), phase
        if took:
            ends = told["latency"][phase]["min"], told["latency"][phase]["p50"], told["latency"][phase]["max"]
            assert ends == pytest.approx((took[0], took[2], took[4]), abs=1e-8)
    assert list(told["latency"]) == PHASES[depth]
    assert told["perfdata"]["banner_p50"] == pytest.approx(told["latency"]["banner"]["p50"], abs=1e-6)
    assert told["diagnosis"]["cause"] == "healthy"


def assert_logged(name: str, server: zoo.Server, depth: str, ports: list[int]) -> None:
    source = re.escape(JSON_SOURCES[depth])
    if name.startswith("openssh") and depth in ("kexinit", "kex"):
        await_log(server, *(rf"Received disconnect from {source} port {port}:11: " for port in ports))
    elif name.startswith("openssh") and depth == "login":
        await_log(server, *(rf"Accepted publickey for u from {source} port {port} " for port in ports))
    elif name.startswith("dropbear") and depth in ("kexinit", "kex"):
        await_log(server, *(rf"Exit before auth from <{source}:{port}>: Disconnect received" for port in ports))
    elif name.startswith("dropbear") and depth == "login":
        await_log(server, *(rf"Exit \(u\) from <{source}:{port}>: Disconnect received" for port in ports))
    elif name == "tinysshd":
        await_log(server, *(rf"connection from {source}:{port} " for port in ports))


# --- what a login can lack


@pytest.fixture(scope="module")
def openssh() -> Iterator[zoo.Server]:
    with zoo.server("openssh-9.2") as running:
        yield running


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path


def test_a_host_key_that_is_not_the_known_one_is_critical(openssh: zoo.Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"[{openssh.address}]:{openssh.port} {other}")
    answer = login(openssh, "--output-format", "json", **{"known-hosts": wrong})
    told = json.loads(answer.out)
    assert (answer.code, told["state"], told["counts"]["completed"]) == (2, "critical", 0)
    (detail,) = {handshake["detail"] for handshake in told["handshakes"]}
    shown = re.fullmatch(rf"the server showed (SHA256:\S+), which is not in {re.escape(str(wrong))}", detail)
    assert shown
    keygen = ["ssh-keygen", "-l", "-f", "-"]
    known = subprocess.run(keygen, input="\n".join(openssh.host_keys), capture_output=True, text=True, check=True)
    assert shown[1] in known.stdout
    assert (told["diagnosis"]["cause"], told["diagnosis"]["confidence"]) == ("host_key", "certain")
    assert f"ssh-keygen -R '[{openssh.address}]:{openssh.port}' -f KNOWN_HOSTS" in answer.out


def test_a_key_that_the_server_does_not_accept_is_unknown(openssh: zoo.Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    answer = login(openssh, identity=key)
    sentence = f"the key exchange was completed, but the server does not accept the key {key} for user u"
    assert (answer.code, answer.line) == (3, f"SSH UNKNOWN - {sentence}")


def test_a_key_with_a_passphrase_is_unknown(openssh: zoo.Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "secret")
    sentence = f"the private key {key} has a passphrase, which a check cannot type"
    answer = login(openssh, identity=key)
    assert (answer.code, answer.line) == (3, f"SSH UNKNOWN - {sentence}")


@pytest.mark.parametrize(("option", "what"), [("identity", "private key"), ("known-hosts", "host keys in")])
def test_a_file_that_is_not_there_is_unknown(openssh: zoo.Server, tmp_path: Path, option: str, what: str) -> None:
    absent = tmp_path / "absent"
    answer = login(openssh, **{option: absent})
    assert answer.code == 3
    assert answer.line == f"SSH UNKNOWN - cannot use the {what} {absent}: No such file or directory"


def test_without_asyncssh_the_deep_depths_name_the_pip_command(openssh: zoo.Server, tmp_path: Path) -> None:
    # An interpreter without site-packages, where only the plugin's one dependency is put back.
    (tmp_path / "nagiosplugin").symlink_to(Path(nagiosplugin.__file__).parent)
    answer = check("-H", openssh.address, "-p", str(openssh.port), "--depth", "kex",
                   command=(sys.executable, "-S", "-m", "check_ssh_exchange"),
                   env={"PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert answer == (
        3,
        "SSH UNKNOWN - the depths kex and login need the Python module asyncssh: "
        "pip install asyncssh, or Debian's python3-asyncssh | handshakes=0;;;0 completed=0;;;0 "
        + " ".join(f"{label}=0;;;0" for label in COUNTERS)
        + "\n",
        "",
    )


# --- limits


def refusal_text(name: str) -> str:
    return "Not allowed at this time" if name in WITH_PENALTIES else "Exceeded MaxStartups"


@pytest.mark.parametrize("name", OPENSSH)
def test_three_slots_turn_away_a_part_of_the_default_burst(name: str) -> None:
    with zoo.server(name, options={"MaxStartups": "3:100:3"}) as server:
        code, told = document(server)
    turned_away = [handshake for handshake in told["handshakes"] if handshake["ending"] == "turned_away"]
    assert (code, told["state"]) == (1, "warning")
    assert told["counts"]["turned_away"] == len(turned_away) >= 1
    # The baseline, the burst of four, one more alone, and the burst once more.
    assert told["counts"]["completed"] + len(turned_away) == len(told["handshakes"]) == 10
    assert {handshake["role"] for handshake in turned_away} == {"burst", "recheck"}
    assert told["diagnosis"]["self_inflicted"]
    assert {handshake["text"] for handshake in turned_away} == {refusal_text(name)}
    assert (told["handshakes"][5]["role"], told["handshakes"][5]["ending"]) == ("recheck", "completed")
    assert told["early_close_ratio"] == pytest.approx(len(turned_away) / 10, abs=1e-6)


@pytest.mark.parametrize(("name", "slots"), [*zip(OPENSSH, (18, 24, 18, 24), strict=True)])
def test_a_busy_server_drops_some_and_the_state_follows_the_ratio(name: str, slots: int) -> None:
    # Of 15 handshakes sshd drops 41 to 63 % at random: all or none once in 20,000 runs.
    with zoo.server(name, options={"MaxStartups": "10:30:60"}) as server, held(server, slots, OTHER_SOURCE):
        code, told = document(server, "-n", "15", "--concurrency", "14")
    ratio = told["early_close_ratio"]
    assert 0 < ratio < 1
    assert (code, told["state"]) == ((1, "warning") if ratio <= 0.5 else (2, "critical"))
    assert told["counts"]["turned_away"] + told["counts"]["completed"] == len(told["handshakes"])
    assert {h["text"] for h in told["handshakes"] if h["ending"] == "turned_away"} == {refusal_text(name)}


@pytest.mark.parametrize("name", OPENSSH)
def test_a_full_server_is_critical_and_completes_nothing(name: str) -> None:
    with zoo.server(name, options={"MaxStartups": "10:30:12"}) as server, held(server, 12, OTHER_SOURCE):
        answer = probe(server)
    assert answer.code == 2
    assert answer.line.startswith("SSH CRITICAL - 5 of 5 handshakes turned away: ")
    assert f'"{refusal_text(name)}"' in answer.line
    assert " handshakes=5;;;0 completed=0;;;0 early_close=100%;0;50;0;100 failed=100%;;;0;100 " in answer.out


@pytest.mark.parametrize("name", WITH_PENALTIES)
def test_more_than_the_budget_ends_after_one_handshake(name: str) -> None:
    with zoo.server(name, options={"LogLevel": "VERBOSE"}) as server:
        code, told = document(server, "-n", "16")
        assert len(re.findall(r"^Connection from ", server.log(), re.MULTILINE)) == 1
    sentence = rf"16 handshakes were asked for; {software(name)} may shut this address out after 15: .*--exempt.*"
    assert re.fullmatch(sentence, told["summary"])
    assert (code, told["state"], told["counts"]["completed"], len(told["handshakes"])) == (3, "unknown", 1, 1)


@pytest.mark.parametrize("name", WITH_PENALTIES)
def test_the_budget_itself_is_served_and_more_of_it_earns_a_penalty_for_this_address_only(name: str) -> None:
    with zoo.server(name) as server:
        first, _, last = [document(server, "-n", "15") for _ in range(3)]
        elsewhere = document(server, "-S", OTHER_SOURCE)
    assert (first[0], first[1]["counts"]["completed"]) == (0, 15)
    assert (last[0], last[1]["counts"]["turned_away"]) == (2, 15)
    assert {handshake["text"] for handshake in last[1]["handshakes"]} == {"Not allowed at this time"}
    assert (elsewhere[0], elsewhere[1]["counts"]["completed"]) == (0, 5)


@pytest.mark.parametrize("name", WITH_PENALTIES)
def test_an_exempted_address_may_go_beyond_the_budget_and_is_served_afterwards(name: str) -> None:
    with zoo.server(name, options={"PerSourcePenaltyExemptList": "127.0.0.1"}) as server:
        answers = [document(server, "-n", number, "--exempt") for number in ("20", "5")]
    assert [(code, told["counts"]["completed"]) for code, told in answers] == [(0, 20), (0, 5)]


@pytest.mark.parametrize("name", WITH_PENALTIES)
def test_logins_have_no_budget_because_they_earn_no_penalty(name: str) -> None:
    with zoo.server(name) as server:
        code, told = document(server, *depth_options(server, "login"), "-n", "16", "-t", "60")
    assert (code, told["counts"]["completed"]) == (0, 16)


@pytest.mark.parametrize("name", WITHOUT_PENALTIES)
def test_a_server_without_penalties_has_no_budget(name: str) -> None:
    with zoo.server(name) as server:
        code, told = document(server, "-n", "16")
    assert (code, told["counts"]["completed"]) == (0, 16)


@pytest.mark.parametrize("name", DROPBEAR)
def test_dropbear_gets_no_more_than_it_serves_one_address_at_once(name: str) -> None:
    with zoo.server(name) as server:
        code, told = document(server, "-n", "10")
        asked = rf"8 handshakes at once were asked for; {software(name)} serves 5 from one address: .*--concurrency 5.*"
        assert re.fullmatch(asked, told["summary"])
        assert (code, told["state"], len(told["handshakes"])) == (3, "unknown", 1)
        code, told = document(server, "-n", "10", "--concurrency", "5")
        assert (code, told["state"], told["counts"]["completed"]) == (0, "ok", 10)


@pytest.mark.parametrize("name", DROPBEAR)
def test_dropbear_closes_what_is_beyond_its_limit_without_a_word(name: str) -> None:
    with zoo.server(name) as server:
        code, told = document(server, "-n", "9", "--exempt")
    burst = Counter(h["ending"] for h in told["handshakes"] if h["role"] == "burst")
    assert (code, told["state"], burst) == (1, "warning", {"completed": 5, "closed": 3})
    assert {handshake["text"] for handshake in told["handshakes"]} == {None}
    assert [h["ending"] for h in told["handshakes"] if h["role"] == "recheck"] == ["completed"]
