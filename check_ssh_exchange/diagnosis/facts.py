"""What the rules look at: a report's numbers, words and order, computed once."""

from collections import Counter
from functools import cached_property

from ..ending import EARLY_CLOSES, Ending
from ..report import Handshake, Report, Role, Server
from ..text import join
from . import maxstartups
from .cause import Cause
from .maxstartups import Estimate, MaxStartups
from .sayings import Saying, saying_in
from .software import Software, software_of

# What answers in place of a process that never got to speak comes faster than this; a child that starts and dies does
# not (measured: listener and load balancer 0.01 to 0.7 ms, a child of sshd 1.4 to 20 ms).
AT_ONCE = 0.0012

# How common a limit so low that four handshakes at once meet it is, against a server that others throttle: the default
# is 10, lower ones are set by hand, and throttling by others is what the plugin is made to find.
LOW_LIMITS = 0.1
FAR_LIKELIER = 10


class Facts:
    """A report seen by the rules."""

    def __init__(self, report: Report, setting: MaxStartups | None = None, earlier_cut: int | None = None) -> None:
        self.report = report
        self._setting = setting
        self._earlier_cut = earlier_cut  # how many at once were served when an earlier run's burst was cut sharply

    # --- the handshakes by their part in the run

    @cached_property
    def handshakes(self) -> tuple[Handshake, ...]:
        """Every handshake that has ended, in the order of their SYNs."""
        return self.report.handshakes

    @cached_property
    def ours(self) -> tuple[Handshake, ...]:
        """Those from our first source that read before they wrote: what was asked for, and the recheck."""
        return tuple(h for h in self.handshakes if not h.is_second_source and not self._is_question(h))

    @cached_property
    def baseline(self) -> Handshake | None:
        """The first handshake, alone; of several addresses the last that was tried."""
        return next((h for h in reversed(self.ours) if h.role == Role.BASELINE), None)

    @cached_property
    def burst(self) -> tuple[Handshake, ...]:
        """The handshakes at once."""
        return tuple(h for h in self.ours if h.role == Role.BURST)

    @cached_property
    def recheck(self) -> Handshake | None:
        """The one more, alone, after all had closed."""
        return next((h for h in self.ours if h.role == Role.RECHECK and not h.wave), None)

    @cached_property
    def second_burst(self) -> tuple[Handshake, ...]:
        """The burst once more, after that."""
        return tuple(h for h in self.ours if h.role == Role.RECHECK and h.wave)

    @cached_property
    def second_source(self) -> Handshake | None:
        """The handshake from the second source address, made while the burst was held."""
        return next((h for h in self.handshakes if h.is_second_source), None)

    @cached_property
    def speaking_first(self) -> Handshake | None:
        """The handshake in which we spoke first, to make a silent service answer."""
        return next((h for h in self.handshakes if self._is_question(h)), None)

    def _is_question(self, handshake: Handshake) -> bool:
        return handshake.spoke_first and not self.report.speaks_first

    # --- what happened to them

    @cached_property
    def failed(self) -> tuple[Handshake, ...]:
        """Our handshakes that did not complete."""
        return tuple(h for h in self.ours if h.ending is not Ending.COMPLETED)

    @cached_property
    def early(self) -> tuple[Handshake, ...]:
        """Our early closes."""
        return tuple(h for h in self.ours if h.ending in EARLY_CLOSES)

    @cached_property
    def endings(self) -> frozenset[Ending]:
        """The endings of our failed handshakes."""
        return frozenset(h.ending for h in self.failed)

    @property
    def nothing_served(self) -> bool:
        """Whether none of our handshakes completed."""
        return len(self.failed) == len(self.ours)

    @property
    def served_alone(self) -> bool:
        """Whether the server served us alone, before the burst and, where there was a recheck, after it."""
        alone = [h for h in (self.baseline, self.recheck) if h is not None]
        return bool(alone) and all(h.ending is Ending.COMPLETED for h in alone)

    @property
    def second_source_served(self) -> bool | None:
        """Whether the second source was served; None when there was none."""
        return None if self.second_source is None else self.second_source.ending is Ending.COMPLETED

    def all_are(self, *endings: Ending) -> bool:
        """Return whether nothing was served and each of our handshakes ended in one of these ways."""
        return bool(self.ours) and self.nothing_served and self.endings <= set(endings)

    @property
    def served_first(self) -> int | None:
        """The number of handshakes served before the first failure when none was served after it, else None."""
        served = [h.ending is Ending.COMPLETED for h in self.ours if h.role != Role.RECHECK]
        first = served.index(False) if False in served else len(served)
        return None if any(served[first:]) else first

    def is_self_inflicted(self, cause: Cause) -> bool:
        """Return whether our own burst alone hit the limit: alone we were served before and after, and the number fits.

        It fits when as many connections of our burst as MaxStartups' start were open at the first failure; where the
        server's MaxStartups is not known, also when a low limit is far likelier than random drops by others' load.
        """
        if cause is Cause.RATE_LIMIT:
            baseline = self.baseline
            # Unanswered SYNs after the first few may be a ban that has just begun.
            return (
                baseline is not None
                and not _failed(baseline)
                and self.is_cut_sharp
                and self.endings <= EARLY_CLOSES | {Ending.REFUSED}
            )
        if not self.failed or not self.served_alone or self.recheck is None or not any(map(_failed, self.burst)):
            return False
        if cause is not Cause.MAXSTARTUPS:
            return self.is_cut_sharp
        first = next(h for h in self.burst if _failed(h))
        own = sum(h.wave == first.wave and h.number < first.number for h in self.burst)
        if self.is_setting_known:
            return own >= self.setting.start
        estimate = self.estimate
        is_own_load_enough = own >= self.setting.start and estimate is not None and estimate.low == 0
        return is_own_load_enough or self.is_low_limit_likelier

    @property
    def is_cut_sharp(self) -> bool:
        """Whether in each wave of the burst the first few were served and none after them, and something failed.

        Where the burst was made once more, as many must have been served.
        """
        order = [(h.wave, _failed(h)) for h in self.burst]
        is_sharp = order == sorted(order) and any(failed for _, failed in order)
        return is_sharp and (not self.second_burst or [*map(_failed, self.second_burst)] == [*map(_failed, self.burst)])

    @property
    def is_low_limit_likelier(self) -> bool:
        """Whether a limit that our own burst meets explains the run far better than drops by others' connections."""
        if not self.is_cut_sharp:
            return False
        by_others = maxstartups.likelihood(self._tries, self.setting)
        if self._earlier_cut == self.served_at_once:
            by_others *= by_others  # by chance, drops would have to fall on the same handshakes again
        return FAR_LIKELIER * by_others <= LOW_LIMITS

    @cached_property
    def refused_host_keys(self) -> frozenset[str]:
        """The host key algorithms that the server offers and whose every asker it closed, while it served others."""
        served = {h.host_key_algorithm for h in self.ours if not _failed(h)}
        asked = {h.host_key_algorithm for h in self.failed if h.ending is Ending.CLOSED_AFTER_BANNER}
        is_all = self.endings == {Ending.CLOSED_AFTER_BANNER} and len(self.failed) > 1 and bool(served)
        is_all = is_all and served.isdisjoint(asked)
        return frozenset(name for name in asked if name) if is_all and None not in asked else frozenset()

    @property
    def is_answered_too_near(self) -> bool:
        """Whether the control port of the host is much farther away than what answered on this one."""
        return is_much_nearer(self.report.nearest, self.report.control_took)

    @property
    def served_at_once(self) -> int:
        """How many of the burst were served."""
        return sum(h.ending is Ending.COMPLETED for h in self.burst)

    # --- what was said, and when

    @cached_property
    def texts(self) -> Counter[str]:
        """What the server said in failed handshakes, counted."""
        return Counter(h.text for h in self.handshakes if h.text and h.ending is not Ending.COMPLETED)

    @cached_property
    def saying(self) -> Saying | None:
        """The known saying among the server's texts."""
        return saying_in(self.texts)

    def says(self, text: str) -> bool:
        """Return whether one of the server's texts holds `text`."""
        return any(text in words for words in self.texts)

    @cached_property
    def times_to_close(self) -> tuple[float, ...]:
        """Seconds from the server's accept to its close without a word, sorted.

        `ended` counts from our SYN: the network takes one round trip until we are connected, and half a round trip
        each for our ACK and the server's FIN. `connect` is such a round trip.
        """
        silent = (h for h in self.ours if h.ending in (Ending.CLOSED, Ending.RESET))
        return tuple(sorted(max(0.0, h.ended - 2 * (h.connect or 0.0)) for h in silent))

    def closed_within(self, low: float, high: float) -> bool:
        """Return whether there were silent closes and all of them came between `low` and `high` seconds."""
        times = self.times_to_close
        return bool(times) and low <= times[0] and times[-1] < high

    # --- who serves

    @property
    def server(self) -> Server | None:
        """The server's identification."""
        return self.report.server

    @cached_property
    def software(self) -> Software | None:
        """The server's software, None when it never identified itself."""
        return software_of(self.server)

    def is_openssh(self, low: tuple[int, int] = (0, 0), below: tuple[int, int] = (1000, 0)) -> bool:
        """Return whether the server is OpenSSH of a version from `low` to before `below`."""
        software = self.software
        return software is not None and software.name == "openssh" and low <= software.version < below

    @property
    def is_rejected_by_ourselves(self) -> bool:
        """Whether ICMP answers came from our own address: a firewall on this machine, and the target is another."""
        return any(h.icmp is not None and h.icmp[2] == h.source != h.address for h in self.failed)

    @property
    def is_rejected_by_router(self) -> bool:
        """Whether ICMP said "host or net unreachable" and came from another address than the one asked."""
        return any(h.icmp is not None and h.icmp[2] != h.address and h.icmp[:2] in _NO_WAY for h in self.failed)

    # --- arithmetic

    @cached_property
    def setting(self) -> MaxStartups:
        """The server's MaxStartups: what the user told us, else the default."""
        old = MaxStartups(10, 100, 10)  # the single number 10 of the releases before 6.2
        return self._setting or (old if self.is_openssh(below=(6, 2)) else maxstartups.DEFAULT)

    @property
    def is_setting_known(self) -> bool:
        """Whether the user told us the server's MaxStartups."""
        return self._setting is not None

    @cached_property
    def estimate(self) -> Estimate | None:
        """How many unauthenticated connections others hold, by the drops seen and our own concurrency."""
        return maxstartups.estimate(self._tries, self.setting)

    @cached_property
    def _tries(self) -> list[tuple[int, bool]]:
        """Our own connections in progress before each handshake, and whether it was dropped."""
        tries: list[tuple[int, bool]] = []
        own = wave = 0
        for handshake in self.ours:
            is_burst = handshake.role == Role.BURST or handshake.wave > 0
            if not is_burst or handshake.wave != wave:
                own, wave = 0, handshake.wave
            dropped = handshake.is_early_close
            if dropped or handshake.ending is Ending.COMPLETED:
                tries.append((own, dropped))
            own += is_burst and not dropped
        return tries

    # --- in words

    @property
    def count(self) -> str:
        """The failed handshakes in words: `2 of 5 handshakes turned away`."""
        failed = [h for h in self.handshakes if h.ending is not Ending.COMPLETED]
        counts = Counter(h.ending for h in failed)
        (first, number), *others = counts.most_common()
        words = [f"{number} of {len(self.handshakes)} handshakes {first.phrase}"]
        words += [f"{more} {ending.phrase}" for ending, more in others]
        return join(words)


# A round trip varies with the load of the path, not by a factor of four and by more than this (seconds). A
# connect time of nearly a second is not distance: the SYN was sent again (RFC 6298 2.1).
NEARER, LEAST_DISTANCE, SENT_AGAIN = 4, 0.005, 0.9


def is_much_nearer(now: float | None, known: float | None) -> bool:
    """Return whether a SYN was answered (`now` seconds) from much nearer than the host is known to be."""
    if now is None or known is None or known >= SENT_AGAIN:
        return False
    return NEARER * now < known and known - now > LEAST_DISTANCE


def _failed(handshake: Handshake) -> bool:
    return handshake.ending is not Ending.COMPLETED


# ICMP 3/0 and 3/1, ICMPv6 1/0 and 1/3: a router's "no way to that net, or host".
_NO_WAY = frozenset({(3, 0), (3, 1), (1, 0), (1, 3)})
