"""What sshd and the kernel have written into their logs of late: the journal, and the files of syslog and audit.

Only lines of sshd, and denials of sshd, stay in the snapshot: a log of authentication holds what is nobody's business.
"""

import re
import zlib
from collections.abc import Iterator

from .. import log_places
from ..door import Door
from ..log_lines import MOST_LINE, Clock, is_of_interest, time_of
from ..log_places import JOURNAL, JOURNAL_AGAIN, KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN, LONGEST, RING
from ..snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_TAIL = 1 << 17  # bytes that are looked through first; mostly all of the last minutes are in them
TAIL = 4 << 20  # bytes of a log that are looked through; 40,000 lines of auth.log
KERNEL_TAIL = 1 << 20
COMPRESSED = 4 << 20  # bytes of a compressed log; it has ten times as many inside
UNPACKED = 64 << 20
MOST_LINES = 20000  # of one file, kept
OUTPUT = 8 << 20  # bytes of journalctl's; 20,000 entries
HEAD = 128  # bytes at the beginning of a file, which tell it from the one before a rotation
MOST_ROTATED = 2
SLACK = 2.0  # seconds; a date without fractions is up to one early

NAMES = ("sshd", "sshd-session", "sshd-auth")
_FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_COMM,_TRANSPORT,_AUDIT_ID,_SOURCE_REALTIME_TIMESTAMP"
# journalctl joins matches of one field by "or", and what is on the two sides of + as well.
_OF_SSHD = (
    *(f"_COMM={name}" for name in NAMES), "+", *(f"SYSLOG_IDENTIFIER={name}" for name in NAMES)
)  # fmt: skip
_OF_KERNEL = ("_TRANSPORT=kernel", "_TRANSPORT=audit")
# Without -q: it would hide that we have no right to the system's journal, and the exit code is 0 either way.
_JOURNALCTL = ("journalctl", "-o", "json", "--no-pager")


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record what is new in the logs: since the position of the last run, else since `since` seconds."""
    position = _position(seen)
    horizon = _horizon(seen, position)
    has_journal = any(door.list(path) for path in log_places.JOURNALS)
    if has_journal:
        _want_journal(door, position, horizon)
    found = [
        path
        for path in dict.fromkeys((*log_places.OF_SSHD, *log_places.OF_KERNEL))
        if _file(door, seen, path, position, horizon)
    ]
    if not has_journal and not set(found) & {*log_places.OF_KERNEL}:
        door.want("dmesg", key=RING)
    yield
    if has_journal:
        _want_journal_again(door, seen, horizon)
    yield
    _keep_own(seen)


def _position(seen: Snapshot) -> "dict[str, Any]":
    position = dict(seen.document.get("position") or {})
    at = position.get("at")
    return position if isinstance(at, (int, float)) and 0 <= seen.at - at <= LONGEST else {}


def _horizon(seen: Snapshot, position: "dict[str, Any]") -> float:
    """Return since when lines count (seconds since the epoch)."""
    return float(position.get("at", seen.at - float(seen.document.get("since", 600.0))))


def _want_journal(door: Door, position: "dict[str, Any]", horizon: float) -> None:
    cursor = position.get("cursor")
    since = f"--since=@{int(horizon)}"
    # A cursor whose entry is gone leads journalctl to the place where it was; only a broken one is an error.
    begin = f"--after-cursor={cursor}" if isinstance(cursor, str) and cursor else since
    door.want(*_JOURNALCTL, f"--output-fields={_FIELDS}", begin, *_OF_SSHD, key=JOURNAL, limit=OUTPUT)
    door.want(
        *_JOURNALCTL, f"--output-fields={_FIELDS}", "--grep=sshd", since, *_OF_KERNEL, key=KERNEL_JOURNAL, limit=OUTPUT
    )


def _want_journal_again(door: Door, seen: Snapshot, horizon: float) -> None:
    """Ask without a cursor, and without the options that systemd has only had since 236 and 237."""
    since = f"--since=@{int(horizon)}"
    for key, again, matches in (
        (JOURNAL, JOURNAL_AGAIN, _OF_SSHD),
        (KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN, _OF_KERNEL),
    ):
        first = seen.command(key)
        # With --grep an exit code of 1 and no word says that nothing matched.
        if first.code and (first.err.strip() or key == JOURNAL):
            door.want(*_JOURNALCTL, since, *matches, key=again, limit=OUTPUT)


# --- files


def _file(door: Door, seen: Snapshot, path: str, position: "dict[str, Any]", horizon: float) -> bool:
    """Record a log and what was rotated away since the horizon; return whether it could be read."""
    limit = TAIL if path in log_places.OF_SSHD else KERNEL_TAIL
    # Where denials are looked for too, the other item's position must not hide them.
    known = position.get("files") if path not in log_places.OF_KERNEL else {}
    known = known if isinstance(known, dict) else {}
    is_there = door.stat(path, follow=False) is not None and _plain(door, seen, path, path, known, limit, horizon)
    for rotated in _rotated(door, path, horizon):
        if rotated.endswith(".gz"):
            _compressed(door, seen, rotated, path, limit, horizon)
        else:
            _plain(door, seen, rotated, path, known, limit, horizon)
    return is_there


def _rotated(door: Door, path: str, horizon: float) -> list[str]:
    """Return the rotated files of a log that were written to since the horizon, the older first."""
    directory, _, base = path.rpartition("/")
    pattern = re.compile(re.escape(base) + r"(?:\.1|-\d{8}(?:-\d{1,10})?)(?:\.gz)?")
    names = [name for name in door.list(directory) if pattern.fullmatch(name)]
    dated = []
    for name in sorted(names)[-8:]:
        found = door.stat(f"{directory}/{name}", follow=False)
        if found is not None and found["mtime"] >= horizon:
            dated.append((found["mtime"], f"{directory}/{name}"))
    return [rotated for _, rotated in sorted(dated)[-MOST_ROTATED:]]


def _plain(
    door: Door, seen: Snapshot, path: str, base: str, known: "dict[str, Any]", limit: int, horizon: float
) -> bool:
    head = door.read(path, HEAD)
    if head is None:
        return False
    name = identity(base, _bytes(head))
    size = seen.document["files"][path]["size"]
    offset = known.get(name)
    goes_on = isinstance(offset, int) and 0 <= offset <= size
    begin = offset if isinstance(offset, int) and goes_on else 0
    for bound in (limit,) if goes_on else (FIRST_TAIL, limit):
        text = door.read(path, bound, start=begin, from_end=True)
        if text is None:
            return False
        start = seen.document["files"][path]["start"]
        if goes_on or start == 0 or bound == limit or _reaches(seen, text, horizon):
            _keep(seen, path, name, _bytes(text), start, None if goes_on else horizon)
            break
    return True


def _reaches(seen: Snapshot, text: str, horizon: float) -> bool:
    """Return whether the tail of a log begins before the horizon: its first whole line is older."""
    begin = text.find("\n", 0, MOST_LINE) + 1
    at = time_of(text[begin : begin + MOST_LINE], _clock(seen))
    return at is not None and at < horizon


def _clock(seen: Snapshot) -> Clock:
    return Clock(seen.at, float(seen.document.get("zone", 0)))


def _compressed(door: Door, seen: Snapshot, path: str, base: str, limit: int, horizon: float) -> None:
    text = door.read(path, COMPRESSED)
    if text is None:
        return
    try:
        data = zlib.decompressobj(wbits=31).decompress(_bytes(text), UNPACKED)
    except zlib.error as error:
        seen.document["files"][path] = {"error": "EINVAL", "why": str(error)}
        return
    start = max(0, len(data) - limit)
    _keep(seen, path, identity(base, data[:HEAD]), data[start:], start, horizon)


def identity(base: str, head: bytes) -> str:
    """Return what a log is remembered by: it stays the same when the file is renamed, copied or compressed."""
    return f"{base}:{zlib.crc32(head[:HEAD]):08x}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _keep(seen: Snapshot, path: str, name: str, data: bytes, start: int, horizon: float | None) -> None:
    """Put the lines of interest since the horizon in the place of the whole text, each with its offset in the file."""
    clock = _clock(seen)
    host = str(seen.document.get("host", {}).get("name", "")).partition(".")[0].encode()
    kept: list[str] = []
    offsets: list[int] = []
    at = data.find(b"sshd")
    end = data.rfind(b"\n") + 1  # a line that is still being written counts when it is whole
    while 0 <= at < end and len(kept) < MOST_LINES:
        begin = data.rfind(b"\n", 0, at) + 1
        after = data.find(b"\n", at)
        line = data[begin : min(after, begin + MOST_LINE)].decode("utf-8", "surrogateescape")
        # The first line of a tail has lost its beginning, and then does not match.
        if is_of_interest(line) and (horizon is None or (time_of(line, clock) or horizon) >= horizon - SLACK):
            kept.append(line)
            offsets.append(start + begin)
        at = data.find(b"sshd", after)
    seen.document["files"][path].update(
        text="".join(f"{line}\n" for line in kept), offsets=offsets, end=start + end, begin=start, identity=name,
        has_own=bool(host) and b" %b " % host in data,
    )  # fmt: skip


def _keep_own(seen: Snapshot) -> None:
    """Leave nothing in the kernel's log but denials of sshd."""
    for key in (KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN, RING):
        found = seen.document["commands"].get(key)
        if found is not None:
            rows = found.get("out", "").splitlines()
            found["out"] = "".join(f"{row}\n" for row in rows if "sshd" in row)
