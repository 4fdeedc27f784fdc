"""The item firewall: what the packet filters would do with a new connection to sshd's ports."""

from collections.abc import Iterable, Iterator

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...text import join, printable
from ...values import NamedTuple
from ..about import About
from ..finding import Finding, Lack, Problem, skipped
from ..netfilter.listings import interface, is_installed, is_permitted, lists, tables, trouble
from ..netfilter.model import Packet, Table
from ..netfilter.recent import Lists
from ..netfilter.remedies import opening, remedies
from ..netfilter.walk import Because, Walk
from ..own_addresses import own_addresses
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons

ITEM = "firewall"
MOST = 10  # rules that are quoted
LACKS = Lack("root, or CAP_NET_ADMIN", "the rules of nftables and iptables")
FAMILIES = {"ip": "IPv4", "ip6": "IPv6"}
LOOPBACK = {"ip": "127.0.0.1", "ip6": "::1"}
MOST_NOTES = 3  # sshds in other network namespaces that are named


class Looked(NamedTuple):
    """What one sshd's packets meet: rules that limit or may refuse, monitors and whole families that are refused.

    `some` are rules that refuse those whom they name; `outside` are the monitors elsewhere, `inside` those that are
    this host itself and come in by lo.
    """

    daemon: Daemon
    is_elsewhere: bool  # in another network namespace than these rules
    limits: tuple[Because, ...]
    doubts: tuple[Because, ...]
    some: tuple[Because, ...]
    outside: tuple[str, ...]
    inside: tuple[str, ...]
    refused: tuple[tuple[str, Because], ...]  # a monitor's address, and why
    closed: tuple[tuple[str, Because], ...]  # a family, and why nobody can come in by it
    is_closed: bool  # in every family


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = daemons(seen, about.ports)
    recents = lists(seen)
    denied = not is_permitted(seen) or trouble(seen) == "denied"
    quoted = tuple(_in_lists(recents, about))
    if denied:
        return skipped(ITEM, "the rules may not be seen")._replace(evidence=quoted, lacks=(LACKS,))
    if not is_installed(seen):
        return skipped(ITEM, "no packet filter is in use")
    if reason := trouble(seen):
        return skipped(ITEM, f"the rules are {reason}")._replace(evidence=quoted)
    if not found:
        return skipped(ITEM, "no sshd listens")
    rules = tables(seen)
    looked = [_look(seen, about, daemon, rules, recents) for daemon in found]
    problems = tuple(problem for one in looked for problem in _problems(one, is_alone=len(looked) == 1))
    evidence = dict.fromkeys(line for one in looked for line in _evidence(one))
    made = Finding(
        ITEM,
        _summary([one for one in looked if not one.is_elsewhere]),
        problems,
        (*tuple(evidence)[: 2 * MOST], *quoted),
        tuple(dict.fromkeys(line for one in looked for line in _remedies(rules, one))),
        lacks=tuple(_elsewhere(looked)),
    )
    if not problems and all(one.is_elsewhere for one in looked):
        return made._replace(summary="sshd is in another network namespace", is_skipped=True)
    return made


def _elsewhere(looked: list[Looked]) -> Iterator[Lack]:
    for one in [one for one in looked if one.is_elsewhere][:MOST_NOTES]:
        right = f"`nsenter -t {one.daemon.pid} -n check_sshd_local`, by root"
        yield Lack(right, f"the rules of the network namespace of {printable(one.daemon.name)}")


def _remedies(rules: list[Table], looked: Looked) -> Iterator[str]:
    ports = looked.daemon.ports
    for address, why in looked.refused:
        yield from remedies(rules, address, why, ports)
    if looked.is_closed and not looked.refused:
        for family, why in looked.closed:
            own = [one for one in looked.outside if _family(one) == family]
            for address in own:
                yield from remedies(rules, address, why, ports)
            if not own:
                yield from opening(rules, family, why, ports)


