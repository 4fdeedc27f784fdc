"""Local addresses to probe from."""

import ipaddress
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Strict


def _literal(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("should be an IPv4 or IPv6 address") from None
    return text


SourceAddress = Annotated[str, Strict(), AfterValidator(_literal)]


def families_of(sources: Iterable[str]) -> frozenset[str]:
    """Return the families of addresses in the engine's words, ipv4 and ipv6."""
    return frozenset("ipv6" if ":" in source else "ipv4" for source in sources)
