"""Which clients a server's offer shuts out: the table against the real clients, and their verdicts on real KEXINITs."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.clients import CLIENTS, Client, is_post_quantum, refusals, refused
from check_ssh_exchange.report import Algorithms
from check_ssh_exchange.wire import kexinit
from check_ssh_exchange.wire.packet import Message, take_packet
from tests.lab import chroots, zoo
from tests.lab.fake_sshd import FIN, FakeSshd, Peer, packet, send
from tests.lab.fake_sshd import kexinit as kexinit_of

ROWS = {client.name: client for client in CLIENTS}
NAMES = ("OpenSSH 7.4", "OpenSSH 8.8", "OpenSSH 9.9", "OpenSSH 10.x", "PuTTY", "libssh2", "paramiko", "Go")
KINDS = ("kex", "host_key", "cipher", "mac")
PSEUDO = {"ext-info-c", "kex-strict-c-v00@openssh.com"}
RUN_SECONDS = 60.0  # a client has its answer within milliseconds; the rest is for a busy machine


def offer(kex: str, host_key: str, cipher: str, mac: str) -> Algorithms:
    return Algorithms(*(tuple(names.split(",")) for names in (kex, host_key, cipher, mac)))


def shut_out(**kinds: str) -> dict[str, str]:
    """`mac="paramiko, Go"` as what refusals() returns, in the order of the table."""
    words = {"kex": "kex", "host_key": "host key", "cipher": "cipher", "mac": "MAC"}
    found = {name: words[kind] for kind, names in kinds.items() for name in names.split(", ")}
    assert found.keys() <= set(NAMES)
    return {name: found[name] for name in NAMES if name in found}


OPENSSH_9_2 = offer(
    "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256",
    "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519",
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
    "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
    "hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
)
OPENSSH_5_3 = offer(
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1,"
    "diffie-hellman-group1-sha1",
    "ssh-rsa,ssh-dss",
    "aes128-ctr,aes192-ctr,aes256-ctr,arcfour256,arcfour128,aes128-cbc,3des-cbc,blowfish-cbc,cast128-cbc,aes192-cbc,"
    "aes256-cbc,arcfour,rijndael-cbc@lysator.liu.se",
    "hmac-md5,hmac-sha1,umac-64@openssh.com,hmac-ripemd160,hmac-ripemd160@openssh.com,hmac-sha1-96,hmac-md5-96",
)
TINYSSH = offer(
    "curve25519-sha256,curve25519-sha256@libssh.org,sntrup761x25519-sha512@openssh.com",
    "ssh-ed25519",
    "chacha20-poly1305@openssh.com",
    "hmac-sha2-256",
)
CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
UMAC = ("umac-128-etm@openssh.com", "umac-128@openssh.com")
SINCE_8_8 = "OpenSSH 8.8, OpenSSH 9.9, OpenSSH 10.x"

# What a server offers, and whom that shuts out.
SERVERS: dict[str, tuple[Algorithms, dict[str, str]]] = {
    "OpenSSH 9.2 as Debian 12 starts it": (OPENSSH_9_2, {}),
    "OpenSSH 5.3": (OPENSSH_5_3, shut_out(host_key=f"{SINCE_8_8}, paramiko")),
    "TinySSH": (TINYSSH, shut_out(cipher="paramiko")),
    "an old device": (
        offer("diffie-hellman-group1-sha1", "ssh-dss", "3des-cbc", "hmac-md5"),
        shut_out(kex=f"OpenSSH 7.4, {SINCE_8_8}, paramiko, Go", host_key="libssh2"),
    ),
    "RSA signatures with SHA-1 only": (
        OPENSSH_9_2._replace(host_key=("ssh-rsa",)),
        shut_out(host_key=f"{SINCE_8_8}, paramiko"),
    ),
    "group 14 with SHA-1 only": (
        OPENSSH_9_2._replace(kex=("diffie-hellman-group14-sha1",)),
        shut_out(kex=f"{SINCE_8_8}, paramiko"),
    ),
    "sntrup761 only": (
        OPENSSH_9_2._replace(kex=("sntrup761x25519-sha512@openssh.com",)),
        shut_out(kex="OpenSSH 7.4, OpenSSH 8.8, libssh2, paramiko, Go"),
    ),
    "ML-KEM only": (
        OPENSSH_9_2._replace(kex=("mlkem768x25519-sha256",)),
        shut_out(kex="OpenSSH 7.4, OpenSSH 8.8, libssh2"),
    ),
    "curve25519 by its newer name only": (
        OPENSSH_9_2._replace(kex=("curve25519-sha256",)),
        shut_out(kex="paramiko"),
    ),
    "CBC only": (
        OPENSSH_9_2._replace(cipher=("aes256-cbc", "aes128-cbc")),
        shut_out(cipher=f"{SINCE_8_8}, Go"),
    ),
    "CTR with UMAC": (
        OPENSSH_9_2._replace(cipher=CTR, mac=UMAC),
        shut_out(mac="PuTTY, libssh2, paramiko, Go"),
    ),
    "GCM with UMAC": (
        OPENSSH_9_2._replace(cipher=GCM, mac=UMAC),
        shut_out(mac="paramiko"),
    ),
    "GCM with no MAC of theirs": (
        OPENSSH_9_2._replace(cipher=GCM, mac=("AEAD_AES_128_GCM",)),
        shut_out(mac="paramiko"),
    ),
    "ChaCha20 with no MAC of theirs": (
        OPENSSH_9_2._replace(cipher=("chacha20-poly1305@openssh.com",), mac=("x@example.org",)),
        shut_out(cipher="paramiko", mac="libssh2"),
    ),
    # Only clients that prefer GCM to CTR need no MAC here; the server's own order says nothing.
    "CTR and GCM with no MAC of theirs": (
        OPENSSH_9_2._replace(cipher=GCM + CTR, mac=("x@example.org",)),
        shut_out(mac="OpenSSH 7.4, OpenSSH 8.8, OpenSSH 9.9, PuTTY, paramiko"),
    ),
}


# --- the table alone


def test_the_clients_are_those_of_the_table_in_its_order() -> None:
    assert tuple(client.name for client in CLIENTS) == NAMES


@pytest.mark.parametrize("client", CLIENTS, ids=NAMES)
def test_every_row_is_dated_has_a_source_and_names_each_real_algorithm_once(client: Client) -> None:
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", client.dated)
    assert client.source
    for kind in KINDS:
        names = getattr(client, kind)
        assert len(names) == len(set(names)) > 0
        assert not [name for name in names if not re.fullmatch(r"[\w.@-]+", name)]
        assert not PSEUDO & set(names)
    assert set(client.without_mac) <= {"chacha20-poly1305@openssh.com", *GCM}


NOTED = [
    (
        # 7.6 dropped CBC, 8.0 and 8.2 groups with SHA-1, 8.8 RSA signatures with SHA-1.
        ("OpenSSH 7.4", "OpenSSH 8.8"),
        {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
         "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
         "rsa-sha2-512-cert-v01@openssh.com"},
        {"aes128-cbc", "aes192-cbc", "aes256-cbc", "diffie-hellman-group-exchange-sha1", "diffie-hellman-group14-sha1",
         "ssh-rsa", "ssh-rsa-cert-v01@openssh.com"},
    ),
    (
        ("OpenSSH 8.8", "OpenSSH 9.9"),
        {"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256"},
        set(),
    ),
    (("OpenSSH 9.9", "OpenSSH 10.x"), set(), set()),
]  # fmt: skip


@pytest.mark.parametrize(("releases", "added", "dropped"), NOTED, ids=["8.8", "9.9", "10.x"])
def test_openssh_changed_what_its_release_notes_say(
    releases: tuple[str, str], added: set[str], dropped: set[str]
) -> None:
    before, after = ({name for kind in KINDS for name in getattr(ROWS[release], kind)} for release in releases)
    assert (after - before, before - after) == (added, dropped)


@pytest.mark.parametrize("what", SERVERS)
def test_a_client_is_shut_out_where_it_shares_nothing_of_some_kind(what: str) -> None:
    offered, expected = SERVERS[what]
    assert refusals(offered) == expected
    assert refused(offered) == tuple(expected)


def test_an_offer_of_nothing_or_of_announcements_only_shuts_everyone_out() -> None:
    nothing = Algorithms((), (), (), ())
    announcing = OPENSSH_9_2._replace(kex=("ext-info-s", "kex-strict-s-v00@openssh.com", "ext-info-c"))
    assert refusals(nothing) == refusals(announcing) == dict.fromkeys(NAMES, "kex")


@pytest.mark.parametrize(
    "name",
    [
        "mlkem768x25519-sha256",
        "mlkem768nistp256-sha256",
        "mlkem1024nistp384-sha384",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "sntrup4591761x25519-sha512@tinyssh.org",
        "x25519-kyber-512r3-sha256-d00@amazon.com",
        "ecdh-nistp256-kyber-512r3-sha256-d00@openquantumsafe.org",
    ],
)
def test_a_hybrid_method_among_others_is_post_quantum(name: str) -> None:
    assert is_post_quantum([name])
    assert is_post_quantum(("curve25519-sha256", name, "ext-info-s"))


def test_methods_of_curves_and_groups_are_not_post_quantum() -> None:
    classical = [*ROWS["OpenSSH 7.4"].kex, "curve448-sha512", "ext-info-s", "kex-strict-s-v00@openssh.com", "", "x"]
    assert not is_post_quantum(classical)
    assert not is_post_quantum(())


# --- real clients


def hear_verdict(peer: Peer) -> None:
    """Read the client's KEXINIT and wait for its first message of the key exchange, unless it leaves instead."""
    while not is_accepted(peer.received):
        peer.listen(enough=len(peer.received) + 1)


