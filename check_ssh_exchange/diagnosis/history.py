"""What earlier runs against one target saw, as a value; what a new run adds to it, and what the two together say.

Times are seconds since the epoch (the wall clock: runs are minutes and restarts apart).
"""

from collections.abc import Iterable

from ..ending import EARLY_CLOSES, Ending
from ..report import Report
from ..text import milliseconds, printable
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .remedies import remedies_for

# Runs are added up into at most about this many parts of the window, so that memory is bounded and a window of seven
# days holds seven days, whatever the interval of the checks.
PARTS = 1000
MAX_RUNS = 5000  # read from a state file: an older release kept each run
# OpenSSH 9.8 and later shut an address out for at least min (15 s) and at most max (600 s); a refused connection adds
# nothing (srclimit.c). So we wait a little longer than the least, and twice as long after each try that was in vain.
FIRST_WAIT = 20.0
# Changes of the identification in a row after which it is known to change always.
STEADY = 2
LONGEST_WAIT = 600.0


class Closes(NamedTuple):
    """Early closes of one ending with one cause, and when the last was seen."""

    cause: str
    ending: str
    number: int
    at: float

    def is_excused(self, words: "Container[str]") -> bool:
        """Return whether the user has set the state of this cause or this ending."""
        return self.cause in words or self.ending in words


class Past(NamedTuple):
    """Earlier runs: when the first was made, how many connections the server accepted, how many it closed early.

    `closes` says of which kinds; an older release has not written it.
    """

    at: float
    accepted: int
    early: int
    closes: tuple[Closes, ...] = ()


class History(NamedTuple):
    """Earlier runs within the window, oldest first, and what was last seen of the server; 0 and "" for never."""

    runs: tuple[Past, ...] = ()
    served_at: float = 0.0
    failing_since: float = 0.0
    failing_as: str = ""
    identification: str = ""
    host_keys: tuple[tuple[str, str], ...] = ()  # the fingerprint last seen of each type
    host_key_changes: tuple[tuple[str, str, float], ...] = ()  # type, fingerprint before, when another was seen
    wait_until: float = 0.0
    wait: float = 0.0
    nearest: float = 0.0  # seconds from SYN to SYN-ACK when it last served, 0 for never
    cut: int | None = None  # how many at once were served when the last burst was cut sharply
    renamed: int = 0  # how many runs in a row saw another identification than the one before

    @classmethod
    def of_document(cls, document: "Mapping[str, object]") -> "History":
        """Return the history in a state file's object; an empty one for an object that cannot be of one."""
        try:
            return _history(document)
        except (ValueError, TypeError, KeyError):
            return cls()

    def window(self, now: float, seconds: float) -> tuple[int, int]:
        """Return early closes and accepted connections of the last `seconds`."""
        recent = self._recent(now, seconds)
        return sum(past.early for past in recent), sum(past.accepted for past in recent)

    def closes(self, now: float, seconds: float) -> list[Closes]:
        """Return the early closes of the last `seconds` by kind."""
        return [closes for past in self._recent(now, seconds) for closes in past.closes]

    def _recent(self, now: float, seconds: float) -> list[Past]:
        return [past for past in self.runs if now - seconds <= past.at <= now]


NO_HISTORY = History()
WORDLESS = frozenset({Ending.CLOSED, Ending.RESET})


