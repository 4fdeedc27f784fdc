"""Listening sockets, from addresses in Go's notation or passed by systemd."""

import errno
import os
import socket
from collections.abc import Iterator, Mapping

BACKLOG = 512
FIRST_PASSED = 3
NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class ListenError(OSError):
    """An address or socket that cannot be listened on; the text is a sentence for the user."""


def parse_address(address: str) -> tuple[str | None, int]:
    """Return host (None: every address) and port of `host:port`, `[IPv6]:port` or `:port`; raises ListenError."""
    host, colon, digits = address.rpartition(":")
    if not colon:
        raise ListenError(f"cannot listen on {address!r}: the port is missing (write :10922 or 127.0.0.1:10922)")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and int(digits) <= 65535):
        raise ListenError(f"cannot listen on {address!r}: the port must be a number from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        if ":" not in host:
            raise ListenError(f"cannot listen on {address!r}: only an IPv6 address may be in brackets")
        host = host[1:-1]
    elif set(host) & set(":[]/"):
        raise ListenError(f"cannot listen on {address!r}: an IPv6 address must be in brackets ([::1]:10922)")
    return host or None, int(digits)


def bind(address: str) -> list[socket.socket]:
    """Return listening, non-blocking sockets for all addresses of a host; raises ListenError."""
    host, port = parse_address(address)
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, where in _everywhere(port) if host is None else _resolved(host, port):
            try:
                bound.append(_listening(family, where))
            except OSError as error:
                if error.errno not in NO_SUCH_ADDRESS:
                    raise
                missing = error  # localhost may resolve to ::1 on hosts without IPv6
                continue
            if host is None:
                break  # one socket for both families
        if not bound:
            raise missing or OSError(errno.EADDRNOTAVAIL, "no such address")
    except (OSError, UnicodeError) as error:
        for each in bound:
            each.close()
        reason = getattr(error, "strerror", None) or "not a valid host name"
        raise ListenError(f"cannot listen on {address!r}: {reason}") from None
    return bound


def _everywhere(port: int) -> Iterator[tuple[int, tuple[str, int]]]:
    if socket.has_ipv6:
        yield socket.AF_INET6, ("::", port)
    yield socket.AF_INET, ("0.0.0.0", port)  # noqa: S104 (every address is intended)


def _resolved(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), where) for family, _, _, _, where in found))  # type: ignore[misc]


def _listening(family: int, where: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Set in both cases because the system's default varies: only :: accepts IPv4 as well.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        made.bind(where)
        made.listen(BACKLOG)
        made.settimeout(0)
    except OSError:
        made.close()
        raise
    return made


def from_systemd(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets passed by systemd (LISTEN_PID, LISTEN_FDS); raises ListenError without any."""
    number = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not number.isdecimal() or not 0 < int(number) <= 1024:
        raise ListenError("cannot listen: systemd passed no socket to this process (LISTEN_PID, LISTEN_FDS)")
    return [_passed(descriptor) for descriptor in range(FIRST_PASSED, FIRST_PASSED + int(number))]


def _passed(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (not for child processes)
        passed = socket.socket(fileno=descriptor)
        is_listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ListenError(f"cannot listen on descriptor {descriptor} from systemd: {error.strerror}") from None
    if passed.type != socket.SOCK_STREAM or not is_listening:
        passed.detach()
        raise ListenError(f"cannot listen on descriptor {descriptor} from systemd: it is not a listening stream socket")
    passed.settimeout(0)
    return passed
