"""What one run may spend of its servers' allowances, and what it has spent."""

import re
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator

from check_ssh_exchange.diagnosis import budget
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import policy as policy_of
from check_ssh_exchange.plan import Plan
from check_ssh_exchange.probe.connection import Address
from check_ssh_exchange.probe.policy import Policy
from check_ssh_exchange.report import Followup, Handshake, Report, Server

from ..prober import source_towards
from .server_state import ServerState, ServerStates, plain
from .token_bucket import Allowance

FAILED_LOGIN = 5  # handshakes that a refused login costs with OpenSSH (srclimit.c, PerSourcePenalties authfail:5)


class Reservation:
    """The allowances of one run: held servers, from the source that the run will use."""

    def __init__(
        self, servers: ServerStates, states: list[ServerState], plan: Plan, addresses: list[Address], subject: Hashable
    ) -> None:
        self._servers = servers
        self._subject = subject
        self._plan = plan
        self._states = {state.key.address: state for state in states}
        self._sources = {
            plain(address.text): plain(plan.sources[0] if plan.sources else source_towards(address))
            for address in addresses
        }
        self._taken: Counter[tuple[str, str]] = Counter()

    def _allowance(self, address: str, source: str) -> Allowance:
        return self._servers.allowance(self._states[address], source)

    def _limited(self) -> Iterator[Allowance]:
        """Yield the allowances that bind: those at servers that hold handshakes against us, or may."""
        for address, source in self._sources.items():
            server = self._states[address].server
            if budget.limit(server, self._plan.depth, is_exempt=self._plan.exempt) is not None:
                yield self._allowance(address, source)

    def is_covered(self) -> bool:
        """Return whether the run may be made now, and leaves enough to those who asked before."""
        now = time.monotonic()
        return all(allowance.covers(self._plan.handshakes, now, self._subject) for allowance in self._limited())

    def claim(self, *, comes_back: bool) -> float:
        """Wait for the allowances with the others; return the seconds until it may be made."""
        now, handshakes = time.monotonic(), self._plan.handshakes
        waits = [a.claim(handshakes, now, self._subject, comes_back=comes_back) for a in self._limited()]
        return max(waits, default=0.0)

    def take(self) -> None:
        """Spend what the run will need at most before its follow-ups."""
        for address, source in self._sources.items():
            self._take(address, source, self._plan.handshakes)

    def _take(self, address: str, source: str, handshakes: int) -> None:
        self._allowance(address, source).take(handshakes, time.monotonic(), self._subject)
        self._taken[address, source] += handshakes

    def policy(self) -> Policy:
        """Return the policy of the plugin, with follow-ups only as far as there is allowance for them."""
        ours = policy_of(self._plan)

        def refusal(server: Server | None, addresses: int) -> str | None:
            why = ours.refusal(server, addresses)
            return why and as_keys(why)

        def followups(report: Report) -> tuple[Followup, ...]:
            return tuple(followup for followup in ours.followups(report) if self._affords(followup, report))

        return Policy(refusal, followups)

    def _affords(self, followup: Followup, report: Report) -> bool:
        # The run asks an address that served it again, else the first (probe/run.py).
        served = (handshake.address for handshake in report.handshakes if handshake.ending is Ending.COMPLETED)
        address = plain(next(served, report.address or ""))
        if followup is Followup.CONTROL or address not in self._states:
            return True
        source = plain(self._plan.sources[1]) if followup is Followup.WITNESS else self._sources[address]
        said = (handshake for handshake in report.handshakes if plain(handshake.address) == address)
        server = servers_of(said).get(address)
        is_bound = budget.limit(server, self._plan.depth, is_exempt=self._plan.exempt) is not None
        if is_bound and not self._allowance(address, source).covers(1, time.monotonic()):
            return False
        self._take(address, source, 1)
        return True

    def settle(self, report: Report | None) -> None:
        """Give back what the run did not spend; None, of a run that was cut off: nothing."""
        spent = self._taken if report is None else costs(report)
        now = time.monotonic()
        for pair in self._taken.keys() | {pair for pair in spent if pair[0] in self._states}:
            self._allowance(*pair).settle(self._taken[pair] - spent[pair], now)

    def note(self, servers: dict[str, Server]) -> None:
        """Remember what software answered at which address."""
        for address, server in servers.items():
            if address in self._states:
                self._states[address].server = server


def as_keys(sentence: str) -> str:
    """Return a sentence of the plugin with its options as the configuration's keys."""
    return re.sub(r"--(handshakes|concurrency) (\d+)", r"\1: \2", sentence).replace("--exempt", "exempt: true")


def costs(report: Report) -> Counter[tuple[str, str]]:
    """Return how many handshakes a run has cost, by server's address and source of ours.

    A connection that was never accepted costs nothing, nor does a login that succeeds.
    """
    spent: Counter[tuple[str, str]] = Counter()
    for handshake in report.handshakes:
        if handshake.is_accepted:
            is_login = report.depth is Depth.LOGIN
            is_free = is_login and handshake.ending is Ending.COMPLETED
            cost = 0 if is_free else FAILED_LOGIN if is_login else 1
            spent[plain(handshake.address), plain(handshake.source)] += cost
    return spent


def servers_of(handshakes: Iterable[Handshake]) -> dict[str, Server]:
    """Return what software answered, by address."""
    found = {}
    for handshake in handshakes:
        if handshake.identification is not None:
            _, protocol, version = handshake.identification.split("-", 2)
            software, _, comments = version.partition(" ")
            found[plain(handshake.address)] = Server(handshake.identification, protocol, software, comments)
    return found
