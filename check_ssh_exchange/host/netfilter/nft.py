"""The tables in `nft -j list ruleset` (libnftables-json(5), nftables 0.9 to 1.1)."""

import json
from collections.abc import Iterator, Mapping, Sequence

from . import model
from .model import Chain, Choice, Known, Limit, Rule, Span, Step, Table, Test, Untrack, Verdict
from .nft_words import words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAMILIES = ("ip", "ip6", "inet", "netdev")
VERDICTS = ("accept", "drop", "reject", "return", "jump", "goto", "continue", "queue", "xt", "synproxy", "tproxy")
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
SYN = 2
PROTOCOLS: dict[object, str] = {6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp"}
PER = {"second": 60.0, "minute": 1.0, "hour": 1 / 60, "day": 1 / 1440, "week": 1 / 10080}
ODD = (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError)


class Listing:
    """A listing as it is read: sets and named limits by table, rules by chain."""

    def __init__(self, text: str) -> None:
        self.sets: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.limits: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.chains: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
        self.rules: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        try:
            entries = json.loads(text)["nftables"]
        except ODD:
            entries = []
        for entry in entries if isinstance(entries, list) else ():
            try:
                self._take(entry)
            except ODD:
                continue

    def _take(self, entry: "Mapping[str, Any]") -> None:
        ((kind, body),) = entry.items()
        place = (str(body.get("family")), str(body.get("table") or body.get("name")))
        if place[0] not in FAMILIES:
            return
        if kind == "table":
            self.chains.setdefault(place, {})
        elif kind in ("set", "map"):
            self.sets[(*place, str(body["name"]))] = body
        elif kind == "limit":
            self.limits[(*place, str(body["name"]))] = body
        elif kind == "chain":
            self.chains.setdefault(place, {})[str(body["name"])] = body
        elif kind == "rule":
            self.rules.setdefault((*place, str(body["chain"])), []).append(body)


def tables(text: str) -> list[Table]:
    """Return the tables of a listing; what cannot be understood is a rule that may do anything."""
    listing = Listing(text)
    return [_table(listing, *place) for place in listing.chains]


def with_xt(text: str) -> set[tuple[str, str]]:
    """Return the tables, (family, name), that have rules only iptables can show: `xt` stands for their parts."""
    listing = Listing(text)
    return {place[:2] for place, rules in listing.rules.items() if any(_has_xt(rule) for rule in rules)}


def _has_xt(rule: "Mapping[str, Any]") -> bool:
    expressions = rule.get("expr", ())
    return isinstance(expressions, list) and any(isinstance(one, dict) and "xt" in one for one in expressions)


def _table(listing: Listing, family: str, name: str) -> Table:
    chains = {}
    filled = set()
    for title, body in listing.chains[family, name].items():
        rules = []
        for one in listing.rules.get((family, name, title), ()):
            expressions = one.get("expr", ())
            filled |= {str(e["set"]["set"]).lstrip("@") for e in expressions if _fills(e)}
            rules.append(_rule(listing, (family, name), expressions))
        chains[title] = _chain(title, body, tuple(rules))
    return Table(family, name, "nft", chains, frozenset(filled))


def _fills(expression: object) -> bool:
    found = expression.get("set") if isinstance(expression, dict) else None
    return isinstance(found, dict) and found.get("op") in ("add", "update") and "set" in found


def _chain(name: str, body: "Mapping[str, Any]", rules: tuple[Rule, ...]) -> Chain:
    priority = body.get("prio", 0)
    return Chain(
        name,
        rules,
        str(body.get("hook", "")),
        str(body.get("type", "filter")),
        priority if isinstance(priority, int) else 0,
        str(body.get("policy", "accept")),
    )


def _rule(listing: Listing, place: tuple[str, str], expressions: "Sequence[Any]") -> Rule:
    steps: list[Step] = []
    verdict = None
    try:
        words = words_of(expressions)
        for one in expressions:
            ((kind, body),) = one.items() if isinstance(one, dict) else ((str(one), None),)
            if kind in VERDICTS:
                verdict = _verdict(kind, body)
            else:
                steps += _steps(listing, place, kind, body)
    except ODD:
        return Rule((Known(None),), Verdict("unknown"), "a rule that cannot be read")
    return Rule(tuple(steps), verdict, words)


def _verdict(kind: str, body: "Any") -> Verdict | None:
    if kind in ("jump", "goto"):
        return Verdict(kind, str(body["target"]))
    if kind in ("accept", "drop", "reject", "return"):
        return Verdict(kind)
    return None if kind == "continue" else Verdict("unknown")


def _steps(listing: Listing, place: tuple[str, str], kind: str, body: "Any") -> Iterator[Step]:
    if kind == "match":
        yield _test(listing, place, body)
    elif kind == "vmap":
        yield _choice(listing, place, body)
    elif kind in ("limit", "ct count"):
        yield _limit(listing, place, kind, body)
    elif kind in ("set", "map", "meter"):
        inner = body.get("stmt") or []
        several: list[Any] = inner if isinstance(inner, list) else [inner]
        for one in several:
            ((name, what),) = one.items()
            yield from _steps(listing, place, name, what)
    elif kind == "notrack":
        yield Untrack()
    elif kind in ("quota", "osf"):
        yield Known(None)


def _limit(listing: Listing, place: tuple[str, str], kind: str, body: "Any") -> Limit:
    if kind == "ct count":
        over = bool(body.get("inv"))
        return Limit(f"ct count {'over ' if over else ''}{body['val']}", over)
    if isinstance(body, str):
        body = listing.limits[(*place, body)]
    over, rate, per = bool(body.get("inv")), float(body["rate"]), str(body.get("per", "second"))
    burst = int(body.get("burst", 0))
    words = f"limit rate {'over ' if over else ''}{rate:g}/{per} burst {burst}"
    return Limit(words, over, rate * PER.get(per, 60.0), burst)


def _test(listing: Listing, place: tuple[str, str], body: "Mapping[str, Any]") -> Step:
    left, right, op = body["left"], body["right"], body.get("op", "==")
    if _is_flags(left):
        return Known(_flags(left, right, op))
    fields = _fields(left)
    patterns, name = _patterns(listing, place, right, fields)
    if op in ("<", ">", "<=", ">="):
        return _compared(fields, right, op)
    return Test(fields, patterns, op == "!=", name)


def _compared(fields: tuple[str, ...], right: "Any", op: str) -> Test:
    if not isinstance(right, int):
        return Test(fields, None)
    span = {"<": Span(0, right - 1), "<=": Span(0, right), ">": Span(right + 1, 1 << 32), ">=": Span(right, 1 << 32)}
    return Test(fields, ((span[op],),))


def _choice(listing: Listing, place: tuple[str, str], body: "Mapping[str, Any]") -> Choice:
    fields = _fields(body["key"])
    data, name = body["data"], ""
    if isinstance(data, str):
        name = data.lstrip("@")
        entries = listing.sets[(*place, name)].get("elem", ())
    else:
        entries = data["set"]
    made = []
    for key, action in entries:
        ((kind, what),) = action.items()
        made.append((_pattern(key, fields), _verdict(kind, what) or Verdict("continue")))
    return Choice(fields, tuple(made), name)


def _patterns(
    listing: Listing, place: tuple[str, str], right: "Any", fields: tuple[str, ...]
) -> "tuple[model.Tests | None, str]":
    if isinstance(right, str) and right.startswith("@"):
        name = right[1:]
        found = listing.sets.get((*place, name))
        elements = found.get("elem", ()) if found is not None else None
        return (None if elements is None else tuple(_pattern(one, fields) for one in elements)), name
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    # Without a set a list is one value with several flags, of which one is enough: ct state established,related.
    several = right if isinstance(right, list) else [right]
    return tuple(_pattern(one, fields) for one in several), ""


def _pattern(value: "Any", fields: tuple[str, ...]) -> tuple[model.Pattern, ...]:
    while isinstance(value, dict) and "elem" in value:
        value = value["elem"]["val"]
    parts = value["concat"] if isinstance(value, dict) and "concat" in value else [value]
    if parts == ["*"]:
        parts = ["*"] * len(fields)
    return tuple(_one(part, field) for part, field in zip(parts, fields, strict=False))


def _one(value: "Any", field: str) -> model.Pattern:
    if isinstance(value, dict) and "prefix" in value:
        return model.network(f"{value['prefix']['addr']}/{value['prefix']['len']}")
    if isinstance(value, dict) and "range" in value:
        return Span(*value["range"])
    if field == "protocol":
        return PROTOCOLS.get(value, value) if isinstance(value, int) else value
    if field == "family":
        return {"ipv4": "ip", "ipv6": "ip6"}.get(value, value) if isinstance(value, str) else value
    if field == "pkttype" and value == "unicast":
        return "host"
    return value if isinstance(value, int | str) else None


def _fields(left: "Any") -> tuple[str, ...]:
    if isinstance(left, dict) and "concat" in left:
        return tuple(_field(one) for one in left["concat"])
    return (_field(left),)


OF_META = {"iifname": "iif", "iif": "iif", "l4proto": "protocol", "nfproto": "family", "protocol": "family",
           "pkttype": "pkttype", "oif": "oif", "oifname": "oif"}  # fmt: skip
OF_CT = {"state": "state", "direction": "direction", "ip saddr": "saddr4", "ip6 saddr": "saddr6",
         "ip daddr": "daddr4", "ip6 daddr": "daddr6", "protocol": "protocol"}  # fmt: skip


def _field(left: "Any") -> str:
    ((kind, body),) = left.items()
    if kind == "payload":
        return _of_payload(str(body.get("protocol")), str(body.get("field")))
    if kind == "meta":
        return OF_META.get(body.get("key"), "unknown")
    if kind == "ct" and body.get("dir", "original") == "original":
        return OF_CT.get(body.get("key"), "unknown")
    if kind == "fib" and body.get("result") == "type" and "daddr" in body.get("flags", ()):
        return "type"
    return "unknown"


def _of_payload(protocol: str, field: str) -> str:
    if protocol in ("ip", "ip6"):
        version = "4" if protocol == "ip" else "6"
        if field in ("saddr", "daddr"):
            return field + version
        return "protocol" if field in ("protocol", "nexthdr") else "unknown"
    if protocol in ("tcp", "th"):
        return field if field in ("dport", "sport") else "unknown"
    # nft puts the test of the protocol before it, and does not print that: udp dport never holds for TCP.
    return (
        "never" if protocol in ("udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "esp", "ah", "igmp") else "unknown"
    )


def _is_flags(left: "Any") -> bool:
    if isinstance(left, dict) and "&" in left:
        left = left["&"][0]
    return isinstance(left, dict) and left.get("payload") == {"protocol": "tcp", "field": "flags"}


def _flags(left: "Any", right: "Any", op: str) -> bool | None:
    """Return whether a test of TCP flags holds for the first packet of a connection, a SYN alone."""
    mask = _bits(left["&"][1]) if "&" in left else 255
    wanted = _bits(right)
    if mask is None or wanted is None:
        return None
    if op == "in":
        return bool(SYN & mask & wanted)
    return ((SYN & mask) == wanted) == (op == "==")


def _bits(value: "Any") -> int | None:
    if isinstance(value, int):
        return value
    if isinstance(value, dict) and "|" in value:
        value = value["|"]
    if isinstance(value, list):
        parts = [_bits(one) for one in value]
        return None if None in parts else sum({part for part in parts if part is not None})
    return FLAGS.get(value) if isinstance(value, str) else None