def remember(history: History, report: Report, diagnosis: Diagnosis, now: float, window: float) -> History:
    """Return the history with one more run in it."""
    accepted, early_closes = report.accepted, report.early_closes
    # After a clock was set back, runs in the future belong to no window.
    runs = [past for past in history.runs if now - window <= past.at <= now]
    if accepted:
        closes = _closes_of(report, diagnosis, now) if early_closes else []
        last = runs[-1] if runs else None
        if last is not None and now - last.at < window / PARTS:
            early = last.early + early_closes
            runs[-1] = Past(last.at, last.accepted + accepted, early, _added(last.closes, closes))
        else:
            runs.append(Past(now, accepted, early_closes, tuple(closes)))
    new, renamed = history.identification, history.renamed
    if report.server is not None:
        new = report.server.identification
        changed = history.renamed + 1 if history.identification not in ("", new) else 0
        renamed = STEADY if _names_itself_at_random(report) else min(changed, STEADY)
    history = history._replace(runs=tuple(runs), identification=new, renamed=renamed)
    if early_closes:
        from .facts import Facts

        facts = Facts(report)
        history = history._replace(cut=facts.served_at_once if facts.is_cut_sharp else None)
    if report.serves_us:
        near = report.nearest or 0.0
        return history._replace(nearest=near, served_at=now, failing_since=0.0, failing_as="", wait=0.0, wait_until=0.0)
    if report.handshakes:
        endings = sorted({str(handshake.ending) for handshake in report.handshakes})
        history = history._replace(failing_since=history.failing_since or now, failing_as=", ".join(endings))
        if diagnosis.cause is Cause.PENALTY:
            wait = min(LONGEST_WAIT, 2 * history.wait or FIRST_WAIT)
            history = history._replace(wait=wait, wait_until=now + wait)
    return history


def _closes_of(report: Report, diagnosis: Diagnosis, now: float) -> list[Closes]:
    counts = report.counts
    return [Closes(str(diagnosis.cause), str(end), counts[end], now) for end in sorted(EARLY_CLOSES) if counts[end]]


def _added(before: tuple[Closes, ...], new: list[Closes]) -> tuple[Closes, ...]:
    kinds = {(closes.cause, closes.ending): closes for closes in before}
    for closes in new:
        kind = closes.cause, closes.ending
        number = kinds[kind].number if kind in kinds else 0
        kinds[kind] = closes._replace(number=number + closes.number)
    return tuple(kinds.values())


def waits(history: History, now: float) -> bool:
    """Return whether a penalty against us was seen and may still run, so that another try would gain nothing."""
    # At most LONGEST_WAIT: a wait further ahead was written under another clock.
    return now < history.wait_until <= now + LONGEST_WAIT


def with_past(diagnosis: Diagnosis, history: History, report: Report, clock: "Clock") -> Diagnosis:
    """Return the diagnosis with what earlier runs add: a service that answered a moment ago was not always filtered."""
    if report.serves_us or not report.handshakes or not history.served_at:
        return diagnosis
    endings = set(report.endings)
    since = history.failing_since
    sentence = f"served until {clock(history.served_at)}"
    if since:
        sentence += f", {history.failing_as} since {clock(since)}"
    evidence = (*diagnosis.evidence, sentence)
    near = report.nearest
    if diagnosis.cause is Cause.SERVER_FAULT and endings <= WORDLESS and _is_much_nearer(near, history):
        far = milliseconds(history.nearest)
        sentence = f"the SYN was answered after {milliseconds(near or 0.0)}, after {far} when the host served"
        others = ("the host has moved nearer, or the path to it has become shorter", *diagnosis.alternatives)
        remedies = remedies_for(Cause.PROXY, report)
        return diagnosis._replace(
            cause=Cause.PROXY, evidence=(*evidence, sentence), alternatives=others, remedies=remedies
        )
    # A ban is of one address, on a host that lives: not where a second source or the control port meets silence too.
    is_dead = report.control is False or any(
        handshake.is_second_source and handshake.ending is not Ending.COMPLETED for handshake in report.handshakes
    )
    if diagnosis.cause is Cause.FILTERED and endings == {Ending.CONNECT_TIMEOUT} and not is_dead:
        others = ("the host is down", "the listen backlog is full")
        remedies = remedies_for(Cause.BANNED, report)
        return diagnosis._replace(cause=Cause.BANNED, evidence=evidence, alternatives=others, remedies=remedies)
    return diagnosis._replace(evidence=evidence)


