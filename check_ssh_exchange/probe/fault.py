"""What keeps us from measuring: our own faults and limits, never something the server did."""


class ProbeError(Exception):
    """We cannot measure; the message is the sentence behind UNKNOWN."""


class NoDescriptors(ProbeError):
    """The process or the system has no file descriptor left for one more handshake."""


class NameUnresolved(ProbeError):
    """The host name has no address of the family asked for, or the resolver does not answer."""
