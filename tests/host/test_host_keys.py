"""Host keys: which can be loaded, which have changed, when their certificates end."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import host_keys
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.keys import of_plain, of_printed
from check_ssh_exchange.host.status_line import rights
from check_ssh_exchange.plugin.nagios import Critical, Warn
from tests.host.asked import DUMP, collected, host, hostile, is_printable, missing, stat, trust
from tests.host.by_hand import AT, Host
from tests.lab import zoo

RSA, ED25519 = "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"
# ssh-keygen -y and -l of 9.2, for a key of zeros.
PLAIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
PRINT = "SHA256:6+MBR5E2rSfS4iJpV0p4m3p4IVyZB9tRgSxeUSsNEyY"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA root@host\n"


def find(made: Host, memory: "Mapping[str, Any] | None" = None) -> Finding:
    return host_keys.find(made.seen, About(memory={"host_keys": memory} if memory else {}))


def sentences(finding: Finding) -> list[str]:
    return [problem.sentence for problem in finding.problems]


def with_keys(uid: int = 0, **more: Any) -> Host:
    made = host(uid=uid, **more)
    for path in (RSA, ED25519):
        stat(made, path, mode=0o100600)
        made.command(f"host key of 10: {path}", PLAIN if path == ED25519 else OTHER)
    return made


def broken(made: Host, path: str = RSA, err: str = "", *, named: bool = True) -> Host:
    made.command(f"host key of 10: {path}", code=255, err=err)
    if named:
        told = made.document["commands"]["test of 10"]
        told["err"] += f"Unable to load host key: {path}\r\n"
    return made


def test_keys_that_can_be_loaded() -> None:
    finding = find(with_keys())
    assert not finding.problems
    assert finding.summary == "2 host keys"
    assert [(figure.label, figure.value) for figure in finding.figures] == [("host_keys", 2)]
    assert ("ssh-ed25519", of_plain(PLAIN)[1]) in finding.keys
    assert json.dumps(finding.remember)


@pytest.mark.parametrize(
    ("err", "fault"),
    [
        (f'Load key "{RSA}": error in libcrypto\r\n', "cannot be loaded: error in libcrypto"),
        (f"Permissions 0644 for '{RSA}' are too open.\r\nLoad key \"{RSA}\": bad permissions\r\n",
         "may be read by others than its owner"),
        (f'Load key "{RSA}": incorrect passphrase supplied to decrypt private key\r\n', "has a passphrase"),
        ("", "cannot be loaded"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_loaded(err: str, fault: str) -> None:
    finding = find(broken(with_keys(), err=err))
    assert sentences(finding) == [f"host key {RSA} {fault}"]
    assert finding.problems[0].state is Warn
    assert finding.problems[0].cause is Cause.SERVER_FAULT
    assert finding.figures[0].value == 1


def test_an_empty_one() -> None:
    made = broken(with_keys(), err="invalid format")
    stat(made, RSA, size=0)
    assert sentences(find(made)) == [f"host key {RSA} is empty"]


def test_a_default_key_that_was_never_made_is_not_missed() -> None:
    # sshd.c: without HostKey lines sshd takes those by default that are there, and says nothing of the others.
    made = broken(with_keys(), named=False)
    missing(made, RSA)
    finding = find(made)
    assert not finding.problems
    assert finding.figures[0].value == 1


def test_a_key_that_is_named_and_missing() -> None:
    made = broken(with_keys())
    missing(made, RSA)
    finding = find(made)
    assert sentences(finding) == [f"host key {RSA} is missing"]
    assert not any("ssh-keygen -A" in remedy for remedy in finding.remedies)


@pytest.mark.parametrize(
    ("version", "consequence"),
    [
        ("OpenSSH_9.2p1", "every new connection ends at once"),
        ("OpenSSH_9.8p1", "it serves still, do not restart"),
        ("OpenSSH_10.6p1", "it serves still, do not restart"),
    ],
)
def test_none_that_can_be_loaded(version: str, consequence: str) -> None:
    made = broken(broken(with_keys(version=version)), ED25519, err="invalid format")
    missing(made, RSA)
    finding = find(made)
    assert finding.problems[0].state is Critical
    assert sentences(finding) == [f"no host key can be used, {consequence}: {ED25519} cannot be loaded: invalid format"]
    assert finding.figures[0].value == 0


def test_missing_keys_are_not_told_as_if_they_were_there() -> None:
    made = broken(broken(with_keys(version="OpenSSH_10.6p1")), ED25519)
    for path in (RSA, ED25519):
        missing(made, path)
        made.command(f"public host key of 10: {path}", f"256 {PRINT} root@host (ED25519)\n")
    finding = find(made)
    assert finding.evidence[0] == f"{RSA}: missing; its .pub file is of ssh-ed25519 {PRINT}"
    assert not finding.keys
    assert finding.remedies == (
        f"mv BACKUP {RSA}   # the key that clients know",
        f"mv BACKUP {ED25519}   # the key that clients know",
        "ssh-keygen -A   # only if there is no backup: clients that know the old key refuse a new one",
    )


def test_a_key_of_another_place_is_made_of_the_kind_that_its_public_file_tells() -> None:
    made = broken(host())
    answer = made.document["commands"]["configuration of 10"]
    answer["out"] = re.sub(r"^hostkey .*\n", "", answer["out"], flags=re.MULTILINE) + "hostkey /srv/key\n"
    broken(made, "/srv/key")
    missing(made, "/srv/key")
    made.command("public host key of 10: /srv/key", f"3072 {PRINT} root@host (RSA)\n")
    last = find(made).remedies[-1].partition("   #")[0]
    assert last == "ssh-keygen -q -t rsa -N '' -f /srv/key"


def test_no_key_is_made_where_none_is_missing() -> None:
    made = with_keys()
    for path in (RSA, ED25519):
        broken(made, path, err=f"Permissions 0644 for '{path}' are too open.\r\n")
    assert [remedy.partition(" ")[0] for remedy in find(made).remedies] == ["chmod", "chmod"]


def test_remedies_reach_into_the_root_of_a_listener() -> None:
    made = with_keys()
    made.document["links"]["/proc/10/root"] = {"target": "/srv/a"}
    for path in ("/usr", "/usr/sbin", "/usr/sbin/sshd"):
        stat(made, f"/proc/10/root{path}")
    broken(made, RSA, err="too open")
    missing(made, f"/proc/10/root{ED25519}")
    broken(made, ED25519)
    assert [remedy.partition("   #")[0] for remedy in find(made).remedies] == [
        f"chmod 600 /srv/a{RSA}", f"mv BACKUP /srv/a{ED25519}", "ssh-keygen -A -f /srv/a"
    ]  # fmt: skip


def test_a_loaded_key_that_differs_from_its_file() -> None:
    made = with_keys()
    shown = [["ssh-ed25519", PRINT], ["ssh-rsa", PRINT]]
    made.document["probes"] = [{"pid": 10, "keys": shown}, {"pid": 10, "keys": shown}, {"pid": 11, "keys": None}]
    finding = find(made)
    # Both files hold an Ed25519 key; there is no RSA key on disk to differ from.
    assert sentences(finding) == [f"sshd shows another ssh-ed25519 key than {RSA}: restart or restore"]
    assert finding.problems[0].state is Warn
    assert finding.problems[0].cause is Cause.HOST_KEY
    assert "restart" in finding.remedies[0]
    made.document["probes"][0]["keys"] = [["ssh-ed25519", of_plain(PLAIN)[1]]]
    made.document["probes"][1]["keys"] = []
    assert not find(made).problems


def test_keys_of_an_agent_are_not_judged() -> None:
    made = broken(broken(with_keys()), ED25519)
    made.command("configuration of 10", DUMP.replace("hostkeyagent none", "hostkeyagent /run/agent"))
    finding = find(made)
    assert not finding.problems
    assert not finding.figures


def test_without_settings_nothing_is_guessed() -> None:
    made = with_keys()
    made.command("configuration of 10", code=255, err="line 1: Bad configuration option: x")
    made.command("test of 10", code=255, err="line 1: Bad configuration option: x")
    missing(made, RSA)
    finding = find(made)
    assert not finding.problems
    assert finding.unseen == ("sshd does not tell which host keys it has",)


def test_without_rights_fingerprints_come_from_the_public_files() -> None:
    made = host(uid=1000)
    del made.document["commands"]["test of 10"]
    for path in (RSA, ED25519):
        stat(made, path, mode=0o100600)
        made.command(f"public host key of 10: {path}", f"256 {PRINT} root@host (ED25519)\n")
    finding = find(made)
    assert not finding.problems
    assert not finding.figures
    assert finding.keys == (("ssh-ed25519", PRINT),)
    assert finding.unseen == ("root would show whether sshd can load its host keys",)
    assert finding.summary == "2 host keys, which root alone can read"


def test_without_rights_a_key_that_all_may_read_is_seen() -> None:
    made = host(uid=1000)
    stat(made, RSA, mode=0o100644)
    stat(made, ED25519, mode=0o100640)
    finding = find(made)
    assert sentences(finding) == [f"host key {RSA} may be read by others than its owner"]
    assert finding.remedies == (f"chmod 600 {RSA}   # sshd takes no key that others may read",)
    assert not finding.figures


def test_without_rights_keys_that_are_not_here_are_no_finding() -> None:
    made = host(uid=1000)
    for path in (RSA, ED25519):
        missing(made, path)
    assert not find(made).problems


def test_without_rights_and_settings_there_is_nothing_to_look_at() -> None:
    made = host(uid=1000)
    made.command("configuration of 10", code=1, err="/etc/ssh/sshd_config: Permission denied\r\n")
    finding = find(made)
    assert finding.is_skipped
    assert finding.unseen == ("root would show which host keys sshd has",)


def test_what_root_would_show_of_several_is_one_note() -> None:
    made = host(uid=1000)
    made.sshd(20, port=2222)
    for pid in (10, 20):
        trust(made, pid)
        made.command(f"configuration of {pid}", code=1, err="/etc/ssh/sshd_config: Permission denied\r\n")
        made.document["links"][f"/proc/{pid}/root"] = {"target": "/"}
    made.file("/proc/20/cmdline", "sshd: /usr/sbin/sshd -D -p 2222 [listener] 0 of 10-100 startups")
    first, *_ = rights(judge(made.seen, About(), Wishes(("host_keys",))))
    names = [f"which host keys OpenSSH_9.2p1 on 0.0.0.0:{port} has" for port in (22, 2222)]
    assert first == f"root would show {'; '.join(names)}"


def test_a_change_is_told_for_a_day() -> None:
    made = with_keys()
    before = find(made).remember
    assert isinstance(before, dict)
    assert not find(made, before).problems
    made.command(f"host key of 10: {ED25519}", OTHER)
    changed = find(made, before)
    assert sentences(changed) == [f"host key {ED25519} has changed since the last run"]
    assert changed.problems[0].state is Warn
    assert changed.problems[0].cause is Cause.HOST_KEY
    kept = changed.remember
    assert isinstance(kept, dict)
    made.document["at"] = AT + 3700
    assert sentences(find(made, kept)) == [f"host key {ED25519} has changed within the last 1 h"]
    made.document["at"] = AT + 90000
    assert not find(made, kept).problems


def test_a_key_that_cannot_be_seen_stays_remembered() -> None:
    made = with_keys()
    before = find(made).remember
    assert isinstance(before, dict)
    after = find(broken(made), before).remember
    assert isinstance(after, dict)
    assert after["keys"] == before["keys"]


@pytest.mark.parametrize(
    "memory", [{"keys": 3}, {"keys": {ED25519: 4}, "changed": {ED25519: "x", RSA: 1e300}}, {"x": []}]
)
def test_a_memory_of_something_else_is_none(memory: dict[str, Any]) -> None:
    assert not find(with_keys(), memory).problems


CERTIFICATE = "/etc/ssh/ssh_host_ed25519_key-cert.pub"
# ssh-keygen -L of 9.2
CERTIFICATE_TEXT = """{path}:
        Type: ssh-ed25519-cert-v01@openssh.com host certificate
        Public key: ED25519-CERT SHA256:x
        Valid: {valid}
        Principals: web1
