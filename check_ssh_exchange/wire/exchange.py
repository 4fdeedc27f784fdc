"""One handshake seen from the client, as a table of states; the caller brings bytes and times, and reads the ending.

The client speaks second: it stays silent until the server's identification has come. Were it to speak first, its
unread line would turn the server's FIN into a RST at random and could take the server's words with it (Linux resets a
socket that is closed with unread data). `speaks_first` is for a server that waits for its client, as some frontends do.

Times are whole nanoseconds on any one clock. They are handed in, so a test needs neither a socket nor a wait.
"""

import re
from enum import Enum, auto

from .. import __version__
from ..ending import EARLY_CLOSES, NOT_ACCEPTED, Depth, Ending, Reason
from . import kexinit
from .identification import PREFIX, Identification, Lines, Malformed, NotSSH, WireError, parse_line
from .packet import Message, disconnect, packet, parse_disconnect, take_packet, take_string

CLIENT_IDENTIFICATION = b"SSH-2.0-check_ssh_exchange_" + __version__.encode() + b"\r\n"

# Reason 11, SSH_DISCONNECT_BY_APPLICATION: OpenSSH logs it at INFO and every other at ERROR (packet.c), and
# fail2ban's filters count reasons 3 and 14.
DISCONNECT = (11, b"check_ssh_exchange: probe done")

MAX_TEXT = 1024  # what is kept of a server's words that are not an identification; a sentence is what we look for
MAX_BEFORE_GOAL = 1 << 20  # bytes of tolerated packets (IGNORE, DEBUG) before the goal; no server sends that many


TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host_key import ShownKey
    from .key_exchange import KeyExchange


class State(Enum):
    """What the handshake waits for."""

    __hash__ = object.__hash__  # Enum's own is a call in Python, paid at each look into TRANSITIONS

    CONNECTING = auto()
    AWAITING_IDENTIFICATION = auto()
    READING_TEXT = auto()  # lines came that are not an identification; one may still follow (RFC 4253 4.2)
    AWAITING_KEXINIT = auto()
    AWAITING_NEWKEYS = auto()
    AWAITING_LOGIN = auto()
    ENDED = auto()


class Input(Enum):
    """What can happen to a handshake."""

    __hash__ = object.__hash__

    CONNECTED = auto()
    REFUSED = auto()
    REJECTED = auto()
    UNREACHABLE = auto()
    WORDS = auto()
    IDENTIFICATION = auto()
    KEXINIT = auto()
    HOST_KEY = auto()
    NEWKEYS = auto()
    LOGGED_IN = auto()
    DISCONNECT = auto()
    END_OF_STREAM = auto()
    RESET = auto()
    DEADLINE = auto()
    NOT_SSH = auto()
    MALFORMED = auto()


_BEFORE_IDENTIFICATION: dict[Input, State | Ending] = {
    Input.WORDS: State.READING_TEXT,
    Input.IDENTIFICATION: State.AWAITING_KEXINIT,
    Input.DEADLINE: Ending.BANNER_TIMEOUT,
    Input.NOT_SSH: Ending.NOT_SSH,
    Input.MALFORMED: Ending.PROTOCOL_ERROR,
}
_AFTER_IDENTIFICATION: dict[Input, State | Ending] = {
    Input.DISCONNECT: Ending.CLOSED_AFTER_BANNER,
    Input.END_OF_STREAM: Ending.CLOSED_AFTER_BANNER,
    Input.RESET: Ending.CLOSED_AFTER_BANNER,
    Input.DEADLINE: Ending.KEXINIT_TIMEOUT,
    Input.MALFORMED: Ending.PROTOCOL_ERROR,
}

