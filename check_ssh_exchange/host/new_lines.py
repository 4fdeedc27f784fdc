"""Which lines of the logs in a snapshot are new: each counted once, wherever it stands a second time. Pure."""

from collections import Counter
from collections.abc import Mapping

from ..values import NamedTuple
from . import log_places
from .about import About
from .log_lines import Clock, Line, entries, line_of, line_of_entry, number
from .log_places import JOURNAL, JOURNAL_AGAIN, LONGEST, generations
from .snapshot import Output, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What journalctl says where the system's journal is not for us; its exit code is 0.
NOT_ALLOWED = ("insufficient permissions", "not seeing messages from other users", "Permission denied")
# What items remember of logs.
_KINDS: "dict[str, type]" = {"by": str, "cursor": str, "entry": int, "files": dict, "last": list}


class Logs(NamedTuple):
    """The new lines of sshd, in their order, and where they are from.

    `begin` is since when they count; `is_read`: some log could be read. `position` is what the next run goes on from.
    `missed` says what could not be looked through, `denied` are the logs that we have no right to.
    """

    lines: tuple[Line, ...]
    begin: float
    is_read: bool
    position: "Mapping[str, Any]"
    missed: tuple[str, ...]
    denied: tuple[str, ...]


def new_lines(seen: Snapshot, about: About) -> Logs:
    """Return what sshd has logged since the last run, else in the time that is asked for."""
    past = remembered(about.memory.get("log"), seen.at)
    begin = beginning(seen, about, past)
    output = journal(seen, JOURNAL, JOURNAL_AGAIN)
    entered, cursor = _entered(seen, output, past, begin)
    written, places, missed, denied = _written(seen, past, begin)
    by_journal = output is not None and bool(cursor or past.get("by") == "journal" or not places)
    kept = entered if by_journal else written
    hidden = [] if output is not None else [JOURNAL for key in (JOURNAL, JOURNAL_AGAIN) if hides(seen.command(key))]
    if output is not None and output.error == "EFBIG":
        missed.append("the journal has more of sshd than can be read at once")
    position = {
        "at": max(seen.at, past.get("at", 0.0)),
        "by": "journal" if by_journal and cursor else past.get("by", ""),
        "cursor": cursor[0] if cursor else past.get("cursor", ""),
        "entry": cursor[1] if cursor else past.get("entry", 0),
        "files": {**dict(list(_files(past).items())[-16:]), **places},
    }
    return Logs(
        tuple(line for line in kept if line.at >= seen.at - LONGEST), begin, by_journal or bool(places), position,
        tuple(missed), tuple(dict.fromkeys([*hidden[:1], *denied])),
    )  # fmt: skip


def remembered(value: object, at: float) -> "dict[str, Any]":
    """Return what an item remembers, {} where that is not whole or too old to go on from."""
    if not isinstance(value, dict) or not isinstance(value.get("at"), (int, float)):
        return {}
    kept = {name: value[name] for name, kind in _KINDS.items() if isinstance(value.get(name), kind)} | {
        "at": value["at"]
    }
    return kept if at - value["at"] <= LONGEST else {}


def beginning(seen: Snapshot, about: About, past: "Mapping[str, Any]") -> float:
    """Return since when lines count: the last run, or as far back as the snapshot looked."""
    since = seen.document.get("since")
    looked = min(about.since, since) if isinstance(since, (int, float)) else about.since
    if not past:
        return seen.at - looked
    position = seen.document.get("position")
    goes_on = isinstance(position, dict) and position.get("at") == past["at"]
    return float(min(seen.at, past["at"] if goes_on else max(past["at"], seen.at - looked)))


def journal(seen: Snapshot, first: str, again: str) -> Output | None:
    """Return what journalctl said, None where there is no journal or no right to it."""
    for key in (again, first):
        output = seen.command(key)
        if output.out and output.error in ("", "EFBIG", "ETIMEDOUT") and not output.code:
            return output
    for key in (again, first):
        output = seen.command(key)
        # With --grep, 1 and no word: nothing matched.
        if not output.error and output.code in (0, 1) and (output.code == 0 or not output.err.strip()):
            return None if hides(output) else output
    return None