def messages(received: bytes) -> list[bytes]:
    """The payloads of the packets behind a client's identification."""
    found = []
    rest = received.partition(b"\n")[2]
    while taken := take_packet(rest):
        payload, rest = taken
        found.append(payload)
    return found


def is_accepted(received: bytes) -> bool:
    """Whether the client went on to the key exchange: its own messages have the numbers 30 to 49 (RFC 4250 4.1.1)."""
    return any(payload[0] in range(30, 50) for payload in messages(received))


def negotiate(command: Sequence[str], offered: Algorithms, env: dict[str, str] | None = None) -> tuple[bytes, str]:
    """Run a client against a server that makes this offer; return what it sent and what it printed.

    `PORT` is replaced in the command. The offer gets kex-strict-s-v00@openssh.com besides, without which PuTTY
    asks its user about ChaCha20; a "y" answers what it asks about weak algorithms.
    """
    kex, host_key, cipher, mac = (",".join(getattr(offered, kind)).encode() for kind in KINDS)
    lists = (kex + b",kex-strict-s-v00@openssh.com", host_key, cipher, cipher, mac, mac, b"none", b"none", b"", b"")
    with FakeSshd([send(b"SSH-2.0-x\r\n" + packet(kexinit_of(*lists))), hear_verdict, FIN]) as server:
        words = [word.replace("PORT", str(server.port)) for word in command]
        done = subprocess.run(words, input="y\n" * 9, capture_output=True, text=True, timeout=RUN_SECONDS, env=env)
    printed = done.stdout + done.stderr
    (peer,) = server.peers
    return peer.received, printed