# An input that is the goal of the depth asked for ends the handshake as completed, wherever this table has it.
TRANSITIONS: dict[State, dict[Input, State | Ending]] = {
    State.CONNECTING: {
        Input.CONNECTED: State.AWAITING_IDENTIFICATION,
        Input.REFUSED: Ending.REFUSED,
        Input.REJECTED: Ending.REJECTED,
        Input.UNREACHABLE: Ending.UNREACHABLE,
        Input.DEADLINE: Ending.CONNECT_TIMEOUT,
    },
    State.AWAITING_IDENTIFICATION: {
        **_BEFORE_IDENTIFICATION,
        Input.END_OF_STREAM: Ending.CLOSED,
        Input.RESET: Ending.RESET,
    },
    State.READING_TEXT: {
        **_BEFORE_IDENTIFICATION,
        Input.END_OF_STREAM: Ending.TURNED_AWAY,
        Input.RESET: Ending.TURNED_AWAY,
    },
    State.AWAITING_KEXINIT: {**_AFTER_IDENTIFICATION, Input.KEXINIT: State.AWAITING_NEWKEYS},
    State.AWAITING_NEWKEYS: {
        **_AFTER_IDENTIFICATION,
        Input.HOST_KEY: State.AWAITING_NEWKEYS,
        Input.NEWKEYS: State.AWAITING_LOGIN,
    },
    State.AWAITING_LOGIN: {**_AFTER_IDENTIFICATION, Input.LOGGED_IN: Ending.COMPLETED},
}

GOALS: dict[Depth, Input] = {
    Depth.BANNER: Input.IDENTIFICATION,
    Depth.KEXINIT: Input.KEXINIT,
    Depth.HOSTKEY: Input.HOST_KEY,
    Depth.KEX: Input.NEWKEYS,
    Depth.LOGIN: Input.LOGGED_IN,
}


# Python 3.11 takes 0.1 us to look up a member of an Enum; those that every handshake needs are looked up once.
_COMPLETED = Ending.COMPLETED
_CONNECTING, _AWAITING_IDENTIFICATION, _ENDED = State.CONNECTING, State.AWAITING_IDENTIFICATION, State.ENDED
_AWAITING_KEXINIT, _AWAITING_LOGIN = State.AWAITING_KEXINIT, State.AWAITING_LOGIN
_SAYS_DISCONNECT, _SAYS_KEXINIT = int(Message.DISCONNECT), int(Message.KEXINIT)
_IDENTIFICATION, _KEXINIT, _HOST_KEY = Input.IDENTIFICATION, Input.KEXINIT, Input.HOST_KEY


