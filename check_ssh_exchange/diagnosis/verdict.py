"""The state that a run leads to, by what the user expects of the server."""

import re
from collections.abc import Iterator, Sequence

from ..ending import EARLY_CLOSES, TIMEOUTS, Ending
from ..plugin.nagios import Critical, Ok, State, Unknown, Warn
from ..plugin.perfdata import Figure, violation
from ..plugin.states import STATE_OF_WORD, Result, Verdict, verdict_of
from ..plugin.thresholds import Thresholds
from ..report import FaultKind, Report, Role, Shortfall, ShortfallKind
from ..text import printable
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .explain import SLOW_AFTER, slow_kexinit
from .figures import DEFAULT_CRITICAL, DEFAULT_WARNING, UNITS, figures, in_order
from .history import NO_HISTORY, Closes, History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .known_hosts import KnownHosts
    from .maxstartups import MaxStartups

DEFAULT_WINDOW = 3600.0  # seconds
# RFC 4253 4.2, CR LF included. OpenSSH takes 8192.
MOST_FOR_OTHERS = 255
INCOMPLETE = "not every handshake was made"
DEFAULT_THRESHOLDS = Thresholds(DEFAULT_WARNING, DEFAULT_CRITICAL)


class Expectations(NamedTuple):
    """What the user expects of the server, and what he knows of it.

    `states` maps an ending or a cause to the word of the state it leads to. `explicit` holds the labels whose ranges
    the user has set. `window` is in seconds, None for none; `exempt`: the server exempts our address from penalties.
    `host_keys` are the fingerprints of which the server must show one, `known_hosts` the keys that ssh would accept;
    `post_quantum`: the server must offer a hybrid key exchange.
    """

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    states: dict[str, str] = {}
    versions: tuple[str, ...] = ()
    protocol: str | None = None
    explicit: frozenset[str] = frozenset()
    max_startups: "MaxStartups | None" = None
    window: float | None = DEFAULT_WINDOW
    exempt: bool = False
    host_keys: tuple[str, ...] = ()
    known_hosts: "KnownHosts | None" = None
    post_quantum: bool = False

    @property
    def slow_after(self) -> float:
        """Return the median banner time (seconds) above which a server is slow: where its warning range ends."""
        end = self.thresholds.upper_end("banner_p50")
        return SLOW_AFTER if end is None else end

    def is_window_outside(self, window: tuple[int, int]) -> bool:
        """Return whether the early closes of the window are outside their warning or their critical range."""
        early, accepted = window
        return accepted > 0 and self.thresholds.state("early_close_window", 100 * early / accepted) is not Ok


def judge(
    report: Report,
    diagnosis: Diagnosis,
    expectations: Expectations,
    window: tuple[int, int] | None = None,
    history: History = NO_HISTORY,
    about_keys: Sequence[Result] = (),
) -> Verdict:
    """Return the state of a run and the reasons for it that its cause does not already say.

    `about_keys` judges the host keys shown.
    """
    if report.fault is not None:
        # We could not do what was asked; what is known so far is shown, and says nothing about the server.
        is_named = report.fault.kind is FaultKind.NAME_RESOLUTION
        word = expectations.states.get(diagnosis.cause, "unknown") if is_named else "unknown"
        return Verdict(STATE_OF_WORD[word], (report.fault.sentence,))
    results = list(_figures(report, diagnosis, expectations, window, history))
    if len(report.handshakes) < report.asked + len(report.of_role(Role.RECHECK)):
        results.append(
            Result(Unknown, shortfall_note(report.shortfalls[-1], report) if report.shortfalls else INCOMPLETE)
        )
    # Most runs find a healthy server, and then there is nothing to excuse and nothing to say.
    if diagnosis.cause is not Cause.HEALTHY or expectations.states or not report.is_served:
        results += _words(report, diagnosis, expectations)
    if Cause.HOST_KEY in expectations.states:
        about_keys = [Result(STATE_OF_WORD[expectations.states[Cause.HOST_KEY]], one.reason) for one in about_keys]
    results += about_keys
    return verdict_of([*results, *_identity(report, expectations)])


def judge_held_back(
    report: Report, sentence: str, expectations: Expectations, window: tuple[int, int], history: History
) -> Verdict:
    """Return the state of a run that was not begun: the penalty's, CRITICAL unless the user has set another."""
    if Cause.PENALTY in expectations.states:
        result = Result(STATE_OF_WORD[expectations.states[Cause.PENALTY]])
        return verdict_of([result])
    no_diagnosis = Diagnosis(Cause.PENALTY, Confidence.POSSIBLE)
    outside = _figures(report, no_diagnosis, expectations, window, history)
    return verdict_of([Result(Critical, sentence), *outside])


def _figures(
    report: Report,
    diagnosis: Diagnosis,
    expectations: Expectations,
    window: tuple[int, int] | None,
    history: History,
) -> Iterator[Result]:
    """Yield a result for each figure outside its range."""
    startups = diagnosis.startups.likeliest if diagnosis.startups else None
    thresholds = expectations.thresholds
    for figure in figures(report, startups, window, in_order((*thresholds.warning, *thresholds.critical))):
        state = thresholds.state(figure.label, figure.value)
        if state is Ok:
            continue
        if state is Critical and diagnosis.self_inflicted and figure.label not in expectations.explicit:
            state = Warn  # who comes alone is served
        if figure.label == "early_close":
            is_excused = bool(report.early_closes) and _excused(report, diagnosis, expectations) >= EARLY_CLOSES
        else:
            is_excused = figure.label == "early_close_window" and _is_window_excused(
                report, expectations, window, history
            )
        if not is_excused:
            yield Result(state, _violation(figure, state, expectations, report))


