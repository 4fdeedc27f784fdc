"""Lines of a log as values: the syslog's files in their two date formats, the journal's JSON. Pure."""

import json
import re
from collections.abc import Iterator

from ..values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_LINE = 2000  # bytes of a line; OpenSSH writes 1024 at most (log.c, MSGBUFSIZ)
NAMES = ("sshd", "sshd-session", "sshd-auth")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# RFC 3164 has neither year nor zone; rsyslog of Debian 12 and later writes RFC 3339; busybox puts the facility behind
# the host. All is anchored: what a client says stands behind the tag, and never makes a line of its own.
_STAMP = (
    r"(?:(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>[0-9]{1,2}) (?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?P<fraction>\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)"
)
_TAG = r"(?P<tag>sshd(?:-session|-auth)?)(?:\[(?P<pid>[0-9]{1,10})\])?:"
_FACILITY = r"(?:[a-z0-9]{2,9}\.[a-z]{3,7} )?"
_LINE = re.compile(rf"{_STAMP} (?:(?P<host>\S{{1,255}}) )?{_FACILITY}{_TAG} ?(?P<message>.*)", re.DOTALL)
_AUDIT = re.compile(r"audit\(([0-9]{1,11})\.")
_DENIAL = re.compile(r"denied|DENIED|type=1326|SECCOMP")


class Line(NamedTuple):
    """A line: when (seconds since the epoch), of which process, what it says, from which host ("" where not told).

    `place` is its offset in a file, or its time in microseconds in a journal, whose entry is named by `cursor`.
    """

    at: float
    pid: int
    message: str
    host: str = ""
    place: int = 0
    cursor: str = ""


class Clock(NamedTuple):
    """What a log's dates are to be read by: when the snapshot was taken, seconds east of UTC there."""

    at: float
    zone: float


def is_of_interest(line: str) -> bool:
    """Return whether a line of a file is sshd's, or the kernel's about sshd; all others stay unread."""
    return bool(_LINE.match(line)) or (bool(_AUDIT.search(line)) and bool(_DENIAL.search(line)))


def line_of(text: str, clock: Clock, place: int = 0) -> Line | None:
    """Return the line of sshd in a row of a file, None where it is none."""
    found = _LINE.match(text)
    if found is None:
        return None
    at = _time(found, clock)
    return Line(at, int(found["pid"] or 0), found["message"].rstrip("\r"), found["host"] or "", place)


def time_of(text: str, clock: Clock) -> float | None:
    """Return when a row of any program was written, None where it does not say so."""
    if found := re.match(_STAMP, text):
        return _time(found, clock)
    audit = _AUDIT.search(text)
    return float(audit[1]) if audit else None


def _time(found: "re.Match[str]", clock: Clock) -> float:
    if found["date"]:
        year, month, day = map(int, found["date"].split("-"))
        zone = clock.zone if found["zone"] is None else _offset(found["zone"])
        return _epoch(year, month, day, found["time"]) + float(found["fraction"] or 0) - zone
    month = _MONTHS.index(found["month"]) + 1 if found["month"] in _MONTHS else 1
    # A line of December that is read in January is of the year before.
    year = 1970 + int((clock.at + clock.zone) // 31556952)
    times = [_epoch(one, month, int(found["day"]), found["clock"]) - clock.zone for one in (year - 1, year, year + 1)]
    return max([time for time in times if time <= clock.at + 86400], default=times[0])


def _offset(text: str) -> float:
    if text == "Z":
        return 0.0
    seconds = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return float(-seconds if text[0] == "-" else seconds)


def _epoch(year: int, month: int, day: int, clock: str) -> float:
    """Return seconds since 1970 of a date in UTC, by the count of days in years that begin in March."""
    years = year - (month <= 2)
    days = 365 * years + years // 4 - years // 100 + years // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    hours, minutes, seconds = map(int, clock.split(":"))
    return days * 86400.0 + hours * 3600 + minutes * 60 + seconds


# --- the journal


def entries(output: str) -> "Iterator[dict[str, Any]]":
    """Yield the entries in the output of journalctl -o json; what is no entry is passed over."""
    for row in output.split("\n"):
        if row.startswith("{"):
            try:
                entry = json.loads(row)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def line_of_entry(entry: "dict[str, Any]") -> Line | None:
    """Return an entry of sshd as a line, None for one of another program that calls itself sshd."""
    program = _text(entry.get("_COMM"))
    if program and program not in NAMES:  # journald has it from the kernel; `logger -t sshd` is anybody's
        return None
    if _text(entry.get("_UID")) not in ("", "0"):  # sshd logs as root; any user may log under its name
        return None
    place = number(entry.get("__REALTIME_TIMESTAMP"))
    pid = number(entry.get("_PID") or entry.get("SYSLOG_PID"))
    return Line(place / 1e6, pid, message_of(entry), "", place, _text(entry.get("__CURSOR")))


def message_of(entry: "dict[str, Any]") -> str:
    """Return the message: it may be missing, null (too long), a list of bytes, a list of several."""
    return _text(entry.get("MESSAGE"))[:MOST_LINE]


def number(value: object) -> int:
    """Return a number that the journal has as text, 0 for anything else."""
    text = _text(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if value and isinstance(value[0], (str, list)):
            value = value[0]
            if isinstance(value, str):
                return value
        data = bytes(one for one in value[:MOST_LINE] if isinstance(one, int) and 0 <= one < 256)
        return data.decode("utf-8", "surrogateescape")
    return ""
