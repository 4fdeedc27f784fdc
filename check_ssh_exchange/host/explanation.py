"""The page of check_sshd_local --explain: what is wrong on this host, why, and what to do, for a person."""

import time
from collections.abc import Iterator

from ..plugin import page as kit
from ..plugin.page import Paragraph, fact, headline, items, section
from .json_output import describe
from .judge import Judged, Outcome
from .status_line import PREFIX, rights, summary

# The title of a section holds an item's word and its state.
_WELL = "Looked at, and nothing is wrong"


def demand_rich() -> None:
    """Raise the answer of a plugin that cannot make the page, where rich is missing."""
    kit.demand_rich(PREFIX)


def page(outcome: Outcome, notes: tuple[str, ...] = ()) -> str:
    """Return the page for standard output as it is."""
    screen = kit.screen()
    return kit.rendered(_paragraphs(outcome, notes, screen.width), screen)


def _paragraphs(outcome: Outcome, notes: tuple[str, ...], width: int) -> Iterator[Paragraph]:
    words = summary(outcome)
    yield headline(PREFIX, outcome.verdict.state, words)
    yield from section("", _facts(outcome))
    wrong = [one for one in outcome.judged if one.problems]
    for one in wrong:
        yield from section(f"{one.finding.item}: {one.word}", _item(one, words, width))
    well = [one for one in outcome.judged if not one.problems and not one.finding.is_skipped]
    yield from section(_WELL, (fact_of(one) for one in well))
    skipped = [one for one in outcome.judged if one.finding.is_skipped and not one.problems]
    yield from section("Not looked at", (fact_of(one) for one in skipped))
    yield from section("Notes", items([*rights(outcome), *notes]))
    causes = list(dict.fromkeys(str(one.cause) for one in outcome.causes))
    pages = [Paragraph([(f"check_ssh_exchange --runbook {cause}", kit.TITLE)], is_whole=True) for cause in causes]
    yield from section("More about the causes", pages)


def _facts(outcome: Outcome) -> Iterator[Paragraph]:
    host = describe(outcome)
    yield fact("host", f"{host['name']}, {host['system']}" + (f", in {host['container']}" if host["container"] else ""))
    for daemon in outcome.daemons:
        yield fact("sshd", f"{daemon.name}, pid {daemon.pid}")
    yield fact("time", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(outcome.seen.at)))


def _item(one: Judged, said: str, width: int) -> Iterator[Paragraph]:
    yield from items([problem.sentence for problem in one.problems if problem.sentence not in said])
    yield from items(one.finding.evidence, said)
    for remedy in one.finding.remedies:
        yield from kit.remedy(remedy, width)


def fact_of(one: Judged) -> Paragraph:
    """Return an item that is well, with what it says."""
    words = one.summary or "nothing is wrong"
    return Paragraph([(f"{one.finding.item:<18}", kit.TITLE), (words, "")], kit.INDENT, kit.INDENT + " " * 18)
