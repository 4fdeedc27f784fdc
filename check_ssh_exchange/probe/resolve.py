"""Names and literals to addresses, inside a deadline."""

import socket
from functools import lru_cache

from ..report import Family
from .connection import Address
from .errors import NameUnresolved, ProbeError

FAMILIES = {Family.ANY: socket.AF_UNSPEC, Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
FAMILY_OF: dict[int, Family] = {socket.AF_INET: Family.IPV4, socket.AF_INET6: Family.IPV6}
# Of the timeout. A name that takes longer leaves too little time to say anything about the server.
SHARE = 0.8


def resolve(host: str, port: int, family: Family = Family.ANY, timeout: float = 10.0) -> list[Address]:
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
        raise NameUnresolved(f"{host} is not a valid host name") from None
    try:
        if b"%" in wanted:  # the number of an interface changes, as of a tunnel that comes and goes
            return _lookup(wanted, port, FAMILIES[family], socket.AI_NUMERICHOST)
        return list(_literal(wanted, port, FAMILIES[family]))
    except socket.gaierror:
        if family is not Family.ANY and _is_literal(wanted, port):
            asked = family.replace("ipv", "IPv")
            raise ProbeError(f"the host {host} is not a valid {asked} address") from None
    return _lookup_in_time(host, wanted, port, family, timeout)


@lru_cache(16_384)  # an exporter asks for the same each minute
def _literal(name: bytes, port: int, family: int) -> tuple[Address, ...]:
    return tuple(_lookup(name, port, family, socket.AI_NUMERICHOST))


def _is_literal(name: bytes, port: int) -> bool:
    try:
        return bool(_lookup(name, port, socket.AF_UNSPEC, socket.AI_NUMERICHOST))
    except socket.gaierror:
        return False


def _lookup(name: bytes, port: int, family: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    addresses: dict[str, Address] = {}
    for kind, _, _, _, sockaddr in found:
        if kind in FAMILY_OF and isinstance(sockaddr[0], str):
            text = socket.getnameinfo(sockaddr, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
            addresses.setdefault(text, Address(kind, sockaddr, text))
    return list(addresses.values())


def _lookup_in_time(host: str, wanted: bytes, port: int, family: Family, timeout: float) -> list[Address]:
    # The C library offers name resolution only as a call that blocks, for as long as resolv.conf says (10 s and more).
    # A thread waits for it, and is abandoned when our deadline comes first.
    result: list[list[Address] | OSError] = []

    def work() -> None:
        try:
            result.append(_lookup(wanted, port, FAMILIES[family], 0))
        except OSError as error:
            result.append(error)

    import threading  # 1 ms of CPU that a literal address need not pay

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise ProbeError(f"no thread is left to resolve {host} (ulimit -u, pids cgroup)") from None
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
