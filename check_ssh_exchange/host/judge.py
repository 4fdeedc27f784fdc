"""From a snapshot to an answer: every item's finding, its state by thresholds and --state, the worst of them first."""

from collections.abc import Iterator, Mapping

from ..diagnosis.cause import Cause, Confidence
from ..plugin.nagios import Ok, State, Unknown
from ..plugin.perfdata import Figure, violation
from ..plugin.states import STATE_OF_WORD, Result, Verdict, verdict_of
from ..plugin.thresholds import Thresholds
from ..text import printable
from ..values import NamedTuple
from .about import About
from .finding import Finding, Problem
from .findings.served import with_probes, with_trials
from .items import AGE, CAUSES, DEFAULT_THRESHOLDS, ITEMS, NAMES, UNITS, Item
from .snapshot import Snapshot
from .sshd import Daemon, daemons


class Wishes(NamedTuple):
    """What the user wants: which items, with which thresholds, which state each word leads to."""

    items: tuple[str, ...] = NAMES
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    states: Mapping[str, str] = {}


class Judged(NamedTuple):
    """A finding with the problems that count, worst first, each with its state."""

    finding: Finding
    problems: tuple[Problem, ...]

    @property
    def state(self) -> State:
        """The worst state of its problems; OK without any."""
        return self.problems[0].state if self.problems else Ok

    @property
    def word(self) -> str:
        """The state's word in JSON, `skipped` where there was nothing to look at."""
        return "skipped" if self.finding.is_skipped and not self.problems else str(self.state)

    @property
    def cause(self) -> Cause | None:
        """The cause of the worst problem."""
        return next((one.cause for one in self.problems if one.state is not Ok and one.cause), None)

    @property
    def summary(self) -> str:
        """The worst problem in a sentence, or what is well."""
        return self.problems[0].sentence if self.problems else self.finding.summary


class Named(NamedTuple):
    """A cause that a problem names, with the item that it is of."""

    cause: Cause
    confidence: Confidence
    item: str


class Outcome(NamedTuple):
    """All that a run says."""

    seen: Snapshot
    about: About
    daemons: tuple[Daemon, ...]
    judged: tuple[Judged, ...]
    verdict: Verdict

    @property
    def figures(self) -> list[Figure]:
        """The figures of every item, in their public order."""
        values = dict(figure for one in self.judged for figure in one.finding.figures)
        return [Figure(label, values[label]) for label in UNITS if label in values]

    @property
    def causes(self) -> list[Named]:
        """The causes that are named, the worst first, each once."""
        worst = verdict_order(self.judged)
        found = [
            Named(problem.cause, problem.confidence, one.finding.item)
            for one, problem in worst
            if problem.cause is not None and problem.state is not Ok
        ]
        return list({(one.cause, one.item): one for one in reversed(found)}.values())[::-1]

    def of(self, item: str) -> Judged | None:
        """Return the finding of an item, None where it was not wanted."""
        return next((one for one in self.judged if one.finding.item == item), None)


def verdict_order(judged: tuple[Judged, ...]) -> "list[tuple[Judged, Problem]]":
    """Return every problem with its finding, the worst first, in the order of the items where they are as bad."""
    pairs = [(one, problem) for one in judged for problem in one.problems]
    return sorted(pairs, key=lambda pair: _rank(pair[1]))


# What loses connections now comes before what may lose some.
_LOSING = frozenset({
    Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT, Cause.PENALTY, Cause.RATE_LIMIT, Cause.BANNED, Cause.ACCESS_DENIED,
})  # fmt: skip
_SEVERITY = {"ok": 0, "unknown": 1, "warning": 2, "critical": 3}


def _rank(problem: Problem) -> tuple[int, bool]:
    return -_SEVERITY[str(problem.state)], str(problem.state) == "warning" and problem.cause not in _LOSING


ALL = Wishes()


def judge(
    seen: Snapshot,
    about: About,
    wishes: Wishes = ALL,
    age: float | None = None,
) -> Outcome:
    """Return what a snapshot says of what is wished for.

    `age` is how old it is (seconds), None where it was taken just now; only a threshold of the user's judges it.
    """
    found = [_found(item, seen, about) for item in ITEMS if item.name in wishes.items]
    judged = _with_tests(tuple(Judged(one, tuple(_problems(one, wishes))) for one in found), seen, about, wishes)
    results = [Result(problem.state, problem.sentence) for _, problem in verdict_order(judged)]
    if age is not None and (state := wishes.thresholds.state(AGE, age)) is not Ok:
        # First: a line that is too long loses its end, and all that follows may be over by now.
        results.insert(0, Result(state, f"the snapshot is {age:.0f} s old"))
    return Outcome(seen, about, daemons(seen, about.ports), judged, verdict_of(results))


def _found(item: Item, seen: Snapshot, about: About) -> Finding:
    try:
        return item.find(seen, about)
    except Exception as error:  # noqa: BLE001 - one item that fails must not hide what the others have found
        words = f"the item {item.name} failed, please report it: {printable(repr(error), 200)}"
        return Finding(item.name, problems=(Problem(Unknown, words),))


def _with_tests(judged: tuple[Judged, ...], seen: Snapshot, about: About, wishes: Wishes) -> tuple[Judged, ...]:
    """Return the judgement with what --trial and --probe found, which the problems of every item may explain."""
    for item in ("configuration", "daemon"):
        others = [(one.finding.item, problem) for one in judged for problem in one.problems]
        tested = []
        for one in judged:
            if one.finding.item == item:
                add = with_probes if item == "daemon" else with_trials
                finding = add(one.finding, seen, about, others)
                one = Judged(finding, tuple(_problems(finding, wishes)))
            tested.append(one)
        judged = tuple(tested)
    return judged


def _problems(finding: Finding, wishes: Wishes) -> list[Problem]:
    found = [*finding.problems, *_outside(finding, wishes.thresholds)]
    states = wishes.states

    def judged(problem: Problem) -> Problem:
        word = states.get(finding.item) or states.get(problem.cause or "")
        return problem._replace(state=STATE_OF_WORD[word]) if word else problem

    changed = [judged(one) for one in found]
    # What an item says by itself and what its figure says may be the same sentence: the worse of both stays.
    kept: dict[str, Problem] = {}
    for one in sorted(changed, key=_rank):
        kept.setdefault(one.sentence, one)
    return list(kept.values())


def _outside(finding: Finding, thresholds: Thresholds) -> Iterator[Problem]:
    for figure in finding.figures:
        state = thresholds.state(figure.label, figure.value)
        if state is not Ok:
            told = dict(finding.sentences).get(figure.label)
            sentence = told or violation(figure, UNITS[figure.label], thresholds, state)
            yield Problem(state, sentence, CAUSES.get(figure.label))
