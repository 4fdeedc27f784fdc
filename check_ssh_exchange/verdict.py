"""From a report to a state, by nagiosplugin's model: resource, metrics, contexts, results."""

from collections.abc import Iterator
from functools import lru_cache

from .diagnosis.cause import PHRASES, Cause, Confidence
from .diagnosis.diagnosis import Diagnosis
from .ending import EARLY_CLOSES, TIMEOUTS, Ending
from .perfdata import UNITS, Figure, figures, fixed
from .plugin.nagios import (
    Critical,
    Metric,
    Ok,
    Performance,
    Range,
    Resource,
    Result,
    Results,
    ScalarContext,
    State,
    Unknown,
    Warn,
)
from .report import Report
from .text import printable
from .values import NamedTuple

STATE_OF_WORD: dict[str, State] = {"ok": Ok, "warning": Warn, "critical": Critical, "unknown": Unknown}

# nagiosplugin orders by exit code, so that UNKNOWN hides CRITICAL. A user is called for what is known to be broken.
_SEVERITY = {Ok: 0, Unknown: 1, Warn: 2, Critical: 3}


class Expectations(NamedTuple):
    """What the user wants to hold: ranges by label, states by ending or cause, versions, protocol."""

    warning: dict[str, str]
    critical: dict[str, str]
    states: dict[str, str] = {}
    versions: tuple[str, ...] = ()
    protocol: str | None = None
    explicit: frozenset[str] = frozenset()


class SshExchange(Resource):
    """The server's exchange as nagiosplugin sees it: a resource whose metrics were measured before."""

    def __init__(self, measured: list[Figure], expected: Expectations) -> None:
        self._measured = measured
        self._expected = expected

    def probe(self) -> list[Metric]:
        """Return the measured figures in their contexts."""
        return [self._metric(label, value) for label, value in self._measured]

    def _metric(self, label: str, value: float) -> Metric:
        unit = UNITS[label]
        context = _context(label, self._expected.warning.get(label), self._expected.critical.get(label))
        return Metric(label, value, unit, 0, 100 if unit == "%" else None, label, context, self)


class FixedPoint(Performance):
    """Perfdata of a figure; our labels are plain words, so that there is nothing to look for and to quote."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.label}={self.value}{self.uom};{self.warn};{self.crit};{self.min};{self.max}".rstrip(";")


class FigureContext(ScalarContext):
    """Judges one label by its ranges, and writes its perfdata in fixed-point numbers with the user's own ranges."""

    def __init__(self, label: str, warning: str | None, critical: str | None) -> None:
        # Without a range nagiosplugin would take "0:", for which a negative value is critical.
        super().__init__(label, Range(warning or "~:"), Range(critical or "~:"))
        self._spec = (warning or "", critical or "")

    def performance(self, metric: Metric, resource: Resource) -> Performance:
        """Return label=value with the ranges as the user wrote them."""
        return FixedPoint(metric.name, fixed(metric.value), metric.uom, *self._spec, metric.min, metric.max)


@lru_cache(256)  # they are frozen, and the same for every server that an exporter asks
def _context(label: str, warning: str | None, critical: str | None) -> FigureContext:
    return FigureContext(label, warning, critical)


class WorstFirst(Results):
    """Results in the order CRITICAL, WARNING, UNKNOWN, OK."""

    @property
    def most_significant_state(self) -> State:
        """Return the worst state; raises ValueError when there are no results."""
        return max(self.by_state, key=_SEVERITY.__getitem__)


class Verdict(NamedTuple):
    """The state, and the reasons of that and of lesser states, worst first; `perfdata` is one block."""

    state: State
    reasons: tuple[str, ...]
    perfdata: str


def judge(report: Report, diagnosis: Diagnosis, expected: Expectations, *, has_perfdata: bool = True) -> Verdict:
    """Judge a report by what the user expects; without perfdata it is done in half of the time."""
    results = WorstFirst()
    performance = []
    measured = figures(report, _startups(diagnosis))
    limited = expected.warning.keys() | expected.critical.keys()
    resource = SshExchange(measured if has_perfdata else [one for one in measured if one.label in limited], expected)
    excused = _excused(report, diagnosis, expected)
    for metric in resource.probe():
        if has_perfdata:
            performance.append(str(metric.performance()))
        if metric.name in limited:
            state = metric.evaluate().state
            is_excused = metric.name == "early_close" and report.early_closes and excused >= EARLY_CLOSES
            if state is not Ok and not is_excused:
                results.add(Result(state, _violation(metric, state, expected, report), metric))
    if report.fault is not None:
        # We could not do what was asked; what is known so far is shown, and is no verdict on the server.
        word = expected.states.get(diagnosis.cause, "unknown") if report.fault_cause else "unknown"
        return Verdict(STATE_OF_WORD[word], (report.fault,), " ".join(performance))
    for result in _words(report, diagnosis, expected, excused):
        results.add(result)
    if not len(results):
        results.add(Result(Ok))
    worst = results.most_significant_state
    ordered = sorted(results, key=lambda result: -_SEVERITY[result.state])
    reasons = dict.fromkeys(str(result.hint) for result in ordered if result.hint and result.state is not Ok)
    return Verdict(worst, tuple(reasons), " ".join(performance))


