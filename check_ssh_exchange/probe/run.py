"""The shape of a run: one handshake alone, the others at once and held, and one more alone where it tells something.

A run owns no loop. It asks the engine to open connections, and moves on when they end or when a timer fires, so the
plugin's loop and an asyncio program can both drive it.
"""

import time
from collections.abc import Callable, Sequence

from ..ending import NOT_ACCEPTED, Depth, Ending, Reason
from ..plan import Followup, Plan, Policy, Target
from ..report import Fault, Report, Role, Shortfall, ShortfallKind
from ..wire.exchange import Exchange
from . import record
from .connection import Address, Connection, OnEnd
from .engine import Engine, Timer
from .errors import NoDescriptors, OverBudget, ProbeError, UnusableAddress
from .host_keys import Requests
from .port_check import PortCheck
from .resolve import FAMILY_OF
from .schedule import SECOND, Schedule, Waves

# At most this many may be open beside a baseline that has not said what software it is (dropbear serves five).
MOST_BESIDE_UNKNOWN = 4
LEAST = 50_000_000  # nanoseconds; no further test in less

# Looked up once: Python 3.11 takes 0.1 us, and a run looks dozens of times.
_BASELINE, _BURST, _RECHECK = Role.BASELINE, Role.BURST, Role.RECHECK
_COMPLETED, _UNUSABLE, _HOSTKEY = Ending.COMPLETED, Reason.UNUSABLE_ADDRESS, Depth.HOSTKEY

