"""A file of known hosts means to us what it means to ssh: the real ssh and ssh-keygen are asked beside us."""

import base64
import hmac
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis.known_hosts import LAST_MOMENT, MAX_LINE, MAX_PATTERN, Expected, matches, parse
from check_ssh_exchange.probe.record import host_key
from check_ssh_exchange.report import Certificate, HostKey
from check_ssh_exchange.wire import host_key as wire
from tests.lab import zoo

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh: apt-get install openssh-client")
SECONDS = 60.0  # ssh takes a tenth of one
HOST = "server.example"
NOW = 1_000_000_000.0


def clock(when: float) -> str:
    return f"t={when:.0f}"


# --- keys and files that are made up


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def made_up(number: int, kind: str = "ssh-ed25519", fields: int = 1) -> str:
    """A key as it stands in a file."""
    blob = string(kind.encode()) + b"".join(string(bytes([number] * 32)) for _ in range(fields))
    return f"{kind} {base64.b64encode(blob).decode()}"


def shown(text: str, certificate: Certificate | None = None) -> HostKey:
    """The key that a server shows who has the key of this text."""
    key = host_key(wire.parse(base64.b64decode(text.split()[1])))
    return (
        key if certificate is None else key._replace(type=f"{key.type}-cert-v01@openssh.com", certificate=certificate)
    )


def hashed(name: str, salt: bytes = bytes(range(20))) -> str:
    parts = (base64.b64encode(part).decode() for part in (salt, hmac.digest(salt, name.encode(), "sha1")))
    return f"|1|{'|'.join(parts)}"


KEY, OTHER, CA, OTHER_CA = (made_up(number) for number in range(1, 5))
CERTIFICATE = Certificate("id", 1, (HOST,), 0, None, shown(CA).fingerprint)
RSA = made_up(5, "ssh-rsa", 2)
SHOWN = f"{shown(KEY).fingerprint} (ssh-ed25519)"


def expected(file: str, host: str = HOST, port: int = 22) -> Expected:
    return parse(file.encode()).of(host, port)


def objection(file: str, key: HostKey, host: str = HOST, port: int = 22) -> str | None:
    return expected(file, host, port).objection(key, NOW, clock)


# --- what is said


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("", "no key of server.example is known"),
        (f"a.example {KEY}\n@revoked * {OTHER}", "no key of server.example is known"),
        (f"{HOST} {OTHER}", f"{SHOWN} is not the known key of server.example"),
        (f"{HOST} {OTHER}\n{HOST} {RSA}", f"{SHOWN} is not among the 2 known keys of server.example"),
        (f"{HOST} {KEY}\n@revoked * {KEY}", f"{SHOWN} is revoked"),
        (f"@cert-authority * {CA}", f"{SHOWN} has no certificate"),
    ],
)
def test_why_a_key_is_refused(file: str, sentence: str) -> None:
    assert objection(file, shown(KEY)) == sentence


@pytest.mark.parametrize(
    ("changed", "flaw"),
    [
        ({"ca_fingerprint": "SHA256:x"}, "is signed by an unknown authority, SHA256:x"),
        ({"is_host": False}, "is a user's, not a host's"),
        ({"valid_before": int(NOW)}, f"ran out at t={NOW:.0f}"),
        ({"valid_after": int(NOW) + 1}, f"is not valid before t={NOW + 1:.0f}"),
        ({"valid_after": (1 << 64) - 1}, f"is not valid before t={LAST_MOMENT}"),
        ({"principals": ("a", "*.b")}, "is for a, *.b, not for server.example"),
        ({"principals": tuple("abcdefgh")}, "is for a, b, c, d, e, 3 more, not for server.example"),
        (
            {"principals": ()},
            "is for no host by name (OpenSSH before 10.3 takes that for any), not for server.example",
        ),
    ],
)
def test_why_a_certificate_is_refused(changed: dict[str, Any], flaw: str) -> None:
    key = shown(KEY, CERTIFICATE._replace(**changed))
    authority = f"@cert-authority * {CA}"
    assert objection(authority, key) == f"the certificate of {SHOWN} {flaw}"
    known = f"{SHOWN} is not the known key of server.example"
    assert objection(f"{authority}\n{HOST} {OTHER}", key) == f"{known}, and its certificate {flaw}"
    assert objection(f"{authority}\n{HOST} {KEY}", key) is None  # ssh falls back to the key alone


