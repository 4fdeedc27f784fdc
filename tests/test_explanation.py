"""The page of --explain: what it says of each case, its width, its colours, what it lets through."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis import history as past
from check_ssh_exchange.diagnosis import remedies
from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.evaluate import Outcome, evaluate
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.plugin.arguments import Message
from check_ssh_exchange.plugin.page import BADGES, NARROWEST
from check_ssh_exchange.remote.axis import CUT
from check_ssh_exchange.remote.bars import ASCII, MOST_ROWS, UNICODE
from check_ssh_exchange.remote.explanation import PLACES, demand_rich, explanation
from check_ssh_exchange.remote.options import parse
from check_ssh_exchange.report import PHASES, Fault, FaultKind, Report, Server, Shortfall, ShortfallKind

from .lab.front_door import ROOT
from .runs import EXCEEDED, LETTERS, OTHER, TARGET, run

pytest.importorskip("rich")

ESCAPE = re.compile(r"\x1b\[[\d;]*m")
ROW = re.compile(r"^  #\d+ ", re.MULTILINE)
UNRESOLVED = Fault(FaultKind.NAME_RESOLUTION, "host.example does not resolve: name or service not known")
STOPPED = Fault(FaultKind.INTERRUPTED, "interrupted by SIGTERM after 2 of 5 handshakes, 1 still open")
CASES: dict[str, Report] = {
    "healthy": run("SSSSS", by="9.2"),
    "maxstartups": run("SSttS", "S", says=EXCEEDED, by="9.2"),
    "banned": run("iiiii", second="S", icmp=(3, 13, TARGET)),
    "stalled": run("qqqqq", asked="q"),
    "server_fault": run("ccccc", after=0.004),
    "not_listening": run("RRRRR"),
    "name_resolution": run("", fault=UNRESOLVED, address=None)._replace(asked=5),
    "interrupted": run("SS", by="9.2", fault=STOPPED),
    "mtu": run("kkkkk", by="9.2"),
}
BANNED = ["fail2ban-client set sshd unbanip 192.0.2.9;", "    jail.local: ignoreip = 127.0.0.1/8 ::1 192.0.2.9"]


def judged(report: Report, *options: str, history: past.History | None = None) -> Outcome:
    return evaluate(report, history, parse(["-H", "host.example", *options]).expectations, lambda at: f"t={at:.0f}")


def page(report: Report, width: int = 80, *, has_colours: bool = False, is_ascii: bool = False) -> str:
    thresholds = parse(["-H", "host.example"]).expectations.thresholds
    return explanation(judged(report), thresholds, width=width, has_colours=has_colours, is_ascii=is_ascii)


def rows(text: str) -> list[str]:
    """Return the lines that draw a handshake."""
    return [line for line in text.split("\n") if ROW.match(line)]


def section(text: str, title: str) -> list[str]:
    """Return the lines of a section."""
    return text.partition(f"\n{title}\n")[2].split("\n\n")[0].rstrip("\n").split("\n")


# --- what it says


def test_the_whole_page_of_a_throttling_server() -> None:
    assert (
        page(CASES["maxstartups"])
        == """\
SSH WARNING - 2 of 6 handshakes turned away: MaxStartups throttling, "Exceeded
  MaxStartups"

  target  host.example port 22, 192.0.2.1
  server  SSH-2.0-OpenSSH_9.2p1
  source  192.0.2.9

Handshakes, each from its SYN to its end
  #0 baseline  ·················▁✓   completed   0.12 ms
  #1 burst     ·················▁✓   completed   0.12 ms
  #2 burst     ▁▁················✗   turned_away 0.12 ms  "Exceeded MaxStartups"
  #3 burst     ▁▁················✗   turned_away 0.12 ms  "Exceeded MaxStartups"
  #4 burst     ·················▁✓   completed   0.12 ms
  #5 recheck   ·················▁✓   completed   0.12 ms
               ┬──────────────┬────
               0              0.1 ms
  ▁ connect  · waiting  ✓ completed  ✗ failed

