"""A story: faults are made on healthy hosts and mended, and every alert's life is seen by who sends and who gets it.

A fault is a generator. It sets up what is healthy and yields; it breaks that and yields; it mends it and yields. What
it yields is what must come to be before it goes on: a list of Holds, Sent, Silenced, Ended.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.lab.alertmanager import Held, Note
from tests.lab.network import Namespace

from .faults_lab import Lab
from .prometheus import shipped

SECONDS = 600.0  # for all of a story; it takes one or two minutes, the rest is for a busy machine
POLL = 0.25
# Seconds between two looks in which what silences cannot have ended and begun again: no alert that does waits for less.
GAP = 1.5
IN_FLIGHT = 3.0  # seconds; a notification may be on its way when its alert becomes silenced


class Wait(Protocol):
    """What must come to be."""

    def is_met(self, story: "Story", since: float) -> bool: ...


class Holds(NamedTuple):
    """A query of Prometheus has a result."""

    expression: str

    def is_met(self, story: "Story", since: float) -> bool:
        return bool(story.lab.prometheus.query(self.expression))


class Sent(NamedTuple):
    """Alertmanager holds the alert as firing, and has told a receiver so."""

    alert: str
    place: str

    def is_met(self, story: "Story", since: float) -> bool:
        return any(
            note.status == "firing" and note.at >= since for note in story.notes(self.alert, self.place)
        ) and any(one.is_of(self.alert, self.place) for one in story.held)


class Silenced(NamedTuple):
    """Alertmanager holds the alert back, for another one fires."""

    alert: str
    place: str
    by: str

    def is_met(self, story: "Story", since: float) -> bool:
        return any(one.is_of(self.alert, self.place) and self.by in one.silenced_by for one in story.held)


class Ended(NamedTuple):
    """A receiver was told last that the alert is resolved, once for every time that it was told of it."""

    alert: str
    place: str

    def is_met(self, story: "Story", since: float) -> bool:
        last = {frozenset(note.labels.items()): note.status for note in story.notes(self.alert, self.place)}
        return bool(last) and set(last.values()) == {"resolved"}


Steps = Generator[Sequence[Wait], None, None]
Fault = Callable[[Lab], Steps]


class Progress:
    """How far a fault has come: what it waits for since when, and its steps so far."""

    def __init__(self, name: str, play: Steps) -> None:
        self.name = name
        self._play = play
        self.waits: list[Wait] = []
        self.since: list[float] = []
        self.is_over = False

    def step(self) -> None:
        self.since.append(time.time())
        try:
            self.waits = list(next(self._play))
        except StopIteration:
            self.is_over, self.waits = True, []

    def look(self, story: "Story") -> bool:
        """Whether all has come to be that it waits for, each at its own time."""
        self.waits = [wait for wait in self.waits if not wait.is_met(story, self.since[-1])]
        return not self.waits

    def end(self) -> None:
        """Have it put away what it still holds."""
        self._play.close()


class Span(NamedTuple):
    """An alert's time in silence, in seconds since the epoch."""

    labels: dict[str, str]
    begin: float
    end: float


class Life(NamedTuple):
    """When one alert of a place was first seen so; None for never. Times are seconds since the epoch."""

    pending: float | None
    firing: float | None
    sent: float | None
    ended: float | None

    @property
    def is_whole(self) -> bool:
        return None not in self and self.is_in_order

    @property
    def is_in_order(self) -> bool:
        known = [time for time in self if time is not None]
        return known == sorted(known)


