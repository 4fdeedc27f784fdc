"""Host keys as a server shows them: which kinds to ask for, and what a key or a certificate says of itself.

A key is a string of its type and of numbers (RFC 4253 6.6, RFC 5656, RFC 8709); an OpenSSH certificate wraps such a key
(PROTOCOL.certkeys). Nothing is verified here: a key that is shown is not yet proved.
"""

from collections.abc import Sequence
from functools import lru_cache

from ..ending import Reason
from ..values import NamedTuple
from .identification import Malformed
from .packet import string, take_string

# Each kind of key with the algorithms that show it, in the order in which a run asks for them. A certificate holds its
# key, so it comes before the key alone.
KINDS: tuple[tuple[bytes, ...], ...] = (
    (b"ssh-ed25519-cert-v01@openssh.com", b"ssh-ed25519"),
    (b"ecdsa-sha2-nistp256-cert-v01@openssh.com", b"ecdsa-sha2-nistp256"),
    (b"ecdsa-sha2-nistp384-cert-v01@openssh.com", b"ecdsa-sha2-nistp384"),
    (b"ecdsa-sha2-nistp521-cert-v01@openssh.com", b"ecdsa-sha2-nistp521"),
    (
        b"rsa-sha2-512-cert-v01@openssh.com",
        b"rsa-sha2-256-cert-v01@openssh.com",
        b"ssh-rsa-cert-v01@openssh.com",
        b"rsa-sha2-512",
        b"rsa-sha2-256",
        b"ssh-rsa",
    ),
    (b"ssh-mldsa44-ed25519",),  # OpenSSH 10.6
    (b"ssh-ed448",),  # RFC 8709; PuTTY and libssh know it
    (b"sk-ssh-ed25519-cert-v01@openssh.com", b"sk-ssh-ed25519@openssh.com"),
    (b"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"),
    (b"ssh-dss-cert-v01@openssh.com", b"ssh-dss"),
)

# Every algorithm, certificates first: what is asked for while nobody knows what the server offers.
EVERY: tuple[bytes, ...] = tuple(sorted((n for kind in KINDS for n in kind), key=lambda name: b"-cert-" not in name))

# Certificates by how many numbers and strings of the plain key follow their nonce.
_CERTIFIED = {
    b"ssh-ed25519-cert-v01@openssh.com": (b"ssh-ed25519", 1),
    b"ecdsa-sha2-nistp256-cert-v01@openssh.com": (b"ecdsa-sha2-nistp256", 2),
    b"ecdsa-sha2-nistp384-cert-v01@openssh.com": (b"ecdsa-sha2-nistp384", 2),
    b"ecdsa-sha2-nistp521-cert-v01@openssh.com": (b"ecdsa-sha2-nistp521", 2),
    b"ssh-rsa-cert-v01@openssh.com": (b"ssh-rsa", 2),
    b"ssh-dss-cert-v01@openssh.com": (b"ssh-dss", 4),
    b"sk-ssh-ed25519-cert-v01@openssh.com": (b"sk-ssh-ed25519@openssh.com", 2),
    b"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com": (b"sk-ecdsa-sha2-nistp256@openssh.com", 3),
}
_HOST = 2  # the certificate's type: 1 is a user's
MAX_PRINCIPALS = 256  # as many as OpenSSH takes (sshkey.c, SSHKEY_CERT_MAX_PRINCIPALS)


class Certificate(NamedTuple):
    """What an OpenSSH certificate says; `valid_after` and `valid_before` are seconds since the epoch.

    `authority` is the key that signed it. The signature is not checked.
    """

    key_id: bytes
    serial: int
    principals: tuple[bytes, ...]
    valid_after: int
    valid_before: int
    authority: bytes
    is_host: bool


class ShownKey(NamedTuple):
    """A host key that a server has shown: its type, the plain key (inside a certificate too), its certificate."""

    type: bytes
    plain: bytes
    certificate: Certificate | None = None


def type_of(algorithm: bytes) -> bytes:
    """Return the type of the key that an algorithm shows: RSA's differ in their signature only (RFC 8332)."""
    for signature in (b"rsa-sha2-512", b"rsa-sha2-256"):
        if algorithm.startswith(signature):
            return b"ssh-rsa" + algorithm.removeprefix(signature)
    return algorithm


def requests(offered: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return one algorithm for each kind of key that a server offers, certificates first."""
    found = [next((name for name in kind if name in offered), None) for kind in KINDS]
    names = [name for name in found if name is not None]
    return tuple(sorted(names, key=lambda name: b"-cert-" not in name))


@lru_cache(64)  # a server shows the same keys in each run
def parse(blob: bytes) -> ShownKey:
    """Return what a host key says; of a type that is not known only the type. Raises Malformed for a cut one."""
    kind, position = take_string(blob, 0)
    if not 0 < len(kind) <= 64 or not kind.isascii():
        raise Malformed(Reason.BAD_PACKET, "a host key without a type")
    if kind not in _CERTIFIED:
        return ShownKey(kind, blob)
    plain_type, fields = _CERTIFIED[kind]
    _nonce, position = take_string(blob, position)
    start = position
    for _ in range(fields):
        _field, position = take_string(blob, position)
    return ShownKey(kind, string(plain_type) + blob[start:position], _certificate(blob, position))


def _certificate(blob: bytes, position: int) -> Certificate:
    serial, position = _number(blob, position, 8)
    kind, position = _number(blob, position, 4)
    key_id, position = take_string(blob, position)
    names, position = take_string(blob, position)
    valid_after, position = _number(blob, position, 8)
    valid_before, position = _number(blob, position, 8)
    for _ in range(3):  # critical options, extensions, reserved
        _field, position = take_string(blob, position)
    authority, position = take_string(blob, position)
    return Certificate(key_id, serial, _principals(names), valid_after, valid_before, authority, kind == _HOST)


def _principals(names: bytes) -> tuple[bytes, ...]:
    found: list[bytes] = []
    position = 0
    while position < len(names):
        name, position = take_string(names, position)
        found.append(name)
        if len(found) > MAX_PRINCIPALS:
            raise Malformed(Reason.BAD_PACKET, f"a certificate with more than {MAX_PRINCIPALS} principals")
    return tuple(found)


def _number(data: bytes, start: int, size: int) -> tuple[int, int]:
    if start + size > len(data):
        raise Malformed(Reason.BAD_PACKET, "a certificate that ends inside a number")
    return int.from_bytes(data[start : start + size]), start + size
