"""The tables in iptables-save and ip6tables-save (iptables-extensions(8), 1.4 to 1.8.11), the sets in `ipset save`."""

import shlex
from collections.abc import Mapping

from ...values import NamedTuple
from .model import Chain, Known, Limit, Recent, Rule, Span, Step, Table, Test, Tests, Untrack, Verdict, network
from .nft import FLAGS, SYN

MOST_LETTERS = 8192  # of a rule that is split; real ones have hundreds, and shlex takes half a minute for a million
HOOKS = {"INPUT": "input", "PREROUTING": "prerouting", "FORWARD": "forward"}
# netfilter_ipv4.h: where each table stands in a hook.
PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
PER = {"s": 60.0, "m": 1.0, "h": 1 / 60, "d": 1 / 1440}
STOPPING = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return", "TARPIT": "drop"}
# Targets that do something to the packet and let it go on.
PASSING = ("LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "SET", "TRACE", "AUDIT", "TCPMSS", "CLASSIFY", "DSCP", "TOS",
           "SECMARK", "CONNSECMARK", "TCPOPTSTRIP", "TTL", "HL", "CHECKSUM", "TEE", "RATEEST")  # fmt: skip
# Options that say how another one counts, or nothing at all of the packet.
QUIET = ("--comment", "--limit-burst", "--hashlimit-burst", "--hashlimit-mode", "--hashlimit-name", "--connlimit-mask",
         "--connlimit-saddr", "--hashlimit-htable-size", "--hashlimit-htable-max", "--hashlimit-htable-expire",
         "--hashlimit-htable-gcinterval", "--hashlimit-srcmask", "--hashlimit-dstmask", "--name", "--mask", "--rsource",
         "--rdest", "--seconds", "--hitcount", "--reap", "--rttl", "--return-nomatch")  # fmt: skip
OF_RECENT = ("--set", "--update", "--rcheck", "--remove")

Sets = Mapping[str, Tests]
Given = Mapping[str, tuple[str, ...]]


def is_nft(text: str) -> bool:
    """Return whether these are tables that nft shows too."""
    return "(nf_tables)" in text[:200]


def tables(text: str, family: str, sets: Sets | None = None) -> list[Table]:
    """Return the tables of a listing. `family` is ip or ip6; `sets` are those of ipset, {} where they are not known."""
    found: list[Table] = []
    tool = "iptables" if family == "ip" else "ip6tables"
    name, chains, policies = "", dict[str, list[Rule]](), dict[str, str]()
    for line in text.splitlines():
        if line.startswith("*"):
            name, chains, policies = line[1:].strip(), {}, {}
        elif line.startswith(":"):
            chain, _, rest = line[1:].partition(" ")
            chains.setdefault(chain, [])
            policies[chain] = "drop" if rest.startswith("DROP") else "accept"
        elif line.startswith("-A ") and name:
            chain, _, rest = line[3:].partition(" ")
            chains.setdefault(chain, []).append(rule(rest, family, sets or {}))
        elif line.strip() == "COMMIT" and name:
            found.append(Table(family, name, tool, _chains(name, chains, policies)))
            name = ""
    return found


def _chains(table: str, chains: Mapping[str, list[Rule]], policies: Mapping[str, str]) -> dict[str, Chain]:
    return {
        name: Chain(
            name,
            tuple(rules),
            HOOKS.get(name, ""),
            "nat" if table == "nat" else "filter",
            PRIORITIES.get(table, 0),
            policies.get(name, "accept"),
        )
        for name, rules in chains.items()
    }


def rule(line: str, family: str, sets: Sets) -> Rule:
    """Return a rule of iptables-save, without its -A and its chain; what cannot be read may do anything."""
    try:
        options = _options(_words(line))
        given = {name: words for name, words, _ in options}
        steps: list[Step] = []
        verdict = None
        for name, words, is_negated in options:
            if name in ("-j", "-g"):
                verdict = _verdict(name, words[0])
                if words[0] in ("NOTRACK", "CT") and (words[0] == "NOTRACK" or "--notrack" in words):
                    steps.append(Untrack())
            else:
                steps += _steps(name, words, given, family, sets, is_negated=is_negated)
    except (ValueError, IndexError, KeyError):
        return Rule((Known(None),), Verdict("unknown"), line)
    return Rule(tuple(steps), verdict, line)


