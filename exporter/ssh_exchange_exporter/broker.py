"""Broker of probes. Identical concurrent requests share one probe; requests over budget get the last result."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterable

from check_ssh_exchange.diagnosis import history as past
from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.probe.errors import ProbeError
from check_ssh_exchange.remote.clock import clock
from check_ssh_exchange.report import Report

from .attempt import Attempt, InFlight
from .budget.reservation import Reservation, servers_of
from .budget.server_state import ServerKey, ServerState, ServerStates, release
from .ip_address import plain
from .last_results import LastResults, without_trace
from .own_metrics import OwnMetrics
from .probe_request import Origin, ProbeRequest
from .probe_response import ProbeResponse, ResponseKind, earlier
from .prober import NoResolver, Prober
from .recipes import Recipes
from .result import Result
from .runner import Runner
from .text import moment

GRACE = 0.4  # seconds that a response may come after its deadline
# Of the time left after resolving: a run that waited longer for other probes to end would call a slow server dead.
WAITING_SHARE = 0.5


# The result of a probe, and the one before it of the same target and module.
OnResult = Callable[[Result, Result | None], None]


class ProbeBroker:
    """Answers requests by probes or from the last results. To be made and used within one running loop."""

    def __init__(self, prober: Prober, servers: ServerStates, own: OwnMetrics, on_result: OnResult) -> None:
        self._prober = prober
        self._servers = servers
        self._own = own
        self._on_result = on_result
        self._last_results = LastResults()
        self._numbers = itertools.count(1)
        self._probes = {origin: own.probes.labels(origin) for origin in Origin}
        self._recipes = Recipes()
        self._in_flight: InFlight[ProbeResponse] = InFlight()
        self._runner = Runner(prober)

    def begin(self, request: ProbeRequest, seconds: float) -> tuple[asyncio.Task[ProbeResponse], bool]:
        """Return the task that answers a request, and whether it was begun for another one; it is not to be cancelled.

        It may end later than `seconds` and GRACE, at most by what the prober adds. Raises TargetNotAllowedError.
        """
        request.require_listed()
        # A run with half the time may see a slow server as a dead one, so it must not answer a request with all of it.
        key = (*request.key, math.frexp(seconds)[1])
        task, is_shared = self._in_flight.join(key, lambda: self._attempt(self._new_attempt(request, seconds)))
        if is_shared:
            self._own.shared.inc()
        return task, is_shared

    def _new_attempt(self, request: ProbeRequest, seconds: float) -> Attempt:
        return Attempt(request, self._recipes.plan(request, seconds))

    async def probe(self, request: ProbeRequest, seconds: float) -> ProbeResponse:
        """Return a response within `seconds` and GRACE. Raises TargetNotAllowedError."""
        task, is_shared = self.begin(request, seconds)
        try:
            async with asyncio.timeout(seconds + GRACE):
                response = await asyncio.shield(task)  # a client may go away; the result is of use to the next one
        except asyncio.CancelledError:
            if request.origin is Origin.CHECK:  # its scheduler has given the check up, and asks anew at its next turn
                self._in_flight.leave(task)
            raise
        except TimeoutError:
            if task.done() and not task.cancelled():  # both in the same turn of the loop
                return task.result()
            why = "the probe that was under way did not end in time"
            return self._unresolved(self._new_attempt(request, seconds), why)
        if is_shared and response.kind is ResponseKind.FRESH:
            return response._replace(kind=ResponseKind.SHARED)
        return response

    async def _attempt(self, attempt: Attempt) -> ProbeResponse:
        request = attempt.request
        measurement = attempt.measurement
        try:
            addresses = await self._prober.resolve(measurement)
        except NoResolver as error:
            return self._unresolved(attempt, str(error))
        except ProbeError as error:
            return self._record(attempt, measurement.failed(error))
        request.require_allowed(addresses)
        if request.memory is not None and self._waits(attempt):
            return ProbeResponse(self._result(attempt, measurement.report()), ResponseKind.WAITING)
        keys = [ServerKey(plain(address.text), request.target.port) for address in addresses]
        try:
            states = await self._servers.acquire(keys, measurement.seconds_left * WAITING_SHARE)
        except TimeoutError:
            return self._without_probe(attempt, "another probe of this server was under way all the time")
        try:
            reservation = Reservation(self._servers, states, measurement.plan, addresses, request.result_key)
            wait = None if reservation.is_covered() else reservation.wait(comes_back=request.is_background)
        except BaseException:
            release(states)
            raise
        if wait is not None:
            release(states)
            return self._deferred(attempt, states, wait)
        report = await self._runner.run(measurement, states, reservation)
        reservation.note(servers_of(report.handshakes))
        response = self._record(attempt, report)
        self._note_last(states, report, request)
        return response

    def _waits(self, attempt: Attempt) -> bool:
        """Return whether a penalty that an earlier run met may still hold; then the plugin makes no run either."""
        history = self._last_results.past(attempt.request.history_key)
        return past.waits(history, attempt.at) and not attempt.measurement.plan.exempt

    def _record(self, attempt: Attempt, report: Report) -> ProbeResponse:
        """Number, remember and count the result of a probe."""
        request = attempt.request
        result = self._result(attempt, report, next(self._numbers))
        before = self._last_results.result(request.result_key)
        kept = without_trace(result) if attempt.measurement.plan.trace else result
        self._last_results.put(request.result_key, kept)
        self._probes[request.origin].inc()
        self._on_result(result, before)
        return ProbeResponse(result)

    def _result(self, attempt: Attempt, report: Report, number: int = 0) -> Result:
        """Return the result of a report, with what earlier probes of the target saw."""
        request, key = attempt.request, attempt.request.history_key
        # A scheduler's own users read the plugin's words, with times of day as it writes them.
        says = moment if request.memory is None else clock
        outcome = evaluate(report, self._last_results.past(key), self._recipes.expectations(request), says)
        if report.fault is None:
            self._last_results.remember(key, outcome.history)
        return Result(
            number=number,
            target=request.text,
            module=request.module_name,
            origin=request.origin,
            at=attempt.at,
            took=attempt.elapsed,
            outcome=outcome,
            ended=time.monotonic(),
        )

    def _note_last(self, states: Iterable[ServerState], report: Report, request: ProbeRequest) -> None:
        # The further addresses of a name may be other servers: a run tells nothing of those it did not connect to.
        asked = {handshake.address for handshake in report.handshakes}
        addresses = set(map(plain, asked))
        for state in states:
            if state.key.address in addresses:
                state.last = self._last_results.result(request.result_key)

    def _deferred(self, attempt: Attempt, states: Iterable[ServerState], wait: float) -> ProbeResponse:
        request = attempt.request
        self._own.deferred.labels(request.origin).inc()
        # The result of another module for the same server says more than none.
        of_server = next((state.last for state in states if state.last and _is_answer(request, state.last)), None)
        last = self._last_results.result(request.result_key) or of_server
        if last is not None:
            return earlier(last, ResponseKind.DEFERRED, wait)
        why = f"the budget for this server is spent, a probe may be made in {wait:.0f} s"
        return self._unavailable(attempt, why)._replace(kind=ResponseKind.DEFERRED, wait=wait)

    def _unresolved(self, attempt: Attempt, why: str) -> ProbeResponse:
        # Its addresses may not be known yet, nor whether they are allowed.
        return self._without_probe(attempt, why) if attempt.request.is_listed else self._unavailable(attempt, why)

    def _without_probe(self, attempt: Attempt, why: str) -> ProbeResponse:
        """Return a response from the last result, or a placeholder that says why there is no probe."""
        last = self._last_results.result(attempt.request.result_key)
        return earlier(last, ResponseKind.CACHED) if last else self._unavailable(attempt, why)

    def _unavailable(self, attempt: Attempt, why: str) -> ProbeResponse:
        # No number, log line or count: nothing was probed.
        report = attempt.measurement.failed(ProbeError(why))
        return ProbeResponse(self._result(attempt, report), ResponseKind.UNAVAILABLE)

    async def close(self, seconds: float) -> None:
        """Wait up to `seconds` for probes in flight, then cancel them."""
        await self._in_flight.close(seconds)
        self._runner.close()


def _is_answer(request: ProbeRequest, result: Result) -> bool:
    """Return whether another module's result answers a request; a deeper depth that failed says nothing about it."""
    depths = list(Depth)
    is_deeper = depths.index(result.report.depth) > depths.index(request.module.depth)
    return result.report.completed > 0 or not is_deeper
