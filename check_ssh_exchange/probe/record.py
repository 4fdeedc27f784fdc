"""A connection that has ended, written down as a value of the report."""

from functools import lru_cache

from ..report import Algorithms, Certificate, Handshake, HostKey, Server
from ..text import printable
from ..wire.kexinit import KexInit
from .connection import Connection
from .resolve import FAMILY_OF

_SECOND = 1e9
MAX_TRACE = 4096  # bytes of each read or write that -vvv shows


def server_of(connection: Connection) -> Server | None:
    """Return what the server said it is, None when it did not."""
    found = connection.exchange.identification
    if found is None:
        return None
    line, protocol, software, comments = (printable(part) for part in found)
    return Server(line, protocol, software, comments, size=len(found.line) + 2)


def handshake(number: int, connection: Connection, begun: int, *, is_second_source: bool = False) -> Handshake:
    """Return the record of an ended connection; `begun` is the run's start in monotonic nanoseconds."""
    exchange = connection.exchange
    if exchange.ending is None or exchange.ended_at is None:
        raise ValueError("a handshake that has not ended")
    started = connection.started_at
    identification = exchange.identification
    return Handshake(
        number=number,
        role=connection.role,
        family=FAMILY_OF[connection.address.family],
        address=connection.address.text,
        source=connection.source,
        source_port=connection.source_port,
        ending=exchange.ending,
        started=(started - begun) / _SECOND,
        ended=max(0.0, (exchange.ended_at - started) / _SECOND),
        text=printable(exchange.text) or None,
        reason=exchange.reason,
        detail=printable(exchange.detail) or None,
        connect=_seconds(started, exchange.connected_at),
        banner=_seconds(exchange.connected_at, exchange.banner_at),
        kexinit=_seconds(exchange.sent_at, exchange.kexinit_at),
        hostkey=_seconds(exchange.asked_at, exchange.hostkey_at),
        kex=_seconds(exchange.kexinit_at, exchange.newkeys_at),
        login=_seconds(exchange.newkeys_at, exchange.login_at),
        identification=printable(identification.line) if identification else None,
        icmp=connection.icmp,
        segments_in=connection.info.segments_in if connection.info else None,
        wave=connection.wave,
        is_second_source=is_second_source,
        spoke_first=exchange.speaks_first,
        disconnect=exchange.disconnect_reason,
        host_key_algorithm=printable(exchange.host_key_algorithm) if exchange.host_key_algorithm else None,
        host_key=host_key(exchange.host_key) if exchange.host_key else None,
        wire=tuple(
            ((at - started) / _SECOND, direction, printable(data, MAX_TRACE))
            for at, direction, data in connection.trace or ()
        ),
    )


def _seconds(start: int | None, end: int | None) -> float | None:
    # A phase can end before it began: dropbear sends its KEXINIT before it has read our identification.
    return None if start is None or end is None else max(0, end - start) / _SECOND


@lru_cache(64)  # servers of a fleet offer the same
def algorithms(offered: KexInit) -> Algorithms:
    """Return what a KEXINIT offers, in printable words."""
    return Algorithms(*(tuple(map(printable, names)) for names in offered))


@lru_cache(64)
def host_key(shown: "ShownKey") -> HostKey:
    """Return a host key in printable words, with the fingerprints that ssh-keygen -l prints."""
    return HostKey(
        printable(shown.type), fingerprint(shown.plain), _certificate(shown.certificate) if shown.certificate else None
    )


def _certificate(found: "wire.Certificate") -> Certificate:
    return Certificate(
        key_id=printable(found.key_id),
        serial=found.serial,
        principals=tuple(map(printable, found.principals)),
        valid_after=min(found.valid_after, LAST_MOMENT),
        valid_before=min(found.valid_before, LAST_MOMENT) if found.valid_before < FOR_EVER else None,
        ca_fingerprint=fingerprint(found.authority),
        is_host=found.is_host,
    )


def fingerprint(key: bytes) -> str:
    """Return `SHA256:` and the hash of a key in base64 without padding (RFC 4648)."""
    from binascii import b2a_base64
    from hashlib import sha256

    return "SHA256:" + b2a_base64(sha256(key).digest(), newline=False).rstrip(b"=").decode()


FOR_EVER = (1 << 64) - 1  # PROTOCOL.certkeys: a certificate without an end
LAST_MOMENT = 253_402_214_400  # the last day of the year 9999: no calendar has a later one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..wire import host_key as wire
    from ..wire.host_key import ShownKey
