"""Which clients cannot use a server, told from what its KEXINIT offers."""

from collections.abc import Sequence

from ..report import Algorithms
from ..values import NamedTuple


def _names(*parts: str) -> tuple[str, ...]:
    return tuple(",".join(parts).split(","))


_CURVE25519 = "curve25519-sha256,curve25519-sha256@libssh.org"
_NISTP = "ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
_SNTRUP = "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com"
_MLKEM = "mlkem768x25519-sha256"
_DH = "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
_ECDSA = "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
_ECDSA_CERT = (
    "ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp521-cert-v01@openssh.com"
)
_ED25519_CERT = "ssh-ed25519-cert-v01@openssh.com"
_RSA_CERT = "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"
_RSA = "rsa-sha2-512,rsa-sha2-256"
_CTR = "aes128-ctr,aes192-ctr,aes256-ctr"
_CBC = "aes128-cbc,aes192-cbc,aes256-cbc"
_GCM = "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
_CHACHA20 = "chacha20-poly1305@openssh.com"

_OPENSSH_MAC = _names(
    "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
    "hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1"
)
_OPENSSH_8_8_KEX = _names(_CURVE25519, _NISTP, _DH, "diffie-hellman-group14-sha256")
_OPENSSH_8_8_HOST_KEY = _names(
    _ED25519_CERT,
    _ECDSA_CERT,
    "sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    _RSA_CERT,
    "ssh-ed25519",
    _ECDSA,
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com",
    _RSA,
)
_OPENSSH_8_8_CIPHER = _names(_CHACHA20, _CTR, _GCM)


class Client(NamedTuple):
    """What a client offers by default, in its order of preference.

    `dated` is the month in which that version appeared, `source` says which version it is and where its lists were
    read. `ext-info-c` and `kex-strict-c-v00@openssh.com` are left out: they announce extensions. `without_mac` are the
    ciphers with which it needs no MAC in common, because they authenticate by themselves.
    """

    name: str
    dated: str
    source: str
    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    cipher: tuple[str, ...]
    mac: tuple[str, ...]
    without_mac: tuple[str, ...] = _names(_CHACHA20, _GCM)


