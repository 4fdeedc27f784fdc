"""The item daemon: does an sshd listen, can it serve, does its unit hold, does it know its configuration?"""

from collections.abc import Iterable

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import join, printable
from ..about import About
from ..configuration_files import changed, read_at
from ..finding import ROOT, Finding, Kind, Lack, Problem, skipped
from ..host import has_systemd, hides_processes, restart, service
from ..settings import shell_line
from ..snapshot import Snapshot
from ..sshd import LISTEN, Daemon, daemons, place, processes, sockets
from ..trusted import prefix
from ..units import Unit, does_not_answer, units

ITEM = "daemon"
SLACK = 2.0  # seconds; the start of a process is known to one
HALTED = {"T": "stopped", "t": "stopped by a debugger"}
# Restarts that are no accident any more, the last of them not long ago.
MANY_RESTARTS, RECENT = 3, 300.0
NAMED_UNITS = 6
NAMED_PORTS = 4
SSHD = "/usr/sbin/sshd"  # in no PATH of a user who is not root


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = daemons(seen, about.ports)
    known = [one for one in units(seen) if not one.is_one_connection]
    serving = [one for one in found if one.listening or one.process.exe is None]
    held = [one for one in known if one.is_socket and _is_held(seen, one, about) and not _is_served(one, serving)]
    if not serving and not held and (lack := _cannot_see(seen, about)):
        return skipped(ITEM, "no sshd that we may see")._replace(lacks=(lack,))
    problems = [*_halted(serving), *_absent(seen, about, serving, held, known), *_older(seen, serving, known)]
    return Finding(
        ITEM,
        summary=_summary(seen, serving, held, about),
        problems=tuple(problems),
        evidence=tuple(_evidence(seen, known, serving)),
        remedies=tuple(dict.fromkeys(_remedies(seen, about, problems, serving, known))),
        figures=(Figure("listeners", len(serving) + len(held)),),
    )


def _summary(seen: Snapshot, serving: list[Daemon], held: list[Unit], about: About) -> str:
    words = [printable(one.name, 200) + (", in a container" if one.is_foreign else "") for one in serving]
    words += [f"{one.name} on {' '.join(place(*where) for where in one.listen)}" for one in held]
    if not words and (program := _super_server(seen, about)):
        return f"sshd by {program}"
    return join(words) if words else ""


# --- who listens


def _is_held(seen: Snapshot, unit: Unit, about: About) -> bool:
    """Return whether systemd itself listens for sshd: the unit is up, and the kernel shows its port."""
    ports = set(unit.ports) & set(about.ports) if about.ports else set(unit.ports)
    return unit.is_active and bool(ports & _open_ports(seen))


def _is_served(unit: Unit, serving: Iterable[Daemon]) -> bool:
    """Return whether an sshd has the socket already: one that was started by it, on the same port."""
    return any(set(unit.ports) & set(one.ports) for one in serving if not one.is_foreign)


def _open_ports(seen: Snapshot) -> set[int]:
    return {one.port for one in sockets(seen, "self") if one.state == LISTEN}


def _super_server(seen: Snapshot, about: About) -> str:
    """Return the program that starts an sshd for each connection, "" for none: inetd(8), xinetd(8)."""
    if not _open_ports(seen) & set(about.ports or (22,)):
        return ""
    lines = (line.strip() for line in seen.lines("/etc/inetd.conf"))
    if any("sshd" in line and not line.startswith("#") for line in lines):
        return "inetd"
    for name in seen.names("/etc/xinetd.d"):
        text = (seen.text(f"/etc/xinetd.d/{name}") or "").replace(" ", "").replace("\t", "")
        if "sshd" in text and "disable=yes" not in text:
            return "xinetd"
    return ""


def _cannot_see(seen: Snapshot, about: About) -> Lack | None:
    """Return which right is missing where sshd may well be there; None where we would have seen it."""
    if seen.is_root:
        return None
    if hides_processes(seen):
        return Lack("root, or the group of /proc's mount option gid=", "sshd (/proc has hidepid)")
    if not processes(seen) and _open_ports(seen) & set(about.ports or (22,)):
        return Lack(ROOT, "which program listens there: no process of sshd is to be seen")
    return None


# --- what is wrong


def _halted(serving: Iterable[Daemon]) -> list[Problem]:
    return [
        Problem(
            Critical,
            f"{printable(one.name, 200)} is {HALTED[one.process.state]} (pid {one.pid}): connections hang",
            Cause.STALLED,
        )
        for one in serving
        if one.process.state in HALTED
    ]


def _absent(
    seen: Snapshot, about: About, serving: list[Daemon], held: list[Unit], known: list[Unit]
) -> "Iterable[Problem]":
    """Yield a problem if no sshd listens, with the unit that explains it; otherwise the failed units."""
    troubles = [trouble for one in known if not one.is_socket and (trouble := _trouble(one))]
    own = [one for one in serving if not one.is_foreign]
    if not own and not held and not _super_server(seen, about) and (not serving or _is_expected(seen, about, known)):
        where = f" on port {join(str(port) for port in about.ports)}" if about.ports else ""
        if others := _other_ports(seen, about, known):
            where += f" (it listens on {join(str(port) for port in others[:NAMED_PORTS])})"
        beside = " (one in a container does)" if serving else ""
        why = f": {join(troubles)}" if troubles else ""
        yield Problem(Critical, f"no sshd listens{where}{beside}{why}", Cause.NOT_LISTENING)
        return
    if about.ports:  # whose unit it is is not known
        return
    for trouble in troubles:
        under = f" under a listening {held[0].name}" if held else ", though an sshd listens"
        yield Problem(Critical, f"{trouble}{under}", Cause.SERVER_FAULT, Confidence.LIKELY)
    for unit in known:
        if not unit.is_socket and not _trouble(unit) and (ago := _restarted(seen, unit)) is not None:
            times = unit.number("NRestarts")
            sentence = f"{unit.name} was restarted {times} times, the last {ago:.0f} s ago"
            yield Problem(Warn, sentence, Cause.SERVER_FAULT, Confidence.LIKELY)


