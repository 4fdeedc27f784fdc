"""The item tcp_wrappers: what hosts.allow and hosts.deny say of the monitors, where sshd is linked with libwrap."""

from collections.abc import Iterator

from ...diagnosis.cause import Cause
from ...plugin.nagios import Critical
from ...text import printable
from ..about import About
from ..finding import ROOT, Finding, Lack, Problem, skipped
from ..hosts_access import ALLOW, DENY, Client, LineFault, Rule, Verdict, closing, verdict
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import prefix
from ..wrapped import is_wrapped, tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..hosts_access import Address

ITEM = "tcp_wrappers"
_STRANGER = "192.0.2.0"  # RFC 5737: nobody's address


def find(seen: Snapshot, about: About) -> Finding:
    """Return whether libwrap turns a monitor away, by which rule."""
    every = daemons(seen, about.ports)
    wrapped = [one for one in every if is_wrapped(seen, one)]
    if not wrapped:
        return skipped(ITEM, "sshd is not linked with libwrap" if every else "no sshd listens")
    found = [_of(seen, about, one, f"{one.name}: " if len(every) > 1 else "") for one in wrapped]
    problems = tuple(problem for one in found for problem in one.problems)
    made = Finding(
        ITEM,
        "" if problems else next(iter(one.summary for one in found), ""),
        problems,
        tuple(sentence for one in found for sentence in one.evidence),
        tuple(dict.fromkeys(remedy for one in found for remedy in one.remedies)),
        lacks=tuple(dict.fromkeys(lack for one in found for lack in one.lacks)),
    )
    if all(one.lacks for one in found):
        return made._replace(summary="the rules may not be read", is_skipped=True)
    return made


def _of(seen: Snapshot, about: About, daemon: Daemon, name: str) -> Finding:
    unread = [path for path in (ALLOW, DENY) if _is_unread(seen, prefix(daemon) + path)]
    if unread:
        return Finding(ITEM, lacks=tuple(Lack(ROOT, f"what {path} says") for path in unread))
    allow, deny = tables(seen, daemon)
    if not allow and not deny:
        return Finding(ITEM, f"{ALLOW} and {DENY} have no rule")
    said = [(monitor, _verdict(allow, deny, daemon, monitor)) for monitor in about.monitors]
    denied = [(monitor, one) for monitor, one in said if one.is_served is False]
    problems = tuple(_problem(monitor, one, name) for monitor, one in denied)
    remedies = dict.fromkeys(remedy for monitor, one in denied for remedy in _remedies(allow, monitor, one))
    evidence = [f"{name}{sentence}" for sentence in _evidence(said, allow, deny, daemon)]
    if rule := _closing(allow, deny, daemon):
        remedies = remedies or dict.fromkeys(_remedies(allow, "", Verdict(is_served=False, rule=rule)))
        problems = problems or (Problem(Critical, f"{name}{_closed(rule)}", Cause.ACCESS_DENIED),)
        evidence = [*evidence, *([f"{name}{_closed(rule)}"] if denied else [])]
    summary = "every monitor is served" if said and all(one.is_served for _, one in said) else "no monitor is denied"
    return Finding(ITEM, f"{name}{summary}", problems, tuple(evidence), tuple(remedies))


def _is_unread(seen: Snapshot, path: str) -> bool:
    """Return whether a file is there and was not read: no right to it, or a link."""
    return str(seen.document["files"].get(path, {}).get("error", "ENOENT")) != "ENOENT"


def _verdict(allow: tuple[Rule, ...], deny: tuple[Rule, ...], daemon: Daemon, address: str) -> Verdict:
    import ipaddress

    client = ipaddress.ip_address(address)
    return verdict(allow, deny, Client(client, next(iter(daemon.ports), 22), server=_server(daemon, client)))


