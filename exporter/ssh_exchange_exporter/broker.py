"""Where probes are asked for: who asks for what is under way shares it, and who asks too much gets the last result."""

import asyncio
import math
import time
from collections.abc import Callable

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Plan
from check_ssh_exchange.probe.connection import Address
from check_ssh_exchange.probe.fault import NameUnresolved, ProbeError
from check_ssh_exchange.report import Report

from .budget.reservation import Reservation, servers_of
from .budget.server_state import ServerKey, ServerState, ServerStates, plain, release
from .judging import Judge
from .last_results import LastResults, without_trace
from .own_metrics import OwnMetrics
from .probe_request import ProbeRequest, ProbeResponse
from .prober import Prober
from .result import Result

# After a run: sshd and dropbear free a connection's slot a moment after our close (at most 0.3 s measured).
REST = 0.3
LEAST = 0.2  # seconds; no run is begun in less
# Of the whole time. A name that took longer leaves too little to say anything about the server, as with the plugin.
RESOLVER_SHARE = 0.8
# Of what is left then: a run that waited longer for others to leave would call a slow server a dead one.
WAITING_SHARE = 0.5


# The result, and the one before it of the same target and module.
OnResult = Callable[[Result, Result | None], None]


class ProbeBroker:
    """Answers requests. To be made and used within one running loop."""

    def __init__(self, prober: Prober, servers: ServerStates, own: OwnMetrics, on_result: OnResult) -> None:
        self._prober = prober
        self._servers = servers
        self._own = own
        self._on_result = on_result
        self._last_results = LastResults()
        self._judge = Judge(self._last_results)
        self._under_way: dict[tuple[object, ...], asyncio.Task[ProbeResponse]] = {}
        self._resting: set[asyncio.Task[None]] = set()

    async def probe(self, request: ProbeRequest, seconds: float) -> ProbeResponse:
        """Return the answer within `seconds` and a moment. Raises Forbidden."""
        request.require_listed()
        # A run of half the time may see a slow server as a dead one, and is no answer to who has all of it.
        key = (*request.key, math.frexp(seconds)[1])
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._answer(request, seconds))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        else:
            self._own.shared.inc()
        try:
            async with asyncio.timeout(seconds + 2 * LEAST):
                response = await asyncio.shield(task)  # whoever asked may go away; the result is of use to the next
        except TimeoutError:
            why = "the probe that was under way did not end in time"
            # Its addresses may not be known yet, nor whether they are allowed.
            return self._earlier(request, why) if request.is_listed else self._unanswered(request, why)
        if response.result is None and not request.is_background:
            return self._earlier(request, "a background probe of this target was held back")
        return response

    def _forget(self, key: tuple[object, ...], task: asyncio.Task[ProbeResponse]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever asked has it; nobody may be left to hear it

    async def _answer(self, request: ProbeRequest, seconds: float) -> ProbeResponse:
        begun, at = time.monotonic(), time.time()
        plan = request.module.plan(seconds, trace=request.trace)
        try:
            addresses = await self._prober.addresses(request.target, plan)
        except ProbeError as fault:
            cause = "name_resolution" if isinstance(fault, NameUnresolved) else None
            return self._done(request, _fault(request, plan, str(fault), cause), at, begun)
        request.require_allowed(addresses)
        took = time.monotonic() - begun
        if took > RESOLVER_SHARE * seconds:
            slow = f"the resolver took {took:.2f} of {seconds:.3g} s for {request.target.host}"
            return self._done(request, _fault(request, plan, slow, "name_resolution"), at, begun)
        keys = [ServerKey(plain(address.text), request.target.port) for address in addresses]
        try:
            async with asyncio.timeout((seconds - took) * WAITING_SHARE):
                states = await self._servers.acquire(keys)
        except TimeoutError:
            return self._earlier(request, "another probe of this server was under way all the time")
        try:
            reservation = Reservation(self._servers, states, plan, addresses, request.subject)
            wait = None if reservation.is_covered() else reservation.wait(comes_back=request.is_background)
        except BaseException:
            release(states)
            raise
        if wait is not None:
            release(states)
            return self._deferred(request, states, wait)
        return await self._probe(request, plan, addresses, states, reservation, (begun, at, took, seconds))

    async def _probe(
        self,
        request: ProbeRequest,
        plan: Plan,
        addresses: list[Address],
        states: list[ServerState],
        reservation: Reservation,
        times: tuple[float, float, float, float],
    ) -> ProbeResponse:
        begun, at, took, seconds = times
        reservation.take()
        report: Report | None = None
        try:
            left = seconds - (time.monotonic() - begun)
            report = await self._prober.run(request.target, plan, addresses, reservation.policy(), took, left)
        finally:
            rest = asyncio.create_task(self._rest(reservation, states, report))
            self._resting.add(rest)
            rest.add_done_callback(self._resting.discard)
        reservation.note(servers_of(report.handshakes))
        response = self._done(request, report, at, begun)
        # A name's further addresses may be other servers: of those that were not asked nothing is known.
        asked = {plain(handshake.address) for handshake in report.handshakes}
        for state in states:
            if state.key.address in asked:
                state.last = self._last_results.result(request.subject)
        return response

    async def _rest(self, reservation: Reservation, states: list[ServerState], report: Report | None) -> None:
        try:
            await asyncio.sleep(REST)
        finally:
            reservation.settle(report)
            release(states)

    def _done(self, request: ProbeRequest, report: Report, at: float, begun: float) -> ProbeResponse:
        result = self._judge.judge(request, report, at, time.monotonic() - begun)
        before = self._last_results.result(request.subject)
        self._last_results.put(request.subject, without_trace(result))
        self._own.probes.labels("background" if request.is_background else "probe").inc()
        self._on_result(result, before)
        return ProbeResponse(result)

    def _deferred(self, request: ProbeRequest, states: list[ServerState], wait: float) -> ProbeResponse:
        self._own.deferred.labels("background" if request.is_background else "probe").inc()
        if request.is_background:
            return ProbeResponse(None, is_deferred=True, wait=wait)
        # What another module saw of the same server tells more than nothing.
        of_server = next((state.last for state in states if state.last and _is_told_by(request, state.last)), None)
        last = self._last_results.result(request.subject) or of_server
        if last is not None:
            return ProbeResponse(last, _age(last), is_deferred=True, wait=wait)
        why = f"the budget for this server is spent, a probe may be made in {wait:.0f} s"
        return self._unanswered(request, why)._replace(is_deferred=True, wait=wait)

    def _earlier(self, request: ProbeRequest, why: str) -> ProbeResponse:
        """ProbeResponse from the last result where there is one, else with the reason why there is none."""
        last = self._last_results.result(request.subject)
        return ProbeResponse(last, _age(last)) if last else self._unanswered(request, why)

    def _unanswered(self, request: ProbeRequest, why: str) -> ProbeResponse:
        plan = request.module.plan(LEAST)
        result = self._judge.judge(request, _fault(request, plan, why), time.time(), 0.0)
        self._on_result(result, None)
        return ProbeResponse(result)

    async def close(self, seconds: float) -> None:
        """Let what is under way end within `seconds`, then cancel it."""
        tasks = set(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for rest in tuple(self._resting):
            rest.cancel()
        await asyncio.gather(*self._resting, return_exceptions=True)


def _fault(request: ProbeRequest, plan: Plan, fault: str, cause: str | None = None) -> Report:
    target = request.target
    return Report(target.host, target.port, plan.depth, plan.handshakes, fault=fault, fault_cause=cause)


def _is_told_by(request: ProbeRequest, result: Result) -> bool:
    """Return whether another module's result says something of what is asked: a login that failed does not."""
    depths = list(Depth)
    is_deeper = depths.index(result.report.depth) > depths.index(Depth(request.module.depth))
    return result.report.completed > 0 or not is_deeper


def _age(result: Result) -> float:
    return max(0.0, time.monotonic() - result.ended)
