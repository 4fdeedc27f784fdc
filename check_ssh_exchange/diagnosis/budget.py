"""How many handshakes a server tolerates from one address, and which further tests fit into that.

OpenSSH 9.8 and later count every handshake that ends without an authentication as a penalty of 1 s against the source
and shut it out once its penalties exceed 15 s; one second is forgiven each second (srclimit.c,
PerSourcePenalties noauth:1 min:15; measured on 10.0 and 10.6: after 15 at once the next one is served, after 16 not).
Dropbear serves five unauthenticated connections from one address and closes the sixth (MAX_UNAUTH_PER_IP).
"""

from ..ending import NOT_ACCEPTED, Depth, Ending
from ..plan import Followup, Plan, Policy
from ..report import Report, Server
from ..text import printable
from ..values import NamedTuple
from .software import Software, software_of

PENALTY_FREE = 15
DROPBEAR_AT_ONCE = 5

# Small limits that are built in, by the beginning of the software version: the seconds between handshakes that they ask
# for. IOS XR: `ssh server rate-limit`, 60 a minute, one each second (Cisco IOS XR System Security Command Reference).
PACES = {"Cisco-2": 1.1}

# A close without a word may come from the host or from a device in front of it. How far away another port of the host
# is tells which.
WORDLESS = frozenset({Ending.CLOSED, Ending.RESET})

# Servers that are known to hold nothing against an address for handshakes alone.
_WITHOUT_PENALTIES = frozenset({"dropbear", "tinyssh", "asyncssh"})


def _has_penalties(software: Software | None) -> bool:
    if software is None:
        return True
    if software.name == "openssh":
        return software.version >= (9, 8)
    return software.name not in _WITHOUT_PENALTIES


def limit(server: Server | None, depth: Depth, *, is_exempt: bool) -> int | None:
    """Return the most handshakes a run may make against this server, None when there is no limit.

    A login leaves no penalty (a child that exits after success counts none), so depth login has no limit either.
    """
    if is_exempt or depth is Depth.LOGIN or not _has_penalties(software_of(server)):
        return None
    return PENALTY_FREE


class Spelling(NamedTuple):
    """How a program spells what a user may change: options of a command line, or keys of a configuration."""

    handshakes: str
    concurrency: str
    exempt: str


OPTIONS = Spelling("--handshakes {}", "--concurrency {}", "--exempt")


class Refusal(NamedTuple):
    """Why a run must not go on: `asked` handshakes, in all or at once, of which the server tolerates `most`."""

    server: str
    asked: int
    most: int
    is_at_once: bool = False

    def sentence(self, spelling: Spelling = OPTIONS) -> str:
        """Return the refusal with what to change, in a program's own spelling."""
        if self.is_at_once:
            return (
                f"{self.asked} handshakes at once were asked for; {self.server} serves {self.most} from one address: "
                f"use {spelling.concurrency.format(self.most)}, or {spelling.exempt} when its limit is higher"
            )
        return (
            f"{self.asked} handshakes were asked for; {self.server} may shut this address out after {self.most}: "
            f"use {spelling.handshakes.format(self.most)}, or {spelling.exempt} when the server exempts this address"
        )


def refusal(server: Server | None, plan: Plan, addresses: int = 1) -> Refusal | None:
    """Return why a plan must not be carried out at this number of one server's addresses, None when it may."""
    most = limit(server, plan.depth, is_exempt=plan.exempt)
    handshakes = plan.handshakes * addresses
    name = server.software if server else "a server that has not said what it is"
    if most is not None and handshakes > most:
        return Refusal(name, handshakes, most)
    software = software_of(server)
    is_dropbear = software is not None and software.name == "dropbear"
    at_once = min(plan.at_once, handshakes - 1)
    if is_dropbear and not plan.exempt and at_once > DROPBEAR_AT_ONCE:
        return Refusal(name, at_once, DROPBEAR_AT_ONCE, is_at_once=True)
    return None


def policy(plan: Plan, spelling: Spelling = OPTIONS) -> Policy:
    """Return what a plan may do: what the server's software tolerates, and the tests that a burst calls for."""

    def why_not(server: Server | None, addresses: int) -> str | None:
        found = refusal(server, plan, addresses)
        return found and found.sentence(spelling)

    return Policy(why_not, lambda report: followups(report, plan), pace, is_refusal)


def is_refusal(words: bytes) -> bool:
    """Return whether a server has said in known words why it will not serve us."""
    if not words:
        return False
    from .sayings import EXCEEDED, NOT_ALLOWED, saying_in

    text = printable(words)
    return EXCEEDED in text or NOT_ALLOWED in text or saying_in([text]) is not None


def pace(server: Server | None) -> float:
    """Return the seconds between handshakes that a server's known small limit asks for, 0 for none."""
    software = server.software if server is not None else ""
    return next((seconds for prefix, seconds in PACES.items() if software.startswith(prefix)), 0.0)


def followups(report: Report, plan: Plan) -> tuple[Followup, ...]:
    """Return the further tests that tell causes apart: only where something failed, within the budget, in order."""
    endings = {handshake.ending for handshake in report.handshakes}
    if endings <= {Ending.COMPLETED}:
        return ()
    most = limit(report.server, report.depth, is_exempt=plan.exempt)
    has_spare = most is None or len(report.handshakes) < most
    wanted = [Followup.SECOND_SOURCE] if len(plan.sources) > 1 else []
    if report.completed:
        wanted += [Followup.ALONE] if has_spare else []
        is_witnessed = Followup.SECOND_SOURCE in wanted  # it tells a limit for each source from one for all
        if (
            not is_witnessed
            and _calls_for_second_burst(report)
            and _fits(report, [*wanted, Followup.SECOND_BURST], most)
        ):
            wanted += [Followup.SECOND_BURST]
    elif endings == {Ending.BANNER_TIMEOUT} and not any(h.text or h.spoke_first for h in report.handshakes):
        wanted += [Followup.SPEAK_FIRST] if has_spare else []
    elif (endings <= NOT_ACCEPTED and Ending.CONNECT_TIMEOUT in endings) or endings <= WORDLESS:
        wanted += [Followup.CONTROL_PORT] if plan.control_port is not None else []
    return tuple(wanted)


def handshakes_of(followup: Followup, report: Report) -> int:
    """Return how many handshakes a further test makes."""
    if followup is Followup.SECOND_BURST:
        return len(report.burst)
    return 0 if followup is Followup.CONTROL_PORT else 1


def _fits(report: Report, wanted: list[Followup], most: int | None) -> bool:
    more = sum(handshakes_of(followup, report) for followup in wanted)
    return most is None or len(report.handshakes) + more <= most


def _calls_for_second_burst(report: Report) -> bool:
    """Return whether one burst at one address was served up to some handshake, and not from there on."""
    burst = report.burst
    dropped = [handshake.is_early_close for handshake in burst]
    is_sharp = len(burst) > 1 and dropped == sorted(dropped) and dropped[-1]
    is_served = all(h.is_early_close or h.ending is Ending.COMPLETED for h in report.handshakes)
    # Of another server's limit the software tells, or silence: only sshd's words fit a limit and random drops alike.
    software = software_of(report.server)
    is_sshd = software is not None and software.name == "openssh"
    is_single = len({(h.address, h.wave) for h in burst}) == 1 and report.depth is not Depth.LOGIN
    return is_sharp and is_served and is_sshd and is_single and report.handshakes[0].ending is Ending.COMPLETED