class Exchange:
    """The state of one handshake. `ending` is None while it lasts; the `*_at` times are None until they happened."""

    __slots__ = (
        "_consumed",
        "_goal",
        "_key_exchange",
        "_lines",
        "_packets",
        "_words",
        "asked_at",
        "banner_at",
        "connected_at",
        "detail",
        "disconnect_reason",
        "ended_at",
        "ending",
        "host_key",
        "host_key_algorithm",
        "host_key_algorithms",
        "hostkey_at",
        "identification",
        "kexinit",
        "kexinit_at",
        "login_at",
        "newkeys_at",
        "outgoing",
        "reason",
        "sent_at",
        "speaks_first",
        "state",
    )

    def __init__(
        self, depth: Depth, *, speaks_first: bool = False, host_key_algorithms: tuple[bytes, ...] = ()
    ) -> None:
        self.state = _CONNECTING
        self.ending: Ending | None = None
        self.identification: Identification | None = None
        self.kexinit: kexinit.KexInit | None = None
        self.detail = ""
        self.reason: Reason | None = None
        self.disconnect_reason: int | None = None
        self.outgoing = b""
        self.connected_at: int | None = None
        self.banner_at: int | None = None
        self.sent_at: int | None = None
        self.kexinit_at: int | None = None
        self.asked_at: int | None = None  # when the message that makes the server show its host key was sent
        self.hostkey_at: int | None = None
        self.newkeys_at: int | None = None
        self.host_key: ShownKey | None = None
        self.host_key_algorithm: bytes | None = None  # the one that was asked for
        self.login_at: int | None = None
        self.ended_at: int | None = None
        self._goal = GOALS[depth]
        self.host_key_algorithms = host_key_algorithms
        self._key_exchange: KeyExchange | None = None
        self.speaks_first = speaks_first
        self._lines = Lines()
        self._packets = b""
        self._words = b""
        self._consumed = 0

    @property
    def text(self) -> bytes:
        """The server's words that are not an identification: lines joined by LF, at most MAX_TEXT bytes."""
        return self._words

    def on(self, what: Input, at: int, detail: str = "", reason: Reason | None = None) -> None:
        """Take one input. Raises KeyError for an input that the state cannot meet: a fault of the caller."""
        following = TRANSITIONS[self.state][what]
        if what is self._goal:
            following = _COMPLETED
        if isinstance(following, State):
            self.state = following
            return
        self.state = _ENDED
        self.ending = following
        self.ended_at = at
        self.detail = detail
        self.reason = reason

    def connected(self, at: int) -> None:
        """The connection was established at `at`."""
        self.connected_at = at
        self.state = _AWAITING_IDENTIFICATION
        if self.speaks_first and self._goal in _OURS:  # deeper, asyncssh says it
            self.outgoing = CLIENT_IDENTIFICATION

    def receive(self, data: bytes, at: int) -> None:
        """Take bytes that arrived at `at`; any bytes, in any pieces."""
        if self.ending is not None:
            return
        try:
            if self.identification is None:
                self._lines.feed(data)
                self._read_lines(at)
            elif self.state is not _AWAITING_LOGIN:  # from there on the bytes are encrypted, and not for us
                self._packets += data
                self._read_packets(at)
        except WireError as error:
            if error.words:
                self._keep(error.words)
            self.on(Input.NOT_SSH if isinstance(error, NotSSH) else Input.MALFORMED, at, str(error), error.reason)

    def end_of_stream(self, at: int) -> None:
        """The server sent FIN at `at`."""
        if self.ending is not None:
            return
        if self.identification is None and self._lines.rest:
            # A last line without its line end. Were it an identification, no client could know that it is whole.
            self._keep(self._lines.rest)
            self.on(Input.WORDS, at)
        self.on(Input.END_OF_STREAM, at)

    def reset(self, at: int, detail: str = "") -> None:
        """The server, or something between, sent RST at `at`."""
        if self.ending is not None:
            return
        rest = self._lines.rest
        if self.identification is None and rest:
            self._keep(rest)
            if not rest.startswith(PREFIX[: len(rest)]):
                self.on(Input.WORDS, at)
        self.on(Input.RESET, at, detail, Reason.RST)

    def deadline(self, at: int) -> None:
        """Time is up at `at`."""
        if self.ending is None:
            if self.identification is None and self._lines.rest:
                self._keep(self._lines.rest)
            self.on(Input.DEADLINE, at)

    def logged_in(self, at: int) -> None:
        """The server accepted the public key at `at`."""
        self.login_at = at
        self.on(Input.LOGGED_IN, at)

    @property
    def is_answer_due(self) -> bool:
        """Whether the server may still send, so that a socket closed now would answer it with a RST."""
        if self.state is _CONNECTING or self.ending in _ENDED_BY_SERVER:
            return False
        # With a DISCONNECT behind its KEXINIT a server has nothing more to say (measured on nine of them).
        return self.ending is not _COMPLETED or self._goal in (_IDENTIFICATION, _HOST_KEY)

    def disconnect_packet(self) -> bytes:
        """Return what a client that leaves now owes the server: DISCONNECT once its KEXINIT was sent, else nothing."""
        return disconnect(*DISCONNECT) if self.sent_at is not None and self._goal in (_KEXINIT, _HOST_KEY) else b""

    def _keep(self, words: bytes) -> None:
        if len(self._words) < MAX_TEXT:
            self._words = (self._words + b"\n" + words if self._words else words)[:MAX_TEXT]

    def _read_lines(self, at: int) -> None:
        while (line := self._lines.next_line()) is not None:
            if not line.startswith(PREFIX):
                self._keep(line)
                self.on(Input.WORDS, at)
                continue
            self._identified(parse_line(line), at)
            return

    def _identified(self, found: Identification, at: int) -> None:
        self.identification = found
        self.banner_at = at
        if self._goal is _KEXINIT or self._goal is _HOST_KEY:
            offer = packet(kexinit.build(self._lists()))
            self.outgoing = offer if self.speaks_first else CLIENT_IDENTIFICATION + offer
        elif self._goal is _IDENTIFICATION and not self.speaks_first:
            self.outgoing = CLIENT_IDENTIFICATION
        self.on(_IDENTIFICATION, at)
        # A server may send its KEXINIT in the same segment, before it has read ours (dropbear does).
        if self.ending is None and self._lines.rest:
            self._packets = self._lines.rest
            self._read_packets(at)

    def _lists(self) -> bytes | None:
        if self._goal is _KEXINIT:
            return None
        from .key_exchange import NAMES

        return kexinit.lists_asking(NAMES, self.host_key_algorithms)

    def _read_packets(self, at: int) -> None:
        while self.ending is None and self.state is not _AWAITING_LOGIN:
            try:
                taken = take_packet(self._packets)
            except Malformed:
                if not _is_text(self._packets) or len(self._packets) > MAX_TEXT:
                    # Perhaps a refusal in the packets of version 1, whose words stand in clear.
                    if readable := re.search(_READABLE, self._packets[:MAX_TEXT]):
                        self._keep(readable[0])
                    raise
                # OpenSSH answers a client line that it dislikes in plain text and closes ("Invalid SSH identification
                # string."), and does so to somebody else's line too: a load balancer's PROXY header.
                self._words = self._packets.strip()
                return
            if taken is None:
                return
            payload, rest = taken
            self._consumed += len(self._packets) - len(rest)
            self._packets = rest
            self._message(payload, at)

    def _is_disconnect_next(self) -> bool:
        try:
            taken = take_packet(self._packets)
        except Malformed:
            return False
        return taken is not None and taken[0][0] == _SAYS_DISCONNECT

    def _message(self, payload: bytes, at: int) -> None:
        number = payload[0]
        if number == _SAYS_DISCONNECT:
            reason, description = parse_disconnect(payload)
            self.disconnect_reason = reason
            self._keep(description)
            self.on(Input.DISCONNECT, at, f"disconnect reason {reason}", Reason.DISCONNECT)
        elif number == _SAYS_KEXINIT and self.state is _AWAITING_KEXINIT:
            self.kexinit = kexinit.parse(payload)
            self.kexinit_at = at
            if self._goal is _KEXINIT and self._is_disconnect_next():
                self.state = State.AWAITING_NEWKEYS  # a DISCONNECT came with it, and decides
            else:
                self.on(_KEXINIT, at)
            if self._goal is _HOST_KEY:
                self._ask_for_host_key(self.kexinit)
        elif number >= _METHOD_SPECIFIC and self.state is State.AWAITING_NEWKEYS:
            self._exchange_keys(payload, at)
        elif number == Message.NEWKEYS and self.state is State.AWAITING_NEWKEYS:
            if self._goal is _HOST_KEY:
                raise Malformed(Reason.UNEXPECTED_MESSAGE, "NEWKEYS before the host key")
            self.newkeys_at = at
            self.on(Input.NEWKEYS, at)
        elif self._consumed > MAX_BEFORE_GOAL:
            raise Malformed(Reason.TOO_MUCH_DATA, f"{self._consumed} bytes of packets before the one that was due")
        elif self.state is State.AWAITING_KEXINIT and number not in _TOLERATED:
            raise Malformed(Reason.UNEXPECTED_MESSAGE, f"message {number} before KEXINIT")

    def _ask_for_host_key(self, offered: kexinit.KexInit) -> None:
        from .key_exchange import KeyExchange

        ours = (*self.host_key_algorithms, *kexinit.OFFER[1].split(b","))
        self.host_key_algorithm = next((name for name in ours if name in offered.host_key), None)
        self._key_exchange = KeyExchange(offered.kex)
        self.outgoing += packet(self._key_exchange.offer)

    def _exchange_keys(self, payload: bytes, at: int) -> None:
        if self._key_exchange is not None:
            found, following = self._key_exchange.take(payload)
            self.outgoing += packet(following) if following else b""
            if not following:
                self._show(found, at)
        elif payload[0] in _REPLIES:  # asyncssh's key exchange, seen from beside
            self._show(take_string(payload, 1)[0], at)

    def _show(self, blob: bytes, at: int) -> None:
        from .host_key import parse, type_of

        self.host_key = shown = parse(blob)
        wanted = self.host_key_algorithm
        if wanted is not None and shown.type != type_of(wanted):
            what = f"{shown.type.decode('ascii', 'backslashreplace')} where {wanted.decode()} was agreed"
            raise Malformed(Reason.BAD_PACKET, f"a host key of type {what}")
        self.hostkey_at = at
        self.on(_HOST_KEY, at)


_ENDED_BY_SERVER = EARLY_CLOSES | NOT_ACCEPTED
_OURS = frozenset({_IDENTIFICATION, _KEXINIT, _HOST_KEY})  # the goals that need no asyncssh
_METHOD_SPECIFIC = 30  # RFC 4250 4.1.2: numbers whose meaning depends on the key exchange method
_REPLIES = (31, 33)
_TOLERATED = frozenset({Message.IGNORE, Message.UNIMPLEMENTED, Message.DEBUG, Message.EXT_INFO})


_READABLE = rb"[ -~]{8,}"  # compiled where it is needed, which is hardly ever


def _is_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in data)