def hides(output: Output) -> bool:
    """Return whether journalctl says that there is more, and that it is not for us."""
    return any(words in output.err for words in NOT_ALLOWED)


def period(seconds: float) -> str:
    """Return a span of time as an operator says it: 45 s, 10 min, 3 h, 2 days."""
    seconds = max(0.0, min(seconds, 1e9))
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= 59.5):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


# --- the journal


def _entered(
    seen: Snapshot, output: Output | None, past: "Mapping[str, Any]", begin: float
) -> tuple[list[Line], tuple[str, int] | None]:
    """Return the new lines of the journal, and its last entry: cursor and time."""
    if output is None:
        return [], None
    rows = list(entries(output.out))
    lines = [line for row in rows if (line := line_of_entry(row)) is not None]
    last = next(
        (
            (str(row["__CURSOR"]), number(row.get("__REALTIME_TIMESTAMP")))
            for row in reversed(rows)
            if "__CURSOR" in row
        ),
        None,
    )
    cursors = [line.cursor for line in lines]
    position = seen.document.get("position") or {}
    if past.get("cursor") and past["cursor"] in cursors:
        lines = lines[cursors.index(past["cursor"]) + 1 :]
    elif past.get("cursor") and position.get("cursor") == past["cursor"] and output == seen.command(JOURNAL):
        pass  # it was asked for what comes behind the cursor
    elif past.get("entry"):
        lines = [line for line in lines if line.place > past["entry"]]
    else:
        lines = [line for line in lines if line.at >= begin]
    return lines, last


# --- files


def _files(past: "Mapping[str, Any]") -> "Mapping[str, Any]":
    found = past.get("files")
    return found if isinstance(found, dict) else {}


def _written(
    seen: Snapshot, past: "Mapping[str, Any]", begin: float
) -> tuple[list[Line], dict[str, int], list[str], list[str]]:
    """Return the new lines of the files, where each file ended, what was missed, what may not be read."""
    found: list[Line] = []
    counted: Counter[tuple[int, int, str]] = Counter()
    places: dict[str, int] = {}
    missed, denied = [], []
    for base in log_places.OF_SSHD:
        own: Counter[tuple[int, int, str]] = Counter()
        for path in generations(base, tuple(seen.document["files"])):
            record = seen.document["files"][path]
            if "identity" not in record:
                continue
            lines, is_short = _of_file(seen, record, past, begin)
            if is_short:
                missed.append(f"{path} has grown by more than can be read at once")
            places[str(record["identity"])] = int(record["end"])
            for line in lines:
                key = (int(line.at), line.pid, line.message)
                own[key] += 1
                if own[key] > counted[key]:  # syslogs write the same line into several files
                    found.append(line)
        counted |= own
        if seen.is_denied(base):
            denied.append(base)
    return sorted(found, key=lambda line: line.at), places, missed, denied


def _of_file(
    seen: Snapshot, record: "Mapping[str, Any]", past: "Mapping[str, Any]", begin: float
) -> tuple[list[Line], bool]:
    """Return the new lines of a file, and whether some before them were not looked at."""
    clock = Clock(seen.at, float(seen.document.get("zone", 0)))
    pairs = zip(str(record["text"]).split("\n"), record["offsets"], strict=False)
    lines = [line for text, offset in pairs if (line := line_of(text, clock, offset)) is not None]
    known = _files(past).get(record["identity"])
    if isinstance(known, int) and known <= record["end"]:
        lines = [line for line in lines if line.place >= known]
        is_short = record["begin"] > known and record["identity"] in _files(seen.document.get("position") or {})
    else:
        is_short = False
        lines = [line for line in lines if line.at >= int(begin)]
    if record.get("has_own"):  # a log of many hosts: only this one's
        name = str(seen.document.get("host", {}).get("name", "")).partition(".")[0].lower()
        lines = [line for line in lines if line.host.partition(".")[0].lower() in (name, "")]
    return lines, is_short