def test_a_revoked_authority_is_named() -> None:
    file = f"@cert-authority * {CA}\n@revoked * {CA}\n{HOST} {KEY}"
    fingerprint = shown(CA).fingerprint
    assert objection(file, shown(KEY, CERTIFICATE)) == f"{SHOWN} has a certificate of {fingerprint}, which is revoked"


def test_a_certificate_is_good_from_its_first_second_to_its_last() -> None:
    key = shown(KEY, CERTIFICATE._replace(valid_after=100, valid_before=200))
    lines = expected(f"@cert-authority * {CA}")
    assert [lines.accepts(key, now) for now in (99.9, 100, 199.9, 200)] == [False, True, True, False]


def test_keys_of_types_that_the_file_has_not_are_judged_only_where_there_is_no_other() -> None:
    lines = expected(f"{HOST} {KEY}")
    unknown = f"{shown(RSA).fingerprint} (ssh-rsa) is not the known key of server.example"
    assert lines.objections([shown(KEY), shown(RSA)], NOW, clock) == ()
    assert lines.objections([shown(RSA)], NOW, clock) == (unknown,)
    assert lines.objections([shown(OTHER), shown(RSA)], NOW, clock) != ()
    assert expected("").objections([shown(KEY), shown(RSA)], NOW, clock) == ("no key of server.example is known",)
    revoked = expected(f"{HOST} {KEY}\n@revoked * {RSA}")
    assert revoked.objections([shown(KEY), shown(RSA)], NOW, clock) == (
        f"{shown(RSA).fingerprint} (ssh-rsa) is revoked",
    )


def test_keys_without_a_certificate_are_no_matter_beside_a_good_one() -> None:
    lines = expected(f"@cert-authority * {CA}")
    assert lines.objections([shown(KEY, CERTIFICATE), shown(RSA)], NOW, clock) == ()


def test_where_the_file_has_nothing_with_the_port_it_is_asked_without() -> None:
    name = f"[{HOST}]:2222"
    assert objection(f"{HOST} {OTHER}", shown(KEY), port=2222) == f"{SHOWN} is not the known key of {name}"
    assert objection(f"{HOST} {KEY}\n@revoked {HOST} {KEY}", shown(KEY), port=2222) == f"{SHOWN} is revoked"
    assert expected(f"{HOST} {KEY}", port=2222).objections([shown(KEY), shown(RSA)], NOW, clock) == ()
    old = shown(KEY, CERTIFICATE._replace(valid_before=1))
    file = f"@cert-authority {name} {OTHER_CA}\n@cert-authority {HOST} {CA}"
    assert objection(file, old, port=2222) == f"the certificate of {SHOWN} ran out at t=1"


# --- lines that cannot be read


def test_ignored_lines_are_numbered() -> None:
    lines = [
        "# a comment",
        "",
        f"@revoked @revoked * {KEY}",  # for ssh no line at all
        f"a.example ssh-ed25519 {'A' * 10}",  # another server's
        f"{HOST} ssh-ed25519 {'A' * 10}",
        f"{HOST} ssh-unknown {KEY.split()[1]}",
        f"{HOST} {KEY}",
        f"{'x' * MAX_LINE},{HOST} {KEY}",
        f"[{HOST}]:2222 {KEY[:-4]}",
        f"|1|AAAA {KEY}",
    ]
    assert expected("\n".join(lines)).ignored == (3, 5, 6, 8, 10)
    assert expected("\r\n".join(lines), port=2222).ignored == (3, 5, 6, 8, 9, 10)


def test_only_a_line_feed_ends_a_line() -> None:
    assert expected(f"# a comment\r{HOST} {KEY}\n\r\n") == expected("")


def test_a_hash_with_a_salt_of_another_size_is_of_no_server() -> None:
    assert expected(f"{hashed(HOST)} {KEY}").keys == {shown(KEY).fingerprint}
    assert expected(f"{hashed(HOST, b'salt')} {KEY}").keys == frozenset()


