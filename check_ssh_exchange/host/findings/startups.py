"""The item startups: how near sshd is to dropping clients, and who brings it there."""

from ...diagnosis.cause import Cause, Confidence
from ...diagnosis.maxstartups import MaxStartups, drop_percent
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import printable
from ...values import NamedTuple
from ..about import About
from ..finding import ROOT, Finding, Lack, Problem, skipped
from ..host import hides_processes, restart
from ..peaks import Peak, after, peak_of, proposal
from ..settings import settings_of
from ..slots import Held, held, leaked, sources_of
from ..snapshot import Snapshot
from ..sshd import Daemon, Startups, daemons, setting_of

ITEM = "startups"
DEFAULT_RATE = 30
SHOWN = 3  # sources in a sentence
ENOUGH = 3600.0  # seconds; a peak over less time is not enough to recommend a limit
LONG = 30.0  # seconds; a person who types a password may take that


class Load(NamedTuple):
    """A listener's startups: the most within a second, the chance of a drop in percent, who holds them, the leak."""

    daemon: Daemon
    now: int
    setting: MaxStartups
    held: Held
    leaked: int
    peak: Peak
    suffix: str  # which sshd, where there is more than one
    is_rate_known: bool

    @property
    def drop(self) -> int:
        """The chance in percent that the next client is dropped."""
        return drop_percent(self.now, self.setting)

    @property
    def words(self) -> str:
        """`14 of 10-100 startups`."""
        return f"{self.now} of {self.setting.start}-{self.setting.full} startups"


def find(seen: Snapshot, about: About) -> Finding:
    """Return the startups of every listener that says them, the worst one's in the figures."""
    found = daemons(seen, about.ports)
    if not found:
        return _nothing(seen)
    loads = [_load(seen, about, daemon, daemon.startups, several=len(found) > 1) for daemon in found if daemon.startups]
    silent = tuple(_silent(daemon) for daemon in found if not daemon.startups)
    if not loads:
        return skipped(ITEM, silent[0])
    worst = max(loads, key=lambda load: (load.drop, load.now))
    return Finding(
        ITEM,
        summary=worst.words + worst.suffix,
        problems=tuple(problem for load in loads for problem in _problems(load, about)),
        evidence=(*(line for load in loads for line in _evidence(load, about)), *silent),
        remedies=tuple(dict.fromkeys(line for load in loads for line in _remedies(seen, load))),
        figures=(Figure("startups", float(worst.now)), Figure("startups_drop", float(worst.drop))),
        lacks=() if all(load.held.shows_peers for load in loads) else (Lack(ROOT, "who holds the startups"),),
        remember=after(about.memory.get(ITEM), seen.at, {_place(load.daemon): load.now for load in loads}),
    )


def _nothing(seen: Snapshot) -> Finding:
    hidden = Lack(ROOT, "the processes of sshd: /proc is mounted with hidepid")
    lacks = (hidden,) if hides_processes(seen) else ()
    return Finding(ITEM, "no sshd that listens was seen", is_skipped=True, lacks=lacks)


def _silent(daemon: Daemon) -> str:
    return f"{printable(daemon.name, 200)} does not say how many startups it has; OpenSSH 8.2 and later do"


def _place(daemon: Daemon) -> str:
    return " ".join(daemon.addresses)[:200] or "none"


def _load(seen: Snapshot, about: About, daemon: Daemon, startups: Startups, *, several: bool) -> Load:
    titles = [titles.get(str(daemon.pid)) for _, titles in seen.samples]
    now = max([startups.now, *(title[0] for title in titles if title)])
    holders = held(seen, daemon)
    rate = _rate(seen, daemon)
    return Load(
        daemon=daemon,
        now=now,
        setting=setting_of(startups, DEFAULT_RATE if rate is None else rate),
        held=holders,
        leaked=leaked(seen, daemon, holders),
        peak=peak_of(about.memory.get(ITEM), seen.at, _place(daemon), now),
        suffix=f" ({printable(daemon.name, 200)})" if several else "",
        is_rate_known=rate is not None,
    )


def _rate(seen: Snapshot, daemon: Daemon) -> int | None:
    """Return the rate that is configured, None where that is not known: the title does not have it."""
    settings = settings_of(seen, daemon)
    setting = settings.maxstartups() if settings else None
    return setting.rate if setting else None