CLIENTS: tuple[Client, ...] = (
    Client(
        name="OpenSSH 7.4",
        dated="2016-12",
        source="myproposal.h of OpenSSH 7.4p1",
        kex=_names(
            _CURVE25519,
            _NISTP,
            _DH,
            "diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1",
        ),
        host_key=_names(
            _ECDSA_CERT, _ED25519_CERT, "ssh-rsa-cert-v01@openssh.com", _ECDSA, "ssh-ed25519", _RSA, "ssh-rsa"
        ),
        cipher=_names(_CHACHA20, _CTR, _GCM, _CBC),
        mac=_OPENSSH_MAC,
    ),
    Client(
        name="OpenSSH 8.8",
        dated="2021-09",
        source="myproposal.h of OpenSSH 8.8p1",
        kex=_OPENSSH_8_8_KEX,
        host_key=_OPENSSH_8_8_HOST_KEY,
        cipher=_OPENSSH_8_8_CIPHER,
        mac=_OPENSSH_MAC,
    ),
    Client(
        name="OpenSSH 9.9",
        dated="2024-09",
        source="captured: ssh 9.9p1 of Ubuntu 25.04",
        kex=_names(_SNTRUP, _MLKEM, *_OPENSSH_8_8_KEX),
        host_key=_OPENSSH_8_8_HOST_KEY,
        cipher=_OPENSSH_8_8_CIPHER,
        mac=_OPENSSH_MAC,
    ),
    Client(
        name="OpenSSH 10.x",
        dated="2025-04",
        source="captured: ssh 10.0p2 of Debian 13",  # 10.6 also takes WebAuthn and ML-DSA host keys
        kex=_names(_MLKEM, _SNTRUP, *_OPENSSH_8_8_KEX),
        host_key=_OPENSSH_8_8_HOST_KEY,
        cipher=_names(_CHACHA20, _GCM, _CTR),
        mac=_OPENSSH_MAC,
    ),
    Client(
        name="PuTTY",
        dated="2025-02",
        source="captured: plink 0.83 of Debian 13",  # 0.85 offers the same
        kex=_names(
            _SNTRUP,
            _MLKEM,
            "mlkem1024nistp384-sha384,mlkem768nistp256-sha256,curve448-sha512",
            _CURVE25519,
            _NISTP,
            "diffie-hellman-group-exchange-sha256,diffie-hellman-group-exchange-sha1,diffie-hellman-group18-sha512,"
            "diffie-hellman-group17-sha512,diffie-hellman-group16-sha512,diffie-hellman-group15-sha512,"
            "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,rsa2048-sha256,rsa1024-sha1,"
            "diffie-hellman-group1-sha1",
        ),
        host_key=_names("ssh-ed448,ssh-ed25519", _ECDSA, _RSA, "ssh-rsa,ssh-dss"),
        cipher=_names(
            "aes256-ctr,aes256-cbc,rijndael-cbc@lysator.liu.se,aes192-ctr,aes192-cbc,aes128-ctr,aes128-cbc",
            _CHACHA20,
            _GCM,
            "3des-ctr,3des-cbc,blowfish-ctr,blowfish-cbc,arcfour256,arcfour128",
        ),
        mac=_names(
            "hmac-sha2-256,hmac-sha2-512,hmac-sha1,hmac-sha1-96,hmac-md5,"
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,"
            "hmac-sha1-96-etm@openssh.com,hmac-md5-etm@openssh.com"
        ),
    ),
    Client(
        name="libssh2",
        dated="2024-10",
        source="captured: curl with libssh2 1.11.1 of Debian 13",
        kex=_names(
            _CURVE25519,
            _NISTP,
            _DH,
            "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,diffie-hellman-group1-sha1,"
            "diffie-hellman-group-exchange-sha1",
        ),
        host_key=_names(
            _ECDSA,
            _ECDSA_CERT,
            "ssh-ed25519",
            _ED25519_CERT,
            _RSA,
            _RSA_CERT,
            "ssh-rsa,ssh-rsa-cert-v01@openssh.com",
        ),
        cipher=_names(
            _CHACHA20,
            "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr,"
            "aes256-cbc,rijndael-cbc@lysator.liu.se,aes192-cbc,aes128-cbc,"
            "blowfish-cbc,arcfour128,arcfour,cast128-cbc,3des-cbc",
        ),
        mac=_names(
            "hmac-sha2-256,hmac-sha2-256-etm@openssh.com,hmac-sha2-512,hmac-sha2-512-etm@openssh.com,"
            "hmac-sha1,hmac-sha1-etm@openssh.com,hmac-sha1-96,hmac-md5,hmac-md5-96,"
            "hmac-ripemd160,hmac-ripemd160@openssh.com"
        ),
        without_mac=_names(_GCM),  # with chacha20-poly1305 it gives up where no MAC is in common
    ),
    Client(
        name="paramiko",
        dated="2026-10",
        source="captured: paramiko 5.1.0",
        kex=_names(
            _MLKEM,
            "curve25519-sha256@libssh.org",  # it does not know the name of RFC 8731, without @libssh.org
            _NISTP,
            "diffie-hellman-group16-sha512,diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256",
        ),
        host_key=_names("ssh-ed25519", _ECDSA, _RSA, _ED25519_CERT, _ECDSA_CERT, _RSA_CERT),
        cipher=_names(_CTR, _CBC, "3des-cbc", _GCM),
        mac=_names(
            "hmac-sha2-256,hmac-sha2-512,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"
            "hmac-sha1,hmac-md5,hmac-sha1-96,hmac-md5-96"
        ),
        without_mac=(),  # it gives up where no MAC is in common, whatever the cipher
    ),
    Client(
        name="Go",
        dated="2026-10",
        source="captured: a client with golang.org/x/crypto/ssh 0.58.0 of Debian sid",
        kex=_names(_MLKEM, _CURVE25519, _NISTP, "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1"),
        host_key=_names(
            "rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com",
            "ssh-rsa-cert-v01@openssh.com,ssh-dss-cert-v01@openssh.com",
            _ECDSA_CERT,
            _ED25519_CERT,
            _ECDSA,
            "rsa-sha2-256,rsa-sha2-512,ssh-rsa,ssh-dss,ssh-ed25519",
            "ssh-mldsa-44-cert-v01@golang.org,ssh-mldsa-65-cert-v01@golang.org,ssh-mldsa-87-cert-v01@golang.org",
            "ssh-mldsa-44,ssh-mldsa-65,ssh-mldsa-87",
        ),
        cipher=_names(_GCM, _CHACHA20, _CTR),
        mac=_names(
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512,"
            "hmac-sha1,hmac-sha1-96"
        ),
    ),
)

# In the names of hybrid methods: ML-KEM, its drafts, Streamlined NTRU Prime. The curve and the hash that go with it and
# a draft's @domain differ from server to server.
_POST_QUANTUM = ("mlkem", "kyber", "sntrup")


def refused(offered: Algorithms) -> tuple[str, ...]:
    """Return the names of the clients that share no algorithm of some kind with a server's offer."""
    return tuple(refusals(offered))


def refusals(offered: Algorithms) -> dict[str, str]:
    """Return the clients that cannot use a server, each with the kind of which it has none in common with the offer.

    The kinds are "kex", "host key", "cipher" and "MAC"; where several fail, the first in this order.
    """
    lacking = {client.name: _lacking(client, offered) for client in CLIENTS}
    return {name: kind for name, kind in lacking.items() if kind is not None}


def is_post_quantum(kex: Sequence[str]) -> bool:
    """Return whether one of these key exchange methods also withstands a quantum computer."""
    return any(family in name for name in kex for family in _POST_QUANTUM)


def _lacking(client: Client, offered: Algorithms) -> str | None:
    if _chosen(client.kex, offered.kex) is None:
        return "kex"
    if _chosen(client.host_key, offered.host_key) is None:
        return "host key"
    cipher = _chosen(client.cipher, offered.cipher)
    if cipher is None:
        return "cipher"
    if cipher not in client.without_mac and _chosen(client.mac, offered.mac) is None:
        return "MAC"
    return None


def _chosen(wanted: tuple[str, ...], offered: tuple[str, ...]) -> str | None:
    """Return the client's first that the server has too (RFC 4253 7.1), None where there is none."""
    return next((name for name in wanted if name in offered), None)