@pytest.mark.parametrize(("name", "host"), [("2001:db8::1", "2001:DB8:0::1"), ("A:b", "a:B"), ("a.b", "A.b")])
def test_names_are_compared_in_lower_case_and_addresses_in_their_usual_form(name: str, host: str) -> None:
    assert expected(f"{name} {KEY}", host=host).keys == {shown(KEY).fingerprint}


PIECES = [b"@revoked", b"@cert-authority", b"|1|", b"|", b" ", b"\t", b"\n", b"\r\n", b"#", b"*", b"!", b",", b"\0"]
PIECES += [b"ssh-ed25519", b"-cert-v01@openssh.com", b"AAAA", b"=", b"\xff", HOST.encode(), KEY.encode()]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_content_is_a_file(data: bytes) -> None:
    for port in (22, 2222):
        parse(data).of(HOST, port).objections([shown(KEY, CERTIFICATE)], NOW, clock)


# --- patterns


@given(st.text("ab"), st.text("ab*?"))
def test_a_pattern_is_matched_as_a_whole(text: str, pattern: str) -> None:
    wanted = pattern.replace("*", ".*").replace("?", ".")
    assert matches(text.encode(), pattern.encode()) == (re.fullmatch(wanted, text) is not None)


def test_no_pattern_takes_for_ever() -> None:
    # With a step for each way to divide the text among the stars this would outlast the machine.
    assert not matches(b"a" * 250, b"a*" * (MAX_PATTERN // 2))
    assert not expected(f"{'a*' * (MAX_PATTERN // 2)} {KEY}", host="a" * 250).keys


# --- beside ssh-keygen


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of keys: authorities, and one of each type that a server may have."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("ca", "other_ca", "ed25519"):
        keygen("-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(directory / name))
    for bits in ("256", "384", "521"):
        keygen("-q", "-t", "ecdsa", "-b", bits, "-N", "", "-C", "", "-f", str(directory / f"ecdsa{bits}"))
    keygen("-q", "-t", "rsa", "-N", "", "-C", "", "-f", str(directory / "rsa"))
    (directory / "sk.pub").write_text(made_up(1, "sk-ssh-ed25519@openssh.com", 2))
    return directory


def keygen(*words: str) -> str:
    done = subprocess.run(["ssh-keygen", *words], capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stdout


def text_of(file: Path) -> str:
    """The `type base64` of a public key."""
    return " ".join(file.read_text().split()[:2])


@needs_ssh
def test_fingerprints_are_those_of_ssh_keygen(keys: Path) -> None:
    files = sorted(keys.glob("*.pub"))
    assert len(files) == 8
    for file in files:
        fingerprint = keygen("-lf", str(file)).split()[1]
        assert expected(f"{HOST} {text_of(file)}").keys == {fingerprint}
        assert shown(text_of(file)).fingerprint == fingerprint


@needs_ssh
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa256", "ecdsa521", "rsa", "sk"])
def test_a_revoked_certificate_revokes_its_key(keys: Path, tmp_path: Path, kind: str) -> None:
    shutil.copy(keys / f"{kind}.pub", tmp_path / "key.pub")
    keygen("-q", "-s", str(keys / "ca"), "-h", "-I", "id", "-n", "a", str(tmp_path / "key.pub"))
    certificate = tmp_path / "key-cert.pub"
    fingerprint = keygen("-lf", str(certificate)).split()[1]
    assert expected(f"@revoked * {text_of(certificate)}").revoked == {fingerprint}
    assert shown(text_of(certificate))._replace(certificate=None).fingerprint == fingerprint


@needs_ssh
def test_keys_that_ssh_keygen_cannot_read_are_none(keys: Path, tmp_path: Path) -> None:
    kind, data = text_of(keys / "ecdsa256.pub").split()
    rsa = text_of(keys / "rsa.pub").split()[1]
    texts = ["", kind, data, f"{kind} !{data}", f"{kind} {data.rstrip('=')}", f"{kind} {data}=", f"{kind} {data[:-8]}"]
    texts += [f"{kind} {data[:-1]}A", f"{kind} {data[:-1]}AAAAA", f"{kind}x {data}", f"ssh-rsa {data}", f"{kind} {rsa}"]
    readable = [f"{kind}\t{data}\tcomment", f"ssh-rsa {rsa}", f"rsa-sha2-256 {rsa}", f"rsa-sha2-512 {rsa}"]
    file = tmp_path / "key.pub"
    for text in texts + readable:
        file.write_text(f"{text}\n")
        done = subprocess.run(["ssh-keygen", "-lf", str(file)], capture_output=True, text=True, timeout=SECONDS)
        assert (done.returncode == 0) == (text in readable), text
        found = expected(f"{HOST} {text}")
        assert (len(found.keys), found.ignored) == ((1, ()) if text in readable else (0, (1,))), text


NAMES = {HOST: 22, "a.example": 22, "b.example": 2222, "192.0.2.1": 22, "2001:db8::1": 2222, "2001:db8::2": 22}


@needs_ssh
def test_ssh_keygen_finds_the_same_lines(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    names = ["a.example,server.example", "*.example,!a.example", "[b.example]:2222", "192.0.2.?", "[2001:db8::1]:2222"]
    names += ["[*]:2222", "2001:DB8::2", "a.example", "Server.Example", "b.example", f"@revoked {HOST}", "!a.example,*"]
    file.write_text("".join(f"{name} {KEY}\n" for name in names))
    find_alike(file)
    keygen("-q", "-H", "-f", str(file))
    assert file.read_text().count("|1|") >= 8  # those without a pattern
    find_alike(file)


def find_alike(file: Path) -> None:
    known_hosts = parse(file.read_bytes())
    for host, port in NAMES.items():
        name = host if port == 22 else f"[{host}]:{port}"
        said = keygen("-F", name, "-f", str(file))
        ours = [entry.number for entry in known_hosts.entries if entry.is_for(name.encode())]
        assert ours == [int(number) for number in re.findall(r"^# Host .* found: line ([0-9]+)", said, re.MULTILINE)]
        assert ours, name


# --- beside ssh and a real server

# Hands ssh a connection to the server, so that ssh takes any name and port for the server's.
DIAL = (
    "import socket, sys; server = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
    "socket.send_fds(socket.socket(fileno=1), [b'.'], [server.fileno()])"
)
FILES = {
    "empty": "",
    "known": "{h} {key}",
    "in capitals": "SERVER.Example {key}",
    "unknown": "{h} {other}",
    "another server's": "a.example {key}",
    "one of two": "{h} {other}\n{h} {key}",
    "of another type": "{h} {rsa}",
    "pattern": "*.example {key}",
    "question mark": "server.exampl? {key}",
    "any": "* {key}",
    "negated": "*.example,!{h} {key}",
    "negated first": "!{h},* {key}",
    "another one negated": "*,!a.example {key}",
    "only negated": "!a.example {key}",
    "hashed": "{hash} {key}",
    "hashed in capitals": "{hash_of_capitals} {key}",
    "hash in a list": "{hash},a {key}",
    "another hash": "|2{hash} {key}",
    "port": "[{h}]:2222 {key}",
    "port 22": "[{h}]:22 {key}",
    "any name, port": "[*]:2222 {key}",
    "hashed with port": "{hash_with_port} {key}",
    "other with port": "[{h}]:2222 {other}\n{h} {key}",
    "other without port": "[{h}]:2222 {key}\n{h} {other}",
    "other type with port": "[{h}]:2222 {rsa}\n{h} {key}",
    "certificate with port": "[{h}]:2222 {certificate}\n{h} {key}",
    "unreadable with port": "[{h}]:2222 ssh-ed25519 AAAA\n{h} {key}",
    "revoked": "@revoked {h} {key}\n{h} {key}",
    "revoked for all": "@revoked * {key}\n{h} {key}",
    "revoked for another": "@revoked a.example {key}\n{h} {key}",
    "revoked with port": "@revoked [{h}]:2222 {key}\n{h} {key}",
    "revoked without port": "@revoked {h} {key}\n[{h}]:2222 {key}",
    "revoked by hash": "@revoked {hash} {key}\n{h} {key}",
    "revoked by certificate": "@revoked * {certificate}\n{h} {key}",
    "revoked, a tab": "@revoked\t{h} {key}\n{h} {key}",
    "revoked, tabs only": "@revoked\t{h}\t{tab_key}\n{h} {key}",
    "revoked twice": "@revoked @revoked * {key}\n{h} {key}",
    "unknown marker": "@REVOKED * {key}\n{h} {key}",
    "authority": "@cert-authority {h} {ca}",
    "authority for all": "@cert-authority * {ca}",
    "authority, negated": "@cert-authority *,!{h} {ca}",
    "authority with port": "@cert-authority [{h}]:2222 {ca}",
    "other authority": "@cert-authority * {other_ca}",
    "authority and key": "@cert-authority * {ca}\n{h} {key}",
    "authority and other key": "@cert-authority * {ca}\n{h} {other}",
    "other authority and key": "@cert-authority * {other_ca}\n{h} {key}",
    "other authority with port": "@cert-authority [{h}]:2222 {other_ca}\n@cert-authority {h} {ca}",
    "revoked authority": "@revoked * {ca}\n@cert-authority * {ca}",
    "revoked authority and key": "@revoked * {ca}\n{h} {key}",
    "revoked authority without port": "@revoked {h} {ca}\n@cert-authority {h} {ca}\n{h} {key}",
    "authority without marker": "{h} {ca}",
    "key as authority": "@cert-authority * {key}",
    "certificate as key": "{h} {certificate}",
    "comments": "# comment\n\n  {h} {key} a comment",
    "CRLF": "# comment\r\n\r\n{h} {key}\r\n",
    "tabs": "\t{h}\t{tab_key}\tcomment",
    "longest pattern": "{longest},{h} {key}",
    "pattern too long": "{longest}x,{h} {key}",
    "pattern too long behind": "{h},{longest}x {key}",
}
BRIEF = ["authority", "authority and key", "authority and other key", "authority with port", "known", "empty"]
# What ssh-keygen makes the certificate with, and which files are tried.
CERTIFICATES: dict[str, tuple[str, list[str]]] = {
    "good": ("ca", ["-h", "-n", HOST]),
    "of several": ("ca", ["-h", "-n", f"a.example,{HOST}"]),
    "of another host": ("ca", ["-h", "-n", "a.example,b.example"]),
    "in capitals": ("ca", ["-h", "-n", HOST.upper()]),
    "with the port": ("ca", ["-h", "-n", f"[{HOST}]:2222"]),
    "of a user": ("ca", ["-n", HOST]),
    "run out": ("ca", ["-h", "-n", HOST, "-V", "20200101:20200102"]),
    "not begun": ("ca", ["-h", "-n", HOST, "-V", "20600101:20600102"]),
    "in its time": ("ca", ["-h", "-n", HOST, "-V", "-1w:+1w"]),
    "of another authority": ("other_ca", ["-h", "-n", HOST]),
    "of a pattern": ("ca", ["-h", "-n", "*.exampl?"]),
    "of nobody": ("ca", ["-h"]),
}
SINCE_10_3 = ("of a pattern", "of nobody")


@pytest.fixture(scope="module")
def chroot() -> Iterator[zoo.Chroot]:
    if reason := zoo.missing(["openssh-9.2"]):
        pytest.skip(reason)
    with zoo.copy("openssh-9.2") as made:
        yield made


def ssh_version() -> tuple[int, ...]:
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, timeout=SECONDS).stderr
    found = re.match(r"OpenSSH_([0-9]+)\.([0-9]+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


def accepts(server: zoo.Server, file: Path, *options: str, host: str = HOST) -> bool:
    """Return whether ssh goes on to the login, which it has no key for."""
    settings = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={file}", "CheckHostIP=no"]
    settings += ["GlobalKnownHostsFile=/dev/null", "IdentityFile=none", "IdentityAgent=none", *options]
    command = ["ssh", "-F", "none", *(f"-o{setting}" for setting in settings), f"{server.user}@{host}", "true"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    is_refused = "Host key verification failed." in done.stderr
    assert is_refused != (": Permission denied (" in done.stderr), done.stderr
    return not is_refused


def named(server: zoo.Server, port: int) -> list[str]:
    """The options by which ssh takes any name and this port for the server's."""
    dial = shlex.join([sys.executable, "-c", DIAL, str(server.port)])
    return [f"ProxyCommand={dial}", "ProxyUseFdpass=yes", f"Port={port}"]


def certified(keys: Path, directory: Path, key: str, authority: str, options: list[str]) -> str:
    """Return a certificate of a key, as it stands in a file."""
    directory.mkdir()
    (directory / "key.pub").write_text(key)
    keygen("-q", "-s", str(keys / authority), "-I", "id", *options, str(directory / "key.pub"))
    return text_of(directory / "key-cert.pub")


@pytest.mark.real
@needs_ssh
@pytest.mark.parametrize("certificate", ["", *CERTIFICATES])
def test_ssh_accepts_the_same_keys(certificate: str, chroot: zoo.Chroot, keys: Path, tmp_path: Path) -> None:
    if certificate in SINCE_10_3 and ssh_version() < (10, 3):
        pytest.skip("ssh judges such a certificate so from OpenSSH 10.3 on")
    key = text_of(chroot.root / "etc/ssh/ssh_host_ed25519_key.pub")
    shows, settings = key, {"MaxStartups": "1000"}
    if certificate:
        shows = certified(keys, tmp_path / "shown", key, *CERTIFICATES[certificate])
        (chroot.root / "etc/ssh/shown.pub").write_text(shows)
        settings["HostCertificate"] = "/etc/ssh/shown.pub"
    words = {
        "h": HOST,
        "key": key,
        "tab_key": key.replace(" ", "\t"),
        "other": text_of(keys / "ed25519.pub"),
        "rsa": text_of(keys / "rsa.pub"),
        "ca": text_of(keys / "ca.pub"),
        "other_ca": text_of(keys / "other_ca.pub"),
        "certificate": certified(keys, tmp_path / "certified", key, *CERTIFICATES["good"]),
        "hash": hashed(HOST),
        "hash_of_capitals": hashed(HOST.upper()),
        "hash_with_port": hashed(f"[{HOST}]:2222"),
        "longest": "x" * MAX_PATTERN,
    }
    names = FILES if certificate in ("", "good") else BRIEF
    cases = [(name, port) for name in names for port in (22, 2222) if port == 22 or "port" in name or name in BRIEF]
    ours = {}
    for number, (name, port) in enumerate(cases):
        data = FILES[name].format(**words).encode()
        (tmp_path / str(number)).write_bytes(data)
        ours[name, port] = parse(data).of(HOST, port).objection(shown(shows), time.time(), clock) is None
    with chroot.server(options=settings) as server, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> bool:
            kinds = "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com,ssh-ed25519"
            return accepts(server, tmp_path / str(number), kinds, *named(server, cases[number][1]))

        theirs = dict(zip(cases, pool.map(ask, range(len(cases))), strict=True))
    assert ours == theirs
    assert set(ours.values()) == {True, False}


@pytest.mark.real
@needs_ssh
@pytest.mark.parametrize("known", [[], ["ed25519"], ["rsa"], ["ecdsa", "rsa"], ["other"], ["other", "rsa"]])
def test_ssh_asks_for_keys_of_the_types_that_it_knows(
    known: list[str], chroot: zoo.Chroot, keys: Path, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    texts = {"other": text_of(keys / "ed25519.pub")}
    with chroot.server() as server:
        texts |= dict(zip(("rsa", "ecdsa", "ed25519"), server.host_keys, strict=True))
        file.write_text("".join(f"{HOST} {texts[name]}\n" for name in known))
        theirs = accepts(server, file, *named(server, 22))
        found = parse(file.read_bytes()).of(HOST, 22)
        ours = found.objections(map(shown, server.host_keys), time.time(), clock)
    assert (ours == ()) is theirs, ours


@pytest.mark.real
@needs_ssh
@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1", "::0001"])
def test_an_ipv6_address_is_looked_up_as_the_system_writes_it(host: str, chroot: zoo.Chroot, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    with chroot.server(address="::1") as server:
        key = server.host_keys[-1]
        for name in ("::1", "0:0:0:0:0:0:0:1"):
            file.write_text(f"[{name}]:{server.port} {key}\n")
            theirs = accepts(server, file, "HostKeyAlgorithms=ssh-ed25519", f"Port={server.port}", host=host)
            assert parse(file.read_bytes()).of(host, server.port).accepts(shown(key), time.time()) is theirs
            assert theirs is (name == "::1")