def _problems(load: Load, about: About) -> "list[Problem]":
    found = []
    words = load.words + _culprit(load, about)
    if load.leaked:
        sentence = f"sshd has lost {load.leaked} of its startups: no connection holds them{load.suffix}"
        found.append(Problem(Warn, sentence, Cause.MAXSTARTUPS, Confidence.LIKELY))
    if load.now >= load.setting.full:
        found.append(Problem(Critical, f"MaxStartups full: {words}{load.suffix}", Cause.MAXSTARTUPS))
    elif load.now >= load.setting.start:
        chance = f", {load.drop} % of new connections are dropped" if load.is_rate_known else ""
        found.append(Problem(Warn, f"MaxStartups throttling: {words}{chance}{load.suffix}", Cause.MAXSTARTUPS))
    return found


def _culprit(load: Load, about: About) -> str:
    """Return who holds at least half of the startups, "" for nobody: `, 96 of them from 198.51.100.9`."""
    total = len(load.held.slots)
    most = next(iter(sources_of(load.held.slots)), None) if load.held.shows_peers and total else None
    if most is None or 2 * most[1] < total or 2 * total < load.now:  # a peak is over when we look who holds them
        return ""
    is_monitor = most[0] in about.monitors
    name = f"the monitor {most[0]}" if is_monitor else most[0]
    return f", all from {name}" if most[1] == total else f", {most[1]} of them from {name}"


def _evidence(load: Load, about: About) -> "list[str]":
    lines = [who] if (who := _who(load, about)) else []
    if load.peak.is_remembered:
        told = f"peak {load.peak.most} of {load.setting.start}-{load.setting.full} in {load.peak.window}"
        setting = proposal(load.peak.most, load.setting) if load.peak.seconds >= ENOUGH else None
        lines.append(told + (f": MaxStartups {setting}" if setting else ""))
    return [line + load.suffix for line in lines]


def _who(load: Load, about: About) -> str:
    """Return who holds the startups: `96 of 100 from 198.51.100.9 (oldest 117 s), 2 from the monitor 192.0.2.7`."""
    monitors = {address: f"the monitor {address}" for address in about.monitors}
    if not load.held.shows_peers:
        return _connected(load, monitors)
    total = len(load.held.slots)
    if not total:
        return ""
    sources = sources_of(load.held.slots)
    shown = [source for at, source in enumerate(sources) if at < SHOWN or source[0] in monitors]
    parts: list[str] = []
    for peer, count, age in shown:
        of = f" of {total}" if not parts else ""
        oldest = f" (oldest {age:.0f} s)" if not parts else ""
        parts.append(f"{count}{of} from {monitors.get(peer, peer)}{oldest}")
    absent = [name for address, name in monitors.items() if address not in {peer for peer, _, _ in shown}]
    unknown = total - sum(1 for slot in load.held.slots if slot.peer)
    parts += [f"{unknown} whose connection is gone"] if unknown else []
    return ", ".join([*parts, *(f"none from {name}" for name in absent[:SHOWN])])


def _connected(load: Load, monitors: "dict[str, str]") -> str:
    """Return who is connected, where it cannot be seen which of them have logged in."""
    counts: dict[str, int] = {}
    for peer in load.held.peers:
        counts[peer] = counts.get(peer, 0) + 1
    most = sorted(counts.items(), key=lambda pair: -pair[1])
    shown = [f"{count} from {monitors.get(peer, peer)}" for at, (peer, count) in enumerate(most)
             if at < SHOWN or peer in monitors]  # fmt: skip
    total = len(load.held.peers)
    return f"{total} connections, logged in or not: {', '.join(shown)}" if shown else ""


def _remedies(seen: Snapshot, load: Load) -> "list[str]":
    again = restart(seen)
    if load.daemon.is_foreign:
        again = f"restart the container of pid {load.daemon.pid}"
    lines = []
    if load.leaked:
        lines.append(
            f"{again}   # OpenSSH 9.8 to 10.0 lose startups until then; 10.1 and Debian 10.0p1-7+deb13u1 do not"
        )
    ports = " or ".join(f"sport = :{port}" for port in load.daemon.ports[:4])
    lines.append(f"ss -tnp '( {ports} )'   # who is connected")
    old = sum(1 for slot in load.held.slots if slot.age > LONG)
    if old:
        lines.append(f"set LoginGraceTime 30 in sshd_config   # {old} of {len(load.held.slots)} startups are older")
    setting = proposal(load.peak.most, load.setting)
    if setting and load.peak.seconds >= ENOUGH:
        told = f"peak {load.peak.most} of {load.setting.start}-{load.setting.full} in {load.peak.window}"
        lines.append(f"set MaxStartups {setting} in sshd_config   # {told}")
    elif setting:
        lines.append("check_sshd_local --state-file FILE   # remembers the peak of 24 h, which MaxStartups should fit")
    if any(line.startswith("set ") for line in lines) and not load.leaked and not load.daemon.is_foreign:
        lines.append(again.replace("restart", "reload"))
    return lines
