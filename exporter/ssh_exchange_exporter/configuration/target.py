"""What to probe, as users write it: host, host:port, an address, an IPv6 address in brackets."""

import ipaddress
import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Strict

from check_ssh_exchange.plan import Target
from check_ssh_exchange.text import printable

DEFAULT_PORT = 22
MAX_NAME = 253
# The longest host with "[", "]:65535" and a scope id.
MAX_TEXT = 300

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_SCOPE = re.compile(r"[A-Za-z0-9_.:-]{1,15}", re.ASCII)
# The C library reads 127.1, 0x7f.0.0.1 and 2130706433 as addresses. A name never ends in such a label.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@lru_cache(32_768)  # Prometheus asks for the same ones each time
def parse_target(text: str) -> Target:
    """Return the host and port (22 without one) of a target; raises ValueError with a printable sentence."""
    if not text:
        raise ValueError("the target is empty")
    if len(text) > MAX_TEXT:
        raise ValueError(f"the target is longer than {MAX_TEXT} characters")
    if " " in text or not text.isprintable():  # all other spaces are not printable
        raise ValueError("the target contains a space or a control character")
    scheme, mark, rest = text.partition("://")
    if mark:
        raise ValueError(f"leave out {_shown(scheme)}:// and write {_shown(rest) or 'the host'}")
    user, mark, rest = text.rpartition("@")
    if mark:
        raise ValueError(f"leave out the user {_shown(user)}@ and write {_shown(rest) or 'the host'}")
    host, port = _split(text)
    if ":" in host:
        _require_ipv6(host)
    else:
        name_of(host)
    return Target(host, DEFAULT_PORT if port is None else _port_of(port))


def _shown(text: str) -> str:
    return printable(text, 80)


def _split(text: str) -> tuple[str, str | None]:
    """Return the host without brackets, and the text of the port; None without a port."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(f"{_shown(text)} is not a valid [IPv6 address]:port")
        return host, rest[1:] if rest else None
    if text.count(":") >= 2:
        return text, None
    host, colon, port = text.partition(":")
    if not host:
        raise ValueError(f"{_shown(text)} has no host")
    return host, port if colon else None


def _port_of(text: str) -> int:
    if not text:
        raise ValueError("the port after the colon is missing")
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise ValueError(f"{_shown(text)} is not a valid port (1 to 65535)")
    return int(text)


def _require_ipv6(host: str) -> None:
    address, percent, scope = host.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise ValueError(f"{_shown(host)} is not a valid host, host:port or IPv6 address") from None
    if percent and not _SCOPE.fullmatch(scope):
        raise ValueError(f"{_shown(scope) or '%'} is not a valid scope id")


def name_of(host: str) -> str:
    """Return a host name (or IPv4 address) as DNS sees it: lower case, without the last dot; raises ValueError."""
    if len(host) > MAX_NAME + 1:
        raise ValueError(f"the host name is longer than {MAX_NAME} characters")
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{_shown(host)} is not a valid host name") from None
    name = name.lower().removesuffix(".")
    if len(name) > MAX_NAME:
        raise ValueError(f"the host name is longer than {MAX_NAME} characters")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{_shown(host)} is not a valid host name")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError(f"{_shown(host)} is neither a valid host name nor an IPv4 address") from None
    return name


def written(target: Target) -> str:
    """Return a target as `parse_target` reads it, with its port."""
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"


def _checked(text: str) -> str:
    parse_target(text)
    return text


TargetText = Annotated[str, Strict(), AfterValidator(_checked)]
