"""What reports say: measured handshakes replayed, and runs made by hand for each rule."""

import csv
import random
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.diagnosis.facts import Facts
from check_ssh_exchange.diagnosis.remedies import WINDOWS, remedies_for
from check_ssh_exchange.diagnosis.rules import RULES
from check_ssh_exchange.ending import Ending, Reason
from check_ssh_exchange.report import Report, Server
from tests.runs import EXCEEDED, LETTERS, NOT_ALLOWED, OURS, ROUTER, SERVERS, TARGET, run, shake

CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE


# --- measured


def measured() -> list[Mapping[str, str]]:
    with (Path(__file__).parent / "data/measured.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def replayed(row: Mapping[str, str]) -> Report:
    """Return five handshakes that ended as the measured one, from a client that is silent until it is spoken to."""
    words = row["words"].replace("\\r\\n", "\n").rstrip("\n")
    match row["connection"], row["end"]:
        case "accepted", "closed" if "SSH-" in words:
            letter, words = "b", words.partition("\n")[2]
        case "accepted", "closed":
            letter = "t" if words else "c"
        case "accepted", "reset":
            letter = "r"
        case "accepted", "silent":
            letter = "q"
        case connection, _:
            letter = {"refused": "R", "rejected": "i", "unreachable": "u", "unanswered": "x"}[connection]
    kind, _, code = row["icmp"].partition("/")
    icmp = (int(kind), int(code), TARGET) if kind else None
    text = words.replace("\n", " / ") or None
    return run(5 * letter, says=text, after=float(row["milliseconds"]) / 1000, icmp=icmp)


def naming(row: Mapping[str, str]) -> str:
    return f"{row['situation']}, {row['server']}"


@pytest.mark.parametrize("row", measured(), ids=naming)
def test_measured_handshakes_alone_lead_to(row: Mapping[str, str]) -> None:
    diagnosis = diagnose(replayed(row))
    assert diagnosis.cause == row["said"]
    assert diagnosis.evidence
    if row["said"] != row["truth"]:
        assert diagnosis.confidence is not CERTAIN
        assert diagnosis.alternatives


# --- each rule

Case = tuple[str, Report, Cause, Confidence]

exceeded = partial(run, says=EXCEEDED, by="9.2")
not_allowed = partial(run, says=NOT_ALLOWED, by="10.0")
FOREIGN = "Invalid SSH identification string."
MAXSTARTUPS, PER_SOURCE = Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT


def slow_alone(endings: str = "Sqqqq") -> Report:
    """Alone it was served after six seconds; the others were cut off after 2.5."""
    report = run(endings, by="9.2", after=2.5)
    first = report.handshakes[0]._replace(banner=6.0, ended=6.0)
    return report._replace(handshakes=(first, *report.handshakes[1:]))


CASES: list[Case] = [
    # words
    ("a web server answers", run("qqqqq", asked="t", answers="HTTP/1.1 400 Bad Request"), Cause.NOT_SSH, CERTAIN),
    ("a mail server greets", run("qqqqq", says="220 mx.example ESMTP"), Cause.NOT_SSH, CERTAIN),
    ("some are served, some meet mail", run("SSqSS", "S", says="220 mx ESMTP", by="9.2"), Cause.PROXY, LIKELY),
    ("TLS alert", run("qqqqq", asked="n", answers=r"\x15\x03\x01\x00\x02\x02F"), Cause.PROXY, LIKELY),
    ("PROXY line in front of ours", run("bbbbb", says=FOREIGN, by="9.2"), Cause.PROXY, CERTAIN),
    ("endless lines", run("qqqqq", says="3efe1ad4 / e1e3b7ee"), Cause.TARPIT, LIKELY),
    # sshd's texts
    ("text of 8.4", run("SStSS", "S", says=EXCEEDED, by="8.4"), MAXSTARTUPS, CERTAIN),
    ("text of 9.2", exceeded("SSttS", "S"), MAXSTARTUPS, LIKELY),
    ("text of 9.2, all", run("ttttt", says=EXCEEDED), MAXSTARTUPS, LIKELY),
    ("9.2, both sources", run("ttttt", second="t", says=EXCEEDED), MAXSTARTUPS, LIKELY),
    ("9.2, first two, other source served", exceeded("SSStt", "S", second="S"), PER_SOURCE, LIKELY),
    ("9.2, none, other source served", exceeded("ttttt", second="S"), PER_SOURCE, POSSIBLE),
    ("9.2, in any order, other source served", exceeded("StStS", "S", second="S"), MAXSTARTUPS, LIKELY),
    ("10.0, some", not_allowed("SSSSt", "S"), MAXSTARTUPS, LIKELY),
    ("10.0, some, other source refused", not_allowed("SSStt", "S", second="t"), MAXSTARTUPS, LIKELY),
    ("10.0, first two, other source served", not_allowed("SSStt", "S", second="S"), PER_SOURCE, LIKELY),
    ("10.0, in any order, other source served", not_allowed("tSStS", "S", second="S"), MAXSTARTUPS, LIKELY),
    ("10.0, all", run("ttttt", says=NOT_ALLOWED), Cause.PENALTY, POSSIBLE),
    ("10.0, all, other source served", not_allowed("ttttt", second="S"), Cause.PENALTY, LIKELY),
    ("10.0, all, other source refused", run("ttttt", second="t", says=NOT_ALLOWED), MAXSTARTUPS, LIKELY),
    ("10.0, after the first six, alone too", not_allowed("SSSSSSttt", "t"), Cause.PENALTY, LIKELY),
    ("10.0, after the first two, alone too", not_allowed("SSttt", "t"), MAXSTARTUPS, LIKELY),
    ("10.0, alone too, other source served", not_allowed("SSttt", "t", second="S"), Cause.PENALTY, LIKELY),
    ("served after six seconds, cut off at five", slow_alone(), Cause.SLOW, LIKELY),
    ("10.0, a fault booked against us", run("cccct", says=NOT_ALLOWED), Cause.SERVER_FAULT, LIKELY),
    ("closed from nearer than the host is", run("ccccc", control=True, control_took=0.08), Cause.PROXY, LIKELY),
    # connections that did not come about
    ("some SYNs are lost", run("SxSSx", "S", by="9.2"), Cause.FILTERED, POSSIBLE),
    ("served after six seconds, then no SYN answered", slow_alone("Sxxxx"), Cause.RATE_LIMIT, POSSIBLE),
    ("the first three, then silence, no time for more", run("SSSxx", by="9.2"), Cause.RATE_LIMIT, POSSIBLE),
    ("the first three, then silence", run("SSSxx", "x", by="9.2"), Cause.RATE_LIMIT, LIKELY),
    ("xinetd's cps", run("SScrR", "R", by="9.2"), Cause.RATE_LIMIT, LIKELY),
    ("three at once, then RST, then again", run("SSSSR", "S", by="9.2"), PER_SOURCE, LIKELY),
    ("some hang, some vanish", run("qqqxx"), Cause.STALLED, LIKELY),
    ("ICMP from the target", run("iiiii", icmp=(3, 3, TARGET)), Cause.BANNED, LIKELY),
    ("ICMP from a firewall", run("iiiii", icmp=(3, 13, ROUTER)), Cause.BANNED, LIKELY),
    ("ICMP from ourselves", run("iiiii", icmp=(3, 13, OURS)), Cause.UNREACHABLE, LIKELY),
    ("no route at a router", run("iiiii", icmp=(3, 0, ROUTER)), Cause.UNREACHABLE, LIKELY),
    ("a router that answers one", run("ixxxx", icmp=(3, 1, ROUTER)), Cause.UNREACHABLE, LIKELY),
    ("no neighbour", run("uuuuu"), Cause.UNREACHABLE, LIKELY),
    ("RST", run("RRRRR"), Cause.NOT_LISTENING, LIKELY),
    ("silence", run("xxxxx"), Cause.FILTERED, POSSIBLE),
    ("silence, dead host", run("xxxxx", control=False), Cause.FILTERED, POSSIBLE),
    ("silence, living host", run("xxxxx", control=True), Cause.BANNED, LIKELY),
    ("silence for both sources, living host", run("xxxxx", second="x", control=True), Cause.FILTERED, LIKELY),
    ("silence, other source served", run("xxxxx", second="S", by="9.2"), Cause.BANNED, LIKELY),
    ("RST, other source served", run("RRRRR", second="S", by="9.2"), Cause.BANNED, LIKELY),
    # closed without a word
    ("five seconds", run("ccccc", after=5.012), Cause.ACCESS_DENIED, LIKELY),
    ("five seconds, the first ones", run("ccqqq", after=5.012), Cause.ACCESS_DENIED, LIKELY),
    ("a queue of five seconds", run("ccccc", after=5.001), Cause.PROXY, LIKELY),
    ("three seconds", run("ccccc", after=3.002), Cause.PROXY, LIKELY),
    ("a queue beside two that are served", run("SSScc", "S", by="9.2", after=1.001), Cause.PROXY, LIKELY),
    ("more than we may have", run("SSSSc", "S", by="9.2"), PER_SOURCE, LIKELY),
    ("more than we may have, other source served", run("SSSSc", "S", second="S", by="9.2"), PER_SOURCE, LIKELY),
    ("more than all may have", run("SSSSc", "S", second="c", by="9.2"), MAXSTARTUPS, POSSIBLE),
    ("OpenSSH before its text", run("SScSc", "S", by="6.6"), MAXSTARTUPS, LIKELY),
    ("dropbear, from the first", run("ccccc", second="S", by="dropbear"), PER_SOURCE, POSSIBLE),
    ("dropbear, in any order", run("ScScc", "S", by="dropbear"), PER_SOURCE, POSSIBLE),
    ("other source let in", run("ccccc", second="S", by="9.2"), Cause.ACCESS_DENIED, LIKELY),
    ("reset before a word", run("rrrrr"), Cause.PROXY, LIKELY),
    ("at once", run("ccccc"), Cause.SERVER_FAULT, POSSIBLE),
    ("milliseconds later", run("ccccc", after=0.008), Cause.SERVER_FAULT, LIKELY),
    ("after the banner", run("bbbbb", after=0.01, by="10.0"), Cause.SERVER_FAULT, LIKELY),
    ("before or after the banner", run("ccbcb", after=0.01, by="9.2"), Cause.SERVER_FAULT, LIKELY),
    ("now and then", run("ScSSc", "S", by="9.2", after=0.008), Cause.SERVER_FAULT, POSSIBLE),
    # silence
    ("asked, then reset", run("qqqqq", asked="r"), Cause.PROXY, LIKELY),
    ("asked, then words", run("qqqqq", asked="t", answers="what?"), Cause.NOT_SSH, LIKELY),
    ("asked, and silent", run("qqqqq", asked="q"), Cause.STALLED, LIKELY),
    ("after the banner, silence", run("kkkkk", by="9.2"), Cause.STALLED, LIKELY),
    ("the others wait", run("SSSqq", "S", by="9.2"), Cause.STALLED, POSSIBLE),
    ("no lines", run("nnnnn"), Cause.NOT_SSH, LIKELY),
    ("protocol 1", run("ppppp"), Cause.INCOMPATIBLE, LIKELY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("report", "cause", "confidence"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_run_is_diagnosed_as(report: Report, cause: Cause, confidence: Confidence) -> None:
    diagnosis = diagnose(report)
    assert (diagnosis.cause, diagnosis.confidence) == (cause, confidence)
    assert diagnosis.evidence[0] == evidence_of_count(report)


def evidence_of_count(report: Report) -> str:
    failed = sum(h.ending is not Ending.COMPLETED for h in report.handshakes)
    first = diagnose(report).evidence[0]
    numbers = [int(number) for number in re.findall(r"(?:^|, | and )(\d+)(?= )", first)]
    assert sum(numbers) == failed, first
    assert f" of {len(report.handshakes)} handshakes " in first
    return first


def test_every_rule_decides_a_case() -> None:
    reports = [case[1] for case in CASES] + [FOREIGN_KEY, TLS_FOR_SOME, KEYLESS]
    reports += [run("ttttt", says=text) for text in SAID] + [left_with(reason) for reason in (1, 2, 3, 7, 11, 12)]
    deciding = {next(n for n, rule in enumerate(RULES) if rule.holds(Facts(report))) for report in reports}
    assert [RULES[number] for number in range(len(RULES)) if number not in deciding] == []


FOREIGN_KEY = run("bbbbb", by="9.2")._replace(
    handshakes=tuple(shake(number, "b", reason=Reason.HOST_KEY, detail="not in known_hosts") for number in range(5))
)
# Dropbear without an RSA key: whoever asks for one is closed.
KEYLESS = run("SbSbS", "b", by="9.2")
KEYLESS = KEYLESS._replace(
    handshakes=tuple(
        h._replace(host_key_algorithm="ssh-ed25519" if h.ending is Ending.COMPLETED else "rsa-sha2-256")
        for h in KEYLESS.handshakes
    )
)
HALF_DEAD = run("RSSSSS", "S", by="9.2")._replace(
    handshakes=(
        shake(0, "R", family="ipv6", address="2001:db8::1", role="baseline"),
        shake(1, "S", role="baseline"),
        *(shake(number, "S") for number in range(2, 6)),
    )
)
TLS_FOR_SOME = run("SqSSq", "S", says=r"\x15\x03\x01", by="9.2")


# --- what servers say

# Real sentences: sshd's from its sources, those of TCP wrappers and devices from public reports.
SAID: dict[str, tuple[Cause, Confidence]] = {
    "Missing privilege separation directory: /run/sshd": (Cause.SERVER_FAULT, CERTAIN),
    "Privilege separation user sshd does not exist": (Cause.SERVER_FAULT, CERTAIN),
    "/run/sshd must be owned by root and not group or world-writable.": (Cause.SERVER_FAULT, CERTAIN),
    "sshd: no hostkeys available -- exiting.": (Cause.SERVER_FAULT, CERTAIN),
    "Could not load host key. Closing connection...": (Cause.SERVER_FAULT, CERTAIN),
    "Unable to load host key: /etc/ssh/ssh_host_rsa_key": (Cause.SERVER_FAULT, CERTAIN),
    "Permissions 0644 for '/etc/ssh/ssh_host_rsa_key' are too open.": (Cause.SERVER_FAULT, CERTAIN),
    "/etc/ssh/sshd_config: line 3: Bad configuration option: UsePam2": (Cause.SERVER_FAULT, CERTAIN),
    "/etc/ssh/sshd_config: No such file or directory": (Cause.SERVER_FAULT, CERTAIN),
    "OpenSSL version mismatch. Built against 30000020, you have 10101060": (Cause.SERVER_FAULT, CERTAIN),
    "privsep_preauth: exec of /usr/lib/openssh/sshd-auth failed: No such file": (Cause.SERVER_FAULT, CERTAIN),
    "fork of unprivileged child failed": (Cause.SERVER_FAULT, CERTAIN),
    "sshd: error while loading shared libraries: libcrypto.so.3: cannot open": (Cause.SERVER_FAULT, CERTAIN),
    "sshd: accept: Too many open files": (Cause.SERVER_FAULT, LIKELY),
    "sh: /usr/sbin/sshd: command not found": (Cause.SERVER_FAULT, LIKELY),
    "Access to service sshd from u@h has been denied.": (Cause.ACCESS_DENIED, CERTAIN),
    "You are not welcome to use sshd from 192.0.2.7.": (Cause.ACCESS_DENIED, CERTAIN),
    "Your IP address has been blocked": (Cause.BANNED, LIKELY),
    "Access denied.": (Cause.ACCESS_DENIED, CERTAIN),
    "You are not allowed to connect to this host": (Cause.ACCESS_DENIED, CERTAIN),
    "Too many connections from your address": (Cause.PER_SOURCE_LIMIT, LIKELY),
    "No connection is available now. Try again later!": (Cause.MAXSTARTUPS, LIKELY),
    "Too many SSH connections": (Cause.MAXSTARTUPS, LIKELY),
    "Maximum number of SSH sessions reached": (Cause.MAXSTARTUPS, LIKELY),
    "Sorry, the user session limit has been reached": (Cause.MAXSTARTUPS, LIKELY),
    "All user interfaces are used, please try later!": (Cause.MAXSTARTUPS, LIKELY),
    "License has expired": (Cause.SERVER_FAULT, LIKELY),
    "You are connecting too often, please wait": (Cause.RATE_LIMIT, LIKELY),
    "The system is going down for reboot NOW!": (Cause.SERVER_FAULT, LIKELY),
    r"host\x04@SSH-2.0-babeld-680dd414": (Cause.PROXY, LIKELY),
}


@pytest.mark.parametrize("text", SAID)
def test_a_known_saying_names_the_cause(text: str) -> None:
    diagnosis = diagnose(run("ttttt", says=text))
    assert (diagnosis.cause, diagnosis.confidence) == SAID[text]
    assert f'the server said "{text}" 5 times' in diagnosis.evidence


@pytest.mark.parametrize("text", SAID)
def test_words_decide_although_the_server_holds_the_connection_open(text: str) -> None:
    assert diagnose(run("qqqqq", says=text)).cause is SAID[text][0]


@pytest.mark.parametrize("said", [EXCEEDED, NOT_ALLOWED])
def test_a_server_that_refuses_and_holds_the_connection_is_not_a_tarpit(said: str) -> None:
    assert diagnose(run("qqqqq", says=said)).cause in (Cause.MAXSTARTUPS, Cause.PENALTY)


@pytest.mark.parametrize("text", ["The weather is fine", "hello", "Welcome to our host", "please log in", "42"])
def test_unknown_words_are_quoted_and_not_guessed(text: str) -> None:
    diagnosis = diagnose(run("ttttt", says=text))
    assert diagnosis.cause is Cause.UNEXPLAINED
    assert f'the server said "{text}" 5 times' in diagnosis.evidence


def left_with(reason: int, text: str | None = None) -> Report:
    """A run whose handshakes ended by SSH_MSG_DISCONNECT."""
    shakes = (shake(n, "b", text=text, reason=Reason.DISCONNECT, disconnect=reason) for n in range(5))
    return run("b", by="9.2")._replace(handshakes=tuple(shakes), asked=5)


@pytest.mark.parametrize(
    ("reason", "text", "cause"),
    [
        (1, None, Cause.ACCESS_DENIED),
        (2, "Packet corrupt", Cause.INCOMPATIBLE),
        (2, "Too many connections", Cause.MAXSTARTUPS),
        (3, "no matching key exchange method found", Cause.INCOMPATIBLE),
        (7, None, Cause.SERVER_FAULT),
        (11, "bye", Cause.UNEXPLAINED),
        (11, "Maximum number of sessions reached", Cause.MAXSTARTUPS),
        (12, None, Cause.MAXSTARTUPS),
    ],
)
def test_a_disconnect_is_read_by_its_words_and_then_by_its_reason(reason: int, text: str | None, cause: Cause) -> None:
    assert diagnose(left_with(reason, text)).cause is cause


def test_a_kexinit_that_takes_seconds_is_slow_and_entropy_may_be_the_reason() -> None:
    late = tuple(shake(n, "S", banner=0.01, kexinit=3.2) for n in range(5))
    report = run("S", by="9.2")._replace(handshakes=late)
    diagnosis = diagnose(report)
    assert (diagnosis.cause, diagnosis.alternatives[0][:28]) == (Cause.SLOW, "the server waits for entropy")
    assert diagnosis.evidence == ("the server's KEXINIT took 3.200 s in the median after our identification",)


# --- advice for the system that answered


def advice(software: str, cause: Cause) -> list[str]:
    server = Server(f"SSH-2.0-{software}", "2.0", software, "")
    return [str(remedy) for remedy in remedies_for(cause, run("SSStt")._replace(server=server))]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.HEALTHY])
@pytest.mark.parametrize("software", ["OpenSSH_for_Windows_9.5", "Cisco-1.25", "ROSSSH", "mpSSH_0.2.1", "HUAWEI-1.5"])
def test_a_system_without_sshd_tools_is_not_told_to_use_them(software: str, cause: Cause) -> None:
    unix = ("journalctl", "systemctl", "pgrep", "/etc/", "ss -", "/proc/", "fail2ban", "nft ", "ps -C", "vmstat")
    if cause in WINDOWS:
        lines = advice(software, cause)
        assert lines
        assert [line for line in lines if any(tool in line for tool in unix)] == []
        assert not any("{" in line or "|" in line for line in lines)  # a "|" would begin perfdata


def test_a_unix_server_keeps_its_advice() -> None:
    assert advice("OpenSSH_9.2p1", Cause.SERVER_FAULT)[0].startswith("on the server: journalctl")
    assert advice("OpenSSH_for_Windows_9.5", Cause.SERVER_FAULT)[0].startswith("on the server: Get-WinEvent")
    assert advice("Cisco-1.25", Cause.RATE_LIMIT)[0].startswith("on the device: ")


def test_one_dead_family_is_named() -> None:
    diagnosis = diagnose(HALF_DEAD)
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.ADDRESS_FAMILY, LIKELY)
    assert diagnosis.evidence[:2] == (
        "2001:db8::1: 1 of 1 handshakes refused: nothing listens on that port",
        "192.0.2.1: 5 of 5 handshakes completed",
    )
    assert diagnosis.address == "2001:db8::1"


def test_a_host_key_that_is_not_expected_is_a_cause_of_its_own() -> None:
    assert (diagnose(FOREIGN_KEY).cause, diagnose(FOREIGN_KEY).confidence) == (Cause.HOST_KEY, CERTAIN)


# --- what no rule expects


@pytest.mark.parametrize("ours", ["crqRx", "rcrcr", "SRrcq", "tcRqk", "SnSpS", "Riqcr", "bbqrc", "SkSrS"], ids=str)
def test_an_unexpected_mixture_is_unexplained_with_its_evidence(ours: str) -> None:
    diagnosis = diagnose(run(ours, by="9.2", says="words of a stranger"))
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.UNEXPLAINED, POSSIBLE)
    assert evidence_of_count(run(ours, by="9.2")) == diagnosis.evidence[0]
    assert 'the server said "words of a stranger"' in "\n".join(diagnosis.evidence)


