"""Tables, chains and rules as both packet filters have them, and the packet that goes through them.

What cannot be known of a packet (its mark, the time of day, a module we do not know) makes a test neither true nor
false: None. Only what holds either way is said with certainty.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from ...values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Pattern = object  # an int or a text (with *), or a Span
MANY = 64  # elements, above which a list is searched as a whole
Tests = tuple[tuple[Pattern, ...], ...]


class Span(NamedTuple):
    """From one value to another, both included: ports, or addresses as text."""

    first: "int | str"
    last: "int | str"


class Verdict(NamedTuple):
    """What a rule does: accept, drop, reject, return, jump, goto, or unknown. `target` is the chain it leads to."""

    kind: str
    target: str = ""


class Test(NamedTuple):
    """A condition on fields. Each of `patterns` has one pattern a field; `set_name` names the set they come from."""

    fields: tuple[str, ...]
    patterns: "Tests | None"  # None: they are not known
    is_negated: bool = False
    set_name: str = ""


class Known(NamedTuple):
    """A condition that is the same for every new connection, or that nobody can know: None."""

    answer: bool | None


class Limit(NamedTuple):
    """A rate or a count. `is_over`: what exceeds it matches, else what is within it. `a_minute` is None for a count."""

    words: str
    is_over: bool
    a_minute: float | None = None
    burst: int = 0


class Recent(NamedTuple):
    """A condition on a list of iptables' module recent: set, update, rcheck or remove."""

    name: str
    action: str
    seconds: float | None = None
    hits: int = 0
    is_negated: bool = False


class Choice(NamedTuple):
    """A verdict map: the verdict of the first entry that fits."""

    fields: tuple[str, ...]
    entries: "tuple[tuple[tuple[Pattern, ...], Verdict], ...] | None"
    set_name: str = ""


class Untrack(NamedTuple):
    """The connection is not tracked from here on: its state is not `new`."""


Step = Test | Known | Limit | Recent | Choice | Untrack


class Rule(NamedTuple):
    """A rule: its steps, then what it does (None: nothing), and its own words."""

    steps: tuple[Step, ...]
    verdict: Verdict | None
    words: str


class Chain(NamedTuple):
    """A chain; `hook` is "" for one that is only jumped to. `policy` is what happens at its end."""

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    kind: str = "filter"
    priority: int = 0
    policy: str = "accept"


class Table(NamedTuple):
    """A table; `tool` is nft, iptables or ip6tables, `filled` names sets that its own rules put addresses into."""

    family: str
    name: str
    tool: str
    chains: Mapping[str, Chain]
    filled: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """How a sentence names it."""
        return f"nft table {self.family} {self.name}" if self.tool == "nft" else f"{self.tool} table {self.name}"


class Packet(NamedTuple):
    """The first packet of a connection. None is not known; an interface that is not known is not lo."""

    family: str  # ip or ip6
    source: str | None
    target: str | None
    port: int
    interface: str | None = None
    is_forwarded: bool = False
    state: str | None = "new"


NEVER = object()  # the field is not in this packet: no test of it holds, not even a negated one


def value_of(packet: Packet, field: str) -> "Any":
    """Return a field of the packet, None where it is not known, NEVER where there is none."""
    if field in ("saddr4", "saddr6", "daddr4", "daddr6"):
        if packet.family != ("ip" if field.endswith("4") else "ip6"):
            return NEVER
        return packet.source if field.startswith("s") else packet.target
    if field == "type":
        return None if packet.is_forwarded else "local"
    constant = {"protocol": "tcp", "family": packet.family, "dport": packet.port, "state": packet.state,
                "iif": packet.interface or "", "pkttype": "host", "direction": "original", "never": NEVER}  # fmt: skip
    return constant.get(field)


def answer_of(packet: Packet, test: Test) -> bool | None:
    """Return whether a test holds."""
    values = [value_of(packet, field) for field in test.fields]
    if NEVER in values:
        return False
    if test.patterns is None:
        return None
    if len(values) == 1 and len(test.patterns) > MANY:
        found = _among(values[0], test.patterns)
    else:
        found = any_of(fits(packet, test.fields, one) for one in test.patterns)
    return found if found is None else found != test.is_negated


def _among(value: "int | str | None", patterns: Tests) -> bool | None:
    """Return whether a value is in a long list: those of tens of thousands of addresses are common."""
    if value is None or not value:
        return None
    return (value,) in patterns or any(_fits(value, one) for (one,) in patterns if one.__class__ is Span or one == "*")


def fits(packet: Packet, fields: Sequence[str], patterns: Sequence[Pattern]) -> bool | None:
    """Return whether each field fits its pattern."""
    answers = []
    for field, pattern in zip(fields, patterns, strict=False):
        value = value_of(packet, field)
        if value is NEVER:
            return False
        if value is None:
            answers.append(True if pattern == "*" else None)
        elif field == "iif" and not value:
            answers.append(False if pattern == "lo" else None)
        else:
            answers.append(_fits(value, pattern))
    return False if False in answers else None if None in answers else True


def any_of(answers: "Any") -> bool | None:
    """Return True where one is true, else None where one is not known."""
    unknown = False
    for answer in answers:
        if answer:
            return True
        unknown = unknown or answer is None
    return None if unknown else False


def _fits(value: "int | str", pattern: Pattern) -> bool:
    if isinstance(pattern, Span):
        return _within(value, pattern)
    if isinstance(pattern, str) and isinstance(value, str):
        return pattern == value or ("*" in pattern and fnmatchcase(value, pattern))
    return pattern == value


def _within(value: "int | str", span: Span) -> bool:
    if isinstance(value, int) and isinstance(span.first, int) and isinstance(span.last, int):
        return span.first <= value <= span.last
    number, first, last = number_of(str(value)), number_of(str(span.first)), number_of(str(span.last))
    if number is None or first is None or last is None:
        return False
    return first[0] == number[0] == last[0] and first[1] <= number[1] <= last[1]


@lru_cache(4096)
def number_of(text: str) -> tuple[int, int] | None:
    """Return an address as its version and its number, None for what is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


def network(text: str) -> Pattern:
    """Return the pattern of an address or of a network: 192.0.2.0/24; any other text stands for itself."""
    if "/" not in text:
        return text
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return Span(str(found[0]), str(found[-1]))