Cause: MaxStartups throttling (maxstartups, likely)
  - one handshake alone, before the burst: completed
  - one handshake alone, after the burst had closed: completed
  - the server said "Exceeded MaxStartups" 2 times
  - early closes: 33 % of connections (95 % confidence interval 10 to 70 %)
  - with MaxStartups 10:30:100 (the default; --max-startups if it is another)
    others hold about 9 unauthenticated connections, 95 % interval 9 to 71

It could also be
  - PerSourceMaxStartups (OpenSSH 8.5 and later) sends the same text; a second
    -S address would tell

What to do
  On the server:
    check_sshd_local --only startups,log -v   # names who holds the startups
    sshd -T   # maxstartups, logingracetime, persourcemaxstartups
    ps -C sshd -o pid,args
      # the listener's title says 'N of START-FULL startups'
    pgrep -a sshd   # [accepted], [net] and [session-auth] have not logged in
    block the address that holds them; else lower LoginGraceTime, then raise
      MaxStartups

Figures outside their ranges
  - warning: early_close is 33.333333 % (outside 0)

More about this cause
  check_ssh_exchange --runbook maxstartups
"""
    )


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("banned", ["SSH CRITICAL - 5 of 6", "Cause: our address is banned by a firewall (banned, likely)", *BANNED]),
        ("stalled", ["SSH CRITICAL - 6 of 6", "#5 we spoke first", "… time was up", "a tarpit that is slower"]),
        ("server_fault", ["SSH CRITICAL - 5 of 5", "ms after it had accepted", "sshd -t   # does it load"]),
        ("not_listening", ["SSH CRITICAL - 5 of 5", "  - a firewall that rejects with a TCP reset", "ss -ltnp"]),
        (
            "mtu",
            [
                "SSH CRITICAL - 5 of 5",
                "On the monitor (this machine):",
                "On the frontend (a load",
                "clamp the MSS",
                "On the server:",
            ],
        ),
    ],
)
def test_a_failure_leads_from_what_happened_to_what_to_do(case: str, found: list[str]) -> None:
    text = page(CASES[case])
    places = [
        text.find(words) for words in (*found, f"check_ssh_exchange --runbook {judged(CASES[case]).diagnosis.cause}")
    ]
    assert -1 not in places
    assert places[0] == 0
    assert places == sorted(places)


def test_a_healthy_run_is_a_short_page() -> None:
    text = page(CASES["healthy"])
    assert text.startswith("SSH OK - OpenSSH_9.2p1 (protocol 2.0), 5/5 handshakes\n")
    assert len(text.splitlines()) == 15
    assert not any(title in text for title in ("Cause", "Evidence", "What to do", "--runbook"))


def test_a_name_that_does_not_resolve_is_one_sentence_and_a_page_to_read() -> None:
    assert page(CASES["name_resolution"]) == (
        f"SSH UNKNOWN - {UNRESOLVED.sentence}\n\n"
        "  target  host.example port 22\n\n"
        "Cause: the name does not resolve (name_resolution, certain)\n\n"
        "More about this cause\n  check_ssh_exchange --runbook name_resolution\n"
    )


def test_a_fault_of_our_own_says_nothing_of_the_server() -> None:
    fault = Fault(FaultKind.LOCAL, "cannot use the source address 192.0.2.77: Cannot assign requested address")
    text = page(run("", fault=fault)._replace(asked=5))
    assert text == (
        "SSH UNKNOWN - cannot use the source address 192.0.2.77: Cannot assign\n  requested address\n\n"
        "  target  host.example port 22, 192.0.2.1\n"
    )


def test_an_interrupted_run_shows_what_it_has_seen() -> None:
    text = page(CASES["interrupted"])
    assert text.startswith(f"SSH UNKNOWN - {STOPPED.sentence}\n")
    assert len(rows(text)) == 2
    assert section(text, "Evidence") == ["  - 2 of 2 handshakes completed"]


def test_a_run_held_back_says_until_when() -> None:
    report = run("", at=1000.0)._replace(asked=5)
    held = judged(report, history=past.History(wait_until=1100.0, wait=200.0))
    text = explanation(held, parse(["-H", "x"]).expectations.thresholds)
    assert text.startswith(
        "SSH CRITICAL - a penalty against our address seemed to hold at t=900, no try\n  before t=1100 so that it can"
    )
    assert text.count("seemed to hold") == 1
    assert "sshd_config: PerSourcePenaltyExemptList 192.0.2.9" in text


def test_the_window_is_a_note_unless_the_evidence_has_it() -> None:
    thresholds = parse(["-H", "x"]).expectations.thresholds
    healthy = run("SSSSS", by="9.2", at=1060.0)
    calm = explanation(judged(healthy, history=past.History(runs=(past.Past(1000.0, 5, 0),))), thresholds)
    assert section(calm, "Notes") == ["  - 0 of 10 connections of the window ended early"]
    before = judged(run("SSttS", says=EXCEEDED, at=1000.0), history=past.History()).history
    text = explanation(judged(healthy, history=before), thresholds)
    assert text.count("2 of 10 connections of the window ended early") == 1
    assert section(text, "Figures outside their ranges") == ["  - warning: early_close_window is 20 % (outside 1)"]


def test_several_addresses_have_their_own_rows() -> None:
    report = run("SScSS", by="9.2")
    shakes = tuple(one._replace(address="2001:db8::1" if one.number % 2 else TARGET) for one in report.handshakes)
    text = page(report._replace(handshakes=shakes))
    assert "  target  host.example port 22, 192.0.2.1 and 2001:db8::1\n" in text
    found = re.findall(r"^  (192\.0\.2\.1|2001:db8::1|#\d)", text.partition("Handshakes,")[2], re.MULTILINE)
    assert found == [TARGET, "#0", "#2", "#4", "2001:db8::1", "#1", "#3"]


def test_the_second_source_and_notes_are_there() -> None:
    shortfall = Shortfall(ShortfallKind.DESCRIPTORS, 2, "no descriptors are left")
    text = page(CASES["banned"]._replace(shortfalls=(shortfall,)))
    assert f"  source  192.0.2.9 and {OTHER}\n" in text
    assert "  #5 second source  " in text
    assert section(text, "Notes") == ["  - at most 2 at once: no descriptors are left"]


# --- commands and lines

MACHINES = (None, "OpenSSH_9.2p1", "OpenSSH_for_Windows_9.5", "Cisco-1.25")
SENTENCES = ("block the", "similar limits", "is a backend", "clamp the MSS", "fewer handshakes", "its log",
             "its access", "probe it less", "no more than", r"$env:ProgramData\ssh\sshd_config: raise")  # fmt: skip


def with_remedies(cause: Cause, software: str | None) -> Outcome:
    server = Server.of(f"SSH-2.0-{software}") if software else None
    report = run("kkkkk", server=server)
    found = judged(report)
    made = (*remedies.remedies_for(cause, report), *remedies.remedies_for(cause, report, 3)[:1])
    return found._replace(diagnosis=found.diagnosis._replace(cause=cause, remedies=made))


@pytest.mark.parametrize("width", [NARROWEST, 60, 120])
@pytest.mark.parametrize("software", MACHINES)
@pytest.mark.parametrize("cause", Cause)
def test_every_command_can_be_copied_and_every_sentence_is_broken(
    cause: Cause, software: str | None, width: int
) -> None:
    outcome = with_remedies(cause, software)
    text = explanation(outcome, parse(["-H", "x"]).expectations.thresholds, width=width)
    shown = section(text, "What to do")
    lines = [line.strip() for line in shown]
    joined = " ".join(line.removeprefix("# ") for line in lines)
    for remedy in outcome.diagnosis.remedies:
        command, _, comment = remedy.command.partition("   # ")
        assert command in joined
        assert comment in joined
        if not command.startswith(SENTENCES):
            parts = command.split("; ")
            assert all(any(part in line for line in lines) for part in parts)
    commands = [part for remedy in outcome.diagnosis.remedies for part in remedy.command.split("; ")]
    whole = {*commands, *(f"{part};" for part in commands), *(part.partition("   # ")[0] for part in commands)}
    assert [line for line in shown if len(line) > width and line.strip() not in whole] == []


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("case", CASES)
def test_no_line_but_a_command_is_wider_than_the_terminal(case: str, width: int) -> None:
    wide = [line for line in page(CASES[case], width).split("\n") if len(line) > width]
    assert [line for line in wide if not line.startswith("    ")] == []
    assert all(line == line.rstrip() for line in page(CASES[case], width).split("\n"))


# --- the drawing


def test_every_phase_has_its_own_character_and_shows_its_time() -> None:
    for marks in (UNICODE, ASCII):
        characters = [marks.of_phase(phase)[0] for phase in (*PHASES, "")]
        assert len(set(characters)) == len(characters)
    assert len({UNICODE.of_phase(phase)[1] for phase in PHASES}) == len(PHASES)
    took: dict[str, Any] = {**dict.fromkeys(PHASES, 0.01), "kex": 0.02}  # hostkey is within it
    one = run("S").handshakes[0]._replace(ended=0.01 * len(PHASES), **took)
    text = page(run("S", handshakes=(one,)))
    drawn = rows(text)[0].split()[2]
    widths = [drawn.count(UNICODE.of_phase(phase)[0]) for phase in PHASES]
    assert re.fullmatch("".join(f"{UNICODE.of_phase(phase)[0]}+" for phase in PHASES) + "✓", drawn)
    assert max(widths) - min(widths) <= 1
    assert all(f"{UNICODE.of_phase(phase)[0]} {phase}" in text for phase in PHASES)


@pytest.mark.parametrize(("letter", "mark"), [("S", "✓"), ("c", "✗"), ("R", "✗"), ("q", "…"), ("x", "…")])
def test_the_end_of_a_bar_says_how_it_ended(letter: str, mark: str) -> None:
    row = rows(page(run(letter)))[0]
    assert row.split()[2].endswith(mark)
    assert f" {LETTERS[letter]} " in row


def test_short_handshakes_stay_visible_beside_a_slow_one() -> None:
    report = run("SSSSS", by="9.2")
    slow = report.handshakes[2]._replace(ending=Ending.BANNER_TIMEOUT, ended=9.0)
    text = page(report._replace(handshakes=(*report.handshakes[:2], slow, *report.handshakes[3:])))
    bars = [row.split()[2] for row in rows(text)]
    assert [len(bar) for bar in bars if bar.endswith("✓")] == [2, 2, 2, 2]
    assert len(bars[2]) > 30
    assert "  0       2 s      4 s      6 s     8 s\n" in text


def test_a_pause_between_handshakes_is_cut_out_and_named() -> None:
    report = run("SSS", by="9.2")
    later = (report.handshakes[0], *(one._replace(started=0.25) for one in report.handshakes[1:]))
    text = page(report._replace(handshakes=later))
    assert f"{CUT} a pause of 250 ms, left out" in text
    assert f"─{CUT}┬─" in text
    assert CUT not in page(report)


def test_a_run_of_ten_thousand_is_drawn_in_part() -> None:
    report = run("S" + "SSSc" * 2499 + "SSt", "S", says=EXCEEDED, by="9.2")
    text = page(report)
    drawn = rows(text)
    assert len(drawn) == MOST_ROWS
    assert len(text.splitlines()) < 90
    # The few that ended otherwise and the further test are not among those left out.
    assert [row.split()[:2] for row in (drawn[0], *drawn[-2:])] == [
        ["#0", "baseline"], ["#9999", "burst"], ["#10000", "recheck"]
    ]  # fmt: skip
    assert "  … and 9,961 more: 7,480 completed, 2,481 closed\n" in text


@given(
    st.lists(
        st.tuples(st.sampled_from("SctqRx"), *[st.floats(0, 20) | st.floats(0, 1e-4)] * 3), min_size=1, max_size=50
    ),
    st.integers(50, 130),
)
def test_any_run_has_its_rows_within_the_width(shakes: list[tuple[str, float, float, float]], width: int) -> None:
    report = run("".join(letter for letter, *_ in shakes), says="x" * 200)
    made = tuple(
        one._replace(started=started, ended=ended, banner=banner if one.ending is Ending.COMPLETED else None)
        for one, (_, started, ended, banner) in zip(report.handshakes, shakes, strict=True)
    )
    text = page(report._replace(handshakes=made), width)
    drawn = rows(text)
    assert len(drawn) == min(MOST_ROWS, len(shakes))
    assert all(re.search("[▁▄█▒░▚·][✓✗…] ", row) for row in drawn)
    assert all(len(line) <= width for line in text.partition("\nCause")[0].split("\n"))


# --- what reaches the terminal


@pytest.mark.parametrize("case", CASES)
def test_colours_change_nothing_but_the_colour(case: str) -> None:
    plain, coloured = page(CASES[case]), page(CASES[case], has_colours=True)
    assert "\x1b" not in plain
    assert "\x1b[1m" in coloured
    assert ESCAPE.sub("", coloured) == plain
    assert not re.search(r"\x1b\[[\d;]*[34]8;", coloured)  # neither 256 colours nor RGB


def test_without_utf8_every_character_is_ascii() -> None:
    for report in CASES.values():
        assert page(report, is_ascii=True).isascii()
    assert "  #0 baseline  .................-|   completed   0.12 ms\n" in page(CASES["maxstartups"], is_ascii=True)


MARKUP = "[bold]x[/bold] [link=http://example.test]y[/] :smile: [/] 'z' 1234"


@pytest.mark.parametrize("has_colours", [False, True])
def test_markup_of_a_server_is_shown_and_not_obeyed(has_colours: bool) -> None:
    report = run("ttttt", says=MARKUP)._replace(server=Server.of("SSH-2.0-[red]x :boom:"))
    text = page(report, 120, has_colours=has_colours)
    assert f'  - the server said "{MARKUP}" 5 times\n' in text
    assert "  server  SSH-2.0-[red]x :boom:\n" in text


def test_no_control_character_gets_through() -> None:
    hostile = "\x1b]0;owned\x07\x1b[31m\r\b\x9b2J\u202e\nnew"
    report = run("ttttt", says=hostile, host=hostile)._replace(server=Server(hostile, "2.0", hostile, hostile))
    text = page(report)
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "\u202e" not in text
    assert "\\x1b]0;owned\\x07" in text


# --- standard output as it is

PAGE = """
import sys
from check_ssh_exchange.remote.explanation import page
from tests.test_explanation import CASES, judged
from check_ssh_exchange.diagnosis.verdict import DEFAULT_THRESHOLDS
sys.stdout.write(page(judged(CASES["maxstartups"]), DEFAULT_THRESHOLDS))
"""


def environment(**changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return {**kept, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **changed}


def on_terminal(columns: int, **changed: str) -> str:
    """Return what a page writes to a pseudo-terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen([sys.executable, "-c", PAGE], stdout=theirs, env=environment(**changed), cwd=ROOT)
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 65536):
            written += data
    except OSError:  # EIO: the other side is closed
        pass
    finally:
        os.close(ours)
    assert child.wait() == 0
    return written.decode().replace("\r\n", "\n")


