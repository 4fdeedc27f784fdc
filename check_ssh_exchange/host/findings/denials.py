"""The item denials: what SELinux, AppArmor and seccomp have denied sshd since the last run.

Records of the kernel's audit (linux/audit.h: 1400 AVC, of SELinux and of AppArmor, and 1326 SECCOMP), as auditd, a
syslog, the journal or the kernel's ring has them. Each has a time and a serial number, by which it is counted once.
"""

import re
from collections import Counter
from collections.abc import Iterator

from ...plugin.perfdata import Figure
from ...text import printable
from .. import log_places
from ..about import About
from ..finding import ROOT, Finding, Lack, skipped
from ..log_lines import NAMES, entries, message_of, number
from ..log_places import KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN, RING, generations
from ..new_lines import beginning, hides, journal, period, remembered
from ..snapshot import Snapshot
from ..sshd import daemons

ITEM = "denials"
_RECORD = re.compile(r"audit\(([0-9]{1,11})\.([0-9]{3}):([0-9]{1,12})\)")
_COMM = re.compile(r'\bcomm="([^"]{1,32})"')
_EXE = re.compile(r'\bexe="([^"]{1,4096})"')  # in records of seccomp
# The subject of a denial: sshd_t, and what Fedora splits from it (sshd_session_t, sshd_auth_t); AppArmor's profile.
_SUBJECT = re.compile(r'\bscontext=[^ :]*:[^ :]*:sshd\w*_t\b|\bprofile="[^"]*\bsshd\b[^"]*"')
_SELINUX = re.compile(r"avc: {1,2}denied {1,2}\{ ([^}]{1,200}) \}")
_APPARMOR = re.compile(r'apparmor="DENIED" operation="([^"]{1,80})"')
_SECCOMP = re.compile(r"(?:type=1326|SECCOMP)\b.*\bsig=([0-9]{1,3})\b")
_OBJECT = re.compile(r'\b(?:name|path|capname|requested_mask|syscall|dest|src)="?([^" ]{1,100})')


Place = tuple[int, int]  # when (milliseconds since the epoch), and the serial number of the event


class Denial:
    """A denial: what denied, what was denied, whether it was sshd itself, the record as it was written."""

    def __init__(self, place: Place, what: str, *, is_own: bool, record: str) -> None:
        self.place = place
        self.what = what
        self.is_own = is_own
        self.record = record


def find(seen: Snapshot, about: About) -> Finding:
    """Return what the kernel has denied."""
    past = remembered(about.memory.get(ITEM), seen.at)
    begin = beginning(seen, about, past)
    rows = list(_rows(seen))
    lacks = tuple(_lacks(seen))
    if not any(_readable(seen)):
        return skipped(
            ITEM, "the log of the kernel may not be read" if lacks else "no log of the kernel is here"
        )._replace(lacks=lacks)
    last = [one for one in past.get("last", []) if isinstance(one, int)]
    seen_until = (last[0], last[1]) if len(last) == 2 else (int(begin * 1000), -1)
    found: dict[Place, Denial] = {}
    systems = frozenset(_system(one.root.rstrip("/") + one.path) for one in daemons(seen, about.ports))
    for place, record in rows:
        if place <= seen_until or _is_elsewhere(record, systems):
            continue
        if (denial := _denial(place, record)) is not None:
            found.setdefault(place, denial)
    newest = max([place for place, _ in rows], default=seen_until)
    return Finding(
        ITEM,
        summary="nothing denied",
        sentences=tuple(_sentences(list(found.values()), period(seen.at - begin))),
        evidence=tuple(printable(one.record, 300) for one in list(found.values())[-5:]),
        remedies=tuple(_remedies(list(found.values()))),
        figures=(Figure("denials", float(len(found))),),
        lacks=lacks,
        counters=(("denials", float(len(found))),),
        remember={"at": max(seen.at, past.get("at", 0.0)), "last": list(max(newest, seen_until))},
    )


def _is_elsewhere(record: str, systems: frozenset[str]) -> bool:
    """Return whether a record names a program of another system of files than those that our listeners run from.

    The kernel's log is that of all of them: a chroot's sshd says nothing of this host's.
    """
    exe = _EXE.search(record)
    return exe is not None and bool(systems) and _system(exe[1]) not in systems


