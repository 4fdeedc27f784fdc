"""SSH before the keys without a socket: any bytes, in any pieces, with any end."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.wire.exchange import GOALS, MAX_BEFORE_GOAL, MAX_TEXT, TRANSITIONS, Exchange, Input, State
from check_ssh_exchange.wire.identification import MAX_LINE
from check_ssh_exchange.wire.packet import MAX_PACKET
from tests.fed import DEBUG, ENDS, EXT_INFO, IGNORE, NEWKEYS, after, connected
from tests.lab.fake_sshd import IDENTIFICATION, KEXINIT, disconnect, packet

READ = 4096  # what the engine hands over at most at once
LIVE = [state for state in State if state is not State.ENDED]

# Random bytes hardly ever hold what parsers stumble over: line ends, prefixes, lengths that lie.
SEPARATORS = [
    b"\r", b"\n", b"\r\n", b"\0", b"\x1b", b"x", b"S", b"SSH-", b"SSH-2.0-x", b"SSH-2.0-x\r\n", b"SSH-1.99-x y\n",
    b"SSH-1.5-x\n", b"SSH-2.0-\n", b"words of a server\r\n", b"\xff\xfe|", b"\0\0\0\0", b"\xff\xff\xff\xff",
    b"\0\0\0\x05\x04", b"\0\0\0\x0c\x0a\x14", b"\0\0\x88\xb8\x04", b"\0\0\x88\xb9\x04", bytes(300), b"y" * 300,
    b"y" * MAX_LINE, KEXINIT, KEXINIT[:40], NEWKEYS, IGNORE, DEBUG, EXT_INFO, packet(disconnect(2, b"go")),
    packet(b"\x01"), packet(b"\x14"), packet(b"\x50x"), b"Invalid SSH identification string.\r\n",
]  # fmt: skip
LINES = [b"\r", b"\n", b"\r\n", b"x", b"SSH", b"words", b"SSH-2.0-x"]  # all of them harmless: only cuts could hurt
MESSAGES = [IGNORE, DEBUG, EXT_INFO, KEXINIT, NEWKEYS]
STREAMS = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=14).map(b"".join),
    st.lists(st.sampled_from(MESSAGES), max_size=6).map(lambda messages: IDENTIFICATION + b"".join(messages)),
    st.lists(st.one_of(st.sampled_from(SEPARATORS), st.binary(max_size=8)), max_size=14).map(b"".join),
)
LIKELY = st.tuples(st.sampled_from([b"", b"hello\n", b"SSH-2.0-x\r\n", b"SSH-2.0-x\n" + KEXINIT]), STREAMS).map(
    b"".join
)
DEPTHS = st.sampled_from(list(Depth))


def pieces_of(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    for start, end in itertools.pairwise([0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]):
        yield data[start:end]


def outcome(exchange: Exchange) -> tuple[object, ...]:
    found = (exchange.state, exchange.ending, exchange.identification, exchange.kexinit)
    if exchange.ending in (Ending.NOT_SSH, Ending.PROTOCOL_ERROR):
        return found  # how much of the nonsense had come when it was recognized depends on the cuts
    return (*found, exchange.text, exchange.detail)


# --- properties


def no_message_with_the_kexinit_decides(whole: Exchange, depth: Depth) -> bool:
    """Whether no DISCONNECT came at once with the KEXINIT; where one comes later, the handshake has completed."""
    return depth is not Depth.KEXINIT or whole.kexinit is None or whole.ending is Ending.COMPLETED


@settings(deadline=None, max_examples=300)
@given(LIKELY, st.lists(st.integers(0, 1 << 16), max_size=8), DEPTHS, st.sampled_from(sorted(ENDS)))
def test_cuts_between_reads_change_nothing(data: bytes, cuts: list[int], depth: Depth, end: str) -> None:
    whole, cut = after(data, depth=depth), after(*pieces_of(data, cuts), depth=depth)
    assume(no_message_with_the_kexinit_decides(whole, depth))
    ENDS[end](whole)
    ENDS[end](cut)
    assert outcome(cut) == outcome(whole)
    assert end == "none" or whole.ending is not None


@settings(deadline=None, max_examples=100)
@given(LIKELY, DEPTHS, st.sampled_from(sorted(ENDS)))
def test_a_byte_at_a_time_is_like_all_at_once(data: bytes, depth: Depth, end: str) -> None:
    data = data[:2000]
    whole, slow = after(data, depth=depth), after(*(bytes((byte,)) for byte in data), depth=depth)
    assume(no_message_with_the_kexinit_decides(whole, depth))
    ENDS[end](whole)
    ENDS[end](slow)
    assert outcome(slow) == outcome(whole)


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.sampled_from(sorted(ENDS)), min_size=1, max_size=3), DEPTHS)
def test_any_bytes_and_any_order_of_ends_give_one_ending_that_stays(data: bytes, ends: list[str], depth: Depth) -> None:
    exchange = after(data, depth=depth)
    for end in [*ends, "FIN"]:
        before = exchange.ending
        ENDS[end](exchange)
        exchange.receive(IDENTIFICATION + KEXINIT, 10)
        assert before is None or exchange.ending is before
    assert exchange.state is State.ENDED
    assert exchange.ended_at is not None


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("start", [b"", IDENTIFICATION, IDENTIFICATION + KEXINIT, IDENTIFICATION + KEXINIT + NEWKEYS])
@pytest.mark.parametrize(
    "flood", [b"x", b"x\n", b"\n", b"SSH-2.0-x", IGNORE, DEBUG * 9, b"\0\0\x88\xb4\x04\x02", b"\0"]
)
def test_no_flood_fills_the_memory(depth: Depth, start: bytes, flood: bytes) -> None:
    exchange = after(start, depth=depth)
    block = flood * (READ // len(flood))  # whole messages, so that a flood of valid ones stays valid
    for _ in range(2 * MAX_BEFORE_GOAL // len(block)):
        exchange.receive(block, 3)
        assert len(exchange._lines.rest) <= MAX_LINE + READ
        assert len(exchange._packets) <= MAX_PACKET + READ
        assert len(exchange.text) <= MAX_TEXT
    # Once keys are in force the bytes are for asyncssh, and it or the deadline ends the handshake.
    assert exchange.ending is not None or exchange.state is State.AWAITING_LOGIN


# --- the table of states

TO_STATE: dict[State, list[bytes]] = {
    State.AWAITING_IDENTIFICATION: [],
    State.READING_TEXT: [b"hello\n"],
    State.AWAITING_KEXINIT: [IDENTIFICATION],
    State.AWAITING_NEWKEYS: [IDENTIFICATION, KEXINIT],
    State.AWAITING_LOGIN: [IDENTIFICATION, KEXINIT, NEWKEYS],
}
BY_BYTES: dict[Input, bytes] = {
    Input.WORDS: b"words\r\n",
    Input.IDENTIFICATION: IDENTIFICATION,
    Input.KEXINIT: KEXINIT,
    Input.NEWKEYS: NEWKEYS,
    Input.DISCONNECT: packet(disconnect(2, b"no")),
    Input.NOT_SSH: b"\0",
    Input.MALFORMED: b"SSH-1.5-x\n",
}


def in_state(state: State, depth: Depth = Depth.LOGIN) -> Exchange:
    return Exchange(depth) if state is State.CONNECTING else after(*TO_STATE[state], depth=depth)


def happen(exchange: Exchange, what: Input) -> None:
    if what is Input.CONNECTED:
        exchange.connected(5)
    elif what is Input.END_OF_STREAM:
        exchange.end_of_stream(5)
    elif what is Input.RESET:
        exchange.reset(5)
    elif what is Input.DEADLINE:
        exchange.deadline(5)
    elif what in BY_BYTES and exchange.state is not State.AWAITING_LOGIN:
        malformed = what is Input.MALFORMED and exchange.identification is not None
        exchange.receive(bytes(4) if malformed else BY_BYTES[what], 5)
    else:
        exchange.on(what, 5)


@pytest.mark.parametrize("state", LIVE)
def test_every_live_state_has_a_deadline(state: State) -> None:
    assert TRANSITIONS[state][Input.DEADLINE] in Ending


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("what", list(Input))
def test_every_state_takes_from_the_wire_what_the_table_says_and_nothing_else(state: State, what: Input) -> None:
    exchange = in_state(state)
    assert exchange.state is state
    following = TRANSITIONS[state].get(what)
    if following is None:
        with pytest.raises(KeyError):
            exchange.on(what, 5)
        assert (exchange.state, exchange.ending) == (state, None)
        return
    happen(exchange, what)
    if isinstance(following, State):
        assert (exchange.state, exchange.ending, exchange.ended_at) == (following, None, None)
    else:
        assert (exchange.state, exchange.ending, exchange.ended_at) == (State.ENDED, following, 5)


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("what", list(Input))
def test_an_ended_handshake_takes_no_input(depth: Depth, what: Input) -> None:
    exchange = connected(depth)
    exchange.end_of_stream(4)
    with pytest.raises(KeyError):
        exchange.on(what, 5)
    assert (exchange.ending, exchange.ended_at) == (Ending.CLOSED, 4)


@pytest.mark.parametrize("depth", list(Depth))
def test_the_goal_of_a_depth_completes_it_where_it_is_due_and_nowhere_else(depth: Depth) -> None:
    before = (State.AWAITING_IDENTIFICATION, State.READING_TEXT)
    due = {
        Depth.KEXINIT: State.AWAITING_KEXINIT,
        Depth.HOSTKEY: State.AWAITING_NEWKEYS,
        Depth.KEX: State.AWAITING_NEWKEYS,
        Depth.LOGIN: State.AWAITING_LOGIN,
    }
    for state in LIVE:
        exchange = Exchange(depth)
        exchange.state = state
        if state in before if depth is Depth.BANNER else state is due[depth]:
            exchange.on(GOALS[depth], 5)
            assert (exchange.state, exchange.ending, exchange.ended_at) == (State.ENDED, Ending.COMPLETED, 5)
        else:
            with pytest.raises(KeyError):
                exchange.on(GOALS[depth], 5)


def test_every_state_and_every_ending_is_reached() -> None:
    reached = set(itertools.chain.from_iterable(following.values() for following in TRANSITIONS.values()))
    assert {State.CONNECTING, *reached} == {*LIVE, *Ending}


# --- the whole server side

SERVER_SIDE = IDENTIFICATION + KEXINIT


@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("length", range(len(SERVER_SIDE) + 1))
def test_the_server_may_go_at_every_byte(length: int, end: str) -> None:
    exchange = after(SERVER_SIDE[:length])
    ENDS[end](exchange)
    if length >= len(IDENTIFICATION):
        expected = Ending.CLOSED_AFTER_BANNER if length < len(SERVER_SIDE) else Ending.COMPLETED
    elif end == "RST":
        expected = Ending.RESET
    else:
        expected = Ending.TURNED_AWAY if length else Ending.CLOSED
    assert exchange.ending is expected
    assert exchange.text == (SERVER_SIDE[:length] if length < len(IDENTIFICATION) else b"")