def _look(seen: Snapshot, about: About, daemon: Daemon, rules: list[Table], recents: Lists) -> Looked:
    network = seen.link(f"/proc/{daemon.pid}/ns/net")
    ours = seen.link("/proc/self/ns/net")
    is_forwarded = network is not None and ours is not None and network != ours
    # Their packets come in by lo.
    local = {*LOOPBACK.values(), *(own_addresses(seen) if network == ours else ())}
    one_interface = None if is_forwarded else interface(seen)
    limits: list[Because] = []
    doubts: list[Because] = []
    some: list[Because] = []

    def walked(source: str | None, family: str) -> Because | None:
        """Return why nobody from there comes to any of the ports, None where one is or may be open."""
        reasons = []
        for port in _wanted(daemon, about):
            where = "lo" if source in local else one_interface
            packet = Packet(family, source, _target(daemon, port, family), port, where, is_forwarded)
            walk = Walk(rules, packet, recents)
            why = walk.refused()
            # To another namespace there may be ways that do not lead through this one's rules.
            reasons.append(why if why is None or why.names_address or not is_forwarded else None)
            limits.extend(walk.limits)
            # Of anybody's address every rule that names one is in doubt.
            doubts.extend(one for one in walk.doubts if source or not one.names_address)
            some.extend(one for one in walk.doubts if source is None and _names_some(one))
        return reasons[0] if reasons and None not in reasons else None

    refused = [
        (one, why)
        for one in about.monitors
        if _family(one) in _families(daemon, local=one in local) and (why := walked(one, _family(one)))
    ]
    families = _families(daemon, local=False)
    closed = [(family, why) for family in families if (why := walked(None, family))]
    if not families and not is_forwarded:  # on loopback alone
        families = _families(daemon, local=True)
        some += [why for family in families if (why := walked(None, family)) and why.is_on_port]
        closed = [(family, why) for family in families if (why := walked(LOOPBACK[family], family))]
    is_closed = bool(families) and len(closed) == len(families) and not is_forwarded
    outside = tuple(one for one in about.monitors if one not in local)
    inside = tuple(one for one in about.monitors if one in local)
    rules_met = (_once(limits), _once(doubts), _once(some))
    return Looked(daemon, is_forwarded, *rules_met, outside, inside, tuple(refused), tuple(closed), is_closed)


def _names_some(why: Because) -> bool:
    """Return whether a rule refuses addresses that it names; lists that count are limits."""
    return why.names_address and why.recent is None and why.set_name not in why.table.filled


def _wanted(daemon: Daemon, about: About) -> list[int]:
    return [port for port in daemon.ports if not about.ports or port in about.ports]


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"


def _families(daemon: Daemon, *, local: bool) -> list[str]:
    """Return the families of addresses that a listener can be reached at; from elsewhere not by those of loopback."""
    found = []
    for socket in daemon.listening:
        if not local and (socket.address.startswith("127.") or socket.address == "::1"):
            continue
        found.append(_family(socket.address))
    return list(dict.fromkeys(found))


def _target(daemon: Daemon, port: int, family: str) -> str | None:
    """Return the only address that a port is served at, None for several or any."""
    found = {one.address for one in daemon.listening if one.port == port and _family(one.address) == family}
    return found.pop() if len(found) == 1 and not found & {"0.0.0.0", "::"} else None  # noqa: S104 - it is compared


def _once(reasons: Iterable[Because]) -> tuple[Because, ...]:
    return tuple({one.words: one for one in reasons}.values())


def _problems(looked: Looked, *, is_alone: bool) -> Iterator[Problem]:
    ports = _port_words(looked.daemon.ports)
    of = "" if is_alone else f" ({printable(looked.daemon.name)})"
    for address, why in looked.refused:
        yield Problem(Critical, f"{_sentence(address, why, ports)}{of}", _cause(why), _confidence(why))
    if looked.is_closed and not looked.refused:
        why = looked.closed[0][1]
        # Nobody, and so no monitor; one that is this host itself may come in by lo.
        state = Critical if looked.outside else Warn
        yield Problem(state, f"the firewall lets nobody in to {ports}: {_place(why)}{of}", Cause.FILTERED)


def _sentence(address: str, why: Because, ports: str) -> str:
    verb = "rejects" if why.rule and why.rule.verdict and why.rule.verdict.kind == "reject" else "drops"
    if why.recent:
        words = f"list {printable(why.recent.name, 60)} of iptables' module recent"
        return f"the monitor {printable(address)} is over {_hits(why)} in the {words}: {ports} is closed to it"
    if why.set_name:
        table = printable(why.table.title, 80)
        return (
            f"the monitor {printable(address)} is in the set {printable(why.set_name, 60)} of {table}, which {verb} it"
        )
    if why.names_address:
        return f"the monitor {printable(address)} is turned away by {_place(why)}, which {verb} it"
    return f"the firewall {verb} connections of the monitor {printable(address)} to {ports}: {_place(why)}"


