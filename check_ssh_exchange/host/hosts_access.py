"""hosts.allow and hosts.deny as libwrap reads them: hosts_access(5), hosts_options(5), hosts_access.c, options.c. Pure.

A client is known by its address alone. What depends on its name, on its user's name, on a netgroup, on another file or
on a command is neither true nor false but None here, and so is a verdict that hangs on it.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache

from ..values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Match = Callable[[str, "Client"], bool | None]

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
BUFFER = 2046  # bytes of a rule with its continuations, its line end apart (BUFLEN)
MOST_TOKENS = 1024  # words of one list; a rule of BUFFER characters has no more
_SEPARATORS = re.compile(r"[, \t\r\n]+")
_ADDRESS_ONLY = re.compile(r"[0-9./]*", re.ASCII)  # tcpd.h, NOT_INADDR
_ALL_ONES = 0xFFFFFFFF
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_QUAD = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", re.ASCII)
# options.c: what each may have as its value.
_LEVEL = "(emerg|alert|crit|err|warning|notice|info|debug)"
_FACILITY = "(kern|user|mail|daemon|auth|authpriv|lpr|news|uucp|cron|ftp|local[0-7])"
_ANY, _NONE = re.compile(".+", re.DOTALL), re.compile("")
_VALUES = {
    **dict.fromkeys(("user", "group", "setenv", "banners", "aclexec", "spawn", "twist"), _ANY),
    **dict.fromkeys(("allow", "deny", "keepalive"), _NONE),
    "severity": re.compile(rf"({_FACILITY}\.)?{_LEVEL}", re.IGNORECASE),
    "linger": re.compile("[0-9]+"),
    "umask": re.compile("[0-7]+"),
    "nice": re.compile("([+-]?[0-9]+)?"),
    "rfc931": re.compile("([0-9]+)?"),
}
_LAST = {"allow", "deny", "twist"}


class LineFault(StrEnum):
    """Why libwrap does not read a line, as a sentence says it of the line."""

    TOO_LONG = "is too long"
    UNENDED = "has no line end"


class Rule(NamedTuple):
    """A rule: where it ends, its lists, its options.

    `fault`: it is none, but a line that libwrap does not read. There it stops reading: in hosts.allow nothing more is
    granted, in hosts.deny everybody is denied. `is_cut`: here we have stopped reading, and what comes after it is not
    known.
    """

    file: str
    line: int
    daemons: tuple[str, ...]
    clients: tuple[str, ...]
    options: tuple[str, ...]
    text: str
    fault: LineFault | None = None
    is_cut: bool = False

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.file} line {self.line}"


class Verdict(NamedTuple):
    """What becomes of a client: served or not, None where that cannot be told; by which rule, None for by none.

    `why` says what it hangs on where it cannot be told.
    """

    is_served: bool | None
    rule: Rule | None = None
    why: str = ""


class Client(NamedTuple):
    """A client and the place that it connects to; `server` is None where the local address is not known."""

    address: "Address"
    port: int
    daemon: str = "sshd"
    server: "Address | None" = None


# --- reading


@lru_cache(16)
def rules(file: str, text: str) -> tuple[Rule, ...]:
    """Return the rules of a file, as far as libwrap reads it."""
    found = []
    for number, line, fault in _lines(text):
        rule = Rule(file, number, (), (), (), line[:BUFFER], fault) if fault else _rule(file, number, line)
        if rule is not None:
            found.append(rule)
    return tuple(found)


def _lines(text: str) -> Iterator[tuple[int, str, LineFault | None]]:
    """Yield the number of each line, the line with those that it continues, and its fault, if any; as misc.c, xgets."""
    lines = text.split("\n")
    kept, number = "", 0
    for number, line in enumerate(lines[:-1], 1):
        kept += line
        if len(kept) * 4 > BUFFER and len(kept.encode("utf-8", "surrogateescape")) > BUFFER:
            yield number, kept, LineFault.TOO_LONG
            return
        if kept.endswith("\\"):
            kept = kept[:-1]
            continue
        yield number, kept, None
        kept = ""
    if kept or lines[-1]:
        yield number + bool(lines[-1]), kept + lines[-1], LineFault.UNENDED


def _rule(file: str, number: int, line: str) -> Rule | None:
    if line.startswith("#") or not line.strip(" \t\r"):
        return None
    fields = _fields(line)
    if len(fields) < 2:
        return None
    options = tuple(option.strip() for option in _options(fields[2])) if len(fields) > 2 else ()
    return Rule(file, number, _words(fields[0]), _words(fields[1]), options, line.strip())


def _fields(line: str) -> list[str]:
    """Return daemons, clients and, where there are any, all options; colons in brackets of clients split nothing."""
    if "[" not in line:  # a list of thousands of banned addresses has none
        return line.split(":", 2)
    fields, depth = [""], 0
    for letter in line:
        depth += (letter == "[") - (letter == "]" and depth > 0)
        if letter == ":" and not depth and len(fields) < 3:
            fields.append("")
        else:
            fields[-1] += letter
    return fields


def _options(text: str) -> list[str]:
    r"""Split options at colons; \: is a colon of theirs (options.c, get_field)."""
    return [part.replace("\\:", ":") for part in re.split(r"(?<!\\):", text)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in _SEPARATORS.split(text) if word)[:MOST_TOKENS]


# --- deciding


def verdict(allow: Sequence[Rule], deny: Sequence[Rule], client: Client) -> Verdict:
    """Return what libwrap decides: the first rule that matches, hosts.allow before hosts.deny, else service."""
    undecided: list[Verdict] = []
    for rule, is_served in [*((one, True) for one in allow if not one.fault), *((one, False) for one in deny)]:
        matches = _matches(rule, client)
        if matches is False:
            continue
        outcome = is_served if rule.fault else _outcome(rule, is_served=is_served)
        why = "" if matches and outcome is not None else "a command of the rule decides" if matches else _why(rule)
        undecided.append(Verdict(outcome, rule, why))
        if matches:
            break
    else:
        undecided.append(Verdict(is_served=True))
    outcomes = {one.is_served for one in undecided}
    return undecided[-1] if len(outcomes) == 1 else undecided[0]._replace(is_served=None)


def closing(allow: Sequence[Rule], deny: Sequence[Rule], client: Client) -> Rule | None:
    """Return the rule that denies everybody where none before it can admit anybody, None where somebody may be served.

    Of `client` only the place that it connects to counts.
    """
    for rule, is_served in [*((one, True) for one in allow if not one.fault), *((one, False) for one in deny)]:
        if rule.fault:
            return rule
        if rule.is_cut:
            return None
        is_meant = _listed(rule.daemons, client, _daemon)
        if is_meant is False:
            continue
        if _outcome(rule, is_served=is_served) is not False:
            if any(map(_names_somebody, _parts(rule.clients)[0])):
                return None
        elif is_meant and _names_everybody(rule.clients):
            return rule
    return None


def needs_name(rule: Rule, client: Client) -> bool:
    """Return whether a rule that is or may be meant for this daemon can ask for the name of a client.

    Of `client` its address and the place that it connects to count. What is in another file is not known, and such
    files have addresses.
    """
    if _listed(rule.daemons, client, _daemon) is False:
        return False
    words = (word for part in _parts(rule.clients) for word in part)
    hosts = [word[1:].partition("@")[2] or word for word in words]
    return any(_host(host, client.address) is None and not host.startswith("/") for host in hosts)


def _names_everybody(words: Sequence[str]) -> bool:
    named, *rest = _parts(words)
    excepted = rest[0] if rest else []
    return any(word.upper() in ("ALL", "ALL@ALL", "*") for word in named) and not any(map(_names_somebody, excepted))


def _names_somebody(word: str) -> bool:
    """Return whether there may be a client that a word names; 0.0.0.0/0 and 192.0.2.1/24 name none."""
    import ipaddress

    host = word[1:].partition("@")[2] or word
    text = host.partition("/")[0].strip("[]")
    if text.endswith("."):  # 192.0.2. begins addresses
        text = ".".join([*text.rstrip(".").split("."), "0", "0", "0"][:4])
    try:
        example = ipaddress.ip_address(text)
    except ValueError:
        example = ipaddress.IPv4Address(_ALL_ONES)
    return "*" in host or "?" in host or _host(host, example) is not False


def _matches(rule: Rule, client: Client) -> bool | None:
    if rule.is_cut:
        return None
    return bool(rule.fault) or _all(_listed(rule.daemons, client, _daemon), _listed(rule.clients, client, _client))


def _why(rule: Rule) -> str:
    if rule.is_cut:
        return "the file is too long to be read whole"
    words = [word for word in rule.clients if word.upper() not in ("ALL", "EXCEPT")]
    return f"{', '.join(words[:4]) or 'that rule'} can only be told by a look-up"


def _all(*values: bool | None) -> bool | None:
    return False if False in values else None if None in values else True


def _listed(words: Sequence[str], client: Client, matches: "Match") -> bool | None:
    """Return whether a list names a client; `a EXCEPT b EXCEPT c` is a EXCEPT (b EXCEPT c)."""
    # From the right: what the words after the last EXCEPT say, then those before it.
    result: bool | None = False
    for part in reversed(_parts(words)):
        found = [matches(word, client) for word in part]
        named = True if True in found else None if None in found else False
        unless = None if result is None else not result
        result = _all(named, unless)
    return result


def _parts(words: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word.upper() == "EXCEPT":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _daemon(word: str, client: Client) -> bool | None:
    name, at, host = word[1:].partition("@")
    name = word[:1] + name
    by_name = _string(name, client.daemon) or (name.isascii() and name.isdecimal() and int(name[:6]) == client.port)
    if not by_name or not at:
        return by_name
    if host.upper() == "ALL":
        return True
    return None if client.server is None else _host(host, client.server)


def _client(word: str, client: Client) -> bool | None:
    user, at, host = word[1:].partition("@")
    if not at:
        return _host(word, client.address)
    return _all(_host(host, client.address), True if (word[:1] + user).upper() == "ALL" else None)


def _host(word: str, address: "Address") -> bool | None:
    if word.upper() == "ALL":
        return True
    if word.startswith(("@", "/")) or word.upper() in ("KNOWN", "LOCAL", "UNKNOWN", "PARANOID"):
        return None
    network, slash, mask = word.partition("/")
    if slash:
        return _masked(network, mask, address)
    if _string(word, str(address)) or _bracketed(word, address):
        return True
    # Whatever holds more than digits and dots may be a host's name, wildcards around them apart.
    is_address = _ADDRESS_ONLY.fullmatch(word.replace("*", "").replace("?", "")) or word.startswith("[") or ":" in word
    return False if is_address else None


def _string(word: str, text: str) -> bool:
    """Return whether a pattern is a text's: hosts_access.c, string_match."""
    word, text = word.lower(), text.lower()
    if "*" in word or "?" in word:
        return _is_like(word, text)
    if word.startswith("."):
        return len(text) > len(word) and text.endswith(word)
    if word in ("all", "known"):
        return True
    return text.startswith(word) if word.endswith(".") else word == text