def unexcused(closes: list[Closes], expectations: Expectations) -> list[Closes]:
    """Return the early closes of which the user has set the state neither of the cause nor of the ending."""
    return [one for one in closes if not one.is_excused(expectations.states)]


def _is_window_excused(
    report: Report, expectations: Expectations, window: tuple[int, int] | None, history: History
) -> bool:
    """Return whether the window is outside its range only by early closes of which the user has set the state."""
    if window is None or expectations.window is None:
        return False
    closes = history.closes(report.at, expectations.window)
    excused = sum(one.number for one in closes) - sum(one.number for one in unexcused(closes, expectations))
    early, accepted = window
    return excused > 0 and not expectations.is_window_outside((early - excused, accepted))


def _violation(figure: Figure, state: "State", expectations: Expectations, report: Report) -> str:
    if UNITS[figure.label] != "s" and report.completed < len(report.handshakes):
        return ""  # the cause says it in better words
    return violation(figure, UNITS[figure.label], expectations.thresholds, state)


def _excused(report: Report, diagnosis: Diagnosis, expectations: Expectations) -> frozenset[Ending]:
    """Return the endings whose state the user has set, all of them when it is the cause's state that is set."""
    states = expectations.states
    if diagnosis.cause in states:
        return frozenset(Ending)
    absent = EARLY_CLOSES.difference(report.endings)
    return absent.union([ending for ending in Ending if ending in states]) if states else absent


def _words(report: Report, diagnosis: Diagnosis, expectations: Expectations) -> Iterator[Result]:
    """Yield the results that come from the cause and the endings."""
    states, excused = expectations.states, _excused(report, diagnosis, expectations)
    present = [Ending.COMPLETED] if report.is_served else [ending for ending, count in report.counts.items() if count]
    for word in (diagnosis.cause, *present):
        if word in states:
            yield Result(STATE_OF_WORD[states[word]])
    if report.completed == len(report.handshakes) and diagnosis.cause not in states:
        if diagnosis.cause is Cause.INCOMPATIBLE:
            yield Result(Critical, diagnosis.evidence[0])
        elif diagnosis.cause is Cause.SLOW and slow_kexinit(report, expectations.slow_after) is not None:
            # No range of the defaults is on kexinit_p50; those on banner_p50 judge a slow banner.
            yield Result(Warn, diagnosis.evidence[0])
    if not excused.issuperset(present):
        if not report.serves_us:
            yield Result(Critical)
        elif _has_unjudged(report, expectations, excused):
            yield Result(Warn)


def _has_unjudged(report: Report, expectations: Expectations, excused: frozenset[Ending]) -> bool:
    # Early closes are judged by their ratio. A handshake that failed otherwise beside served ones has no threshold by
    # default, and must not pass as healthy unless the user has set a range on a counter of it.
    if expectations.explicit & {"failed", "completed"}:
        return False
    others = set(report.endings) - EARLY_CLOSES - {Ending.COMPLETED} - excused
    if "timeout" in expectations.explicit:
        others -= TIMEOUTS
    return not others <= expectations.explicit


def _identity(report: Report, expectations: Expectations) -> Iterator[Result]:
    server = report.server
    if server is None:
        return
    if server.size > MOST_FOR_OTHERS:
        refusing = f"libssh, libssh2, Go and JSch refuse more than {MOST_FOR_OTHERS}"
        yield Result(Warn, f"the identification has {server.size} bytes; {refusing}")
    versions = expectations.versions
    if versions and not any(_is_like(version, server.software, server.version) for version in versions):
        wanted = " or ".join(f'"{printable(version)}"' for version in versions)
        yield Result(Critical, f'the server is "{server.version}", expected {wanted}')
    if expectations.post_quantum and report.algorithms is not None:
        from .clients import is_post_quantum

        if not is_post_quantum(report.algorithms.kex):
            yield Result(Warn, "no post-quantum key exchange is offered")
    if expectations.protocol is not None and server.protocol != expectations.protocol:
        yield Result(Critical, f"the protocol is {server.protocol}, expected {printable(expectations.protocol)}")


def _is_like(version: str, *names: str) -> bool:
    """Return whether a name is as `version` says, `*` and `?` as in a shell."""
    if not {*version} & {"*", "?"}:
        return version in names
    pattern = re.escape(version).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.fullmatch(pattern, name) for name in names)


def shortfall_note(shortfall: Shortfall, report: Report) -> str:
    """Return the sentence about what a run did less than was asked."""
    match shortfall.kind:
        case ShortfallKind.TIME:
            missing = f"{shortfall.number} of the {report.asked} requested handshakes"
            return f"timed out before {missing} were made: raise --timeout"
        case ShortfallKind.DESCRIPTORS:
            return f"at most {shortfall.number} at once: {shortfall.reason}"
        case ShortfallKind.FURTHER_TEST:
            return f"a further test was not possible: {shortfall.reason}"