def offer_of(received: bytes) -> Algorithms:
    """What a client offers, without its announcements."""
    (payload,) = (payload for payload in messages(received) if payload[0] == Message.KEXINIT)
    found = kexinit.parse(payload)
    lists = (tuple(name.decode() for name in getattr(found, kind)) for kind in KINDS)
    return Algorithms(*(tuple(name for name in names if name not in PSEUDO) for names in lists))


def row(name: str) -> Algorithms:
    return Algorithms(*(getattr(ROWS[name], kind) for kind in KINDS))


OPTIONS = ["StrictHostKeyChecking=no", "UserKnownHostsFile=none", "GlobalKnownHostsFile=none", "BatchMode=yes"]
SSH = ["-F", "none", *(f"-o{option}" for option in OPTIONS), "-p", "PORT", "u@127.0.0.1"]
COMMANDS = {
    "OpenSSH 10.x": ["/usr/bin/ssh", *SSH],
    "PuTTY": ["/usr/bin/plink", "-ssh", "-P", "PORT", "u@127.0.0.1"],
    "libssh2": ["/usr/bin/curl", "-q", "--silent", "--insecure", "sftp://u@127.0.0.1:PORT/"],
}


@pytest.fixture(scope="module")
def debian_13() -> Iterator[Path]:
    """Those clients in a chroot of their own, whatever this machine has."""
    if reason := chroots.missing(["clients"]):
        pytest.skip(reason)
    with zoo.copy("clients") as chroot:
        yield chroot.root


