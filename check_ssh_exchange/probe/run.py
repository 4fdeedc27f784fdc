"""The shape of a run: one handshake alone, the others at once and held, and one more alone where it tells something.

A run owns no loop. It asks the engine to open connections, and moves on when they end or when a timer fires, so the
plugin's loop and an asyncio program can both drive it.
"""

import time
from collections.abc import Callable, Sequence

from ..ending import NOT_ACCEPTED, Depth, Ending
from ..plan import Plan, Target
from ..report import Followup, Report
from ..wire.exchange import Exchange
from . import record
from .connection import Address, Connection, OnEnd
from .engine import Engine
from .fault import NoDescriptors, ProbeError
from .knock import Knock
from .policy import Policy
from .resolve import FAMILY_WORDS

# sshd frees a slot only when it has reaped the child, milliseconds after our close (at most 0.3 s measured). A burst
# begun at once would find one slot too few, and a per-source limit would look like random early drop.
PAUSE = 0.25
# Of the whole time: when the baseline is silent for so long, the burst begins beside it. A server that answers each
# connection after five seconds (hosts.deny) is then seen to do so in all of them within the default ten.
PATIENCE = 0.25
# At most this many may be open beside a baseline that has not said what software it is (dropbear serves five).
MOST_BESIDE_UNKNOWN = 4
# Of the whole time: kept back for what the burst may call for after it.
RESERVE = 0.15
LEAST = 50_000_000  # nanoseconds; no further test in less
SECOND = 1_000_000_000

Connect = Callable[[Address, Exchange, str, OnEnd, str], Connection]