def piped(**changed: str) -> str:
    done = subprocess.run([sys.executable, "-c", PAGE], capture_output=True, env=environment(**changed), cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_on_a_terminal_the_page_has_its_width_and_colours() -> None:
    report = CASES["maxstartups"]
    assert on_terminal(60) == page(report, 60, has_colours=True)
    assert on_terminal(100, NO_COLOR="1") == page(report, 100)
    assert on_terminal(100, TERM="dumb", NO_COLOR="") == page(report, 100)


def test_in_a_pipe_the_page_is_plain() -> None:
    report = CASES["maxstartups"]
    assert piped() == page(report, 80)
    assert piped(COLUMNS="64", FORCE_COLOR="1") == page(report, 64)
    assert piped(PYTHONIOENCODING="latin-1") == page(report, 80, is_ascii=True)


# --- rich


def test_without_rich_the_answer_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(Message) as raised:
        demand_rich()
    assert raised.value.code == 3
    assert str(raised.value) == (
        "SSH UNKNOWN - --explain needs the Python module rich: pip install rich, or Debian's python3-rich\n"
    )


def test_rich_is_imported_when_a_page_is_made_and_no_sooner() -> None:
    code = "import sys, check_ssh_exchange.remote.explanation; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "False\n"


def test_every_place_and_every_state_has_its_words() -> None:
    assert PLACES.keys() == set(remedies.Where)
    assert [str(state) for state in BADGES] == ["ok", "warning", "critical", "unknown"]
