"""What keeps us from measuring: this machine's errors and limits, never something the server did."""

from ..report import Fault, FaultKind


class ProbeError(Exception):
    """We cannot measure; the message is the sentence behind UNKNOWN."""

    kind = FaultKind.LOCAL

    @property
    def fault(self) -> Fault:
        """Return the error as a report holds it."""
        return Fault(self.kind, str(self))


class NoDescriptors(ProbeError):
    """The process or the system has no file descriptor left for one more handshake."""


class UnusableAddress(ProbeError):
    """An address cannot be used from this machine: it lacks the address family, or a local address for it."""


class NameUnresolved(ProbeError):
    """The host name has no address of the family asked for, or the resolver does not answer in time."""

    kind = FaultKind.NAME_RESOLUTION


class OverBudget(ProbeError):
    """More handshakes are asked for than the server tolerates."""

    kind = FaultKind.BUDGET