class Run:
    """One run against one target; `is_done` tells when `report()` is whole."""

    def __init__(
        self,
        engine: Engine,
        target: Target,
        plan: Plan,
        addresses: Sequence[Address],
        policy: Policy,
        connect: Connect = Connection,
        resolved_in: float | None = None,
    ) -> None:
        self._engine = engine
        self._target = target
        self._plan = plan
        self._policy = policy
        self._connect = connect
        self._resolved_in = resolved_in
        self._lanes = list(addresses) if plan.all_addresses else list(addresses[:1])
        self._spare = [] if plan.all_addresses else list(addresses[1:])
        self._tries = len(addresses)
        self._opened: list[Connection] = []
        self._held: list[Connection] = []
        self._awaited: set[Connection] = set()
        self._late: set[Connection] = set()
        self._waves: list[tuple[Address, int]] = []
        self._wave = 0
        self._followups: list[Followup] = []
        self._knock: Knock | None = None
        self._stage: Callable[[], None] = self._after_baseline
        self._is_pausing = False
        self._notes: list[str] = []
        self._begun = 0
        self._end = 0
        self._ended_at = 0
        self.fault: str | None = None
        self.is_done = False
        self.on_done: Callable[[Run], None] = lambda _: None

    def start(self, seconds: float) -> None:
        """Begin; the run ends within `seconds`."""
        self._begun = time.monotonic_ns()
        self._end = self._begun + int(seconds * SECOND)
        for lane in self._lanes:
            self._open_baseline(lane)
        self._wait_patiently()

    def _wait_patiently(self) -> None:
        baseline = self._opened[-1] if self._opened else None
        self._engine.call_at(time.monotonic_ns() + self._patience, lambda: self._lose_patience(baseline))

    @property
    def _patience(self) -> int:
        return int((self._end - self._begun) * min(PATIENCE, 1 / (self._tries + 1)))

    @property
    def _waves_end(self) -> int:
        return self._end - int((self._end - self._begun) * RESERVE)

    @property
    def _source(self) -> str:
        return self._plan.sources[0] if self._plan.sources else ""

    @property
    def _shared(self) -> int:
        """How many of the addresses see the same source of ours: those of one family, and may be one server's."""
        families = [lane.family for lane in self._lanes]
        return max(map(families.count, families))

    @property
    def _may_go_beside(self) -> bool:
        at_once = min(self._plan.at_once, self._plan.handshakes - 1)
        return at_once <= MOST_BESIDE_UNKNOWN and self._policy.refusal(None, self._shared) is None

    def _measured(self, lane: Address, role: str, source: str | None = None) -> Connection:
        return self._connect(lane, Exchange(self._plan.depth), role, self._ended, source or self._source)

    def _open(self, connection: Connection, deadline: int) -> None:
        if self._plan.trace:
            connection.trace = []
        self._engine.open(connection, deadline)
        self._opened.append(connection)
        self._awaited.add(connection)

    def _open_baseline(self, lane: Address) -> None:
        now = time.monotonic_ns()
        whole = self._waves_end - now
        share = whole if self._plan.handshakes == 1 or self._may_go_beside else whole // 2
        try:
            self._open(self._measured(lane, "baseline"), now + share)
        except ProbeError as fault:
            self._finish(str(fault))

    def _ended(self, connection: Connection) -> None:
        if self.is_done:
            return
        self._awaited.discard(connection)
        self._late.discard(connection)
        if connection.fault is not None:
            self._finish(str(connection.fault))
            return
        if connection.exchange.ending is Ending.COMPLETED and connection.role == "burst":
            self._held.append(connection)
        else:
            self._engine.close(connection)
        if self._falls_back(connection):
            self._lanes = [self._spare.pop(0)]
            self._open_baseline(self._lanes[0])
            self._wait_patiently()
        elif not self._awaited and not self._is_pausing:  # a late baseline may end while the next wave is scheduled
            self._stage()

    def _falls_back(self, connection: Connection) -> bool:
        # ssh(1) and check_ssh try the next address when one does not take the connection.
        return connection.role == "baseline" and bool(self._spare) and connection.exchange.ending in NOT_ACCEPTED

    def _lose_patience(self, baseline: Connection | None) -> None:
        if self.is_done or self._stage != self._after_baseline or not self._awaited:
            return
        if baseline is None or baseline is not self._opened[-1]:  # another address has its turn, and its own timer
            return
        if self._spare and baseline.exchange.connected_at is None:
            baseline.expire()
            self._engine.tell(baseline)
        elif self._may_go_beside and self._plan.handshakes > 1:
            self._late, self._awaited = self._awaited, set()
            self._after_baseline()

    # --- the stages, each begun when nothing of the one before is pending

    def _after_baseline(self) -> None:
        # A baseline that nobody accepted has cost nothing, and more of them will not either.
        accepted = [c for c in self._opened if c.exchange.ending not in NOT_ACCEPTED]
        for server in {record.server_of(connection) for connection in accepted}:
            refusal = self._policy.refusal(server, self._shared)
            if refusal is not None:
                self._finish(refusal)
                return
        left = self._plan.handshakes - 1
        for lane in self._lanes:
            for done in range(0, left, self._plan.at_once):
                self._waves.append((lane, min(self._plan.at_once, left - done)))
        self._stage = self._after_wave
        if self._waves:
            self._pause_then(self._open_wave)
        else:
            self._after_wave()

    def _pause_then(self, callback: Callable[[], None]) -> None:
        # Nothing was accepted: nothing has to be freed.
        if not self._late and all(c.exchange.ending in NOT_ACCEPTED for c in self._opened):
            callback()
            return
        now = time.monotonic_ns()
        pause = min(int(PAUSE * SECOND), max(0, self._end - now) // 10)
        self._is_pausing = True
        self._engine.call_at(now + pause, lambda: self._go_on(callback))

    def _go_on(self, callback: Callable[[], None]) -> None:
        self._is_pausing = False
        callback()

    def _open_wave(self) -> None:
        if self.is_done:
            return
        if not self._waves:
            self._after_wave()
            return
        now = time.monotonic_ns()
        if now >= self._waves_end:
            left = sum(count for _, count in self._waves)
            self._notes.append(f"time was up {left} handshakes before the {self._asked} asked for: raise --timeout")
            self._finish(None)
            return
        lane, count = self._waves.pop(0)
        deadline = now + (self._waves_end - now) // (len(self._waves) + 1)
        self._wave += 1
        for opened in range(count):
            connection = self._measured(lane, "burst")
            connection.wave = self._wave
            try:
                self._open(connection, deadline)
            except NoDescriptors as fault:
                self._go_on_with_fewer(lane, count - opened, opened, fault)
                return
            except ProbeError as fault:
                self._finish(str(fault))
                return

    def _go_on_with_fewer(self, lane: Address, left: int, opened: int, fault: NoDescriptors) -> None:
        if not opened and not self._awaited:
            self._finish(str(fault))
            return
        self._waves.insert(0, (lane, left))
        note = f"at most {opened} at once: {fault}"
        if opened and note not in self._notes:
            self._notes.append(note)

    def _after_wave(self) -> None:
        if self._waves:
            self._release()
            self._pause_then(self._open_wave)
            return
        if self._late:  # the baselines that were silent for long; they end with the waves' time
            return
        if all(connection.exchange.ending is Ending.COMPLETED for connection in self._opened):
            self._finish(None)  # no policy asks for more then: a report to ask it with would be made twice
            return
        self._followups = list(self._policy.followups(self.report()))
        self._stage = self._after_followup
        if self._followups and self._followups[0] is Followup.WITNESS:
            # While ours are still held: a limit for each source then serves it, a limit for all does not.
            self._open_followup()
        else:
            self._after_followup()

    def _release(self) -> None:
        for connection in self._held:
            self._engine.close(connection)
        self._held.clear()

    def _after_followup(self) -> None:
        self._release()
        if self._followups and self._has_time():
            self._pause_then(self._open_followup)
        else:
            self._finish(None)

    def _has_time(self) -> bool:
        # A test that is cut off before a healthy answer of this server could come tells the wrong thing.
        first = self._opened[0]
        served = first.exchange.ending is Ending.COMPLETED
        took = (first.exchange.ended_at or 0) - first.started_at if served else 0
        return self._end - time.monotonic_ns() > max(LEAST, took * 3 // 2)

    def _open_followup(self) -> None:
        if self.is_done:
            return
        served = (c.address for c in self._opened if c.exchange.ending is Ending.COMPLETED)
        lane = next(served, self._lanes[0])
        try:
            match self._followups.pop(0):
                case Followup.WITNESS:
                    self._open(self._measured(lane, "recheck", self._plan.sources[1]), self._end)
                case Followup.AGAIN:
                    self._open(self._measured(lane, "recheck"), self._end)
                case Followup.ASK:
                    exchange = Exchange(Depth.BANNER, speaks_first=True)
                    self._open(Connection(lane, exchange, "recheck", self._ended, self._source), self._end)
                case Followup.CONTROL:
                    knock = Knock(lane, self._plan.control_port or 0, self._knocked, self._source)
                    self._engine.open(knock, self._end)
                    self._knock = knock
        except ProbeError as fault:
            self._notes.append(f"a further test was not possible: {fault}")
            self._after_followup()

    def _knocked(self, _: Connection) -> None:
        if not self.is_done:
            self._after_followup()

    def _finish(self, fault: str | None) -> None:
        self.fault = fault
        self.is_done = True
        self._ended_at = time.monotonic_ns()
        self.stop()
        self.on_done(self)

    def stop(self) -> None:
        """Close what is still open. Handshakes without an ending stay out of the report."""
        self.is_done = True
        self._stage = lambda: None  # a method of ours, kept in ourselves, would be left to the garbage collector
        for connection in (*self._opened, *([self._knock] if self._knock else [])):
            self._engine.close(connection)

    # --- what is known, at any time

    @property
    def open(self) -> int:
        """How many handshakes have no ending yet."""
        return sum(not connection.is_ended for connection in self._opened)

    @property
    def _asked(self) -> int:
        return self._plan.handshakes * len(self._lanes)

    def report(self) -> Report:
        """Return what is known so far."""
        handshakes = tuple(
            record.handshake(number, c, self._begun, is_witness=c.wanted_source in self._plan.sources[1:])
            for number, c in enumerate(self._opened)
            if c.exchange.ending is not None
        )
        lane = self._lanes[0]
        return Report(
            host=self._target.host,
            port=self._target.port,
            depth=Depth(self._plan.depth),
            asked=self._asked,
            address=lane.text,
            family=FAMILY_WORDS[lane.family],
            source=next((c.source for c in self._opened if c.address is lane and c.source), self._source) or None,
            handshakes=handshakes,
            server=next((server for c in self._opened if (server := record.server_of(c))), None),
            algorithms=next((record.algorithms(offer) for c in self._opened if (offer := c.exchange.kexinit)), None),
            resolve=self._resolved_in,
            took=((self._ended_at or time.monotonic_ns()) - self._begun) / SECOND,
            fault=self.fault,
            notes=tuple(self._notes),
            host_key=next((c.host_key for c in self._opened if c.host_key), None),
            control=self._knock.verdict if self._knock and self._knock.is_ended else None,
        )
