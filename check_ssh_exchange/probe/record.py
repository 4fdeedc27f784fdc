"""A connection that has ended, written down as a value of the report."""

from functools import lru_cache

from ..report import Algorithms, Certificate, Handshake, HostKey, Server
from ..text import printable
from ..wire.identification import Identification
from ..wire.kexinit import KexInit
from .connection import Connection
from .resolve import FAMILY_OF

_SECOND = 1e9
MAX_TRACE = 4096  # bytes of each read or write that -vvv shows


def server_of(connection: Connection) -> Server | None:
    """Return what the server said it is, None when it did not."""
    found = connection.exchange.identification
    return None if found is None else _server(found)


@lru_cache(64)  # a server says the same in each handshake
def _server(found: Identification) -> Server:
    line, protocol, software, comments = (printable(part) for part in found)
    return Server(line, protocol, software, comments, len(found.line) + 2)


def handshake(number: int, connection: Connection, begun: int, *, is_second_source: bool = False) -> Handshake:
    """Return the record of an ended connection; `begun` is the run's start in monotonic nanoseconds."""
    exchange = connection.exchange
    if exchange.ending is None or exchange.ended_at is None:
        raise ValueError("a handshake that has not ended")
    started = connection.started_at
    identification, text, detail = exchange.identification, exchange.text, exchange.detail
    connected_at, kexinit_at, newkeys_at = exchange.connected_at, exchange.kexinit_at, exchange.newkeys_at
    # By their places: an exporter makes a thousand of these each second, and names take four times as long.
    return Handshake(
        number,
        connection.role,
        FAMILY_OF[connection.address.family],
        connection.address.text,
        connection.source,
        connection.source_port,
        exchange.ending,
        (started - begun) / _SECOND,
        max(0.0, (exchange.ended_at - started) / _SECOND),
        (printable(text) or None) if text else None,
        exchange.reason,
        (printable(detail) or None) if detail else None,
        None if connected_at is None else _seconds(started, connected_at),
        None if exchange.banner_at is None else _seconds(connected_at, exchange.banner_at),
        None if kexinit_at is None else _seconds(exchange.sent_at, kexinit_at),
        None if exchange.hostkey_at is None else _seconds(exchange.asked_at, exchange.hostkey_at),
        None if newkeys_at is None else _seconds(kexinit_at, newkeys_at),  # kex
        None if exchange.login_at is None else _seconds(newkeys_at, exchange.login_at),
        _server(identification).identification if identification else None,
        connection.icmp,
        connection.segments_in,
        _wire(started, connection.trace) if connection.trace else (),
        connection.wave,
        is_second_source,
        exchange.speaks_first,
        exchange.disconnect_reason,
        printable(exchange.host_key_algorithm) if exchange.host_key_algorithm else None,
        host_key(exchange.host_key) if exchange.host_key else None,
    )


def _wire(started: int, trace: list[tuple[int, str, bytes]]) -> tuple[tuple[float, str, str], ...]:
    return tuple(((at - started) / _SECOND, direction, printable(data, MAX_TRACE)) for at, direction, data in trace)


def _seconds(start: int | None, end: int) -> float | None:
    # A phase can end before it began: dropbear sends its KEXINIT before it has read our identification.
    return None if start is None else (end - start) / _SECOND if end > start else 0.0


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