Connect = Callable[[Address, Exchange, Role, OnEnd, str], Connection]


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
        self._addresses = list(addresses) if plan.all_addresses else list(addresses[:1])
        self._spare = [] if plan.all_addresses else list(addresses[1:])
        self._has_choice = len(addresses) > 1
        self._schedule = Schedule(0, 0.0, len(addresses))
        self._opened: list[Connection] = []
        self._held: list[Connection] = []
        self._awaited: set[Connection] = set()
        self._late: set[Connection] = set()
        self._waves = Waves()
        self._host_keys = Requests(plan.host_key_types)
        self._followups: list[Followup] = []
        self._port_check: PortCheck | None = None
        self._question: Connection | None = None  # the baseline that speaks first
        self._speaks_first = False
        self._pause = plan.pause or 0.0
        self._stage: Callable[[], None] = self._after_baseline
        self._is_pausing = False
        self._timers: list[Timer] = []
        self._shortfalls: list[Shortfall] = []
        self._ended_at = 0
        self.fault: Fault | None = None
        self.is_done = False
        self.on_done: Callable[[Run], None] = lambda _: None

    def start(self, seconds: float) -> None:
        """Begin; the run ends within `seconds`."""
        tries = len(self._addresses) + len(self._spare)
        self._schedule = Schedule(time.monotonic_ns(), seconds, tries)
        for address in self._addresses:
            if not self.is_done:
                self._open_baseline(address)
        self._wait_patiently()

    def _call_at(self, when: int, callback: Callable[[], None]) -> None:
        self._timers.append(self._engine.call_at(when, callback))

    def _wait_patiently(self) -> None:
        baseline, now = self._opened[-1] if self._opened else None, time.monotonic_ns()
        if baseline is None or len(self._addresses) > 1:
            self._call_at(now + self._schedule.patience, lambda: self._lose_patience(baseline))
        else:
            self._call_at(now + self._schedule.silence, lambda: self._ask_first(baseline, now))

    def _ask_first(self, baseline: Connection, begun: int) -> None:
        """Speak first in another baseline where this one is connected and silent: some servers wait for clients."""
        self._end_those_with_words()
        if self.is_done or baseline not in self._awaited:
            return
        self._call_at(begun + self._schedule.patience, lambda: self._lose_patience(baseline))
        exchange = baseline.exchange
        is_silent = exchange.connected_at is not None and exchange.identification is None and not exchange.text
        # One handshake more than planned; a budget that has room for twice as many has room for it.
        if is_silent and self._may_go_beside and self._policy.refusal(None, self._shared + 1) is None:
            exchange = self._exchange(baseline.address, speaks_first=True)
            question = self._connect(baseline.address, exchange, _RECHECK, self._answered, self._source)
            self._question = question
            try:
                self._open(question, self._schedule.burst_end)
            except ProbeError as error:
                self._finish(error.fault)

    def _answered(self, question: Connection) -> None:
        """The baseline that spoke first has ended. Where it was served while the silent one waits, all speak first."""
        silent = next((c for c in self._opened if c.role is _BASELINE and not c.is_ended), None)
        if question.exchange.ending is _COMPLETED and silent is not None and self._stage == self._after_baseline:
            self._speaks_first = True
            question.role = _BASELINE
            self._forget(silent)
        self._ended(question)

    def _forget(self, connection: Connection) -> None:
        """Close a connection that the run has no use for, and leave it out of the report."""
        self._engine.close(connection)
        self._opened.remove(connection)
        self._awaited.discard(connection)
        self._late.discard(connection)

    @property
    def _source(self) -> str:
        return self._plan.sources[0] if self._plan.sources else ""

    @property
    def _shared(self) -> int:
        """How many of the addresses see the same source address: those of one family, and may be one server's."""
        families = [address.family for address in self._addresses]
        return max(map(families.count, families))

    @property
    def _may_go_beside(self) -> bool:
        at_once = min(self._plan.at_once, self._plan.handshakes - 1)
        return at_once <= MOST_BESIDE_UNKNOWN and self._policy.refusal(None, self._shared) is None

    def _measured(self, address: Address, role: Role, source: str | None = None) -> Connection:
        exchange = self._exchange(address, speaks_first=self._speaks_first)
        return self._connect(address, exchange, role, self._ended, source or self._source)

    def _exchange(self, address: Address, *, speaks_first: bool) -> Exchange:
        depth = self._plan.depth
        asks = depth is _HOSTKEY or self._plan.every_host_key
        algorithms = self._host_keys.next(address, self._opened) if asks else ()
        return Exchange(depth, speaks_first=speaks_first, host_key_algorithms=algorithms)

    def _open(self, connection: Connection, deadline: int) -> None:
        if self._plan.trace:
            connection.trace = []
        try:
            self._engine.open(connection, deadline)
        except UnusableAddress as error:
            if not self._has_choice:
                raise
            connection.end_as_unusable(error)
            self._call_at(0, lambda: self._ended(connection))
        self._opened.append(connection)
        self._awaited.add(connection)

    def _open_baseline(self, address: Address) -> None:
        is_alone = self._plan.handshakes == 1 or self._may_go_beside
        deadline = self._schedule.baseline_deadline(time.monotonic_ns(), is_alone=is_alone)
        try:
            self._open(self._measured(address, _BASELINE), deadline)
        except ProbeError as error:
            self._finish(error.fault)

    def _ended(self, connection: Connection) -> None:
        if self.is_done:
            return
        self._awaited.discard(connection)
        self._late.discard(connection)
        question = self._question
        if question is not None and connection.role is _BASELINE and not question.is_ended:
            self._forget(question)  # the server has spoken by itself
        if connection.fault is not None:
            self._finish(connection.fault.fault)
            return
        if connection.exchange.ending is _COMPLETED and connection.wave:
            self._held.append(connection)
        else:
            self._engine.close(connection)
        if self._falls_back(connection):
            self._addresses = [self._spare.pop(0)]
            self._open_baseline(self._addresses[0])
            self._wait_patiently()
        elif not self._awaited and not self._is_pausing:  # a late baseline may end while the next wave is scheduled
            self._stage()

    def _falls_back(self, connection: Connection) -> bool:
        # ssh(1) and check_ssh try the next address when one does not take the connection.
        return connection.role is _BASELINE and bool(self._spare) and connection.exchange.ending in NOT_ACCEPTED

    def _lose_patience(self, baseline: Connection | None) -> None:
        if self.is_done or self._stage != self._after_baseline or not self._awaited:
            return
        last = next((c for c in reversed(self._opened) if c is not self._question), None)
        if baseline is None or baseline is not last:  # another address has its turn, and its own timer
            return
        if self._spare and baseline.exchange.connected_at is None:
            baseline.expire()
            self._engine.report(baseline)
        elif self._may_go_beside and self._plan.handshakes > 1:
            self._late, self._awaited = self._awaited, set()
            self._after_baseline()

    # --- the stages, each begun when nothing of the one before is pending

    def _after_baseline(self) -> None:
        usable = [c for c in self._opened if c.exchange.reason is not _UNUSABLE]
        if not usable:
            # A fault of this machine alone: nothing was measured of the server.
            fault = Fault(UnusableAddress.kind, self._opened[-1].exchange.detail)
            self._opened.clear()
            self._finish(fault)
            return
        # No burst at an address that this machine cannot use; the one before it is the one to ask.
        possible = [c.address for c in usable if c.role is _BASELINE]
        self._addresses = [one for one in self._addresses if one in possible] or possible[-1:]
        # A baseline that was not accepted has cost nothing, and more of them will not either.
        accepted = [c for c in self._opened if c.exchange.ending not in NOT_ACCEPTED]
        for server in {record.server_of(connection) for connection in accepted}:
            refusal = self._policy.refusal(server, self._shared)
            if refusal is not None:
                self._finish(OverBudget(refusal).fault)
                return
        if self._plan.pause is None and accepted:
            self._pause = self._policy.pause(record.server_of(accepted[0]))
        self._waves = Waves(self._addresses, self._plan.handshakes - 1, 1 if self._pause else self._plan.at_once)
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
        self._is_pausing = True
        self._call_at(self._schedule.pause_end(time.monotonic_ns(), self._pause), lambda: self._go_on(callback))

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
        if now >= self._schedule.burst_end:
            self._shortfalls.append(Shortfall(ShortfallKind.TIME, self._waves.handshakes))
            self._finish(None)
            return
        address, count = self._waves.next()
        self._call_at(now + self._schedule.silence, self._end_those_with_words)
        deadline = self._schedule.wave_deadline(now, len(self._waves))
        for opened in range(count):
            connection = self._measured(address, _BURST)
            connection.wave = self._waves.number
            try:
                self._open(connection, deadline)
            except NoDescriptors as error:
                self._go_on_with_fewer(address, count - opened, opened, error)
                return
            except ProbeError as error:
                self._finish(error.fault)
                return

    def _end_those_with_words(self) -> None:
        """End the handshakes whose server has said why it will not serve them, and holds the connection open."""
        for connection in tuple(self._awaited):
            exchange = connection.exchange
            if not connection.is_ended and exchange.identification is None and self._policy.is_refusal(exchange.text):
                connection.expire()
                self._engine.report(connection)

    def _go_on_with_fewer(self, address: Address, left: int, opened: int, error: NoDescriptors) -> None:
        if not opened and not self._awaited:
            self._finish(error.fault)
            return
        self._waves.put_back(address, left)
        shortfall = Shortfall(ShortfallKind.DESCRIPTORS, opened, str(error))
        if opened and shortfall not in self._shortfalls:
            self._shortfalls.append(shortfall)

    def _after_wave(self) -> None:
        if self._waves:
            self._release()
            self._pause_then(self._open_wave)
            return
        if self._late:  # the baselines that were silent for long; they end with the waves' time
            return
        if all(connection.exchange.ending is _COMPLETED for connection in self._opened):
            self._finish(None)  # no policy asks for more then, and making a report to ask it costs CPU
            return
        self._followups = list(self._policy.followups(self.report()))
        self._stage = self._after_followup
        if self._followups and self._followups[0] is Followup.SECOND_SOURCE:
            # While the burst is still held: a limit for each source then serves it, a limit for all does not.
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
        served = first.exchange.ending is _COMPLETED
        took = (first.exchange.ended_at or 0) - first.started_at if served else 0
        return self._schedule.end - time.monotonic_ns() > max(LEAST, took * 3 // 2)

    def _open_followup(self) -> None:
        if self.is_done:
            return
        served = (c.address for c in self._opened if c.exchange.ending is _COMPLETED)
        address, end = next(served, self._addresses[0]), self._schedule.end
        try:
            match self._followups.pop(0):
                case Followup.SECOND_SOURCE:
                    self._open(self._measured(address, _RECHECK, self._plan.sources[1]), end)
                case Followup.ALONE:
                    self._open(self._measured(address, _RECHECK), end)
                case Followup.SECOND_BURST:
                    self._open_second_burst(address, end)
                case Followup.SPEAK_FIRST:
                    exchange = Exchange(Depth.BANNER, speaks_first=True)
                    self._open(Connection(address, exchange, _RECHECK, self._ended, self._source), end)
                case Followup.CONTROL_PORT:
                    check = PortCheck(address, self._plan.control_port or 0, self._checked, self._source)
                    self._engine.open(check, end)
                    self._port_check = check
        except ProbeError as error:
            self._shortfalls.append(Shortfall(ShortfallKind.FURTHER_TEST, reason=str(error)))
            self._after_followup()

    def _open_second_burst(self, address: Address, end: int) -> None:
        if self._opened[-1].exchange.ending is not _COMPLETED:  # alone, just now
            self._after_followup()
            return
        self._waves.number += 1
        for _ in range(sum(connection.role is _BURST for connection in self._opened)):
            connection = self._measured(address, _RECHECK)
            connection.wave = self._waves.number
            self._open(connection, end)

    def _checked(self, _: Connection) -> None:
        if not self.is_done:
            self._after_followup()

    def _finish(self, fault: Fault | None) -> None:
        self.fault = fault
        self.is_done = True
        self._ended_at = time.monotonic_ns()
        self.stop()
        self.on_done(self)

    def stop(self) -> None:
        """Close what is still open. Handshakes without an ending stay out of the report."""
        self.is_done = True
        # What would hold the run until a timer comes, or for the garbage collector.
        self._stage = lambda: None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for connection in (*self._opened, *([self._port_check] if self._port_check else [])):
            self._engine.close(connection)

    # --- what is known, at any time

    @property
    def open(self) -> int:
        """How many of the handshakes asked for have no ending yet."""
        return sum(not c.is_ended and c is not self._question for c in self._opened)

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its own end, and was not stopped before it."""
        return self._ended_at > 0

    @property
    def _asked(self) -> int:
        return self._plan.handshakes * len(self._addresses)

    def report(self) -> Report:
        """Return what is known so far."""
        address, begun, others = self._addresses[0], self._schedule.begun, self._plan.sources[1:]
        handshakes = tuple(
            [
                record.handshake(number, c, begun, is_second_source=c.wanted_source in others)
                for number, c in enumerate(self._opened)
                if c.exchange.ending is not None
            ]
        )
        return Report(
            host=self._target.host,
            port=self._target.port,
            depth=self._plan.depth,
            asked=self._asked,
            address=address.text,
            family=FAMILY_OF[address.family],
            source=next((c.source for c in self._opened if c.address is address and c.source), self._source) or None,
            handshakes=handshakes,
            server=next((server for c in self._opened if (server := record.server_of(c))), None),
            algorithms=next((record.algorithms(offer) for c in self._opened if (offer := c.exchange.kexinit)), None),
            resolve=self._resolved_in,
            took=((self._ended_at or time.monotonic_ns()) - begun) / SECOND,
            at=time.time(),
            fault=self.fault,
            shortfalls=tuple(self._shortfalls),
            speaks_first=self._speaks_first,
            pause=self._pause,
            control=self._port_check.has_answer if self._port_check and self._port_check.is_ended else None,
            control_took=self._port_check.took if self._port_check and self._port_check.is_ended else None,
        )