def _system(path: str) -> str:
    """Return where the system of files lies that a program belongs to: "" for /usr/sbin/sshd and /bin/sh."""
    before, usr, _ = path.partition("/usr/")
    return before if usr else ""


def _denial(place: Place, record: str) -> Denial | None:
    """Return the denial that a record tells of, None where it is none of sshd: it may have been the object."""
    comm = _COMM.search(record)
    is_own = comm is not None and comm[1] in NAMES
    if not is_own and not _SUBJECT.search(record):
        return None
    thing = _OBJECT.search(record)
    on = f" of {thing[1]}" if thing else ""
    if (found := _SELINUX.search(record)) and "permissive=1" not in record:
        what = f"SELinux: {found[1]}{on}"
    elif found := _APPARMOR.search(record):
        what = f"AppArmor: {found[1]}{on}"
    elif (found := _SECCOMP.search(record)) and int(found[1]):  # without a signal it was only logged
        what = f"seccomp: killed by signal {found[1]}{on}"
    else:
        return None
    return Denial(place, printable(what, 120), is_own=is_own, record=record)


def _rows(seen: Snapshot) -> Iterator[tuple[Place, str]]:
    """Yield every record about sshd with its time and serial number."""
    for base in log_places.OF_KERNEL:
        for path in generations(base, tuple(seen.document["files"])):
            yield from _records(seen.text(path) or "")
    yield from _records(seen.command(RING).out)
    output = journal(seen, KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN)
    for entry in entries(output.out if output is not None else ""):
        message = message_of(entry)
        if _RECORD.search(message):
            yield from _records(message)
        elif serial := number(entry.get("_AUDIT_ID")):  # journald has taken the number and the time out of it
            at = number(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry.get("__REALTIME_TIMESTAMP"))
            yield (at // 1000, serial), message


def _records(lines: str) -> Iterator[tuple[Place, str]]:
    for line in lines.split("\n"):
        found = _RECORD.search(line)
        if found is not None:
            yield (int(found[1]) * 1000 + int(found[2]), int(found[3])), line


def _sentences(found: list[Denial], span: str) -> Iterator[tuple[str, str]]:
    if found:
        (what, often), number = Counter(one.what for one in found).most_common(1)[0], len(found)
        most = what if often == number else f"{often} by {what}"
        whose = "sshd" if any(one.is_own for one in found) else "a program that sshd runs"
        yield "denials", f"{number} denial{'s' * (number > 1)} of {whose} in {span} ({most})"


def _remedies(found: list[Denial]) -> Iterator[str]:
    names = {one.what.partition(":")[0] for one in found}
    if "SELinux" in names:
        yield "ausearch -m AVC -c sshd -ts recent   # then: audit2why, restorecon -Rv /etc/ssh, semanage port -l"
    if "AppArmor" in names:
        yield "aa-status; journalctl -k -g 'apparmor=.DENIED.'   # then: aa-complain /usr/sbin/sshd, aa-logprof"
    if "seccomp" in names:
        yield "ausearch -m SECCOMP -c sshd   # a system call that this sshd's sandbox does not know: upgrade sshd"


def _readable(seen: Snapshot) -> Iterator[bool]:
    for base in log_places.OF_KERNEL:
        yield any(seen.text(path) is not None for path in generations(base, tuple(seen.document["files"])))
    yield seen.command(RING).is_good
    yield journal(seen, KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN) is not None


def _lacks(seen: Snapshot) -> Iterator[Lack]:
    audit = log_places.OF_KERNEL[0]
    if seen.is_denied(audit):
        yield Lack(ROOT, f"{audit}, with what SELinux and AppArmor deny")
    elif not any(_readable(seen)):
        if any(hides(seen.command(key)) for key in (KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN)):
            yield Lack("root, or the group systemd-journal", "the kernel's log")
        elif any(seen.is_denied(path) for path in log_places.OF_KERNEL) or "not permitted" in seen.command(RING).err:
            yield Lack("root, or the group adm", "the kernel's log")