def in_chroot(root: Path, name: str, offered: Algorithms) -> tuple[bytes, str]:
    env = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root"}
    return negotiate(["chroot", str(root), *COMMANDS[name]], offered, env)


@pytest.mark.real
@pytest.mark.parametrize("name", COMMANDS)
def test_debian_13s_clients_offer_what_their_rows_say(debian_13: Path, name: str) -> None:
    received, printed = in_chroot(debian_13, name, OPENSSH_9_2)
    assert is_accepted(received), printed
    assert offer_of(received) == row(name)


@pytest.mark.real
@pytest.mark.parametrize("what", SERVERS)
@pytest.mark.parametrize("name", COMMANDS)
def test_debian_13s_clients_give_up_where_their_rows_say(debian_13: Path, name: str, what: str) -> None:
    offered, expected = SERVERS[what]
    received, printed = in_chroot(debian_13, name, offered)
    assert is_accepted(received) is (name not in expected), printed
    if name.startswith("OpenSSH") and name in expected:
        assert reason_of(printed) == expected[name]


def reason_of(printed: str) -> str:
    """The kind of which ssh(1) says that nothing matches."""
    words = {"key exchange method": "kex", "host key type": "host key", "cipher": "cipher", "MAC": "MAC"}
    said = re.search(r"no matching ([\w ]+) found", printed)
    assert said, printed
    return words[said[1]]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh: apt-get install openssh-client")
def test_the_installed_ssh_offers_what_lies_between_the_rows_around_its_release() -> None:
    """An algorithm that two releases offer, all between them offer; what neither offers, none between them does."""
    received, printed = negotiate(["ssh", *SSH], OPENSSH_9_2)
    release = re.match(rb"SSH-2\.0-OpenSSH_(\d+)\.(\d+)", received)
    assert release, printed
    version = int(release[1]), int(release[2])
    assert version >= (7, 4)
    rows = {(7, 4): "OpenSSH 7.4", (8, 8): "OpenSSH 8.8", (9, 9): "OpenSSH 9.9", (10, 0): "OpenSSH 10.x"}
    before = row(rows[max(known for known in rows if known <= version)])
    after = [row(name) for known, name in rows.items() if known >= version][:1]
    found = offer_of(received)
    for kind in KINDS:
        offered, common = set(getattr(found, kind)), set(getattr(before, kind))
        if after:
            assert offered <= common | set(getattr(after[0], kind))
            common &= set(getattr(after[0], kind))
        assert common <= offered


PARAMIKO = """
import sys, paramiko
paramiko.Transport(("127.0.0.1", int(sys.argv[1]))).start_client(timeout=60)
"""


@pytest.fixture(scope="module")
def paramiko(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the release of the row; return the environment to run it in."""
    target = tmp_path_factory.mktemp("paramiko")
    release = ROWS["paramiko"].source.rpartition(" ")[2]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, f"paramiko=={release}"], check=True, timeout=300)
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(target)}


@pytest.mark.network
def test_paramiko_offers_what_its_row_says(paramiko: dict[str, str]) -> None:
    received, printed = negotiate([sys.executable, "-c", PARAMIKO, "PORT"], OPENSSH_9_2, paramiko)
    assert is_accepted(received), printed
    assert offer_of(received) == row("paramiko")


@pytest.mark.network
@pytest.mark.parametrize("what", SERVERS)
def test_paramiko_gives_up_where_its_row_says(paramiko: dict[str, str], what: str) -> None:
    offered, expected = SERVERS[what]
    received, printed = negotiate([sys.executable, "-c", PARAMIKO, "PORT"], offered, paramiko)
    assert is_accepted(received) is ("paramiko" not in expected), printed
