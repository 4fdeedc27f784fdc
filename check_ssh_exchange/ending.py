"""How a handshake ends: thirteen endings, one word each from the wire to the graph, and the reasons behind them."""

from enum import StrEnum


class Ending(StrEnum):
    """What the server or the network did; the value is the label in JSON, perfdata, metrics and documents."""

    __hash__ = str.__hash__  # Enum's own is a call in Python

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

    @property
    def phrase(self) -> str:
        """Return how a sentence speaks of this ending: `2 of 5 handshakes turned away`."""
        return _PHRASES[self]


_PHRASES: dict[Ending, str] = {
    Ending.COMPLETED: "completed",
    Ending.CLOSED: "closed without a word",
    Ending.RESET: "reset",
    Ending.TURNED_AWAY: "turned away",
    Ending.CLOSED_AFTER_BANNER: "closed after the banner",
    Ending.BANNER_TIMEOUT: "left without a banner",
    Ending.KEXINIT_TIMEOUT: "silent behind the identification",
    Ending.REFUSED: "refused",
    Ending.REJECTED: "rejected by ICMP",
    Ending.UNREACHABLE: "unreachable",
    Ending.CONNECT_TIMEOUT: "unanswered",
    Ending.NOT_SSH: "answered by something that is not SSH",
    Ending.PROTOCOL_ERROR: "ended by a protocol error",
}

# The server accepted the connection and gave it up before the key exchange: what ssh(1) reports as
# "ssh_exchange_identification: Connection closed by remote host".
EARLY_CLOSES = frozenset({Ending.CLOSED, Ending.RESET, Ending.TURNED_AWAY, Ending.CLOSED_AFTER_BANNER})

TIMEOUTS = frozenset({Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT, Ending.CONNECT_TIMEOUT})

# No connection came about, so these never count among "connections the server accepted".
NOT_ACCEPTED = frozenset({Ending.REFUSED, Ending.REJECTED, Ending.UNREACHABLE, Ending.CONNECT_TIMEOUT})


class Reason(StrEnum):
    """Why a handshake ended as it did, where the ending alone does not tell. Rules read this; people read `detail`."""

    # no connection
    RST = "rst"
    ICMP = "icmp"
    SYN_UNANSWERED = "syn_unanswered"
    NO_NEIGHBOUR = "no_neighbour"
    NO_ROUTE = "no_route"
    UNUSABLE_ADDRESS = "unusable_address"  # this machine cannot use it: an address family or a source that it lacks
    # what the server sent
    TOO_MANY_LINES = "too_many_lines"
    LONG_LINE = "long_line"
    NUL_BYTE = "nul_byte"
    LONG_IDENTIFICATION = "long_identification"
    OLD_PROTOCOL = "old_protocol"
    NO_SOFTWARE = "no_software"
    CONTROL_CHARACTER = "control_character"
    BAD_PACKET = "bad_packet"
    UNEXPECTED_MESSAGE = "unexpected_message"
    TOO_MUCH_DATA = "too_much_data"
    DISCONNECT = "disconnect"
    # the key exchange
    HOST_KEY = "host_key"  # it is not among those to accept
    KEY_EXCHANGE = "key_exchange"


class Depth(StrEnum):
    """How far a handshake goes before it counts as completed."""

    __hash__ = str.__hash__  # Enum's own is a call in Python

    BANNER = "banner"
    KEXINIT = "kexinit"
    HOSTKEY = "hostkey"
    KEX = "kex"
    LOGIN = "login"
