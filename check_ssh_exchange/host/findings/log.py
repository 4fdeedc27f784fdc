"""The item log: what sshd has said since the last run of connections that it turned away, and of its own failures."""

from collections import Counter
from collections.abc import Iterator, Mapping

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import printable
from ..about import About
from ..finding import ROOT, Finding, Lack, Problem
from ..host import restart, service
from ..log_places import JOURNAL
from ..new_lines import Logs, new_lines, period
from ..refusals import DENIED, FAILURES, GRACE, LABELS, MAXSTARTUPS, PENALTY, PER_SOURCE, Penalty, Refusals
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ITEM = "log"
MOST_REMEMBERED = 16
# 9.8 and 9.9 book a client that exceeded LoginGraceTime as one that made them crash (fixed in 10.0).
_MISTAKES = ((9, 8), (9, 9))


_WORDS = {
    MAXSTARTUPS: "dropped",
    PER_SOURCE: "dropped by PerSourceMaxStartups",
    PENALTY: "turned away for a penalty",
    GRACE: "ended by LoginGraceTime",
    DENIED: "refused by hosts.deny",
}


def find(seen: Snapshot, about: About) -> Finding:
    """Return what the log says."""
    logs = new_lines(seen, about)
    lacks = tuple(_lacks(logs))
    if not logs.is_read:
        why = "sshd's log may not be read" if logs.denied else "no log of sshd is here"
        return Finding(ITEM, why, lacks=lacks, is_skipped=True)
    found = daemons(seen, about.ports)
    past = about.memory.get(ITEM)
    past = past if isinstance(past, dict) else {}
    episodes = past.get("episodes")
    refusals = Refusals(_begins(found), about.ports, episodes if isinstance(episodes, dict) else {}).read(logs.lines)
    begin = logs.begin if refusals.since is None else min(logs.begin, refusals.since)
    span = period(seen.at - begin)
    penalties = _of_monitors(refusals.penalties, about) + _still_active(past, seen.at)
    problems = [*_crashes(refusals, found, span), *_penalised(penalties, refusals, about, seen.at)]
    # 8.4 to 9.9 tell how many were dropped when it is over, or every five minutes; until then of the first one.
    throttling = refusals.episodes({str(daemon.pid) for daemon in daemons(seen)})
    figures = tuple(Figure(label, float(refusals.counts[label])) for label in LABELS)
    return Finding(
        ITEM,
        summary=_well(refusals, span, goes_on=bool(throttling)),
        problems=tuple(problems),
        evidence=tuple(_evidence(refusals, logs, about, span)),
        remedies=tuple(_remedies(seen, refusals, problems)),
        figures=figures,
        sentences=tuple(_sentences(refusals, span, goes_on=bool(throttling))),
        lacks=lacks,
        counters=tuple((figure.label, figure.value) for figure in figures),
        remember={
            **logs.position,
            "episodes": throttling,
            "penalised": [list(one) for one in penalties if one.until > seen.at][:MOST_REMEMBERED],
        },
    )


def _begins(found: tuple[Daemon, ...]) -> "Any":
    by_pid = {daemon.pid: daemon.startups.begin for daemon in found if daemon.startups}
    by_port = {port: daemon.startups.begin for daemon in found if daemon.startups for port in daemon.ports}

    def begin(port: int, pid: int) -> int | None:
        return by_pid.get(pid, by_port.get(port))

    return begin


# --- problems


def _sentences(refusals: Refusals, span: str, *, goes_on: bool = False) -> Iterator[tuple[str, str]]:
    """Say more of each figure than its number, for where it is out of its range."""
    for label, words in _WORDS.items():
        if number := refusals.counts[label]:
            worst = refusals.worst(label)
            least = "at least " if goes_on and label in (MAXSTARTUPS, PER_SOURCE) else ""
            told = f"{least}{number} connection{'s' * (number != 1)} {words} in {span}"
            yield label, told + (f" ({worst})" if worst else "")
    if number := refusals.counts[FAILURES]:
        (words, _), *_rest = refusals.failures.most_common(1)
        times = "" if number == 1 else f" {number} times"
        yield FAILURES, f'sshd failed{times} in {span}: "{words}"'


def _crashes(refusals: Refusals, found: tuple[Daemon, ...], span: str) -> Iterator[Problem]:
    if any(daemon.release in _MISTAKES for daemon in found):
        return
    by_source = Counter(one.source for one in refusals.crashes)
    by_source.update({one.source: 1 for one in refusals.met if one.is_crash} if not by_source else {})
    if by_source:
        source, _ = by_source.most_common(1)[0]
        number = sum(by_source.values())
        sentence = f"clients made sshd crash {number} time{'s' * (number > 1)} in {span}, as an attack would ({source})"
        yield Problem(Warn, sentence, Cause.SERVER_FAULT, Confidence.POSSIBLE)