def _other_ports(seen: Snapshot, about: About, known: Iterable[Unit]) -> list[int]:
    """Return the ports where this host's sshd listens though we were told to look at others."""
    if not about.ports:
        return []
    held = {port for one in known if one.is_socket and one.is_active for port in one.ports}
    found = {port for one in daemons(seen) if not one.is_foreign for port in one.ports}
    return sorted(found | (held & _open_ports(seen)))


def _is_expected(seen: Snapshot, about: About, known: Iterable[Unit]) -> bool:
    """Return whether this host ought to have an sshd of its own, beside a container's that we have found."""
    if about.ports:
        return False
    if has_systemd(seen) and not does_not_answer(seen):
        return any(one.is_enabled or one.has_failed or one.is_active for one in known)
    return seen.stat(SSHD) is not None


def _trouble(unit: Unit) -> str:
    if unit.has_failed:
        return f"{unit.name} failed ({printable(unit.word('Result'), 60) or 'unknown'})"
    if unit.is_loop:
        return f"{unit.name} ends and is restarted again and again ({unit.number('NRestarts')} times)"
    return ""


def _zombies(seen: Snapshot) -> list[str]:
    left = [one for one in processes(seen) if one.name == "sshd" and one.state == "Z"]
    return [f"pid {one.pid} has ended and is a zombie" for one in left[:NAMED_UNITS]]


def _restarted(seen: Snapshot, unit: Unit) -> float | None:
    """Return how long ago a unit was started for at least the third time after it ended; None for less, and longer."""
    uptime = (seen.text("/proc/uptime") or "").split()[:1]
    started = unit.number("ExecMainStartTimestampMonotonic") / 1e6
    if not uptime or not started or unit.number("NRestarts") < MANY_RESTARTS:
        return None
    try:
        ago = float(uptime[0]) - started
    except ValueError:
        return None
    return ago if 0 <= ago < RECENT else None


def _older(seen: Snapshot, serving: list[Daemon], known: list[Unit]) -> "Iterable[Problem]":
    for one in serving:
        if not _is_older(seen, one, known):
            continue
        at, path = changed(seen, one)
        read = read_at(seen, one, known)
        who = "sshd" if len(serving) == 1 else printable(one.name, 200)
        yield Problem(
            Warn,
            f"{who} is older than its configuration: {printable(path, 200)} was changed {_span(at - read)} after it"
            " was read",
            kind=Kind.OLD_CONFIGURATION,
            pid=one.pid,
        )


def _is_older(seen: Snapshot, one: Daemon, known: list[Unit]) -> bool:
    at, _ = changed(seen, one)
    read = read_at(seen, one, known)
    return not one.is_foreign and bool(read) and read + SLACK < at <= seen.at + SLACK


def _span(seconds: float) -> str:
    for unit, size in (("days", 172800), ("hours", 7200), ("min", 120)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'hours': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


# --- what to do


def _remedies(
    seen: Snapshot, about: About, problems: list[Problem], serving: list[Daemon], known: list[Unit]
) -> "Iterable[str]":
    causes = {problem.cause for problem in problems}
    for one in serving:
        if one.process.state in HALTED:
            yield f"kill -CONT {one.pid}   # it goes on, with all connections that wait; find out who sent SIGSTOP"
    if any(_trouble(one) for one in known):
        yield f"journalctl -u {service(seen)} -n 50   # why it ended"
        yield f"systemctl reset-failed {service(seen)}; {restart(seen)}"
    elif Cause.NOT_LISTENING in causes:
        yield from _to_listen(seen, about, known)
    older = {problem.pid for problem in problems if problem.kind is Kind.OLD_CONFIGURATION}
    if late := next((one for one in serving if one.pid in older), None):
        is_alone = len(serving) == 1 and has_systemd(seen) and not prefix(late)
        reload = f"systemctl reload {service(seen)}" if is_alone else f"kill -HUP {late.pid}"
        yield f"{shell_line(late, '-t')} && {reload}   # reads the configuration; sessions go on"


def _to_listen(seen: Snapshot, about: About, known: list[Unit]) -> "Iterable[str]":
    """Yield what makes sshd listen; one that listens elsewhere is healthy, and a restart would change nothing."""
    others = _other_ports(seen, about, known)
    if not others:
        yield f"{SSHD} -t   # would it start with this configuration?"
        yield restart(seen)
        return
    ports = " ".join(f"-p {port}" for port in others[:NAMED_PORTS])
    yield f"check_sshd_local {ports}   # if that is the port to look at"
    settings = "grep -rin '^ *port' /etc/ssh/sshd_config /etc/ssh/sshd_config.d"
    socket = next((one.name for one in known if one.is_socket and one.is_active), "")
    yield f"{f'systemctl cat {socket}' if socket else settings}   # the port that it is to have, if it is another"


def _evidence(seen: Snapshot, known: list[Unit], serving: list[Daemon]) -> "Iterable[str]":
    for one in known[:NAMED_UNITS]:
        starts = printable(one.word("UnitFileState"), 40) or "static"
        times = one.number("NRestarts")
        yield f"{printable(one.name, 80)}: {printable(one.state, 80)}, {starts}, {times} restarts"
    if does_not_answer(seen):
        yield "systemd did not answer"
    if not serving:
        yield from _zombies(seen)
