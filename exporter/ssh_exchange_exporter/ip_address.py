"""IP addresses as a server sees them: ::ffff:192.0.2.1 goes over IPv4, so it is 192.0.2.1."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse(text: str) -> Address | None:
    """Return the address in a text, an IPv4-mapped one as IPv4; None if the text is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def parse_network(text: str) -> Network:
    """Return the network in a text, an IPv4-mapped one as IPv4; raises ValueError. Bits beyond the prefix are cut."""
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        return ipaddress.IPv4Network((int(inner or 0), network.prefixlen - 96))
    return network


@lru_cache(32_768)  # each probe of a fleet asks several times
def plain(text: str) -> str:
    """Return the one spelling of an address; a text that is not an address as it is."""
    address = parse(text)
    return text if address is None else str(address)