def _penalised(penalties: list[Penalty], refusals: Refusals, about: About, at: float) -> Iterator[Problem]:
    """One problem for each monitor: a penalty in force, else one that has passed, else what it met at the door."""
    for monitor in about.monitors:
        own = [one for one in penalties if contains(one.source, monitor)]
        met = [one for one in refusals.met if contains(one.source, monitor)]
        name = printable(monitor, 60)
        if own:
            last = max(own, key=lambda one: one.until)
            left = last.until - at
            when = f"is penalised for {left:.0f} s more" if left > 0 else f"was penalised {period(-left)} ago"
            block = (
                ""
                if last.source.partition("/")[0] == monitor and last.source.endswith(("/32", "/128"))
                else f" ({last.source})"
            )
            yield Problem(Critical, f"the monitor {name} {when}{block}: {last.why}", Cause.PENALTY)
        elif met:
            sentence = (
                f"the monitor {name} was turned away {len(met)} time{'s' * (len(met) > 1)} for a penalty: {met[-1].why}"
            )
            yield Problem(Critical, sentence, Cause.PENALTY)


def contains(source: str, address: str) -> bool:
    """Return whether an address lies in an address or block as sshd writes it."""
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(address) in ip_network(source, strict=False)
    except ValueError:
        return False


def _of_monitors(penalties: list[Penalty], about: About) -> list[Penalty]:
    return [one for one in penalties if any(contains(one.source, monitor) for monitor in about.monitors)]


def _still_active(past: "Mapping[str, Any]", at: float) -> list[Penalty]:
    """Return remembered penalties that last: their line is of an earlier run."""
    kept = past.get("penalised")
    rows = [row for row in kept if isinstance(row, list) and len(row) == 4] if isinstance(kept, list) else []
    return [
        Penalty(printable(str(source), 60), printable(str(why), 80), at, float(until))
        for source, why, _, until in rows
        if isinstance(until, (int, float)) and until > at
    ]


# --- words


def _well(refusals: Refusals, span: str, *, goes_on: bool) -> str:
    if goes_on:
        return "MaxStartups throttling has not ended, and what it drops is logged at its end"
    if not any(refusals.counts[label] for label in (MAXSTARTUPS, PER_SOURCE, PENALTY, DENIED, FAILURES)):
        return f"nothing turned away in {span}"
    number = refusals.counts[PENALTY] + refusals.counts[DENIED]
    return f"{number} connection{'s' * (number > 1)} of penalised or denied clients turned away in {span}"


def _evidence(refusals: Refusals, logs: Logs, about: About, span: str) -> Iterator[str]:
    for label, sentence in _sentences(refusals, span):
        if label in (PENALTY, GRACE, DENIED):
            yield sentence
    reasons = Counter(one.why for one in refusals.penalties)
    if reasons:
        yield "penalties: " + ", ".join(f"{number} for {why}" for why, number in reasons.most_common(8))
    for label in (MAXSTARTUPS, PER_SOURCE, DENIED):
        others = refusals.sources[label].most_common(5)
        if len(others) > 1:
            yield f"{label} by source: " + ", ".join(f"{number} from {source}" for source, number in others)
        own = {one: refusals.sources[label][one] for one in about.monitors if refusals.sources[label][one]}
        yield from (f"{label}: {number} of the monitor {printable(one, 60)}" for one, number in own.items())
    yield from (f"{number} times: {text}" for text, number in refusals.failures.most_common(5))
    yield from logs.missed


def _lacks(logs: Logs) -> Iterator[Lack]:
    if logs.is_read:
        return
    for path in logs.denied:
        if path == JOURNAL:
            yield Lack("root, or the group systemd-journal", "sshd's lines in the journal")
        else:
            yield Lack("root, or the group adm" if path == "/var/log/auth.log" else ROOT, path)


def _remedies(seen: Snapshot, refusals: Refusals, problems: list[Problem]) -> Iterator[str]:
    if refusals.counts[MAXSTARTUPS] or refusals.counts[PER_SOURCE]:
        yield "pgrep -a sshd   # [accepted], [net] and [session-auth] have not logged in"
        yield "sshd -T   # maxstartups, logingracetime, persourcemaxstartups"
    if refusals.counts[FAILURES]:
        yield f"journalctl -u {service(seen)} -n 50   # or the log's file: what comes before it"
        yield f"{restart(seen)}   # when the reason that the log names is gone"
    if any(problem.cause is Cause.PENALTY for problem in problems):
        yield "sshd_config: PerSourcePenaltyExemptList with the monitor's address, before any Match; then reload"
