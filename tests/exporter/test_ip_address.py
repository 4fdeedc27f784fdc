"""IP addresses and networks in one spelling, IPv4-mapped ones as IPv4."""

import ipaddress

import pytest

from ssh_exchange_exporter.ip_address import parse, parse_network, plain
from ssh_exchange_exporter.web.listener import origin


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("host", None),
        ("192.0.2.01", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str | None) -> None:
    found = parse(text)
    assert (None if found is None else str(found)) == address
    assert plain(text) == (text if address is None else address)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::/0", "::/0"),
    ],
)
def test_a_mapped_network_is_an_ipv4_network(text: str, network: str) -> None:
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8::1:2:3:4", 5, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_client_is_counted_by_its_ipv4_address_or_its_64_bit_prefix(address: object, counted_as: str) -> None:
    assert origin(address) == counted_as
