"""The text of check_sshd_local: one status line with its perfdata, and the long output of -v and -vv."""

from collections.abc import Iterator

from ..plugin import output
from ..plugin.nagios import Ok
from ..plugin.perfdata import block
from ..plugin.thresholds import Thresholds
from .finding import ROOT, Lack
from .items import UNITS
from .judge import Judged, Outcome

PREFIX = "SSHD"
# What the status line says of an item where all is well.
_WELL = ("daemon", "startups", "log")


def summary(outcome: Outcome) -> str:
    """Return what the status line says after the state: the worst first, what is well where nothing is wrong."""
    if outcome.verdict.state is not Ok:
        return output.summary_of(outcome.verdict.reasons)
    found = [one for name in _WELL if (one := outcome.of(name)) and not one.finding.is_skipped]
    well = [one.summary for one in found if one.summary]
    return output.summary_of(well or ["nothing is wrong"])


def line(outcome: Outcome) -> str:
    """Return the status line without its perfdata."""
    return output.status_line(PREFIX, outcome.verdict.state, summary(outcome))


def text(outcome: Outcome, thresholds: Thresholds, verbosity: int, notes: tuple[str, ...] = ()) -> str:
    """Return the whole output."""
    return output.text(
        line(outcome),
        block(outcome.figures, UNITS, thresholds),
        [*_details(outcome, verbosity), *(f"note: {note}" for note in notes)],
    )


def _details(outcome: Outcome, verbosity: int) -> Iterator[str]:
    if verbosity < 1:
        return
    for daemon in outcome.daemons:
        where = "" if daemon.root == "/" else f", in {'a container' if daemon.is_foreign else daemon.root}"
        yield f"sshd: {daemon.name}, pid {daemon.pid}, {daemon.path}{where}"
    for one in outcome.judged:
        if one.problems or verbosity >= 2:
            yield from _item(one)
    yield from (f"note: {right}" for right in rights(outcome))
    causes = list(dict.fromkeys(str(one.cause) for one in outcome.causes))
    yield from (f"runbook: check_ssh_exchange --runbook {cause}" for cause in causes[:3])


def rights(outcome: Outcome) -> list[str]:
    """Return which rights would show more, each once, and as whom we looked."""
    lacks = list(dict.fromkeys(lack for one in outcome.judged for lack in one.finding.lacks))
    by_root = [lack.words for lack in lacks if lack.right == ROOT]
    words = [Lack(ROOT, "; ".join(by_root)).sentence] if by_root else []
    unasked = [one for one in outcome.about.monitors if one not in outcome.seen.monitors]
    if unasked:
        late = "was not known when this was collected, so no Match block was tried for it"
        words.append(f"--monitor {', '.join(unasked)} {late}")
    others = [lack.sentence for lack in lacks if lack.right != ROOT]
    return [*words, *others, f"looked at as uid {outcome.seen.uid}"]


def _item(one: Judged) -> Iterator[str]:
    finding = one.finding
    yield f"{finding.item}: {one.word}" + (f" - {one.summary}" if one.summary else "")
    yield from (f"  also: {problem.sentence}" for problem in one.problems[1:])
    yield from (f"  evidence: {sentence}" for sentence in finding.evidence)
    if one.problems:
        yield from (f"  on the server: {remedy}" for remedy in finding.remedies)