class Story:
    """All faults at once on one lab, and what was seen."""

    def __init__(self, lab: Lab, faults: Iterable[Fault]) -> None:
        self.lab = lab
        self.faults = [Progress(one.__name__, one(lab)) for one in faults]
        self.held: list[Held] = []
        self.silences: list[Span] = []
        self._silent: dict[frozenset[tuple[str, str]], float] = {}
        self._looked = time.time()

    def set_up(self) -> None:
        """Have every fault lay out what is healthy."""
        for fault in self.faults:
            fault.step()

    def play(self) -> None:
        """Go on with each fault as soon as it may, until all are over or the time is."""
        until = time.monotonic() + SECONDS
        try:
            while time.monotonic() < until and not all(fault.is_over for fault in self.faults):
                self._look()
                for fault in self.faults:
                    if not fault.is_over and fault.look(self):
                        fault.step()
                time.sleep(POLL)
        finally:
            for fault in self.faults:
                fault.end()
        self._end_silences({})

    def _look(self) -> None:
        self.held = self.lab.alertmanager.alerts()
        now = time.time()
        silent = {frozenset(one.labels.items()): now for one in self.held if one.is_silenced}
        self._end_silences({} if now - self._looked > GAP else silent)
        self._silent = silent | self._silent
        self._looked = now

    def _end_silences(self, goes_on: dict[frozenset[tuple[str, str]], float]) -> None:
        for labels in self._silent.keys() - goes_on.keys():
            self.silences.append(Span(dict(labels), self._silent.pop(labels), self._looked))

    def notes(self, alert: str, place: str) -> list[Note]:
        return [note for note in tuple(self.lab.receiver.notes) if note.is_of(alert, place)]

    def lacks(self, fault: Fault) -> list[str]:
        """What a fault has waited for in vain, and what went wrong on its host."""
        (mine,) = [one for one in self.faults if one.name == fault.__name__]
        found = [f"step {len(mine.since)}: {wait}" for wait in mine.waits]
        return found or ([] if mine.is_over else [f"ended in step {len(mine.since)}"])

    def broken_promises(self) -> list[Note]:
        """What was sent as firing while it was silenced."""
        return [
            note
            for span in self.silences
            for note in self.lab.receiver.notes
            if note.status == "firing" and note.labels == span.labels and span.begin + IN_FLIGHT < note.at < span.end
        ]

    def lives(self, alert: str, *, waits: bool) -> dict[str, Life]:
        """The life of an alert at each place where it fired. One whose rule does not wait is never pending."""
        found: dict[str, Life] = {}
        for place in {note.labels.get("server", "") for note in self.lab.receiver.notes}:
            sent = [note.at for note in self.notes(alert, place) if note.status == "firing"]
            if not sent:
                continue
            ends = [note.at for note in self.notes(alert, place) if note.status == "resolved" and note.at > sent[0]]
            firing = self.lab.times(alert, "firing", place)
            pending = self.lab.times(alert, "pending", place) if waits else firing
            found[place] = Life(
                min(pending, default=None), min(firing, default=None), min(sent), min(ends, default=None)
            )
        return found


@contextmanager
def told(place: Path, faults: Sequence[Fault]) -> Iterator[Story]:
    """Play the story of these faults, all at once; the lab is there until the block ends."""
    with ExitStack() as stack:
        lab = Lab(place, stack.enter_context(Namespace()), stack)
        story = Story(lab, faults)
        story.set_up()
        lab.start()
        story.play()
        yield story


def alerts_of(faults: Mapping[Fault, Iterable[str]]) -> list[str]:
    """The alerts whose whole life these faults show."""
    return sorted({alert for alerts in faults.values() for alert in alerts})


def assert_lives(story: Story, alert: str) -> None:
    """Somewhere the alert was pending, then fired, then was sent, then told as resolved; nowhere in another order."""
    (rule,) = [rule for rule in rules() if rule.get("alert") == alert]
    lives = story.lives(alert, waits="for" in rule)
    assert [life for life in lives.values() if life.is_whole], lives
    assert [life for life in lives.values() if not life.is_in_order] == []


def assert_silence(story: Story) -> None:
    """Something was silenced, nothing of that was sent meanwhile, and no rule failed."""
    assert story.silences
    broken = story.broken_promises()
    assert not broken, broken
    assert story.lab.prometheus.rule_errors() == []
    errors = [error for host in story.lab.hosts if host.local for error in host.local.errors]
    assert not errors, errors


def rules() -> list[dict[str, Any]]:
    """Every rule that is shipped."""
    return [rule for group in shipped("rules.yml")["groups"] for rule in group["rules"]]
