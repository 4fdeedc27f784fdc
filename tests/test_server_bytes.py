"""Identifications, packets and KEXINITs, ours and a server's, example by example."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange import __version__
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.wire import kexinit as own_kexinit
from check_ssh_exchange.wire import packet as own_packet
from check_ssh_exchange.wire.exchange import MAX_TEXT
from check_ssh_exchange.wire.identification import MAX_LINES, Identification, Malformed, parse_line
from check_ssh_exchange.wire.packet import MAX_PACKET
from tests.fed import DEBUG, ENDS, EXT_INFO, IGNORE, UNIMPLEMENTED, after, connected
from tests.lab.fake_sshd import IDENTIFICATION, KEXINIT, LISTS, disconnect, kexinit, packet, payloads, string

# --- identifications


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", (b"2.0", b"OpenSSH_9.2p1", b"Debian-2+deb12u3")),
        (b"SSH-2.0-dropbear", (b"2.0", b"dropbear", b"")),
        (b"SSH-1.99-Cisco-1.25", (b"1.99", b"Cisco-1.25", b"")),
        (b"SSH-2.0-a two  words ", (b"2.0", b"a", b"two  words ")),
        (b"SSH-2.0--", (b"2.0", b"-", b"")),
        (b"SSH-2.0-caf\xc3\xa9|x", (b"2.0", b"caf\xc3\xa9|x", b"")),
    ],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_an_identification_has_three_parts_behind_either_line_end(
    line: bytes, parts: tuple[bytes, bytes, bytes], line_end: bytes
) -> None:
    exchange = after(line + line_end, depth=Depth.BANNER)
    assert exchange.ending is Ending.COMPLETED
    assert exchange.identification == Identification(line, *parts) == parse_line(line)
    assert exchange.banner_at == 2


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"SSH-1.5-old\n", "an identification of protocol 1.5"),
        (b"SSH-3.0-new\n", "an identification of protocol 3.0"),
        (b"SSH-\n", "an identification of protocol (none)"),
        (b"SSH-2.0\r\n", "an identification without a software version"),
        (b"SSH-\xff-x\n", "an identification of protocol \\xff"),
        (
            b"SSH-2.0-\r\n",
            "an identification without a software version, which OpenSSH refuses and paramiko and asyncssh accept",
        ),
        (b"SSH-2.0-a\0b\n", "a NUL or CR in the identification"),
        (b"SSH-2.0-a\rb\n", "a NUL or CR in the identification"),
        (b"SSH-2.0-" + b"x" * 8185, "an identification of more than 8192 bytes"),
    ],
)
def test_an_identification_that_no_client_accepts_is_a_protocol_error(line: bytes, detail: str) -> None:
    exchange = after(line)
    assert (exchange.ending, exchange.identification, exchange.detail) == (Ending.PROTOCOL_ERROR, None, detail)
    assert exchange.text == line.rstrip(b"\r\n")[:MAX_TEXT]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_an_identification_may_have_8192_bytes_without_its_line_end(line_end: bytes) -> None:
    longest = b"SSH-2.0-".ljust(8192, b"x")
    assert after(longest + line_end, depth=Depth.BANNER).ending is Ending.COMPLETED
    assert after(longest + b"x" + line_end).ending is Ending.PROTOCOL_ERROR


def test_lines_before_the_identification_are_kept_as_text() -> None:
    exchange = after(b"Welcome\r\n\nSSH is here\r\n" + IDENTIFICATION, depth=Depth.BANNER)
    assert (exchange.ending, exchange.text) == (Ending.COMPLETED, b"Welcome\n\nSSH is here")


def test_the_identification_may_be_line_1024_and_no_later() -> None:
    lines = b"x\r\n" * (MAX_LINES - 1)
    assert after(lines + IDENTIFICATION, depth=Depth.BANNER).ending is Ending.COMPLETED
    late = after(lines + b"x\r\n" + IDENTIFICATION)
    assert (late.ending, late.detail) == (Ending.NOT_SSH, "more than 1024 lines before an identification")
    assert after(lines + b"x\r\n").ending is None


def test_a_line_before_the_identification_may_have_8192_bytes_and_no_more() -> None:
    assert after(b"x" * 8192 + b"\n" + IDENTIFICATION, depth=Depth.BANNER).ending is Ending.COMPLETED
    assert after(b"x" * 8192).ending is None
    long = after(b"x" * 8193)
    assert (long.ending, long.detail) == (Ending.NOT_SSH, "a line of more than 8192 bytes")
    assert long.text == b"x" * MAX_TEXT


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"HTTP/1.1 400\r\n\0", b"SSH\0"])
def test_a_nul_byte_cannot_become_an_identification(data: bytes) -> None:
    exchange = after(data)
    assert (exchange.ending, exchange.detail) == (Ending.NOT_SSH, "a NUL byte before an identification")


# --- what the client says


def test_our_kexinit_is_as_long_as_that_of_openssh() -> None:
    # OpenSSH 9.2's client sends a KEXINIT of 1,560 bytes; a segment on Ethernet has room for 1,460.
    assert 1460 < len(own_packet.packet(own_kexinit.build())) < 1700


def test_the_client_is_silent_until_the_identification_is_whole() -> None:
    exchange = connected()
    for byte in b"Welcome\r\n" + IDENTIFICATION[:-1]:
        exchange.receive(bytes((byte,)), 2)
        assert (exchange.outgoing, exchange.disconnect_packet()) == (b"", b"")
    exchange.receive(b"\n", 3)
    client = f"SSH-2.0-check_ssh_exchange_{__version__}\r\n".encode()
    assert exchange.outgoing[: len(client)] == client
    assert exchange.disconnect_packet() == b""
    exchange.sent_at = 4
    assert payloads(exchange.disconnect_packet()) == [
        b"\x01" + struct.pack(">I", 11) + string(b"check_ssh_exchange: probe done") + string(b"")
    ]


@pytest.mark.parametrize(("depth", "has_kexinit"), [(Depth.BANNER, False), (Depth.KEXINIT, True)])
def test_the_client_answers_with_what_the_depth_needs(depth: Depth, has_kexinit: bool) -> None:
    line, _, rest = after(IDENTIFICATION, depth=depth).outgoing.partition(b"\r\n")
    assert line == f"SSH-2.0-check_ssh_exchange_{__version__}".encode()
    assert [payload[0] for payload in payloads(rest)] == [20] * has_kexinit


def test_our_kexinit_is_well_formed_and_its_cookie_fresh() -> None:
    first, second = own_kexinit.build(), own_kexinit.build()
    assert (first[0], first[-5:], len(first)) == (20, bytes(5), len(second))
    assert first[1:17] != second[1:17]
    assert first[17:] == second[17:]
    lists, position = [], 17
    for _ in range(10):
        (length,) = struct.unpack_from(">I", first, position)
        lists.append(first[position + 4 : position + 4 + length])
        position += 4 + length
    assert position == len(first) - 5
    assert all(all(names.split(b",")) for names in lists[:8])
    assert lists[8:] == [b"", b""]


# --- packets


@given(st.binary(min_size=1, max_size=300), st.binary(max_size=20))
def test_a_packet_we_build_is_read_back(payload: bytes, rest: bytes) -> None:
    built = own_packet.packet(payload)
    length, padding = struct.unpack_from(">IB", built)
    assert (len(built) % 8, length, length - 1 - padding) == (0, len(built) - 4, len(payload))
    assert 4 <= padding <= 11
    assert own_packet.take_packet(built + rest) == (payload, rest)
    assert all(own_packet.take_packet(built[:end]) is None for end in range(len(built)))


@pytest.mark.parametrize("length", [0, 4, MAX_PACKET - 3, 1 << 31, 0xFFFFFFFF])
def test_a_packet_length_that_no_packet_has_is_a_protocol_error_at_once(length: int) -> None:
    exchange = after(IDENTIFICATION, struct.pack(">I", length))
    assert (exchange.ending, exchange.detail) == (Ending.PROTOCOL_ERROR, f"a packet length of {length}")


@pytest.mark.parametrize("padding", [0, 3, 11, 12, 255])
def test_padding_that_leaves_no_payload_or_is_short_is_a_protocol_error(padding: int) -> None:
    exchange = after(IDENTIFICATION, struct.pack(">IB", 12, padding) + bytes(11))
    assert (exchange.ending, exchange.detail) == (
        Ending.PROTOCOL_ERROR,
        f"{padding} bytes of padding in a packet of 12",
    )


def test_a_kexinit_is_read_into_its_lists() -> None:
    exchange = after(IDENTIFICATION, KEXINIT)
    assert exchange.ending is Ending.COMPLETED
    assert exchange.kexinit == own_kexinit.KexInit(
        kex=(b"curve25519-sha256", b"kex-b"),
        host_key=(b"ssh-ed25519",),
        cipher=(b"aes128-ctr", b"c2"),
        mac=(b"hmac-sha1",),
        compression=(b"none",),
    )


@given(st.integers(0, 9), st.integers(-3, 1 << 20))
def test_a_kexinit_whose_length_lies_is_malformed_or_shifted_but_never_an_exception(which: int, lie: int) -> None:
    lists = [*LISTS, b"", b""]
    payload = bytearray(kexinit(*lists))
    position = 17 + sum(4 + len(names) for names in lists[:which])
    struct.pack_into(">I", payload, position, max(0, len(lists[which]) + lie))
    exchange = after(IDENTIFICATION, packet(bytes(payload)))
    assert exchange.ending in (Ending.COMPLETED, Ending.PROTOCOL_ERROR)
    if position + 4 + len(lists[which]) + lie > len(payload):
        assert exchange.detail == "a string longer than its message"


def test_of_endless_lists_of_algorithms_a_bounded_part_is_kept() -> None:
    names = b",".join(b"%05d" % number for number in range(5000))
    found = own_kexinit.parse(kexinit(names, b"x" * 30_000, *LISTS[2:], b"", b""))
    assert found.kex == tuple(b"%05d" % number for number in range(128))
    assert found.host_key == (b"x" * 64,)


@pytest.mark.parametrize("length", range(len(kexinit(*LISTS, b"", b""))))
def test_a_kexinit_cut_at_any_byte_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        own_kexinit.parse(kexinit(*LISTS, b"", b"")[:length])


# --- after the identification


@pytest.mark.parametrize("between", [IGNORE, UNIMPLEMENTED, DEBUG, EXT_INFO, IGNORE + DEBUG + EXT_INFO + DEBUG])
def test_messages_that_may_come_before_a_kexinit_are_passed_over(between: bytes) -> None:
    exchange = after(IDENTIFICATION + between + KEXINIT)
    assert (exchange.ending, exchange.text, exchange.detail) == (Ending.COMPLETED, b"", "")


@pytest.mark.parametrize("number", [0, 5, 6, 21, 30, 50, 80, 255])
def test_another_message_before_the_kexinit_is_a_protocol_error(number: int) -> None:
    exchange = after(IDENTIFICATION, packet(bytes((number,)) + b"x"))
    assert (exchange.ending, exchange.detail) == (Ending.PROTOCOL_ERROR, f"message {number} before KEXINIT")


def test_a_disconnect_ends_with_its_reason_and_words() -> None:
    exchange = after(IDENTIFICATION, packet(disconnect(12, b"Too many connections")))
    assert exchange.ending is Ending.CLOSED_AFTER_BANNER
    assert (exchange.text, exchange.detail) == (b"Too many connections", "disconnect reason 12")


@pytest.mark.parametrize("payload", [b"\x01", b"\x01\0\0\0\x0b", b"\x01\0\0\0\x0b\0\0\0\x09x"])
def test_a_disconnect_that_is_cut_short_is_a_protocol_error(payload: bytes) -> None:
    assert after(IDENTIFICATION, packet(payload)).ending is Ending.PROTOCOL_ERROR


def test_banner_and_kexinit_in_one_segment_complete_and_are_still_answered() -> None:
    exchange = after(IDENTIFICATION + KEXINIT)
    assert (exchange.ending, exchange.banner_at, exchange.kexinit_at) == (Ending.COMPLETED, 2, 2)
    assert [payload[0] for payload in payloads(exchange.outgoing.partition(b"\r\n")[2])] == [20]


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_text_after_the_identification_is_kept_when_the_server_closes(end: str) -> None:
    exchange = after(IDENTIFICATION, b"Invalid SSH identification string.\r\n")
    ENDS[end](exchange)
    assert (exchange.ending, exchange.text) == (Ending.CLOSED_AFTER_BANNER, b"Invalid SSH identification string.")