def _server(daemon: Daemon, client: "Address") -> "Address | None":
    """Return the address that a client of this family connects to, where the sockets leave one alone."""
    import ipaddress

    addresses = {ipaddress.ip_address(socket.address) for socket in daemon.listening}
    own = [one for one in addresses if one.version == client.version]
    return own[0] if len(own) == 1 and not own[0].is_unspecified else None


def _closing(allow: tuple[Rule, ...], deny: tuple[Rule, ...], daemon: Daemon) -> Rule | None:
    """Return the rule that makes sshd refuse every client on all its ports, None where some client may be served."""
    import ipaddress

    addresses = {ipaddress.ip_address(socket.address) for socket in daemon.listening}
    own = addresses.pop() if len(addresses) == 1 else None
    server = None if own is None or own.is_unspecified else own
    nobody = ipaddress.ip_address(_STRANGER)
    found = [closing(allow, deny, Client(nobody, port, server=server)) for port in daemon.ports or (22,)]
    return found[0] if None not in found else None


def _closed(rule: Rule) -> str:
    if rule.file == ALLOW:
        return f"{rule.place} denies everybody: {printable(rule.text, 100)}"
    reason = f"{rule.fault}, which denies everybody" if rule.fault else "denies everybody"
    return f"{rule.place} {reason}, hosts.allow admits nobody"


def _problem(monitor: str, said: Verdict, name: str) -> Problem:
    rule = said.rule
    if rule is None:  # only rules deny
        return Problem(Critical, f"{name}libwrap denies the monitor {monitor}", Cause.ACCESS_DENIED)
    if rule.fault:
        sentence = f"{rule.place} {rule.fault}, for which libwrap denies everybody, the monitor {monitor} too"
    else:
        sentence = f"{rule.place} denies the monitor {monitor}: {printable(rule.text, 200)}"
    return Problem(Critical, f"{name}{sentence}", Cause.ACCESS_DENIED)


def _remedies(allow: tuple[Rule, ...], monitor: str, said: Verdict) -> Iterator[str]:
    """Yield what lets a monitor in, "" for everybody."""
    unended = next((one for one in (said.rule, *allow) if one is not None and one.fault is LineFault.UNENDED), None)
    if unended is not None:
        yield f"echo >> {unended.file}   # ends its last line"
    rule = said.rule
    if rule is not None and rule == unended:
        if rule.text.startswith("#") or "ALL" not in rule.text.upper():
            return
    elif rule is not None and (rule.file == ALLOW or rule.fault):
        yield f"{rule.place}: correct it or take it out   # it holds from the next connection on"
        return
    host = f"[{monitor}]" if ":" in monitor else monitor
    whom = "" if monitor else "lets everybody in; "
    line = f"sshd: {host or 'ALL'}"
    # Below a line that is too long nothing is read.
    is_stopped = any(one.fault is LineFault.TOO_LONG for one in allow)
    command = f"sed -i '1i {line}' {ALLOW}" if is_stopped else f"echo '{line}' >> {ALLOW}"
    yield f"{command}   # {whom}holds from the next connection on"


def _evidence(
    said: list[tuple[str, Verdict]], allow: tuple[Rule, ...], deny: tuple[Rule, ...], daemon: Daemon
) -> Iterator[str]:
    for monitor, one in said:
        if one.is_served is None and one.rule is not None:
            yield f"cannot tell whether {monitor} is denied: {one.rule.place}, {printable(one.why, 200)}"
        elif one.is_served and one.rule is not None:
            yield f"{one.rule.place} admits the monitor {monitor}"
    denied = {one.rule for _, one in said if one.is_served is False}
    for rule in (*allow, *deny):
        if rule.fault and rule not in denied:
            consequence = "denies every client that no rule admits" if rule.file == DENY else "reads no further there"
            yield f"{rule.place} {rule.fault}: libwrap {consequence}"
    stranger = _verdict(allow, deny, daemon, _STRANGER)
    if stranger.is_served is False and stranger.rule is not None and "ALL" in map(str.upper, stranger.rule.clients):
        yield f"{stranger.rule.place} denies every client that no earlier rule admits"
