"""The item bans: is the monitor banned, and do those that ban see what they should."""

from collections.abc import Iterator, Sequence

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import join, printable
from ..about import About
from ..banning import blind, crowdsec, denyhosts, fail2ban, sshguard
from ..banning.ban import Ban, holds, of_monitors, word
from ..banning.fail2ban import Jail
from ..banning.installed import CLIENTS, CSCLI, SOCKETS, is_enabled, may_write
from ..finding import ROOT, Finding, Lack, Problem, skipped
from ..host import has_systemd
from ..new_lines import new_lines
from ..own_addresses import own_addresses
from ..snapshot import Snapshot
from ..sshd import daemons

ITEM = "bans"
MOST = 10  # bans that are shown


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    has_fail2ban = any(seen.stat(path) is not None for path in CLIENTS)
    jails = fail2ban.jails(seen)
    bans = [*_of_jails(jails), *crowdsec.bans(seen), *sshguard.bans(seen), *denyhosts.bans(seen)]
    if not has_fail2ban and not jails and not bans and seen.stat(CSCLI) is None:
        return skipped(ITEM, "no fail2ban, CrowdSec, sshguard or DenyHosts")
    hits = of_monitors(bans, about.monitors)
    elsewhere = [(one, jail) for one in about.monitors for jail in jails if not _matters(jail) and _in_jail(jail, one)]
    lacks = tuple(_lacks(seen, is_installed=has_fail2ban))
    blinded = tuple(_blind(seen, about, jails))
    problems = (
        *(_banned(monitor, ban) for monitor, ban in _once(hits)),
        *blinded,
        *_down(seen, has_fail2ban=has_fail2ban),
    )
    count = len({ban.address for ban in bans} | {one for jail in jails for one in jail.banned})
    is_known = bool(bans or jails or not lacks)
    made = Finding(
        ITEM,
        _summary(jails, bans, count, about.monitors) if is_known else "the bans may not be seen",
        problems,
        (*_evidence(seen, jails, hits, about.monitors), *_elsewhere(elsewhere)),
        tuple(_remedies(seen, jails, hits, blinded)),
        (Figure("banned", float(count)),) if is_known else (),
        lacks,
    )
    return made if is_known or problems else made._replace(is_skipped=True)


def _matters(jail: Jail) -> bool:
    return jail.is_sshds or jail.shuts_every_port


def _of_jails(jails: Sequence[Jail]) -> list[Ban]:
    return [Ban("fail2ban", one, jail.name, jail.is_sshds) for jail in jails if _matters(jail) for one in jail.banned]


def _in_jail(jail: Jail, monitor: str) -> bool:
    return any(holds(one, monitor) for one in jail.banned)


def _once(hits: Sequence[tuple[str, Ban]]) -> list[tuple[str, Ban]]:
    """Return one ban for each monitor and program, a certain one before a likely one."""
    ordered = sorted(hits, key=lambda pair: pair[1].is_certain)
    return list({(monitor, ban.program): (monitor, ban) for monitor, ban in ordered}.values())


def _banned(monitor: str, ban: Ban) -> Problem:
    by = {"fail2ban": f"fail2ban, jail {printable(ban.place, 60)}", "CrowdSec": "CrowdSec"}
    place = by.get(ban.program, f"{ban.program} ({printable(ban.place, 80)})")
    network = f" with {printable(ban.address, 60)}" if ban.address != monitor else ""
    sentence = f"the monitor {printable(monitor)} is banned{network} by {place}"
    return Problem(Critical, sentence, Cause.BANNED, Confidence.CERTAIN if ban.is_certain else Confidence.LIKELY)


def _blind(seen: Snapshot, about: About, jails: Sequence[Jail]) -> Iterator[Problem]:
    watching = [jail for jail in jails if jail.is_sshds and jail.failed == 0]
    # Several jails may share the work; one that counts is enough.
    if not watching or any(jail.failed for jail in jails if jail.is_sshds):
        return
    lines = new_lines(seen, about._replace(memory={})).lines
    started = max((float(told["mtime"]) for path in SOCKETS if (told := seen.stat(path))), default=0.0)
    found = daemons(seen)
    own = {"::1", *own_addresses(seen)}
    for jail in watching:
        count = blind.missed(jail, lines, seen.at, started, own)
        if count:
            why = blind.reason(jail, found)
            words = f"the jail {printable(jail.name, 60)} is blind: sshd logged {count} failures, it has counted none"
            yield Problem(Warn, f"{words}{f' ({why})' if why else ''}")