def _is_like(word: str, text: str) -> bool:
    """Return whether `*` and `?` stand for the rest; in time that grows with both lengths, whatever the pattern."""
    reached = {0}
    for letter in word:
        if letter == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(text) and letter in ("?", text[at])}
    return len(text) in reached


def _bracketed(word: str, address: "Address") -> bool:
    return word.startswith("[") and word.endswith("]") and _in_network6(word[1:-1], "128", address)


def _masked(network: str, mask: str, address: "Address") -> bool:
    """Return whether an address is in n.n.n.n/m.m.m.m, n.n.n.n/len or [n:n::n]/len; what is malformed names none."""
    if address.version == 4:
        return _in_network4(network, mask, address)
    return network.startswith("[") and network.endswith("]") and _in_network6(network[1:-1], mask, address)


def _in_network4(network: str, mask: str, address: "Address") -> bool:
    import ipaddress

    try:
        if _QUAD.fullmatch(mask):
            bits = int(ipaddress.IPv4Address(mask))
            if bits == _ALL_ONES:  # its mark of an error
                return False
        elif 0 < _number(mask) <= 32:
            bits = _ALL_ONES << (32 - _number(mask)) & _ALL_ONES
        else:  # 0.0.0.0/0 names nobody, 0.0.0.0/0.0.0.0 everybody
            return False
        # The host's own bits are not cut off: 192.0.2.1/24 names nobody.
        return int(address) & bits == int(ipaddress.IPv4Address(network))
    except ValueError:
        return False


def _in_network6(network: str, mask: str, address: "Address") -> bool:
    import ipaddress

    length = _number(mask)
    if address.version != 6 or not 0 <= length <= 128:
        return False
    try:
        return address in ipaddress.IPv6Network((network, length), strict=False)
    except ValueError:
        return False


def _number(text: str) -> int:
    """Return the number that a text begins with, 0 for none: atoi(3)."""
    found = _INTEGER.match(text)
    return int(found[0]) if found else 0


def _outcome(rule: Rule, *, is_served: bool) -> bool | None:
    """Return what a rule's options make of it; a mistake in them denies (options.c, tcpd_jump)."""
    result: bool | None = is_served
    for number, option in enumerate(rule.options, 1):
        keyword, _, value = re.sub(r"[ \t]*=[ \t]*|[ \t]+", " ", option, count=1).partition(" ")
        keyword = keyword.lower()
        is_last = number == len(rule.options)
        wanted = _VALUES.get(keyword)
        if wanted is None or not wanted.fullmatch(value.strip()) or (keyword in _LAST and not is_last):
            return False
        if keyword in _LAST:
            return keyword == "allow"
        if keyword == "aclexec":
            result = None
    return result
