"""Depth hostkey: what real servers show, and what it is compared with."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.report import Report
from check_ssh_exchange.wire import key_exchange
from tests.lab import zoo
from tests.lab.front_door import NEVER_SLOW, Answer, check

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

SERVERS = [name for name in zoo.RECIPES if name not in ("haproxy", "stunnel")]
BLIND = ["dropbear-2020.81", "dropbear-2022.83"]  # offer RSA although they have no such key, and die when asked for it
DAY = 86400
SECONDS = 60


def run(server: zoo.Server, **options: Any) -> Report:
    return measure(Target(server.address, server.port), Plan(depth=Depth.HOSTKEY, timeout=SECONDS, **options))


def fingerprints(lines: list[str]) -> dict[str, str]:
    """Return what ssh-keygen says of public keys: the fingerprint of each type."""
    command = ["ssh-keygen", "-l", "-f", "-"]
    told = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in told.splitlines()]
    return {line.split()[0]: found[1] for line, found in zip(lines, words, strict=True)}


def checked(server: zoo.Server, *arguments: str) -> tuple[Answer, dict[str, Any]]:
    host = ["-H", server.address, "-p", str(server.port), "--depth", "hostkey", *NEVER_SLOW]
    answer = check(*host, "--output-format", "json", *arguments)
    assert answer.err == ""
    return answer, json.loads(answer.out)


@pytest.fixture(scope="module")
def openssh() -> Iterator[zoo.Server]:
    with zoo.server("openssh-9.2", options={"MaxStartups": "100"}) as running:
        yield running


@pytest.mark.parametrize("name", SERVERS)
def test_a_default_run_sees_every_host_key(name: str) -> None:
    with zoo.server(name) as server:
        report = run(server)
        assert {key.type: key.fingerprint for key in report.host_keys} == fingerprints(server.host_keys)
    if name not in BLIND:
        assert report.completed == len(report.handshakes) == 5
        assert all(handshake.hostkey is not None for handshake in report.handshakes)


@pytest.mark.parametrize("name", BLIND)
def test_a_key_that_a_server_offers_and_does_not_have_is_named(name: str) -> None:
    with zoo.server(name) as server:
        answer, told = checked(server)
    assert answer.code == 1
    assert told["diagnosis"]["cause"] == "server_fault"
    assert any("and closes when asked for such a host key" in sentence for sentence in told["diagnosis"]["evidence"])


METHODS = [name.decode() for name in key_exchange.NAMES]


@pytest.mark.parametrize("method", METHODS)
def test_every_key_exchange_method_makes_a_server_show_its_key(method: str) -> None:
    with zoo.server("openssh-10.6", options={"KexAlgorithms": method}) as server:
        report = run(server, handshakes=1)
    assert [handshake.ending for handshake in report.handshakes] == [Ending.COMPLETED]
    assert report.algorithms is not None
    assert report.algorithms.kex[0] == method


def certified(chroot: zoo.Chroot, directory: Path, *, validity: str, principals: str = "127.0.0.1") -> str:
    """Sign the ed25519 host key of a chroot; return the settings that show the certificate."""
    authority = directory / "ca"
    if not authority.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority], check=True)
    key = chroot.root / "etc/ssh/ssh_host_ed25519_key.pub"
    identity = ["-I", "web \x07one", "-h", "-n", principals, "-z", "7", "-V", validity]
    if not key.exists():
        private = chroot.root / "etc/ssh/ssh_host_ed25519_key"
        key.write_text(subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True).stdout)
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *identity, key], check=True)
    return "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n"


def test_a_host_certificate_is_read(tmp_path: Path) -> None:
    with zoo.copy("openssh-9.2") as chroot:
        config = certified(chroot, tmp_path, validity="-1d:+10d", principals="a.example,b.example")
        with chroot.server(config=config) as server:
            answer, told = checked(server, "--warning", f"host_certificate_remaining={11 * DAY}:")
            keys = fingerprints(server.host_keys)
    (ca,) = fingerprints([(tmp_path / "ca.pub").read_text()]).values()
    (shown,) = [key for key in told["server"]["host_keys"] if key["certificate"]]
    certificate = shown["certificate"]
    assert shown["type"] == "ssh-ed25519-cert-v01@openssh.com"
    assert shown["fingerprint"] == keys["ssh-ed25519"]
    assert {key["fingerprint"] for key in told["server"]["host_keys"]} == set(keys.values())
    assert certificate["principals"] == ["a.example", "b.example"]
    assert (certificate["serial"], certificate["ca_fingerprint"]) == (7, ca)
    assert certificate["key_id"] == r"web \x07one"
    assert 10 * DAY - 3600 < certificate["valid_before"] - certificate["valid_after"] - DAY < 10 * DAY + 3600
    assert 9 * DAY < told["perfdata"]["host_certificate_remaining"] < 11 * DAY
    assert answer.code == 1
    assert "host_certificate_remaining is " in told["summary"]


def test_a_certificate_that_has_run_out_is_the_cause(tmp_path: Path) -> None:
    with zoo.copy("openssh-9.2") as chroot:
        config = certified(chroot, tmp_path, validity="-10d:-1d")
        with chroot.server(config=config) as server:
            answer, told = checked(server)
    assert (answer.code, told["diagnosis"]["cause"]) == (2, "host_key")
    ended = r"the certificate of the ssh-ed25519 host key ran out at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(ended, told["diagnosis"]["evidence"][0])
    assert told["summary"].startswith("the host certificate has run out")
    assert any("sign the host key again" in remedy for remedy in told["diagnosis"]["remedies"])
    assert told["perfdata"]["host_certificate_remaining"] == 0


def test_one_expected_fingerprint_that_is_shown_will_do(openssh: zoo.Server) -> None:
    for right in fingerprints(openssh.host_keys).values():
        answer, told = checked(openssh, "--host-key", right)
        assert (answer.code, told["diagnosis"]["cause"]) == (0, "healthy")


def test_a_fingerprint_that_is_not_shown_is_critical(openssh: zoo.Server) -> None:
    wrong = "SHA256:" + "A" * 43
    answer, told = checked(openssh, "--host-key", wrong)
    assert (answer.code, told["diagnosis"]["cause"], told["diagnosis"]["confidence"]) == (2, "host_key", "certain")
    assert f"expected {wrong}" in told["diagnosis"]["evidence"][0]
    answer, _ = checked(openssh, "--host-key", wrong, "--state", "host_key=warning")
    assert answer.code == 1


@pytest.mark.parametrize("depth", ["kex", "hostkey"])
def test_expected_fingerprints_count_at_every_depth_that_sees_keys(openssh: zoo.Server, depth: str) -> None:
    host = ["-H", openssh.address, "-p", str(openssh.port), "--depth", depth, *NEVER_SLOW]
    for kind, right in fingerprints(openssh.host_keys).items():
        assert check(*host, "--host-key", right).code == 0, kind
    answer = check(*host, "--host-key", "SHA256:" + "A" * 43)
    assert answer.code == 2
    assert "the host key is not the one expected" in answer.line


@pytest.mark.parametrize("handshakes", [1, 2, 5])
def test_the_types_that_the_file_has_are_asked_for_first(openssh: zoo.Server, tmp_path: Path, handshakes: int) -> None:
    for number, line in enumerate(openssh.host_keys):
        file = known_hosts(openssh, tmp_path / f"only-{number}", [line])
        answer, told = checked(openssh, "--known-hosts", file, "-n", str(handshakes))
        assert (answer.code, told["diagnosis"]["cause"]) == (0, "healthy"), line


def test_too_few_handshakes_to_see_the_expected_kind_are_unknown_and_not_critical(openssh: zoo.Server) -> None:
    rsa = fingerprints(openssh.host_keys)["ssh-rsa"]
    answer, told = checked(openssh, "--host-key", rsa, "-n", "1")
    assert answer.code == 3
    assert "raise --handshakes" in told["summary"]
    assert checked(openssh, "--host-key", rsa, "-n", "3")[0].code == 0


def known_hosts(server: zoo.Server, path: Path, lines: list[str]) -> str:
    name = f"[{server.address}]:{server.port}"
    path.write_text("".join(f"{name} {line}\n" for line in lines))
    return str(path)


def test_known_hosts_are_judged_as_ssh_does(openssh: zoo.Server, tmp_path: Path) -> None:
    file = known_hosts(openssh, tmp_path / "known", openssh.host_keys)
    assert checked(openssh, "--known-hosts", file)[0].code == 0
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert Path(file).read_text().startswith("|1|")
    assert checked(openssh, "--known-hosts", file)[0].code == 0
    one = known_hosts(openssh, tmp_path / "one", openssh.host_keys[:1])
    assert checked(openssh, "--known-hosts", one)[0].code == 0
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    wrong = known_hosts(openssh, tmp_path / "wrong", [other.with_suffix(".pub").read_text()])
    answer, told = checked(openssh, "--known-hosts", wrong)
    assert (answer.code, told["diagnosis"]["cause"]) == (2, "host_key")
    assert "is not the known key" in told["diagnosis"]["evidence"][0]


def test_a_known_hosts_file_that_cannot_be_read_is_unknown(openssh: zoo.Server, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    answer = check("-H", openssh.address, "-p", str(openssh.port), "--depth", "hostkey", "--known-hosts", str(absent))
    assert answer.code == 3
    assert answer.line == f"SSH UNKNOWN - cannot use the host keys in {absent}: No such file or directory"


def test_a_key_that_changes_between_runs_is_told_for_a_window(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with zoo.copy("openssh-9.2") as chroot:
        with chroot.server() as server:
            port = server.port
            assert checked(server, "--state-file", state)[0].code == 0
            (before,) = [key for kind, key in fingerprints(server.host_keys).items() if kind == "ssh-ed25519"]
        key = chroot.root / "etc/ssh/ssh_host_ed25519_key"
        key.unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with chroot.server(port=port) as server:
            for _ in range(2):  # long enough for a monitoring system to see it more than once
                answer, told = checked(server, "--state-file", state)
                assert (answer.code, told["diagnosis"]["cause"]) == (1, "host_key")
                sentence = told["diagnosis"]["evidence"][0]
                assert re.match(f"the ssh-ed25519 host key was {re.escape(before)} until ", sentence)
            (now,) = [key for kind, key in shown(told) if kind == "ssh-ed25519"]
            assert told["diagnosis"]["evidence"][0].endswith(f"now {now}")


def shown(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key["type"], key["fingerprint"]) for key in told["server"]["host_keys"]]