"""


@pytest.mark.parametrize(
    ("valid", "sentence"),
    [
        ("forever", ""),
        ("from 2026-01-01T00:00:00 to 2027-01-16T00:00:00", ""),
        ("from 2026-01-01T00:00:00 to 2027-01-12T08:00:00", "ended 3 days ago"),
        ("before 2027-01-15T07:00:00", "ended 1 h ago"),
        ("after 2027-01-15T08:30:00", "begins in 30 min"),
        ("from 2026-13-99T00:00:00 to x", ""),
    ],
)
def test_the_end_of_a_certificate(valid: str, sentence: str) -> None:
    # AT is 2027-01-15T08:00:00 in UTC; the host's clock is an hour ahead of it.
    made = with_keys()
    made.command("configuration of 10", DUMP + f"hostcertificate {CERTIFICATE}\n")
    made.command(f"host certificate of 10: {CERTIFICATE}", CERTIFICATE_TEXT.format(path=CERTIFICATE, valid=valid))
    found = find(made)
    assert sentences(found) == ([f"host certificate {CERTIFICATE} {sentence}"] if sentence else [])


def test_a_key_in_a_directory_called_certificate_is_a_key() -> None:
    path = "/etc/ssh/certificate/host_key"
    made = with_keys()
    made.command("configuration of 10", DUMP + f"hostkey {path}\n")
    missing(made, path)
    made.command("test of 10", err=f"Unable to load host key: {path}\r\n")
    finding = find(made)
    assert sentences(finding) == [f"host key {path} is missing"]
    assert finding.remedies == (f"mv BACKUP {path}   # the key that clients know",)


def test_a_certificate_that_cannot_be_read() -> None:
    made = with_keys()
    made.command("configuration of 10", DUMP + f"hostcertificate {CERTIFICATE}\n")
    made.command(f"host certificate of 10: {CERTIFICATE}", code=255, err=f"{CERTIFICATE}: No such file\r\n")
    assert sentences(find(made)) == [f"host certificate {CERTIFICATE} cannot be read: No such file"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"256 {PRINT} root@host (ED25519)\n", ("ssh-ed25519", PRINT)),
        (f"3072 {PRINT} no comment (RSA)\n", ("ssh-rsa", PRINT)),
        (f"521 {PRINT} (a) b (ECDSA)\n", ("ecdsa-sha2-nistp521", PRINT)),
        ("x is not a public key file.\n", ("", "")),
    ],
)
def test_fingerprints_as_printed(text: str, key: tuple[str, str]) -> None:
    assert of_printed(text) == key


def test_hostile_output_is_bounded_and_printable() -> None:
    valid = "Valid: from 2026-01-01T00:00:00 to 2026-02-01T00:00:00"
    err = "Unable to load host key: /etc/ssh/x\n"
    texts = {"plain": PLAIN, "print": f"256 {PRINT} x (ED25519)", "valid": valid, "dump": DUMP, "err": err}
    for text in hostile(texts):
        for key in (f"host key of 10: {RSA}", f"public host key of 10: {RSA}", f"host certificate of 10: {CERTIFICATE}",
                    "configuration of 10", "test of 10"):  # fmt: skip
            for code in (0, 255):
                made = with_keys()
                made.command("configuration of 10", DUMP + f"hostcertificate {CERTIFICATE}\n")
                made.command(key, text, code=code, err=text)
                finding = find(made)
                told = [*sentences(finding), finding.summary, *finding.evidence, *finding.unseen, *finding.remedies]
                assert all(map(is_printable, told)), key
                assert all(is_printable(word) for pair in finding.keys for word in pair)


# --- real servers


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6"])
def test_the_keys_of_a_real_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.copy(name) as chroot, chroot.server() as server:
        keys = chroot.root / "etc" / "ssh"

        def told(memory: object = None) -> Finding:
            seen = collected(monkeypatch)
            assert "PRIVATE KEY---" not in json.dumps(seen.document)
            about = About(ports=(server.port,), memory={"host_keys": memory} if memory else {})
            return host_keys.find(seen, about)

        healthy = told()
        assert not healthy.problems
        assert healthy.figures[0].value == 3
        assert {kind for kind, _ in healthy.keys} == {line.split()[0] for line in server.host_keys}
        (keys / "ssh_host_rsa_key").chmod(0o644)
        (keys / "ssh_host_ecdsa_key").write_bytes(b"junk")
        found = told(healthy.remember)
        assert found.figures[0].value == 1
        assert [RSA in sentences(found)[0], "others" in sentences(found)[0], len(found.problems)] == [True, True, 2]
        (keys / "ssh_host_ed25519_key").unlink()
        (keys / "ssh_host_ed25519_key.pub").unlink()
        made = keys.parent / "new"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made], check=True)
        shutil.move(made, keys / "ssh_host_ed25519_key")
        assert any("has changed" in sentence for sentence in sentences(told(healthy.remember)))
        (keys / "ssh_host_ed25519_key").unlink()
        (keys / "ssh_host_rsa_key").unlink()
        none = told()
        assert none.problems[0].state is Critical
        assert ("serves still" in sentences(none)[0]) is name.startswith("openssh-10")
        assert "mv BACKUP " in none.remedies[0]
        subprocess.run(["sh", "-c", none.remedies[-1]], check=True, stdout=subprocess.DEVNULL)
        assert told().figures[0].value == 2
        assert none.figures[0].value == 0


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_the_certificate_of_a_real_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with zoo.copy("openssh-9.2") as chroot:
        key = chroot.root / "etc" / "ssh" / "ssh_host_ed25519_key.pub"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ca"], check=True)
        validity = ["-V", "20200101:20200102"]
        sign = ["ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-h", "-I", "x", "-n", "x", *validity, str(key)]
        subprocess.run(sign, check=True)
        with chroot.server(config=f"HostCertificate {CERTIFICATE}\n") as server:
            finding = host_keys.find(collected(monkeypatch), About(ports=(server.port,)))
    assert len(finding.problems) == 1
    assert "days ago" in sentences(finding)[0]
    assert finding.problems[0].cause is Cause.HOST_KEY
