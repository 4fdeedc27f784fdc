"""As much of a key exchange as makes a server show its host key: a public value of ours, and the server's reply.

The server signs over what it was sent, whatever it is, so any public value that it takes as valid will do. Nobody holds
the private key that would belong to ours: no key is ever computed, and none could be.
"""

import os
from collections.abc import Callable, Sequence

from ..ending import Reason
from .identification import Malformed
from .packet import string, take_string

# Message numbers (RFC 4253 8, RFC 5656 4, RFC 4419 5). The same number means another message in another method.
INIT = 30  # KEXDH_INIT, KEX_ECDH_INIT and the hybrids'
REPLY = 31
GEX_GROUP = 31
GEX_INIT = 32
GEX_REPLY = 33
GEX_REQUEST = 34

_GEX_BITS = (2048, 3072, 8192)  # least, wanted, most, as ssh(1) has them

# The generators of the NIST curves (SEC 2), uncompressed: points that are on the curve for certain.
_P256 = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_P384 = bytes.fromhex(
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"
)
_P521 = bytes.fromhex(
    "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a"
    "429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013f"
    "ad0761353c7086a272c24088be94769fd16650"
)


def _x25519() -> bytes:
    return os.urandom(32)  # every 32 bytes are a public value (RFC 7748 6.1)


def _mlkem768() -> bytes:
    # An encapsulation key is 768 coefficients below 3329, 12 bits each, and a seed (FIPS 203 7.2). Zeros are below.
    return bytes(768 * 12 // 8) + os.urandom(32)


def _sntrup761() -> bytes:
    return os.urandom(1158)  # decoded modulo the field's size, whatever it is


def _mpint(bits: int) -> bytes:
    # Below every modulus of that many bits, and with far more than the four bits set that OpenSSH wants (dh.c).
    return b"\x01" + os.urandom(bits // 8 - 2)


def _both(first: Callable[[], bytes], second: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: first() + second()


# The first that a server offers is used; those that cost it more come later.
_METHODS: dict[bytes, Callable[[], bytes]] = {
    b"curve25519-sha256": _x25519,
    b"curve25519-sha256@libssh.org": _x25519,
    b"ecdh-sha2-nistp256": lambda: _P256,
    b"ecdh-sha2-nistp384": lambda: _P384,
    b"ecdh-sha2-nistp521": lambda: _P521,
    b"diffie-hellman-group14-sha256": lambda: _mpint(2048),
    b"diffie-hellman-group14-sha1": lambda: _mpint(2048),
    b"diffie-hellman-group1-sha1": lambda: _mpint(1024),
    b"diffie-hellman-group16-sha512": lambda: _mpint(4096),
    b"diffie-hellman-group18-sha512": lambda: _mpint(8192),
}
_HYBRIDS: dict[bytes, Callable[[], bytes]] = {
    b"mlkem768x25519-sha256": _both(_mlkem768, _x25519),
    b"sntrup761x25519-sha512": _both(_sntrup761, _x25519),
    b"sntrup761x25519-sha512@openssh.com": _both(_sntrup761, _x25519),
    b"mlkem768nistp256-sha256": _both(_mlkem768, lambda: _P256),
}
_PUBLIC_VALUES = {**_METHODS, **_HYBRIDS}
_GROUP_EXCHANGES = (b"diffie-hellman-group-exchange-sha256", b"diffie-hellman-group-exchange-sha1")
NAMES: tuple[bytes, ...] = (*_METHODS, *_GROUP_EXCHANGES, *_HYBRIDS)


class KeyExchange:
    """A key exchange up to the server's reply. `offer` is our first message.

    Raises Malformed where the server offers none of the methods.
    """

    __slots__ = ("_awaits", "_has_group", "offer")

    def __init__(self, offered: Sequence[bytes]) -> None:
        method = next((name for name in NAMES if name in offered), None)
        if method is None:
            names = b",".join(offered[:6]).decode("ascii", "backslashreplace")
            raise Malformed(Reason.KEY_EXCHANGE, f"no key exchange in common: the server offers {names or 'none'}")
        self._has_group = method not in _GROUP_EXCHANGES
        if self._has_group:
            self._awaits = REPLY
            self.offer = bytes((INIT,)) + string(_PUBLIC_VALUES[method]())
        else:
            self._awaits = GEX_GROUP
            self.offer = bytes((GEX_REQUEST,)) + b"".join(bits.to_bytes(4) for bits in _GEX_BITS)

    def take(self, payload: bytes) -> tuple[bytes, bytes]:
        """Return the host key in a message of the server and what to send next, b"" for what there is not.

        Raises Malformed.
        """
        if payload[0] != self._awaits:
            raise Malformed(Reason.UNEXPECTED_MESSAGE, f"message {payload[0]} before the host key")
        found, _ = take_string(payload, 1)
        if self._has_group:
            return found, b""
        self._has_group = True
        self._awaits = GEX_REPLY
        bits = 8 * len(found.lstrip(b"\0"))  # `found` is the modulus
        if bits < 64:
            raise Malformed(Reason.BAD_PACKET, f"a group of {bits} bits")
        # One byte shorter than the modulus, so below it.
        return b"", bytes((GEX_INIT,)) + string(_mpint(bits))