def _down(seen: Snapshot, *, has_fail2ban: bool) -> Iterator[Problem]:
    if not has_fail2ban or not is_enabled(seen):
        return
    if fail2ban.is_down(seen) or (not seen.is_root and all(seen.stat(path) is None for path in SOCKETS)):
        yield Problem(Warn, "fail2ban is installed and its server does not run")


def _lacks(seen: Snapshot, *, is_installed: bool) -> Iterator[Lack]:
    is_up = any(seen.stat(path) is not None for path in SOCKETS)
    if is_installed and ((is_up and not may_write(seen, SOCKETS)) or fail2ban.is_denied(seen)):
        yield Lack(ROOT, "the bans of fail2ban")
    elif fail2ban.is_silent(seen):
        words = printable(fail2ban.said(seen), 120)
        yield Lack("a fail2ban-client that answers", f"the bans of fail2ban{f': {words}' if words else ''}")
    if seen.stat(CSCLI) is not None and not seen.is_root:
        yield Lack(ROOT, "the decisions of CrowdSec")


def _summary(jails: Sequence[Jail], bans: Sequence[Ban], count: int, monitors: Sequence[str]) -> str:
    programs = dict.fromkeys(["fail2ban"] * bool(jails) + [ban.program for ban in bans])
    held = f"{count} address{'es' * (count != 1)} banned" if count else "no address banned"
    whom = f", not {'the monitor' if len(monitors) == 1 else 'the monitors'}" if count and monitors else ""
    return f"{held}{f' by {join(programs)}' if count else ''}{whom}"


def _evidence(
    seen: Snapshot, jails: Sequence[Jail], hits: Sequence[tuple[str, Ban]], monitors: Sequence[str]
) -> Iterator[str]:
    for monitor, ban in hits[:MOST]:
        yield f"{printable(monitor)}: {ban.program} bans {printable(ban.address, 60)} ({printable(ban.place, 120)})"
    for jail in jails:
        if not _matters(jail):
            continue
        ignored = [one for one in monitors if any(holds(network, one) for network in jail.ignored)]
        whom = f", ignores {printable(join(ignored), 200)}" if ignored else ""
        counted = "" if jail.failed is None else f", {jail.failed} failures counted"
        reads = printable(join(jail.files) if jail.files else jail.journal, 120)
        source = f", reads {reads}" if reads else ""
        yield f"jail {printable(jail.name, 60)}: {len(jail.banned)} banned{counted}{source}{whom}"
    for _, output in seen.commands(*crowdsec.LIST):
        if output.error or output.code:
            said = printable((output.err or output.error).strip(), 200)
            yield f"cscli did not tell its decisions: {said}"


def _elsewhere(found: Sequence[tuple[str, Jail]]) -> Iterator[str]:
    for monitor, jail in found[:MOST]:
        yield f"{printable(monitor)} is banned by the jail {printable(jail.name, 60)}, which is not about sshd's port"


def _remedies(
    seen: Snapshot, jails: Sequence[Jail], hits: Sequence[tuple[str, Ban]], blinded: Sequence[Problem]
) -> Iterator[str]:
    for monitor, ban in hits[:MOST]:
        address = printable(monitor)
        if ban.program == "fail2ban":
            jail = word(ban.place)
            yield f"fail2ban-client set {jail} unbanip {printable(ban.address, 60)}"
            yield f"fail2ban-client set {jail} addignoreip {address}   # for good: ignoreip in /etc/fail2ban/jail.local"
        elif ban.program == "CrowdSec":
            option = "range" if "/" in ban.address else "ip"
            yield f"cscli decisions delete --{option} {printable(ban.address, 60)}"
            yield "cscli allowlists create monitors -d monitors   # from 1.6.8 on"
            yield f"cscli allowlists add monitors {address}"
        elif ban.program == "sshguard":
            yield f"echo {address} >> /etc/sshguard/whitelist   # then {_restart(seen, 'sshguard')}"
        else:
            yield f"sed -i '/{address}/d' /etc/hosts.deny; echo {address} >> /var/lib/denyhosts/allowed-hosts"
    if blinded:
        log = "systemd-journal" if any(jail.journal for jail in jails if jail.is_sshds) else "/var/log/auth.log"
        yield f"fail2ban-regex {log} sshd   # what the filter makes of the log; -v shows the lines it misses"


def _restart(seen: Snapshot, name: str) -> str:
    return f"systemctl restart {name}" if has_systemd(seen) else f"service {name} restart"