def _hits(why: Because) -> str:
    recent = why.recent
    if recent is None or not recent.hits:
        return "the limit"
    return f"{recent.hits} connections{f' in {recent.seconds:g} s' if recent.seconds else ''}"


def _place(why: Because) -> str:
    return printable(f"{why.table.title}, chain {why.chain}{'' if why.rule else ' (policy drop)'}", 160)


def _cause(why: Because) -> Cause:
    if (why.recent and why.recent.hits) or (why.set_name and why.set_name in why.table.filled):
        return Cause.RATE_LIMIT
    return Cause.BANNED if why.names_address else Cause.FILTERED


def _confidence(why: Because) -> Confidence:
    return Confidence.CERTAIN if why.names_address else Confidence.LIKELY


def _evidence(looked: Looked) -> Iterator[str]:
    for address, why in looked.refused:
        yield f"{printable(address)}: {printable(why.words, 300)}"
    for family, why in looked.closed:
        if looked.is_closed or not looked.refused:
            yield f"{FAMILIES[family]} from anywhere is turned away: {printable(why.words, 300)}"
    if looked.is_closed and not looked.refused:
        yield from (f"the monitor {printable(one)} is this host itself and comes in by lo" for one in looked.inside)
    for one in looked.limits[:MOST]:
        few = one.limit is not None and one.limit.a_minute is not None and one.limit.a_minute + one.limit.burst < 5
        hint = "; a run of five handshakes is over it" if few else ""
        yield f"limits new connections: {printable(one.words, 300)}{hint}"
    for one in looked.some[:MOST]:
        yield f"turns some away: {printable(one.words, 300)}"
    quoted = [one for one in looked.doubts if (one.is_on_port or one.names_address) and one not in looked.some]
    for one in quoted[:MOST]:
        yield f"may turn some away: {printable(one.words, 300)}"


def _in_lists(recents: Lists, about: About) -> Iterator[str]:
    for name, entries in sorted(recents.ages.items()):
        for address in about.monitors:
            ages = entries.get(address)
            if not ages:
                continue
            timed = [age for age in ages if age is not None]
            late = f", {sum(1 for age in timed if age <= 60)} of them in the last minute" if timed else ""
            yield (
                f"the monitor {printable(address)} is in the list {printable(name, 60)} of iptables' module recent "
                f"with {len(ages)} connection{'s' * (len(ages) > 1)}{late}"
            )


def _port_words(ports: tuple[int, ...]) -> str:
    if not ports:
        return "no port"
    return f"port {join(map(str, ports))}" if len(ports) < 2 else f"ports {join(map(str, ports))}"


def _ports(looked: list[Looked]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(port for one in looked for port in one.daemon.ports))


def _summary(looked: list[Looked]) -> str:
    ports = _port_words(_ports(looked)) if _ports(looked) else "sshd's ports"
    limits = _once(one for each in looked for one in each.limits)
    some = _once(one for each in looked for one in each.some)
    named = {one.words for one in some}
    doubts = _once(one for each in looked for one in each.doubts if one.is_on_port and one.words not in named)
    families = dict.fromkeys(FAMILIES[family] for each in looked for family, _ in each.closed)
    said = []
    if limits:
        said.append(f"{_rules(limits)} on {ports} limit{_s(limits)} new connections")
    elif doubts:
        said.append(f"{_rules(doubts)} on {ports} may turn somebody away")
    if some:
        said.append(f"{_rules(some)} drop{_s(some)} or reject{_s(some)} some addresses")
    if families:
        said.append(f"{join(families)} {'are' if len(families) > 1 else 'is'} closed to everyone")
    return ", ".join(said) or f"no rule on {ports} limits or drops"


def _rules(rules: tuple[Because, ...]) -> str:
    return f"{len(rules)} rule{'s' * (len(rules) > 1)}"


def _s(rules: tuple[Because, ...]) -> str:
    """Return the ending of a verb of which these are the subject."""
    return "" if len(rules) > 1 else "s"