def _startups(diagnosis: Diagnosis) -> int | None:
    return diagnosis.startups.likeliest if diagnosis.startups else None


def _violation(metric: Metric, state: State, expected: Expectations, report: Report) -> str | None:
    if UNITS[metric.name] != "s" and report.completed < len(report.handshakes):
        return None  # the cause says it in better words
    spec = (expected.critical if state is Critical else expected.warning)[metric.name]
    return f"{metric.name} is {fixed(metric.value)}{metric.uom and ' '}{metric.uom} (outside {spec})"


def _excused(report: Report, diagnosis: Diagnosis, expected: Expectations) -> frozenset[Ending]:
    """Return the endings whose state the user has set, all of them when it is the cause's state that is set."""
    if diagnosis.cause in expected.states:
        return frozenset(Ending)
    present = frozenset(handshake.ending for handshake in report.handshakes)
    absent = EARLY_CLOSES - present
    return frozenset(map(Ending, expected.states.keys() & set(Ending))) | absent if expected.states else absent


def _words(
    report: Report, diagnosis: Diagnosis, expected: Expectations, excused: frozenset[Ending]
) -> Iterator[Result]:
    """Yield the judgements that are no ranges."""
    if report.held_back is not None:
        if diagnosis.cause not in expected.states:
            yield Result(Critical, report.held_back)
    elif len(report.handshakes) - len(report.of_role("recheck")) < report.asked:
        yield Result(Unknown, report.notes[-1] if report.notes else "not every handshake was made")
    present = [ending for ending, count in report.counts.items() if count]
    for word in (diagnosis.cause, *present):
        if word in expected.states:
            yield Result(STATE_OF_WORD[expected.states[word]])
    if diagnosis.cause is Cause.INCOMPATIBLE and report.completed and diagnosis.cause not in expected.states:
        yield Result(Critical, diagnosis.evidence[0])
    if not excused.issuperset(present):
        if not report.serves_us:
            yield Result(Critical)
        elif _has_unjudged(report, expected, excused):
            yield Result(Warn)
    yield from _identity(report, expected)


def _has_unjudged(report: Report, expected: Expectations, excused: frozenset[Ending]) -> bool:
    # Early closes are judged by their ratio. A handshake that failed otherwise beside served ones has no threshold by
    # default, and must not pass as healthy unless the user has set a range on a counter of it.
    if expected.explicit & {"failed", "completed"}:
        return False
    others = {h.ending for h in report.handshakes} - EARLY_CLOSES - {Ending.COMPLETED} - excused
    if "timeout" in expected.explicit:
        others -= TIMEOUTS
    return not others <= expected.explicit


def _identity(report: Report, expected: Expectations) -> Iterator[Result]:
    server = report.server
    if server is None:
        return
    if expected.versions and not {server.software, server.version} & set(expected.versions):
        wanted = " or ".join(f'"{printable(version)}"' for version in expected.versions)
        yield Result(Critical, f'the server is "{server.version}", expected {wanted}')
    if expected.protocol is not None and server.protocol != expected.protocol:
        yield Result(Critical, f"the protocol is {server.protocol}, expected {printable(expected.protocol)}")


def problem(report: Report, diagnosis: Diagnosis) -> str:
    """Return the one phrase that says what is wrong: `2 of 5 handshakes turned away: MaxStartups throttling, "..."`."""
    if report.held_back is not None:
        return ""
    if report.completed == len(report.handshakes):
        return "" if diagnosis.cause is Cause.HEALTHY else _guessed(diagnosis)
    from .diagnosis.facts import Facts

    facts = Facts(report)
    where = ""
    if diagnosis.address:
        from .diagnosis.addresses import part_of

        facts = Facts(part_of(report, diagnosis.address))
        where = f"{diagnosis.address}: "
    phrase = f"{where}{facts.count}: {_guessed(diagnosis)}"
    if facts.texts:
        text = facts.texts.most_common(1)[0][0]
        phrase += f', "{text if len(text) <= 60 else text[:57] + "..."}"'
    elif diagnosis.cause is Cause.UNEXPLAINED and facts.failed and facts.failed[0].detail:
        phrase = f"{where}{facts.count}: {facts.failed[0].detail}"
    elif facts.endings <= {Ending.PROTOCOL_ERROR, Ending.NOT_SSH} and facts.failed[0].detail:
        phrase += f", {facts.failed[0].detail}"
    return phrase


def _guessed(diagnosis: Diagnosis) -> str:
    """Return the cause's phrase, marked where it is no more than possible: not everybody sees the second line."""
    is_guess = diagnosis.confidence is Confidence.POSSIBLE and diagnosis.cause is not Cause.UNEXPLAINED
    return f"{'perhaps ' if is_guess else ''}{PHRASES[diagnosis.cause]}"
