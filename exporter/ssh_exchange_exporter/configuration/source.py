"""Local addresses to probe from."""

import ipaddress
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Strict

from check_ssh_exchange.report import Family


def _literal(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("should be an IPv4 or IPv6 address") from None
    return text


SourceAddress = Annotated[str, Strict(), AfterValidator(_literal)]


def families_of(sources: Iterable[str]) -> frozenset[Family]:
    """Return the families of addresses."""
    return frozenset(Family.IPV6 if ":" in source else Family.IPV4 for source in sources)
