"""Durations, targets and allowed targets, as text."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check_ssh_exchange.plan import Target
from ssh_exchange_exporter.configuration.allowed import Allowed
from ssh_exchange_exporter.configuration.configuration import load
from ssh_exchange_exporter.configuration.duration import seconds_of, text_of
from ssh_exchange_exporter.configuration.target import parse_target


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), (0, 0), (0.0, 0), ("0s", 0), ("500ms", 0.5), ("10s", 10), ("1h30m", 5400), ("1d", 86400), ("1w", 604800),
     ("1y", 31536000), ("1m1ms", 60.001), ("90s", 90)],
)  # fmt: skip
def test_a_duration_is_read_as_prometheus_reads_it(text: object, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [(text, "must be a duration, as in 30s, 1h30m or 500ms")
     for text in ("", "s", "1s1m", "-1s", "1 s", "1S", "10s\n", "\u0661s", "1" * 20 + "s",
                  None, True, float("inf"), -1)]
    + [("5", "as in 5s"), (90, "as in 1m30s"), ("0.5s", "as in 500ms"), ("1.5h", "as in 1h30m"),
       ("0.0001s", "as in 1ms"), (0.25, "as in 250ms")],
)  # fmt: skip
def test_an_invalid_duration_is_refused_with_a_valid_one(text: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        seconds_of(text)


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_a_duration_written_is_the_duration_read(milliseconds: int) -> None:
    assert seconds_of(text_of(milliseconds / 1000)) == milliseconds / 1000


def test_durations_are_written_in_their_largest_units() -> None:
    texts = [text_of(seconds) for seconds in (0, 0.5, 1, 90, 5400, 86400, 604800, 31536000, 86401, 2.0004)]
    assert texts == ["0s", "500ms", "1s", "1m30s", "1h30m", "1d", "1w", "1y", "1d1s", "2s"]


# --- targets


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("host", "host", 22), ("Host.example.:2222", "Host.example.", 2222), ("192.0.2.1", "192.0.2.1", 22),
     ("192.0.2.1:1", "192.0.2.1", 1), ("[2001:db8::1]:65535", "2001:db8::1", 65535), ("[::1]", "::1", 22),
     ("::1", "::1", 22), ("2001:db8::1:22", "2001:db8::1:22", 22), ("fe80::1%eth0", "fe80::1%eth0", 22),
     ("[fe80::1%en.7]:23", "fe80::1%en.7", 23), ("b\u00fccher.example:22", "b\u00fccher.example", 22),
     ("_ssh._tcp.a", "_ssh._tcp.a", 22),
     ("3com.example", "3com.example", 22), ("a" * 63, "a" * 63, 22)],
)  # fmt: skip
def test_a_target_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_target(text) == Target(host, port)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the target is empty"),
        (" a", "the target contains a space or a control character"),
        ("a\n", "the target contains a space or a control character"),
        ("a\0b", "the target contains a space or a control character"),
        ("a\u202eb", "the target contains a space or a control character"),
        ("a\ud800b", "the target contains a space or a control character"),
        ("ssh://a:22", "leave out ssh:// and write a:22"),
        ("root@a:22", "leave out the user root@ and write a:22"),
        ("a:", "the port after the colon is missing"),
        ("a:0", "0 is not a valid port (1 to 65535)"),
        ("a:65536", "65536 is not a valid port (1 to 65535)"),
        ("a:-1", "-1 is not a valid port (1 to 65535)"),
        ("a:+1", "+1 is not a valid port (1 to 65535)"),
        ("a:\u0662", r"\xd9\xa2 is not a valid port (1 to 65535)"),
        ("a:000022", "000022 is not a valid port (1 to 65535)"),
        ("a:ssh", "ssh is not a valid port (1 to 65535)"),
        (":22", ":22 has no host"),
        ("[a]:22", "[a]:22 is not a valid [IPv6 address]:port"),
        ("[::1", "[::1 is not a valid [IPv6 address]:port"),
        ("[::1]22", "[::1]22 is not a valid [IPv6 address]:port"),
        ("[::1]:", "the port after the colon is missing"),
        ("[:]", ": is not a valid host, host:port or IPv6 address"),
        ("a:1:2", "a:1:2 is not a valid host, host:port or IPv6 address"),
        ("1::2::3", "1::2::3 is not a valid host, host:port or IPv6 address"),
        ("fe80::1%", "% is not a valid scope id"),
        ("fe80::1%" + "x" * 16, f"{'x' * 16} is not a valid scope id"),
        ("a..b", "a..b is not a valid host name"),
        ("-a", "-a is not a valid host name"),
        ("a/b", "a/b is not a valid host name"),
        ("a,b", "a,b is not a valid host name"),
        ("a" * 64, f"{'a' * 64} is not a valid host name"),
        ("\u00fc" * 64, None),
        ("127.1", "127.1 is neither a valid host name nor an IPv4 address"),
        ("2130706433", "2130706433 is neither a valid host name nor an IPv4 address"),
        ("0x7f000001", "0x7f000001 is neither a valid host name nor an IPv4 address"),
        ("127.0.0.01", "127.0.0.01 is neither a valid host name nor an IPv4 address"),
        ("300.1.1.1", "300.1.1.1 is neither a valid host name nor an IPv4 address"),
        (".".join(["abcdefg"] * 32), "the host name is longer than 253 characters"),
        ("a" * 1_000_000, "the target is longer than 300 characters"),
    ],
    ids=str,
)
def test_an_invalid_target_is_refused_with_a_sentence(text: str, sentence: str | None) -> None:
    with pytest.raises(ValueError) as caught:
        parse_target(text)
    assert sentence is None or str(caught.value) == sentence
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("a1.:[]%@/-_", max_size=20))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        host, port = parse_target(text)
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017  # any text may be refused, but need not be
    else:
        assert host
        assert 0 < port < 65536


# --- allowed targets


def test_without_entries_everything_is_allowed() -> None:
    allowed = Allowed([])
    assert (allowed.is_everything, allowed.has_networks) == (True, False)
    assert allowed.names("anything")
    assert allowed.holds("192.0.2.1")


def test_entries_allow_by_name_suffix_address_and_network() -> None:
    allowed = Allowed(
        ["Bastion.Example.", "*.internal.example", "192.0.2.0/24", "2001:db8::1", "b\u00fccher.example", "10.1.2.3"]
    )
    assert not allowed.is_everything
    assert allowed.has_networks
    for host in (
        "bastion.example", "BASTION.example.", "a.internal.example", "a.b.INTERNAL.example", "192.0.2.77",
        "2001:db8::1", "2001:DB8:0::1", "2001:db8::1%eth0", "::ffff:192.0.2.1", "xn--bcher-kva.example",
        "B\u00dcCHER.example", "10.1.2.3",
    ):  # fmt: skip
        assert allowed.names(host), host
    for host in (
        "example", "x.bastion.example", "internal.example", "xinternal.example", "192.0.3.1", "2001:db8::2", "10.1.2.4",
        "::ffff:192.0.3.1", "", "*.internal.example", "192.0.2",
    ):  # fmt: skip
        assert not allowed.names(host), host
    assert allowed.holds("192.0.2.1")
    assert allowed.holds("::ffff:192.0.2.1")
    assert not allowed.holds("192.0.3.1")
    assert not allowed.holds("bastion.example")


def test_mapped_addresses_and_networks_are_ipv4() -> None:
    assert Allowed(["::ffff:10.0.0.0/104"]).holds("10.9.9.9")
    assert not Allowed(["::ffff:10.0.0.0/104"]).holds("11.0.0.0")
    assert not Allowed(["::/0"]).holds("::ffff:10.0.0.1")
    assert Allowed(["0.0.0.0/0"]).holds("::ffff:10.0.0.1")
    assert not Allowed(["a"]).has_networks


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("10.0.0.1/8", "must not have bits set beyond its prefix; write 10.0.0.0/8"),
        ("10.0.0.0/33", "must be a network, as in 10.0.0.0/8 or 2001:db8::/32"),
        ("host:22", "must be a network, as in 10.0.0.0/8 or 2001:db8::/32"),
        ("fe80::1%eth0", "must not have a scope id"),
        ("*", "must have its * at the start only, as in *.example.com"),
        ("a.*.b", "must have its * at the start only, as in *.example.com"),
        ("", "must be a network, an address, a name or a *.suffix"),
        ("10.1", "must be a network, an address, a name or a *.suffix"),
        ("a b", "must be a network, an address, a name or a *.suffix"),
    ],
)
def test_an_invalid_entry_is_refused_with_a_sentence(entry: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Allowed(["ok", entry])
    assert str(caught.value) == sentence


def test_a_file_through_a_pipe_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"max_in_flight: 3")
    os.close(writing)
    try:
        assert load(f"/dev/fd/{reading}").max_in_flight == 3
    finally:
        os.close(reading)
