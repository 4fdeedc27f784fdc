"""What sshd's lines say of connections that it turned away, by reason and source: OpenSSH 7.4 to 10.6. Pure.

The lines are those of sshd.c (drop_connection, server_accept_loop), sshd-session.c, srclimit.c, log.c; of hosts_access
in Debian's patch. Each pattern stands at the beginning of its line, where no client can write.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from ..text import printable
from ..values import NamedTuple
from .log_lines import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAXSTARTUPS, PER_SOURCE, PENALTY = "maxstartups_drops", "per_source_drops", "penalty_drops"
GRACE, DENIED, FAILURES = "grace_timeouts", "denied", "child_failures"
LABELS = (MAXSTARTUPS, PER_SOURCE, PENALTY, GRACE, DENIED, FAILURES)
CRASH = "caused crash"
MOST = 10_000_000  # a line that claims more was not written by sshd
MOST_SOURCES = 10_000  # that are told apart

_LEVEL = re.compile(r"(?:error|fatal): ")
# "past " until 9.9, "Maxstartups" from 9.8 to 10.5. The same words for PerSourceMaxStartups.
_DROP = re.compile(
    r"drop connection #([0-9]{1,9}) from \[([^]]{1,100})\]:([0-9]{1,5}) on \[([^]]{1,100})\]:([0-9]{1,5})"
    r" (?:(?:past )?[Mm]ax[Ss]tartups|penalty: (.+)|(too many penalised addresses))"
)
# 8.4 to 9.9. The numbers count from the beginning of the throttling on, the connection of an "in" line included.
_THROTTLING = re.compile(
    r"(beginning|in|exited) MaxStartups throttling(?: (?:for|after) (\S{1,20}), ([0-9]{1,9}) connections dropped)?"
)
# 10.0 and later: what was dropped without a line of its own.
_LIMITED = re.compile(r"(\S{1,40}) logging rate-limited: additional ([0-9]{1,9}) connections dropped")
# Active ones are logged at INFO since 10.1.
_PENALTY = re.compile(
    r"(?:srclimit_penalise: )?(?:(?P<first>\S{1,60}): activating ipv[46] penalty"
    r"|ipv[46]: new (?P<second>\S{1,60}) active penalty) of (?P<seconds>[0-9.]{1,12}) seconds"
    r" for (?:penalty: )?(?P<why>.+)"
)
_GRACE = re.compile(r"Timeout before authentication for (?:connection from )?(\S{1,100})")
_DENIED = re.compile(r"refused connect from (\S{1,255})(?: \((\S{1,100})\))?")
# What ends a connection by a fault of the server. `rexec of .../sshd failed` is none: sshd goes on without (8.4, 9.2).
# chroot of a user's ChrootDirectory says the same without [preauth].
_FAILURE = re.compile(
    r"(?:sshd: )?no hostkeys available|rexec of \S*sshd-session failed|privsep_preauth: exec of"
    r"|Missing privilege separation directory|Privilege separation user \S+ does not exist"
    r"|chroot\(\"[^\"]+\"\): .*\[preauth\]|fork: |fork of unprivileged child failed|reexec socketpair: "
    r"|accept: (?:Too many open files|Cannot allocate memory|No buffer space)|monitor_openfds: pipe"
    r"|-R not supported here|[\w/.-]{0,200}sshd[\w-]{0,20}: error while loading shared libraries: "
    r"|/[\w/.-]{0,200}sshd-\w{1,20} does not exist or is not"
)
_DURATION = re.compile(r"(?:([0-9]{1,4})w)?(?:([0-9]{1,3})d)?([0-9]{1,2})[h:]([0-9]{2})[m:]?([0-9]{2})?")


class Penalty(NamedTuple):
    """An active penalty: of whom (address/mask), why, when it began and when it ends."""

    source: str
    why: str
    at: float
    until: float

    @property
    def is_crash(self) -> bool:
        """Whether sshd gives it to a client for a crash."""
        return self.why.startswith(CRASH)


class Refused(NamedTuple):
    """A connection that met a penalty: from whom, why, when."""

    source: str
    why: str
    at: float

    @property
    def is_crash(self) -> bool:
        """Whether the penalty is one for a crash."""
        return self.why.startswith(CRASH)


class Refusals:
    """The counts of some lines. `begin_of` says where MaxStartups begins to drop for a port and pid, None if unknown.

    `episodes` are throttlings that go on, by the listener's pid: how many of their drops have been counted.
    """

    def __init__(
        self, begin_of: Callable[[int, int], int | None], ports: tuple[int, ...], episodes: "Mapping[str, Any]"
    ):
        self.counts: Counter[str] = Counter()
        self.sources: dict[str, Counter[str]] = {label: Counter() for label in LABELS}
        self.penalties: list[Penalty] = []
        self.met: list[Refused] = []
        self.failures: Counter[str] = Counter()
        self.since: float | None = None  # where drops were counted that began earlier than the lines
        self._begin_of = begin_of
        self._ports = set(ports)
        self._episodes = {pid: n for pid, n in episodes.items() if isinstance(n, int) and 0 <= n <= MOST}
        self._kind: dict[int, str] = {}  # by pid: what its last drop was, for drops without a line
        self._told: set[int] = set()  # pids whose next drop line has been counted already

    def read(self, lines: Iterable[Line]) -> "Refusals":
        """Count lines, in their order."""
        kinds = (
            self._drop, self._throttling, self._limited, self._penalty, self._grace, self._denied, self._failure,
        )  # fmt: skip
        for line in lines:
            level = _LEVEL.match(line.message)
            message = line.message[level.end() :] if level else line.message
            any(is_this(line, message) for is_this in kinds)
        return self

    def episodes(self, alive: set[str]) -> dict[str, int]:
        """Return the throttlings that have not ended, of these processes, of any where none is known."""
        return {pid: n for pid, n in list(self._episodes.items())[-100:] if not alive or pid in alive}

    def worst(self, label: str) -> str:
        """Return the source of most of these, "96 from 198.51.100.9", "" where no line names one."""
        found = self.sources[label].most_common(1)
        return f"{found[0][1]} from {found[0][0]}" if found else ""

    @property
    def crashes(self) -> list[Penalty]:
        """Penalties for clients that made a process of sshd crash."""
        return [one for one in self.penalties if one.is_crash]

    def _add(self, label: str, source: str, number: int = 1) -> None:
        self.counts[label] += number
        known = self.sources[label]
        if source in known or len(known) < MOST_SOURCES:
            known[source] += number

    # --- the kinds of lines; each returns whether the line was of its kind

    def _drop(self, line: Line, message: str) -> bool:
        found = _DROP.match(message)
        if found is None:
            return False
        number, source, port = int(found[1]), printable(found[2], 60), int(found[5])
        if self._ports and port not in self._ports:
            return True
        why = found[6] or found[7]
        if why:
            self._add(PENALTY, source)
            self.met.append(Refused(source, printable(why, 80), line.at))
            return True
        begin = self._begin_of(port, line.pid)
        self._kind[line.pid] = kind = PER_SOURCE if begin is not None and number < begin else MAXSTARTUPS
        if line.pid in self._told:  # counted with the "in" line before it
            self._told.discard(line.pid)
            self.sources[kind][source] += 1
            return True
        self._add(kind, source)
        if str(line.pid) in self._episodes:
            self._episodes[str(line.pid)] += 1
        return True

    def _throttling(self, line: Line, message: str) -> bool:
        found = _THROTTLING.match(message)
        if found is None:
            return False
        pid = str(line.pid)
        if found[1] == "beginning":
            self._episodes[pid] = 0
            self._kind.pop(line.pid, None)
            return True
        total, known = min(int(found[3] or 0), MOST), self._episodes.get(pid)
        self.counts[self._kind.get(line.pid, MAXSTARTUPS)] += max(0, total - (known or 0))
        if known is None:
            self._starts(line.at - _seconds(found[2] or ""))
        if found[1] == "exited":
            self._episodes.pop(pid, None)
        else:
            self._episodes[pid] = max(total, known or 0)
            self._told.add(line.pid)
        return True

    def _starts(self, at: float) -> None:
        self.since = at if self.since is None else min(self.since, at)

    def _limited(self, line: Line, message: str) -> bool:
        found = _LIMITED.match(message)
        if found is None:
            return False
        is_penalty = "penalt" in found[1].lower()
        kind = PENALTY if is_penalty else self._kind.get(line.pid, MAXSTARTUPS)
        self.counts[kind] += min(int(found[2]), MOST)
        return True

    def _penalty(self, line: Line, message: str) -> bool:
        found = _PENALTY.match(message)
        if found is None:
            return False
        try:
            seconds = float(found["seconds"])
        except ValueError:
            return True
        source = printable(found["first"] or found["second"], 60)
        self.penalties.append(Penalty(source, printable(found["why"], 80), line.at, line.at + min(seconds, 1e9)))
        return True

    def _grace(self, _: Line, message: str) -> bool:
        found = _GRACE.match(message)
        if found is not None:
            self._add(GRACE, printable(found[1], 60))
        return found is not None

    def _denied(self, _: Line, message: str) -> bool:
        found = _DENIED.match(message)
        if found is not None:
            self._add(DENIED, printable(found[2] or found[1], 60))
        return found is not None

    def _failure(self, _: Line, message: str) -> bool:
        found = _FAILURE.match(message)
        if found is not None:
            self.counts[FAILURES] += 1
            text = printable(message, 160)
            if text in self.failures or len(self.failures) < 100:
                self.failures[text] += 1
        return found is not None


def _seconds(text: str) -> float:
    """Return a duration as sshd's fmt_timeframe writes it: 00:05:01, 1d02h03m, 2w1d02h."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return 0.0
    weeks, days, hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return float(((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds)
