"""Rows of the drawing: which handshakes have room, and their groups."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from check_ssh_exchange.report import Handshake

from ..text import counted

MOST_ROWS = 200
MOST_WAVES = 20  # each has its own segment of the axis


class Group(NamedTuple):
    """Handshakes with one purpose, opened together; `name` is the heading."""

    name: str
    kind: str
    handshakes: tuple[Handshake, ...]

    @property
    def span(self) -> tuple[float, float]:
        """Return when the group began and ended, in seconds since the run's start."""
        starts = [seconds(h.started) for h in self.handshakes]
        ends = [seconds(h.started) + seconds(h.ended) for h in self.handshakes]
        return min(starts), max(ends)


class Bar(NamedTuple):
    """A phase of a handshake, in seconds since the start of the run; `phase` is "" for the wait until a failure."""

    phase: str
    start: float
    end: float


def seconds(value: float) -> float:
    """Return a time that can be drawn: at least 0, and 0 for NaN and infinity."""
    return max(0.0, value) if math.isfinite(value) else 0.0


def bars(handshake: Handshake) -> list[Bar]:
    """Return the phases in order from the SYN to the end of the handshake, and the rest of its time."""
    begun = seconds(handshake.started)
    end = begun + seconds(handshake.ended)
    found, at = [], begun
    for phase, took in handshake.phases:
        until = min(end, at + seconds(took))
        found.append(Bar(phase, at, until))
        at = until
    return [*found, Bar("", at, end)] if at < end else found


def groups(handshakes: Sequence[Handshake]) -> list[Group]:
    """Return the handshakes by purpose and wave, in the order of their starts."""
    found: dict[tuple[str, int, bool, bool], list[Handshake]] = {}
    for one in handshakes:
        found.setdefault((one.role, one.wave, one.is_second_source, one.spoke_first), []).append(one)
    waves = len({key[1] for key in found if key[0] == "burst"})
    made = [Group(_name(key, members, waves), key[0], tuple(members)) for key, members in found.items()]
    return sorted(made, key=lambda group: group.span[0])


def _name(key: tuple[str, int, bool, bool], members: Sequence[Handshake], waves: int) -> str:
    role, wave, is_second_source, spoke_first = key
    count = len(members)
    if role == "burst":
        return f"Burst, wave {wave}: {count:,} at once" if waves > 1 else f"Burst: {count:,} at once"
    if role == "baseline":
        return "Baseline: one handshake" if count == 1 else f"Baseline: {counted(count, 'handshake')}, one per address"
    if is_second_source:
        return f"Recheck: from {members[0].source}"
    if wave:
        return f"Recheck: the burst once more, {count:,} at once"
    if spoke_first:
        return "Recheck: client spoke first"
    return "Recheck: one handshake" if count == 1 else f"{role.capitalize()}: {counted(count, 'handshake')}"


def drawn(found: Iterable[Group]) -> tuple[list[Group], int]:
    """Return the groups that have room, and the number of handshakes left out (the last ones of the burst)."""
    found = list(found)
    room = MOST_ROWS
    kept: dict[int, Group] = {}
    waves = 0
    # Baseline and rechecks first: the burst is compared with them.
    for place, group in sorted(enumerate(found), key=lambda pair: pair[1].kind == "burst"):
        waves += group.kind == "burst"
        members = group.handshakes[: room if waves <= MOST_WAVES else 0]
        if members:
            kept[place] = group._replace(handshakes=members)
            room -= len(members)
    everything = sum(len(group.handshakes) for group in found)
    return [kept[place] for place in sorted(kept)], everything - (MOST_ROWS - room)
