"""What one run takes from the budgets of its servers, and what it puts back."""

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache

from check_ssh_exchange.diagnosis import budget
from check_ssh_exchange.ending import NOT_ACCEPTED, Depth, Ending
from check_ssh_exchange.plan import Followup, Plan, Policy
from check_ssh_exchange.probe.connection import Address
from check_ssh_exchange.report import Handshake, Report, Server

from ..ip_address import plain
from ..prober import source_towards
from .server_state import ServerState, ServerStates
from .source_budget import SourceBudget

# What a user may change, as the configuration spells it.
KEYS = budget.Spelling("handshakes: {}", "concurrency: {}", "exempt: true")

# Seconds for which the source address towards a server is taken for known: to look its route up needs a socket. Until
# the next look at a route that has changed, the account of the old source is asked whether a run may begin; what the
# run has spent is written to the right one.
ROUTED = 300.0
FAILED_LOGIN = 5  # handshakes that a failed login costs with OpenSSH (srclimit.c, PerSourcePenalties authfail:5)


class Reservation:
    """The budgets of one run: locked servers, and the source address that the run uses towards each."""

    def __init__(
        self,
        servers: ServerStates,
        states: list[ServerState],
        plan: Plan,
        addresses: list[Address],
        requester: Hashable,
    ) -> None:
        self._servers = servers
        self._requester = requester
        self._plan = plan
        self._states = {state.key.address: state for state in states}
        self._sources = {
            plain(address.text): plain(plan.sources[0] if plan.sources else self._source(address))
            for address in addresses
        }
        self._taken: dict[tuple[str, str], int] = defaultdict(int)

    def _source(self, address: Address) -> str:
        state, now = self._states[plain(address.text)], time.monotonic()
        if now >= state.routed_until:
            state.source, state.routed_until = source_towards(address), now + ROUTED
        return state.source

    def _budget(self, address: str, source: str) -> SourceBudget:
        return self._servers.budget(self._states[address], source)

    def _limited(self) -> Iterator[SourceBudget]:
        """Yield the budgets that apply: those of servers that penalise handshakes, or may."""
        for address, source in self._sources.items():
            server = self._states[address].server
            if budget.limit(server, self._plan.depth, is_exempt=self._plan.exempt) is not None:
                yield self._budget(address, source)

    def is_covered(self) -> bool:
        """Return whether the run may begin now and leaves enough to the requests that wait before it."""
        now, handshakes = time.monotonic(), self._plan.handshakes
        return all(limited.covers(handshakes, now, self._requester) for limited in self._limited())

    def wait(self, *, comes_back: bool) -> float:
        """Put the request into the queue of each budget; return the seconds until the run may begin."""
        now, handshakes = time.monotonic(), self._plan.handshakes
        waits = [
            limited.wait_for(handshakes, now, self._requester, comes_back=comes_back) for limited in self._limited()
        ]
        return max(waits, default=0.0)

    def take(self) -> None:
        """Take what the run needs at most before its follow-ups."""
        for address, source in self._sources.items():
            self._take(address, source, self._plan.handshakes)

    def _take(self, address: str, source: str, handshakes: int) -> None:
        self._budget(address, source).take(handshakes, time.monotonic(), self._requester)
        self._taken[address, source] += handshakes

    def policy(self) -> Policy:
        """Return the policy of the plugin, with the follow-ups that the budgets cover."""
        ours = budget.policy(self._plan, KEYS)

        def followups(report: Report) -> tuple[Followup, ...]:
            return tuple(followup for followup in ours.followups(report) if self._affords(followup, report))

        return ours._replace(followups=followups)

    def _affords(self, followup: Followup, report: Report) -> bool:
        # A follow-up goes to an address that served the run, else to the first (probe/run.py).
        served = (handshake.address for handshake in report.handshakes if handshake.ending is Ending.COMPLETED)
        address = plain(next(served, report.address or ""))
        if followup is Followup.CONTROL_PORT or address not in self._states:
            return True
        source = plain(self._plan.sources[1]) if followup is Followup.SECOND_SOURCE else self._sources[address]
        said = (handshake for handshake in report.handshakes if plain(handshake.address) == address)
        server = servers_of(said).get(address)
        is_limited = budget.limit(server, self._plan.depth, is_exempt=self._plan.exempt) is not None
        handshakes = budget.handshakes_of(followup, report)
        if is_limited and not self._budget(address, source).covers(handshakes, time.monotonic()):
            return False
        self._take(address, source, handshakes)
        return True

    def settle(self, report: Report | None) -> None:
        """Put back what the run did not spend; nothing for None, the report of a run that was cancelled."""
        spent = self._taken if report is None else costs(report)
        now = time.monotonic()
        for address, source in spent.keys() - self._taken.keys():
            if (state := self._states.get(address)) is not None and source != state.source:
                state.routed_until = 0.0  # the route has changed
        for pair in self._taken.keys() | {pair for pair in spent if pair[0] in self._states}:
            self._budget(*pair).settle(self._taken.get(pair, 0) - spent.get(pair, 0), now)

    def note(self, servers: dict[str, Server]) -> None:
        """Remember the software seen at each address."""
        for address, server in servers.items():
            if address in self._states:
                self._states[address].server = server


def costs(report: Report) -> dict[tuple[str, str], int]:
    """Return how many handshakes a run has cost, by server address and source address.

    A connection that was never accepted costs nothing, nor does a login that succeeds.
    """
    spent: dict[tuple[str, str], int] = defaultdict(int)
    is_login = report.depth is Depth.LOGIN
    for handshake in report.handshakes:
        if handshake.ending not in NOT_ACCEPTED:
            is_free = is_login and handshake.ending is Ending.COMPLETED
            cost = 0 if is_free else FAILED_LOGIN if is_login else 1
            spent[handshake.address, handshake.source] += cost
    plainly: dict[tuple[str, str], int] = defaultdict(int)
    for (address, source), cost in spent.items():
        plainly[plain(address), plain(source)] += cost
    return plainly


def servers_of(handshakes: Iterable[Handshake]) -> dict[str, Server]:
    """Return the software that answered, by address."""
    seen = {handshake.address: handshake.identification for handshake in handshakes if handshake.identification}
    return {plain(address): _server_of(identification) for address, identification in seen.items()}


@lru_cache(256)  # servers of a fleet say the same
def _server_of(identification: str) -> Server:
    return Server.of(identification)
