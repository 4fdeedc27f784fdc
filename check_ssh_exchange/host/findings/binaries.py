"""The item binaries: would a listener's next child be of another release, or not start at all?"""

from collections.abc import Iterable

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import join, printable
from .. import release
from ..about import About
from ..finding import Finding, Problem, skipped
from ..host import restart
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import prefix

ITEM = "binaries"
SLACK = 2.0  # seconds; the start of a process is known to one
# Where children are known to die: `-R not supported here` (sshd.c, 9.8), another form of what listener and child say to
# each other (sshd.c, send_rexec_state; 8.2, and 10.0 with the host keys in it).
BREAKS = ((8, 2), (9, 8), (10, 0))
NAMED = 3  # deleted files in a sentence
OF_TIMES = ("libcrypto.so", "libwrap.so")
# What is loaded where it is there, and left out where it is not.
_OPTIONAL = ("libnss_", "pam_")


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = daemons(seen, about.ports)
    if not found:
        return skipped(ITEM, "no sshd")
    problems = [problem for daemon in found for problem in _problems(seen, daemon, is_one=len(found) == 1)]
    gone = {(daemon.root, path): None for daemon in found for path in release.deleted(seen, daemon)}
    visible = [daemon for daemon in found if release.is_visible(seen, daemon)]
    return Finding(
        ITEM,
        summary="listener and children are of one release" if visible else "",
        problems=tuple(problems),
        evidence=tuple(line for daemon in found for line in _evidence(seen, daemon)),
        remedies=tuple(dict.fromkeys(_remedy(seen, daemon) for daemon in found)),
        figures=(Figure("deleted_files", len(gone)),) if len(visible) == len(found) else (),
        sentences=(("deleted_files", f"sshd has mapped deleted files: {_names(path for _, path in gone)}"),),
        lacks=() if len(visible) == len(found) else ("root would show which files sshd has mapped (/proc/PID/maps)",),
    )


def _problems(seen: Snapshot, daemon: Daemon, *, is_one: bool) -> list[Problem]:
    who = "" if is_one else f"{printable(daemon.name, 200)}: "
    runs = release.running(seen, daemon)
    found = [Problem(Critical, who + sentence, Cause.SERVER_FAULT, sure) for sentence, sure in _deadly(seen, daemon)]
    if not found and not runs:
        found = [
            Problem(Warn, who + sentence, Cause.SERVER_FAULT, Confidence.LIKELY) for sentence in _older(seen, daemon)
        ]
    return found


def _deadly(seen: Snapshot, daemon: Daemon) -> list[tuple[str, Confidence]]:
    """Return what the next connections will die of, the surest first."""
    found = [(sentence, Confidence.CERTAIN) for sentence in (*_missing(seen, daemon), *_unloadable(seen, daemon))]
    runs = release.running(seen, daemon)
    for name, child in _children(seen, daemon).items():
        if not runs or not child or child == runs:
            continue
        before, after = sorted((release.numbers(runs), release.numbers(child)))
        dies = any(before < step <= after for step in BREAKS)
        end = "every new connection dies" if dies else "its new connections get that one"
        sentence = f"the listener is {runs}, {name} on disk is {child}: {end} until sshd is restarted"
        found.append((sentence, Confidence.CERTAIN if dies else Confidence.LIKELY))
        break  # the helpers come from the same package
    return found


def _children(seen: Snapshot, daemon: Daemon) -> dict[str, str]:
    """Return the release of each program that the listener runs for a connection, by its name."""
    if release.helper_paths(seen, daemon):
        helpers = release.helper_releases(seen, daemon)
        return {path.rpartition("/")[2]: version for path, version in helpers.items()}
    return {"sshd": release.on_disk(seen, daemon)}


def _missing(seen: Snapshot, daemon: Daemon) -> list[str]:
    there = release.helper_releases(seen, daemon)
    return [
        f"{printable(path, 200)} is missing: every new connection dies"
        for path in release.helper_paths(seen, daemon)
        if path not in there and not seen.is_denied(prefix(daemon) + path)
    ]


def _unloadable(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return the libraries that were deleted and not replaced, while the binary that needs them is still there."""
    is_there = seen.stat(prefix(daemon) + daemon.path) is not None
    if not is_there or release.is_replaced(seen, daemon):  # a new one has libraries of its own
        return []
    return [
        f"{printable(path, 200)} is gone: every new connection dies"
        for path in release.deleted(seen, daemon)
        if _is_needed(path) and not any(seen.stat(prefix(daemon) + name) for name in release.names_of(path))
    ]


def _is_needed(path: str) -> bool:
    name = path.rpartition("/")[2]
    return ".so." in name and not name.startswith(_OPTIONAL)


def _older(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return what was installed after the listener's start, for those who may not see what it has mapped."""
    started = daemon.process.started
    paths = [daemon.path, *release.helper_paths(seen, daemon)]
    paths += [path for path in seen.document["stats"] if path.rpartition("/")[2].startswith(OF_TIMES)]
    # A file keeps the time of its build, but its inode has that of its installation.
    newer = [path for path in dict.fromkeys(paths) if started and _changed(seen, path) > started + SLACK]
    if not newer:
        return []
    names = join(printable(path.rpartition("/")[2], 80) for path in newer)
    return [f"sshd was started before {names} {'were' if len(newer) > 1 else 'was'} installed"]


def _changed(seen: Snapshot, path: str) -> float:
    changed = float((seen.stat(path) or {}).get("ctime", 0.0))
    return changed if changed <= seen.at + SLACK else 0.0


def _evidence(seen: Snapshot, daemon: Daemon) -> list[str]:
    runs, disk = release.running(seen, daemon), release.on_disk(seen, daemon)
    found = [
        f"pid {daemon.pid} runs {runs or 'what we may not see'}, {printable(daemon.path, 200)} is {disk or 'gone'}"
    ]
    found += [
        f"{printable(path, 200)} is {version or 'of no known release'}"
        for path, version in release.helper_releases(seen, daemon).items()
    ]
    gone = release.deleted(seen, daemon)
    if gone:
        found.append(f"pid {daemon.pid} has mapped deleted files: {_names(gone)}")
    return found


def _names(paths: Iterable[str]) -> str:
    names = [printable(path, 200) for path in paths]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _remedy(seen: Snapshot, daemon: Daemon) -> str:
    if daemon.is_foreign:
        return f"restart the container of pid {daemon.pid}   # its sshd and the files on its disk are of two releases"
    if daemon.root != "/":
        return f"restart the sshd of pid {daemon.pid} in {printable(daemon.root, 200)}   # sessions go on"
    return f"{restart(seen)}   # sessions go on; the listener and its children become of one release"
