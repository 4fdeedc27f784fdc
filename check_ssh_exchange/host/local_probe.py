"""One handshake with each listener at its own address, by the engine of check_ssh_exchange: is it served from here?"""

from ..diagnosis.evaluate import evaluate
from ..diagnosis.verdict import Expectations
from ..ending import Depth
from ..measure import Plan, Target, measure
from .snapshot import Snapshot
from .sshd import Daemon, Socket, daemons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 5.0
MOST = 16  # handshakes; OpenSSH 9.8 and later refuse an address after that many
# Where a listener on every address is asked.
_OWN = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, not what we bind


def probe(seen: Snapshot, ports: tuple[int, ...]) -> None:
    """Add to a snapshot what each listener of our network namespace answers to a handshake."""
    own = seen.link("/proc/self/ns/net")
    found: list[dict[str, Any]] = []
    for daemon in daemons(seen, ports):
        theirs = seen.link(f"/proc/{daemon.pid}/ns/net")
        if theirs is not None and theirs != own:
            continue
        found += [asked(daemon, socket) for socket in daemon.listening[: MOST - len(found)]]
    seen.document["probes"] = found  # type: ignore[index]


def asked(daemon: Daemon, socket: Socket, port: int | None = None) -> "dict[str, Any]":
    """Return how one handshake ended, as the record holds it."""
    address = _OWN.get(socket.address, socket.address)
    plan = Plan(handshakes=1, depth=Depth.HOSTKEY, timeout=SECONDS)
    report = measure(Target(address, port or socket.port), plan)
    outcome = evaluate(report, None, Expectations())
    first = report.handshakes[0] if report.handshakes else None
    return {
        "pid": daemon.pid,
        "address": address,
        "port": port or socket.port,
        "ending": first and str(first.ending),
        "text": first and first.text,
        "banner": first and first.banner,
        "seconds": SECONDS,
        "cause": str(outcome.diagnosis.cause),
        "confidence": str(outcome.diagnosis.confidence),
        "keys": [[key.plain_type, key.fingerprint] for key in report.host_keys],
        "fault": report.fault and report.fault.sentence,
    }
