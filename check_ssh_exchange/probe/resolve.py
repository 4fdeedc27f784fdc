"""Names and literals to addresses, inside a deadline."""

import socket

from .connection import Address
from .fault import NameUnresolved, ProbeError

FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
FAMILY_WORDS: dict[int, str] = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}


def resolve(host: str, port: int, family: str = "any", timeout: float = 10.0) -> list[Address]:
    """Return every address of `host`, in the order of preference of RFC 6724 (getaddrinfo's).

    `host` is a name, an IPv4 or IPv6 literal, in brackets or not, with a scope id or not (`fe80::1%eth0`).
    Raises NameUnresolved when there is none or the resolver is silent for `timeout` seconds, ProbeError for a literal
    of the other family.
    """
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        # getaddrinfo takes bytes as they are; for a str it loads the IDNA codec even where every letter is ASCII.
        wanted = name.encode("ascii") if name.isascii() else name.encode("idna")
    except UnicodeError:
        raise NameUnresolved(f"{host} is no valid host name") from None
    try:
        return _lookup(wanted, port, FAMILIES[family], socket.AI_NUMERICHOST)
    except socket.gaierror:
        if family != "any" and _is_literal(wanted, port):
            raise ProbeError(f"{host} is no {family.replace('ipv', 'IPv')} address") from None
    return _lookup_in_time(host, wanted, port, family, timeout)


def _is_literal(name: bytes, port: int) -> bool:
    try:
        return bool(_lookup(name, port, socket.AF_UNSPEC, socket.AI_NUMERICHOST))
    except socket.gaierror:
        return False


def _lookup(name: bytes, port: int, family: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    addresses: dict[str, Address] = {}
    for kind, _, _, _, sockaddr in found:
        if kind in FAMILY_WORDS and isinstance(sockaddr[0], str):
            text = socket.getnameinfo(sockaddr, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
            addresses.setdefault(text, Address(kind, sockaddr, text))
    return list(addresses.values())


def _lookup_in_time(host: str, wanted: bytes, port: int, family: str, timeout: float) -> list[Address]:
    # The C library offers name resolution only as a call that blocks, for as long as resolv.conf says (10 s and more).
    # The one thread of the plugin waits in our place, and is left behind when our deadline is earlier.
    result: list[list[Address] | OSError] = []

    def work() -> None:
        try:
            result.append(_lookup(wanted, port, FAMILIES[family], 0))
        except OSError as error:
            result.append(error)

    import threading  # 1 ms of CPU that a literal address need not pay

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    if not result:
        raise NameUnresolved(f"no answer from the resolver for {host} within {timeout:.3g} s")
    match result[0]:
        case OSError() as error:
            raise NameUnresolved(f"{host} does not resolve: {(error.strerror or str(error)).lower()}")
        case []:
            raise NameUnresolved(f"{host} does not resolve to an {family.replace('ipv', 'IPv')} address")
        case addresses:
            return addresses
