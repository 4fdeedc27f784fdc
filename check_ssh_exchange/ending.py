"""The thirteen ways a handshake ends: one word each, from the wire to the graph."""

from enum import StrEnum


class Ending(StrEnum):
    """What the server or the network did; the value is the label in JSON, perfdata, metrics and documents."""

    COMPLETED = "completed"
    CLOSED = "closed"
    RESET = "reset"
    TURNED_AWAY = "turned_away"
    CLOSED_AFTER_BANNER = "closed_after_banner"
    BANNER_TIMEOUT = "banner_timeout"
    KEXINIT_TIMEOUT = "kexinit_timeout"
    REFUSED = "refused"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    NOT_SSH = "not_ssh"
    PROTOCOL_ERROR = "protocol_error"


# The server accepted the connection and gave it up before the key exchange: what ssh(1) reports as
# "ssh_exchange_identification: Connection closed by remote host".
EARLY_CLOSES = frozenset({Ending.CLOSED, Ending.RESET, Ending.TURNED_AWAY, Ending.CLOSED_AFTER_BANNER})

TIMEOUTS = frozenset({Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT, Ending.CONNECT_TIMEOUT})

# No connection came about, so these never count among "connections the server accepted".
NOT_ACCEPTED = frozenset({Ending.REFUSED, Ending.REJECTED, Ending.UNREACHABLE, Ending.CONNECT_TIMEOUT})


class Depth(StrEnum):
    """How far a handshake goes before it counts as completed."""

    __hash__ = str.__hash__  # Enum's own is a call in Python

    BANNER = "banner"
    KEXINIT = "kexinit"
    KEX = "kex"
    LOGIN = "login"
