"""Gearman's packets and Mod-Gearman's texts, without a server."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.schedulers.answer import Answer
from ssh_exchange_exporter.schedulers.gearman import job as jobs
from ssh_exchange_exporter.schedulers.gearman.cipher import Cipher, UnreadableError
from ssh_exchange_exporter.schedulers.gearman.packet import (
    HEADER,
    MAX_KEPT,
    Kind,
    Packet,
    Packets,
    ProtocolError,
    packed,
)

JOB = (
    "type=service\nresult_queue=check_results\ntarget_queue=servicegroup_ssh\nhost_name=web\n"
    "service_description=SSH exchange\ncore_time=1800000000.250000\ntimeout=60\n"
    "command_line=/usr/lib/nagios/plugins/check_ssh_exchange -H '192.0.2.1' -w banner_p50=0.5\n\n\n"
)


def response(kind: int, *arguments: bytes) -> bytes:
    data = b"\0".join(arguments)
    return HEADER.pack(b"\0RES", kind, len(data)) + data


# --- packets


def test_a_request_is_magic_type_length_and_arguments() -> None:
    assert packed(Kind.CAN_DO, b"queue") == b"\0REQ\0\0\0\x01\0\0\0\x05queue"
    assert packed(Kind.WORK_COMPLETE, b"H:1", b"") == b"\0REQ\0\0\0\x0d\0\0\0\x04H:1\0"


def test_packets_come_whole_in_whatever_pieces() -> None:
    stream = response(Kind.NO_JOB) + response(Kind.JOB_ASSIGN_UNIQ, b"H:1", b"q", b"u", b"da\0ta") + response(99, b"x")
    for size in (1, 2, 7, 12, 13, len(stream)):
        packets = Packets()
        found: list[Packet] = []
        for at in range(0, len(stream), size):
            found += packets.feed(stream[at : at + size])
        assert found == [
            Packet(Kind.NO_JOB),
            Packet(Kind.JOB_ASSIGN_UNIQ, (b"H:1", b"q", b"u", b"da\0ta")),
            Packet(99),
        ]


@pytest.mark.parametrize("size", [1000, 65536, 10**6])
def test_of_a_long_packet_only_the_beginning_is_kept(size: int) -> None:
    stream = response(Kind.JOB_ASSIGN_UNIQ, b"H:1", b"q", b"u", b"x" * (3 * MAX_KEPT)) + response(Kind.NOOP)
    packets = Packets()
    found: list[Packet] = []
    for at in range(0, len(stream), size):
        found += packets.feed(stream[at : at + size])
    long, after = found
    assert (long.is_cut, long.arguments[:3], after) == (True, (b"H:1", b"q", b"u"), Packet(Kind.NOOP))
    assert len(long.arguments[3]) < MAX_KEPT


def test_another_protocol_is_told() -> None:
    with pytest.raises(ProtocolError, match="it does not answer as a gearmand does"):
        list(Packets().feed(b"HTTP/1.1 400 Bad Request\r\n"))


@given(st.binary(max_size=200))
def test_whatever_comes_is_packets_or_a_protocol_error(data: bytes) -> None:
    def fed() -> bool:
        try:
            return all(isinstance(packet, Packet) for packet in Packets().feed(data))
        except ProtocolError:
            return data[:4] != b"\0RES" or len(data) > 12

    assert fed()


# --- encryption


def test_the_key_is_cut_or_padded_and_not_hashed() -> None:
    # openssl enc -aes-256-ecb -nopad -K (hex of the key, 32 bytes) of "type=host" and seven NULs gives it
    wrapped = Cipher("test").wrap("type=host")
    assert wrapped == base64.b64encode(bytes.fromhex("820b19cb5bc738c21043d58b1a6a06a2"))
    assert Cipher("k" * 40).wrap("x") == Cipher("k" * 32).wrap("x")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_a_text_comes_back(text: str) -> None:
    for cipher in (Cipher("secret"), Cipher(None)):
        assert cipher.unwrap(cipher.wrap(text)) == text


def test_line_ends_in_base64_and_padding_by_line_ends_are_read() -> None:
    # The Go worker's core side pads with line ends; base64 may be in lines.
    wrapped = Cipher("secret").wrap("type=host\n" + "\n" * 22)
    lines = b"\n".join(wrapped[at : at + 20] for at in range(0, len(wrapped), 20))
    assert Cipher("secret").unwrap(lines + b"\0").strip() == "type=host"


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"type=host", "it is not base64"),
        (base64.b64encode(b"type=host"), "it is not encrypted, or not whole"),
        (Cipher("another").wrap(JOB), "it does not decrypt to a text"),
    ],
)
def test_what_does_not_decrypt_is_told(payload: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableError, match=sentence):
        Cipher("secret").unwrap(payload)


# --- jobs


def test_a_job_has_what_the_core_asks() -> None:
    job = jobs.read(JOB)
    assert job == jobs.Job(
        "/usr/lib/nagios/plugins/check_ssh_exchange -H '192.0.2.1' -w banner_p50=0.5",
        "web", "SSH exchange", "check_results", 1_800_000_000.25, 60.0,
    )  # fmt: skip
    assert job.age(1_800_000_010.25) == 10.0
    assert job.age(0.0) == 0.0


def test_fields_of_older_modules_are_passed_over_and_a_timeout_of_zero_is_sixty_seconds() -> None:
    job = jobs.read("type=host\nhost_name=web\nstart_time=1.0\nnext_check=2\ntimeout=0\ncommand_line=x\n")
    assert (job.service, job.result_queue, job.timeout, job.core_time) == ("", "", 60.0, 0.0)


@pytest.mark.parametrize("text", ["", "\n\n", "host_name=a\n", "\x17\x03garbage", "command_line=x"])
def test_a_text_that_is_no_job_is_told(text: str) -> None:
    with pytest.raises(jobs.BadJobError, match="it does not begin as a job"):
        jobs.read(text)


@given(st.text(max_size=300))
def test_whatever_text_comes_is_a_job_or_none(text: str) -> None:
    job = jobs.read(f"type=service\n{text}")
    assert job.timeout > 0
    assert job.age(2e9) >= 0


LINES = {
    "check_ssh_exchange -H h": ["-H", "h"],
    "/usr/lib/nagios/plugins/check_ssh_exchange -H 'a b' -r \"x y\"": ["-H", "a b", "-r", "x y"],
    "LC_ALL=C PATH=/bin check_ssh_exchange -H h": ["-H", "h"],
    "check_ssh_exchange -r '$(id); `id` | >x'": ["-r", "$(id); `id` | >x"],
    "check_ssh_exchange -r a\\;b": ["-r", "a;b"],
    "check_ssh_exchange": [],
}
REFUSED = {
    "check_ssh_exchange -H h; id": "';' in the command line needs a shell: leave it out, or put it in single quotes",
    "check_ssh_exchange -H h | cat": "'|' in the command line needs",
    "check_ssh_exchange -H $(id)": "'$' in the command line needs",
    'check_ssh_exchange -H "$(id)"': "'$' in the command line needs",
    'check_ssh_exchange -H "`id`"': "'`' in the command line needs",
    "check_ssh_exchange -H h > /tmp/x": "'>' in the command line needs",
    "check_ssh_exchange -H h & id": "'&' in the command line needs",
    "check_ssh_exchange -H 'h": "the command line has a quote or a backslash without its end",
    "check_ssh_exchange -H h\\": "the command line has a quote or a backslash without its end",
    "check_disk -w 10%": "this worker runs check_ssh_exchange only, not check_disk: give its queue no other checks",
    "/bin/check_ssh_exchange.sh -H h": "this worker runs check_ssh_exchange only, not check_ssh_exchange.sh",
    "": "this worker runs check_ssh_exchange only, not nothing",
    "A=b": "this worker runs check_ssh_exchange only, not nothing",
}


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_split_as_a_shell_would(line: str) -> None:
    assert jobs.arguments(line) == LINES[line]


@pytest.mark.parametrize("line", REFUSED)
def test_a_command_line_that_needs_a_shell_or_is_anothers_is_refused(line: str) -> None:
    with pytest.raises(jobs.RefusedError) as refusal:
        jobs.arguments(line)
    assert str(refusal.value).startswith(REFUSED[line])


# --- results


def test_a_result_has_the_modules_order_and_no_empty_line_before_the_output() -> None:
    answer = Answer(1, "SSH WARNING - a\nevidence: b", ("x=1;2;3", "y=2s"))
    text = jobs.result(jobs.read(JOB), answer, 1_800_000_001.0, 1_800_000_002.5, "here")
    assert text == (
        "type=active\nhost_name=web\nservice_description=SSH exchange\ncore_start_time=1800000000.250000\n"
        "start_time=1800000001.000000\nfinish_time=1800000002.500000\nreturn_code=1\nexited_ok=1\nsource=here\n"
        "output=SSH WARNING - a | x=1;2;3 y=2s\\nevidence: b\n\n\n"
    )


def test_a_hosts_result_has_no_service() -> None:
    job = jobs.read("type=host\nresult_queue=r\nhost_name=web\ncommand_line=x\n")
    assert "service_description" not in jobs.result(job, Answer(0, "SSH OK - x"), 1.0, 2.0, "here")


def test_a_backslash_of_a_text_makes_no_line_end() -> None:
    # The module turns every backslash-n into a line end.
    text = jobs.result(jobs.read(JOB), Answer(0, 'SSH OK - "a\\name"'), 1.0, 2.0, "here")
    assert "\\x5cname" in text
    as_json = jobs.result(jobs.read(JOB), Answer(0, '{"a": "b\\nc"}'), 1.0, 2.0, "here")
    assert '{"a": "b\\u000ac"}' in as_json
