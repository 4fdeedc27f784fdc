"""SSH_MSG_KEXINIT (RFC 4253 section 7.1): read the server's, build ours."""

import os
from collections.abc import Sequence
from functools import lru_cache

from ..ending import Reason
from ..values import NamedTuple
from .identification import Malformed
from .packet import Message, string, take_string

_COOKIE = 16

# We never go on to compute a key at this depth, so offering an algorithm costs nothing, and a list that lacks the
# server's makes it log "Unable to negotiate", which fail2ban's modes extra and aggressive count against us. Hence
# everything a current or a still running old server can want. tinysshd closes the connection unless it finds
# chacha20-poly1305 and curve25519 or sntrup761. It also makes our KEXINIT as long as OpenSSH's (9.2: 1,560 bytes), so a
# path that loses large segments loses it too, as it does for ssh(1).
OFFER: tuple[bytes, ...] = (
    b"mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
    b"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    b"diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    b"diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
    b"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    b"rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-dss,"
    b"ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    b"ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"
    b"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,"
    b"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,"
    b"sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    b"ssh-mldsa44-ed25519,ssh-ed448",
    *(
        b"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
        b"aes128-ctr,aes192-ctr,aes256-ctr,aes128-cbc,aes256-cbc,3des-cbc",
    )
    * 2,
    *(
        b"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com,"
        b"hmac-sha2-256,hmac-sha2-512,umac-128@openssh.com,hmac-sha1",
    )
    * 2,
    *(b"none,zlib@openssh.com,zlib",) * 2,
    b"",
    b"",
)


class KexInit(NamedTuple):
    """A server's algorithm lists in its order of preference (those of client to server where there are two)."""

    kex: tuple[bytes, ...]
    host_key: tuple[bytes, ...]
    cipher: tuple[bytes, ...]
    mac: tuple[bytes, ...]
    compression: tuple[bytes, ...]


def build(lists: bytes | None = None) -> bytes:
    """Return our KEXINIT payload with a fresh cookie."""
    return _NUMBER + os.urandom(_COOKIE) + (lists or _LISTS) + _END


_NUMBER = bytes((Message.KEXINIT,))
_END = b"\0" + b"\0\0\0\0"  # no packet follows by guess; reserved
_LISTS = b"".join(map(string, OFFER))


@lru_cache(64)
def lists_asking(kex: Sequence[bytes], host_key: Sequence[bytes]) -> bytes:
    """Return our lists with these methods and host key algorithms before the others: the server takes our first."""
    kex = [*kex, *(name for name in OFFER[0].split(b",") if name not in kex)]
    host_key = [*host_key, *(name for name in OFFER[1].split(b",") if name not in host_key)]
    return b"".join(map(string, (b",".join(kex), b",".join(host_key), *OFFER[2:])))


# What is kept of a list: real servers have some dozens of names, a hostile one as many as 35,000 bytes hold.
MOST_NAMES = 128
LONGEST_NAME = 64  # RFC 4251 6


def parse(payload: bytes) -> KexInit:
    """Return the lists of a KEXINIT payload; raises Malformed when a length lies or the message is short."""
    return _parse_lists(payload[1 + _COOKIE :])


@lru_cache(64)  # a server offers the same in each handshake, with another cookie
def _parse_lists(rest: bytes) -> KexInit:
    position = 0
    lists = []
    for _ in range(10):
        names, position = take_string(rest, position)
        lists.append(tuple(name[:LONGEST_NAME] for name in names.split(b",", MOST_NAMES)[:MOST_NAMES]) if names else ())
    if len(rest) < position + 5:
        raise Malformed(Reason.BAD_PACKET, "a KEXINIT that ends before its last fields")
    return KexInit(kex=lists[0], host_key=lists[1], cipher=lists[2], mac=lists[4], compression=lists[6])