def test_only_words_make_certain() -> None:
    # Every run of three handshakes, a recheck, a second source and an answer, without a word from the server.
    chance = random.Random(1)
    for _ in range(3000):
        ours = "".join(chance.choices(list(LETTERS), k=chance.randint(1, 5)))
        if set(ours) == {"S"}:
            continue
        made = run(
            ours,
            recheck=chance.choice(["", *LETTERS]),
            second=chance.choice(["", "S", "t", "x", "c"]),
            asked=chance.choice(["", "q", "r", "t"]),
            after=chance.choice([0.0001, 0.01, 1.0, 5.012]),
            by=chance.choice(["", *SERVERS]),
            icmp=chance.choice([None, (3, 3, TARGET), (3, 0, ROUTER)]),
            control=chance.choice([None, True, False]),
        )
        diagnosis = diagnose(made)
        assert diagnosis.confidence is not CERTAIN, (ours, diagnosis)
        assert diagnosis.cause is not Cause.HEALTHY
        assert diagnosis.evidence


# --- near and far


@pytest.mark.parametrize("round_trip", [0.0, 0.02, 0.18])
@pytest.mark.parametrize(("after", "cause"), [(0.0001, "possible"), (0.008, "likely")])
def test_the_way_to_the_server_does_not_count_as_its_own_time(round_trip: float, after: float, cause: str) -> None:
    report = run("ccccc")
    far = tuple(h._replace(connect=round_trip, ended=2 * round_trip + after) for h in report.handshakes)
    diagnosis = diagnose(report._replace(handshakes=far))
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.SERVER_FAULT, cause)


def test_load_makes_no_listener_out_of_a_child() -> None:
    shakes = tuple(shake(number, "c", after) for number, after in enumerate([0.009, 0.0002, 0.02, 0.004, 0.0011]))
    diagnosis = diagnose(run("ccccc")._replace(handshakes=shakes))
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.SERVER_FAULT, POSSIBLE)


def test_an_address_that_fails_is_named() -> None:
    served = [shake(n, "S", role="burst" if n > 1 else "baseline") for n in range(2)]
    refused = [shake(n, "R", address="192.0.2.77") for n in range(2, 4)]
    diagnosis = diagnose(run("S", by="9.2")._replace(handshakes=(*served, *refused)))
    assert diagnosis.address == "192.0.2.77"
    assert diagnosis.evidence[:2] == (
        "192.0.2.1: 2 of 2 handshakes completed",
        "192.0.2.77: 2 of 2 handshakes refused: nothing listens on that port",
    )


# --- every answer helps


@pytest.mark.parametrize("make", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_every_diagnosis_says_what_to_do(make: Report) -> None:
    diagnosis = diagnose(make)
    assert diagnosis.remedies
    assert not any("{" in line and "{max" not in line for _, line in diagnosis.remedies)
