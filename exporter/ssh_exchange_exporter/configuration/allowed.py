"""Which targets may be probed: networks, addresses, names and name suffixes."""

import ipaddress
from collections.abc import Sequence

from ..ip_address import Address, Network, parse, parse_network
from .target import name_of


class Allowed:
    """The entries of `allowed_targets`; without entries, everything is allowed. Raises ValueError with a sentence."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.is_everything = not entries
        self._networks: list[Network] = []
        self._names: set[str] = set()
        self._suffixes: set[str] = set()
        for entry in entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        if "/" in entry or ":" in entry:
            self._networks.append(_network_of(entry))
        elif entry.startswith("*."):
            self._suffixes.add(_checked_name(entry[2:]))
        elif "*" in entry:
            raise ValueError("must have its * at the start only, as in *.example.com")
        else:
            name = _checked_name(entry)
            address = _address_of(name)
            if address is None:
                self._names.add(name)
            else:
                self._networks.append(ipaddress.ip_network(address))

    @property
    def has_networks(self) -> bool:
        """Whether a name that is not listed can still be allowed by its addresses."""
        return bool(self._networks)

    def names(self, host: str) -> bool:
        """Return whether a host is allowed as written: a name by the listed names, an address by the networks."""
        if self.is_everything:
            return True
        address = _address_of(host)
        if address is not None:
            return self._covers(address)
        try:
            name = name_of(host)
        except ValueError:
            return False
        return name in self._names or any(end in self._suffixes for end in _ends_of(name))

    def holds(self, address_text: str) -> bool:
        """Return whether an address is in an allowed network; a scope id is ignored."""
        address = _address_of(address_text)
        return self.is_everything or (address is not None and self._covers(address))

    def _covers(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _ends_of(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def _checked_name(text: str) -> str:
    try:
        return name_of(text)
    except ValueError:
        raise ValueError("must be a network, an address, a name or a *.suffix") from None


def _address_of(text: str) -> Address | None:
    # Folded to IPv4: ::ffff:10.0.0.1 reaches 10.0.0.1, and as IPv6 it would pass a list without that address.
    return parse(text.removeprefix("[").removesuffix("]").partition("%")[0])


def _network_of(entry: str) -> Network:
    if "%" in entry:
        raise ValueError("must not have a scope id")
    try:
        written = ipaddress.ip_interface(entry)
    except ValueError:
        raise ValueError("must be a network, as in 10.0.0.0/8 or 2001:db8::/32") from None
    if written.ip != written.network.network_address:
        raise ValueError(f"must not have bits set beyond its prefix; write {written.network}")
    return parse_network(entry)