def _words(line: str) -> list[str]:
    if len(line) > MOST_LETTERS:
        raise ValueError("too long")
    return shlex.split(line)


def _options(words: list[str]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Return each option with its words and whether ! stands before it; behind -j all belongs to the target."""
    found: list[tuple[str, list[str], bool]] = []
    is_negated = False
    for word in words:
        is_option = word.startswith("--") or (len(word) == 2 and word[0] == "-" and word[1].isalpha())
        if found and found[-1][0] in ("-j", "-g"):
            found[-1][1].append(word)
        elif word == "!":
            is_negated = True
        elif is_option:
            found.append((word, [], is_negated))
            is_negated = False
        else:
            found[-1][1].append(word)
    return [(name, tuple(given), negated) for name, given, negated in found]


def _verdict(option: str, target: str) -> Verdict | None:
    if target in STOPPING:
        return Verdict(STOPPING[target])
    if target in PASSING or target in ("NOTRACK", "CT"):
        return None
    if target in ("QUEUE", "NFQUEUE", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "TPROXY", "SYNPROXY", "DELUDE"):
        return Verdict("unknown")
    return Verdict("goto" if option == "-g" else "jump", target)


def _steps(name: str, words: tuple[str, ...], given: Given, family: str, sets: Sets, *, is_negated: bool) -> list[Step]:
    step: Step = Known(None)
    if name == "-m" or name in QUIET:
        return []
    if name in OF_RECENT:
        step = _recent(name, given, is_negated=is_negated)
    elif name == "--match-set":
        step = _in_set(words, family, sets, is_negated=is_negated)
    elif name in LIMITS:
        step = LIMITS[name].limit(words, given, is_negated=is_negated)
    elif name in ("--tcp-flags", "--syn"):
        step = Known(_flags(name, words, is_negated=is_negated))
    elif field := FIELDS.get(name):
        field += ("4" if family == "ip" else "6") if field in ("saddr", "daddr") else ""
        step = Test((field,), tuple((one,) for one in _values(name, words)), is_negated)
    return [step]


FIELDS = {"-s": "saddr", "-d": "daddr", "-p": "protocol", "-i": "iif", "-o": "oif", "--dport": "dport",
          "--dports": "dport", "--sport": "sport", "--sports": "sport", "--ports": "unknown", "--ctstate": "state",
          "--state": "state", "--src-range": "saddr", "--dst-range": "daddr", "--dst-type": "type",
          "--pkt-type": "pkttype", "--ctorigsrc": "saddr", "--ctorigdst": "unknown",
          "--ctdir": "direction"}  # fmt: skip


def _values(name: str, words: tuple[str, ...]) -> list[object]:
    if name in ("--src-range", "--dst-range"):
        first, _, last = words[0].partition("-")
        return [Span(first, last)]
    return [_value(name, one) for one in words[0].split(",")]


def _value(name: str, text: str) -> object:
    if name in ("--dport", "--dports", "--sport", "--sports"):
        return _ports(text)
    if name in ("--ctstate", "--state", "--dst-type", "--ctdir", "--pkt-type"):
        return "host" if text == "unicast" else text.lower()
    if name == "-i":
        return text[:-1] + "*" if text.endswith("+") else text
    if name == "-p":
        return "tcp" if text in ("tcp", "6", "all", "0") else text
    return _masked(text)


def _ports(text: str) -> object:
    first, colon, last = text.partition(":")
    return Span(int(first or 0), int(last or 65535)) if colon else int(first)


def _masked(text: str) -> object:
    address, _, length = text.partition("/")
    return address if length in ("32", "128") and (length == "128") == (":" in address) else network(text)


def _recent(name: str, given: Given, *, is_negated: bool) -> Recent:
    seconds, hits = given.get("--seconds"), given.get("--hitcount")
    return Recent(
        (given.get("--name") or ("DEFAULT",))[0],
        name[2:],
        float(seconds[0]) if seconds else None,
        int(hits[0]) if hits else 0,
        is_negated,
    )


def _in_set(words: tuple[str, ...], family: str, sets: Sets, *, is_negated: bool) -> Test:
    version = "4" if family == "ip" else "6"
    of = {"src": (f"saddr{version}", "sport"), "dst": (f"daddr{version}", "dport")}
    # Each word stands for one part of an element: the first for its address, the second for its port.
    directions = words[1].split(",")
    fields = tuple(of[one][min(place, 1)] for place, one in enumerate(directions))
    return Test(fields, sets.get(words[0]), is_negated, words[0])


def _rate(text: str) -> float:
    number, _, per = text.partition("/")
    return float(number) * PER.get((per or "s")[0], 60.0)


class Reader(NamedTuple):
    """How an option says a limit. `is_over`: what exceeds it matches; `burst` is an option, too."""

    words: str
    is_over: bool
    is_rate: bool
    burst: str = ""

    def limit(self, words: tuple[str, ...], given: Given, *, is_negated: bool) -> Limit:
        """Return the limit; raises ValueError for what is none."""
        over = self.is_over != is_negated
        said = f"{self.words} {'above' if over else 'up to'} {words[0]}"
        if not self.is_rate:
            return Limit(said, over)
        burst = int((given.get(self.burst) or ("5",))[0])
        return Limit(f"{said} burst {burst}", over, _rate(words[0]), burst)


LIMITS = {
    "--limit": Reader("limit", is_over=False, is_rate=True, burst="--limit-burst"),
    "--hashlimit": Reader("hashlimit", is_over=False, is_rate=True, burst="--hashlimit-burst"),
    "--hashlimit-upto": Reader("hashlimit", is_over=False, is_rate=True, burst="--hashlimit-burst"),
    "--hashlimit-above": Reader("hashlimit", is_over=True, is_rate=True, burst="--hashlimit-burst"),
    "--connlimit-above": Reader("connlimit", is_over=True, is_rate=False),
    "--connlimit-upto": Reader("connlimit", is_over=False, is_rate=False),
}


def _flags(name: str, words: tuple[str, ...], *, is_negated: bool) -> bool:
    """Return whether a test of TCP flags holds for a SYN alone."""
    mask, wanted = (words[0], words[1]) if name == "--tcp-flags" else ("FIN,SYN,RST,ACK", "SYN")
    return ((SYN & _bits(mask)) == _bits(wanted)) != is_negated


def _bits(text: str) -> int:
    if text in ("ALL", "NONE"):
        return 63 if text == "ALL" else 0
    return sum(FLAGS[one.lower()] for one in text.split(","))


def ipsets(text: str) -> dict[str, Tests]:
    """Return the sets of `ipset save`. An element with parts that we do not know fits nothing for certain."""
    found: dict[str, list[tuple[object, ...]]] = {}
    lists: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "create":
            (lists if words[2] == "list:set" else found)[words[1]] = []
        elif len(words) > 2 and words[0] == "add" and words[1] in lists:
            lists[words[1]].append(words[2])
        elif len(words) > 2 and words[0] == "add" and "nomatch" not in words:
            found.setdefault(words[1], []).append(tuple(map(_element, words[2].split(","))))
    for name, members in lists.items():
        found[name] = [one for member in members for one in found.get(member, ())]
    return {name: tuple(elements) for name, elements in found.items()}


def _element(text: str) -> object:
    if text.isdigit():
        return int(text)
    protocol, colon, port = text.partition(":")
    if colon and port.isdigit() and protocol in ("tcp", "udp"):
        return int(port) if protocol == "tcp" else None
    first, dash, last = text.partition("-")
    if dash and last:
        return Span(first, last)
    return network(text)
