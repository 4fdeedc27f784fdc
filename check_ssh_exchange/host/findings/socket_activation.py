"""The item socket_activation: does systemd's socket still let connections in, and where sshd_config says so?

With `Accept=no` (Debian, Ubuntu) the first connection starts sshd, which goes on to listen on the socket; Port and
ListenAddress of sshd_config then count only as far as a generator has put them into the socket, at `daemon-reload`
(Ubuntu, sshd-socket-generator). With `Accept=yes` systemd starts `sshd -i` for each connection. A socket that hits its
trigger limit fails for good (systemd.socket(5), TriggerLimitIntervalSec=).
"""

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...text import join, printable
from ..about import About
from ..finding import Finding, Problem, skipped
from ..settings import parse
from ..snapshot import Snapshot
from ..sshd import LISTEN, Daemon, daemons, place, sockets
from ..units import WOULD_BE, Unit, units
from .addresses import ANY, Place, configured, wanted

ITEM = "socket_activation"
NEARLY = 0.9  # of MaxConnections
DEFAULT = ((ANY[0], 22), (ANY[1], 22))  # where an sshd_config that names no place listens
_REASONS = {
    "trigger-limit-hit": "too many connections in a moment (TriggerLimit)",
    "service-start-limit-hit": "its service was started too often",
    "start-limit-hit": "it was started too often",
    "resources": "no resources, or the address is in use",
}


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = [one for one in units(seen) if one.is_socket and (one.is_active or one.has_failed)]
    if about.ports:
        found = [one for one in found if set(one.ports) & set(about.ports)]
    if not found:
        return skipped(ITEM, "no socket unit starts sshd")
    own = [one for one in daemons(seen) if not one.is_foreign]
    problems = [problem for unit in found for problem in _problems(seen, unit, own)]
    return Finding(
        ITEM,
        summary=join(_summary(unit) for unit in found),
        problems=tuple(problems),
        evidence=tuple(line for unit in found for line in _evidence(unit)),
        remedies=tuple(line for unit in found for line in _remedies(unit, own)),
    )


def _problems(seen: Snapshot, unit: Unit, own: list[Daemon]) -> list[Problem]:
    if unit.has_failed:
        return [_failure(unit, own)]
    full = _full(unit)
    return [*([full] if full else ()), *_left_over(seen, unit, own), *_mismatch(seen, unit, own)]


def _failure(unit: Unit, own: list[Daemon]) -> Problem:
    result = unit.word("Result")
    reason = _REASONS.get(result, "")
    sentence = f"{unit.name} failed ({printable(result, 60) or 'unknown'})" + (f": {reason}" if reason else "")
    if any(one.listening for one in own):  # sshd has sockets of its own, or still those that it was given
        return Problem(Warn, f"{sentence}; the sshd that listens is the last one", Cause.NOT_LISTENING)
    return Problem(Critical, f"{sentence}; nothing listens until it is restarted", Cause.NOT_LISTENING)


def _full(unit: Unit) -> Problem | None:
    """Return that systemd closes what it accepts, or is near to it; MaxConnections= counts with Accept=yes only."""
    now, most = unit.number("NConnections"), unit.number("MaxConnections")
    if not unit.accepts_itself or not most or now < NEARLY * most:
        return None
    sentence = f"{unit.name} has {now} of {most} connections (MaxConnections)"
    if now < most:
        return Problem(Warn, sentence, Cause.RATE_LIMIT, Confidence.LIKELY)
    return Problem(Critical, f"{sentence}: every other one is closed at once", Cause.NOT_LISTENING)


def _left_over(seen: Snapshot, unit: Unit, own: list[Daemon]) -> list[Problem]:
    """Return that the unit was changed and not restarted: the kernel has the old places."""
    open_ports = {one.port for one in sockets(seen, "self") if one.state == LISTEN}
    if unit.word("NeedDaemonReload") == "yes":
        return [Problem(Warn, f"{unit.name} was changed on disk: systemctl daemon-reload", Cause.NOT_LISTENING)]
    gone = [port for port in unit.ports if port not in open_ports]
    if not gone or not open_ports:
        return []
    old = sorted({port for one in own for port in one.ports} - set(unit.ports))
    still = f", and sshd still listens on {join(map(str, old))}" if old else ""
    names = join(map(str, gone))
    return [Problem(Warn, f"{unit.name} says port {names}, where nothing listens{still}", Cause.NOT_LISTENING)]


def _mismatch(seen: Snapshot, unit: Unit, own: list[Daemon]) -> list[Problem]:
    """Return that sshd_config names other places than the socket, which it has no say in.

    Places that nobody set (port 22 on every address) are no wish: a socket's own port is how it is then configured.
    """
    asked = _asked(seen, own)
    if not asked or set(asked) <= set(DEFAULT) or not unit.listen:
        return []
    if {port for _, port in asked} == set(unit.ports):
        wider = any(address in ANY for address, _ in unit.listen) and not any(address in ANY for address, _ in asked)
        if not wider:
            return []
    ours, theirs = (" ".join(place(*one) for one in places[:4]) for places in (asked, unit.listen))
    sentence = f"sshd_config names {ours}, but {unit.name} listens on {theirs}"
    return [Problem(Warn, sentence, Cause.NOT_LISTENING, Confidence.LIKELY)]


def _asked(seen: Snapshot, own: list[Daemon]) -> tuple[Place, ...]:
    for option in ("-G", "-T"):
        if found := configured(parse(seen.command(f"{WOULD_BE} {option}").out)):
            return found
    return next((found for one in own if (found := wanted(seen, one))), ())


def _summary(unit: Unit) -> str:
    how = "an sshd for each connection" if unit.accepts_itself else "one sshd for all"
    return f"{unit.name} on {' '.join(place(*one) for one in unit.listen) or 'no address'} starts {how}"


def _evidence(unit: Unit) -> list[str]:
    limit, burst = printable(unit.word("TriggerLimitIntervalUSec"), 20), unit.number("TriggerLimitBurst")
    found = [f"{unit.name}: {printable(unit.state, 80)}, result {printable(unit.word('Result'), 60) or 'unknown'}"]
    if burst and limit not in ("", "0", "infinity"):
        found.append(f"{unit.name} fails for good after {burst} activations in {limit} (TriggerLimit)")
    if unit.accepts_itself:
        found.append(
            f"{unit.name}: {unit.number('NConnections')} of {unit.number('MaxConnections')} connections,"
            f" {unit.number('NRefused')} refused since it was started; no MaxStartups and no penalties with Accept=yes"
        )
    return found


def _remedies(unit: Unit, own: list[Daemon]) -> list[str]:
    name = unit.name.removesuffix(".socket")
    if unit.has_failed:
        found = [f"systemctl reset-failed {unit.name} {name}.service; systemctl restart {unit.name}"]
        if unit.word("Result") == "trigger-limit-hit":
            found.append(
                f"systemctl edit {unit.name}   # [Socket] TriggerLimitIntervalSec=0: scanners cannot close it any more"
            )
        return found
    services = "" if unit.accepts_itself or not own else f" {name}.service"
    return [
        f"systemctl daemon-reload; systemctl restart {unit.name}{services}   # takes the places of sshd_config",
        *([f"systemctl edit {unit.name}   # [Socket] MaxConnections="] if unit.accepts_itself else ()),
    ]