def with_window(
    diagnosis: Diagnosis,
    report: Report,
    window: tuple[int, int],
    closes: list[Closes],
    clock: "Clock",
) -> Diagnosis:
    """Return what the runs of the window say where the last one found nothing: the cause of the last of `closes`."""
    if diagnosis.cause is not Cause.HEALTHY or not closes:
        return diagnosis
    latest = max(closes, key=lambda one: one.at)
    cause = Cause(latest.cause)
    early, accepted = window
    last = f"{early} of {accepted} connections of the window ended early, last at {clock(latest.at)}: {cause}"
    remedies = remedies_for(cause, report)
    return Diagnosis(cause, Confidence.POSSIBLE, (last, *diagnosis.evidence), remedies=remedies)


def _is_much_nearer(near: float | None, history: History) -> bool:
    from .facts import is_much_nearer

    return is_much_nearer(near, history.nearest or None)


def changes(history: History, report: Report) -> Iterable[str]:
    """Yield what is new about the server since the last run that saw it."""
    is_new = report.server is not None and history.identification not in ("", report.server.identification)
    if report.server is not None and is_new and not _names_itself_at_random(report):
        if not history.renamed:
            yield f"the server was {history.identification!r} before, now {report.server.identification!r}"
        elif history.renamed < STEADY:
            yield "the server names itself differently each time"


def _names_itself_at_random(report: Report) -> bool:
    """Return whether the handshakes of one run at one address saw several identifications (FortiGate, tinyssh)."""
    seen = {(h.address, h.identification) for h in report.handshakes if h.identification}
    return len(seen) > 1 and len(seen) > len({address for address, _ in seen})


def _history(document: "Mapping[str, object]") -> History:
    rows = document["runs"]
    if not isinstance(rows, list):
        raise TypeError("not a list of runs")
    return History(
        runs=tuple(_past(*row) for row in rows[-MAX_RUNS:]),
        served_at=_number(document["served_at"]),
        failing_since=_number(document["failing_since"]),
        failing_as=_text(document["failing_as"]),
        identification=_text(document["identification"]),
        **_host_keys(document),
        wait_until=_number(document["wait_until"]),
        wait=_number(document["wait"]),
        nearest=_number(document.get("nearest", 0)),
        cut=None if document.get("cut") is None else int(_number(document["cut"])),
        renamed=int(_number(document.get("renamed", 0))),
    )


MAX_KEYS = 32  # read from a state file; there are fewer types of host keys


def _host_keys(document: "Mapping[str, object]") -> "dict[str, Any]":
    try:
        return {
            "host_keys": tuple(_shown(*row) for row in _rows(document.get("host_keys"))),
            "host_key_changes": tuple(_changed(*row) for row in _rows(document.get("host_key_changes"))),
        }
    except (ValueError, TypeError):  # bad keys are no reason to forget the runs
        return {}


def _rows(value: object) -> "list[list[object]]":
    if value is None:  # an older release did not write it
        return []
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise TypeError("not a list of host keys")
    return value


def _shown(kind: object, fingerprint: object) -> tuple[str, str]:
    return _text(kind), _text(fingerprint)


def _changed(kind: object, fingerprint: object, at: object) -> tuple[str, str, float]:
    return _text(kind), _text(fingerprint), _number(at)


def _past(at: object, accepted: object, early: object, closes: "Iterable[Iterable[object]]" = ()) -> Past:
    past = Past(_number(at), int(_number(accepted)), int(_number(early)), tuple(_closes(*row) for row in closes))
    if not sum(one.number for one in past.closes) <= past.early <= past.accepted:
        raise ValueError("more early closes than connections")
    return past


def _closes(cause: object, ending: object, number: object, at: object) -> Closes:
    return Closes(str(Cause(_text(cause))), str(Ending(_text(ending))), int(_number(number)), _number(at))


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise ValueError("not a number, or not a possible one")
    return value


def _text(value: object) -> str:
    # What was written was printable; what is read may be another user's.
    if not isinstance(value, str) or len(value) > 1024 or printable(value) != value:
        raise ValueError("not a printable text")
    return value


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from typing import Any

    Clock = Callable[[float], str]
