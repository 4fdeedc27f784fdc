"""The item binaries: would a listener's next child be of another release, or not start at all?"""

from collections.abc import Iterable

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import join, printable
from .. import release
from ..about import About
from ..configuration_files import hidden_file
from ..finding import ROOT, Finding, Lack, Problem, skipped
from ..host import restart
from ..packages import in_root, reinstall, reinstall_library
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import prefix

ITEM = "binaries"
SLACK = 2.0  # seconds; the start of a process is known to one
# Where children are known to die: `-R not supported here` (sshd.c, 9.8), another form of what listener and child say to
# each other (sshd.c, send_rexec_state; 8.2, and 10.0 with the host keys in it).
BREAKS = ((8, 2), (9, 8), (10, 0))
EXECUTABLE = 0o111  # root may run what anybody may
NAMED = 3  # deleted files in a sentence
OF_TIMES = ("libcrypto.so", "libwrap.so")
# What is loaded where it is there, and left out where it is not.
_OPTIONAL = ("libnss_", "pam_")


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = daemons(seen, about.ports)
    if not found:
        return skipped(ITEM, "no sshd")
    problems = {daemon: _problems(seen, daemon, is_one=len(found) == 1) for daemon in found}
    gone = {(daemon.root, path) for daemon in found for path in release.deleted(seen, daemon)}
    visible = [daemon for daemon in found if release.is_visible(seen, daemon)]
    return Finding(
        ITEM,
        summary="listener and children are of one release" if visible else "",
        problems=tuple(problem for some in problems.values() for problem in some),
        evidence=tuple(line for daemon in found for line in _evidence(seen, daemon)),
        remedies=tuple(dict.fromkeys(remedy for daemon in found for remedy in _remedies(seen, daemon))),
        figures=(Figure("deleted_files", len(gone)),) if len(visible) == len(found) else (),
        sentences=(("deleted_files", _said_of_deleted(seen, problems)),) if gone else (),
        lacks=() if len(visible) == len(found) else (Lack(ROOT, "which files sshd has mapped (/proc/PID/maps)"),),
    )


def _problems(seen: Snapshot, daemon: Daemon, *, is_one: bool) -> list[Problem]:
    who = "" if is_one else f"{printable(daemon.name, 200)}: "
    found = [Problem(Critical, sentence, Cause.SERVER_FAULT) for sentence in _deadly(seen, daemon)]
    found = found or [
        Problem(Warn, sentence, Cause.SERVER_FAULT, Confidence.LIKELY)
        for sentence in (*_of_another_release(seen, daemon), *_older(seen, daemon))
    ]
    return [problem._replace(sentence=who + problem.sentence, pid=daemon.pid) for problem in found]


# --- what the next connections die of


def _deadly(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return what the next connections will die of, the surest first."""
    found = [f"{printable(path, 200)} is missing: every new connection dies" for path in _missing(seen, daemon)]
    for path in _not_executable(seen, daemon):
        name = path.rpartition("/")[2]
        found.append(f"{name} is not executable: every new connection dies")
    found += [f"{printable(path, 200)} is gone: every new connection dies" for path in _unloadable(seen, daemon)]
    runs, name, child = _other_child(seen, daemon)
    if name and _is_break(runs, child):
        end = "every new connection dies until sshd is restarted"
        found.append(f"the listener is {runs}, {name} on disk is {child}: {end}")
    return found


def _missing(seen: Snapshot, daemon: Daemon) -> list[str]:
    return _absent(seen, daemon, release.helper_paths(seen, daemon))


def _absent(seen: Snapshot, daemon: Daemon, paths: Iterable[str]) -> list[str]:
    files = {path: prefix(daemon) + path for path in paths}
    return [path for path, file in files.items() if seen.stat(file) is None and not seen.is_denied(file)]


def _not_executable(seen: Snapshot, daemon: Daemon) -> list[str]:
    found = {path: seen.stat(prefix(daemon) + path) for path in release.helper_paths(seen, daemon)}
    return [path for path, told in found.items() if told and not told.get("mode", EXECUTABLE) & EXECUTABLE]


def _unloadable(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return the libraries that were deleted and not replaced, while the binary that needs them is still there."""
    if _is_gone(seen, daemon) or release.is_replaced(seen, daemon):  # a new one has libraries of its own
        return []
    return [
        path
        for path in release.deleted(seen, daemon)
        if _is_needed(path) and not any(seen.stat(prefix(daemon) + name) for name in release.names_of(path))
    ]


def _is_gone(seen: Snapshot, daemon: Daemon) -> bool:
    return seen.stat(prefix(daemon) + daemon.path) is None


def _is_needed(path: str) -> bool:
    name = path.rpartition("/")[2]
    return ".so." in name and not name.startswith(_OPTIONAL)


def _other_child(seen: Snapshot, daemon: Daemon) -> tuple[str, str, str]:
    """Return the listener's release, and the first of its children that is of another: name and release, else ""."""
    runs = release.running(seen, daemon)
    for name, child in _children(seen, daemon).items():
        if runs and child and child != runs:
            return runs, name, child  # the helpers come from the same package
    return runs, "", ""


def _children(seen: Snapshot, daemon: Daemon) -> dict[str, str]:
    """Return the release of each program that the listener runs for a connection, by its name."""
    if release.helper_paths(seen, daemon):
        helpers = release.helper_releases(seen, daemon)
        return {path.rpartition("/")[2]: version for path, version in helpers.items()}
    return {"sshd": release.on_disk(seen, daemon)}


def _is_break(one: str, other: str) -> bool:
    before, after = sorted((release.numbers(one), release.numbers(other)))
    return any(before < step <= after for step in BREAKS)


# --- what is older than the disk, and goes on


def _of_another_release(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return that a child of another release serves the next connections."""
    runs, name, child = _other_child(seen, daemon)
    if not name:
        return []
    if release.on_disk(seen, daemon) == runs:  # a restart changes nothing
        return [f"{name} on disk is {child}, sshd is {runs}: reinstall the package"]
    way = "downgraded" if release.numbers(child) < release.numbers(runs) else "upgraded"
    return [f"sshd was {way} on disk to {child}, still runs {runs}: restart it"]


def _older(seen: Snapshot, daemon: Daemon) -> list[str]:
    return ["sshd is older than its files on disk"] if _newer(seen, daemon) else []


def _newer(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return what was installed after the listener's start, for those who may not see what it has mapped."""
    if release.running(seen, daemon) or hidden_file(seen, daemon):
        return []
    started = daemon.process.started
    paths = [daemon.path, *release.helper_paths(seen, daemon)]
    paths += [path for path in seen.document["stats"] if path.rpartition("/")[2].startswith(OF_TIMES)]
    # A file keeps the time of its build, but its inode has that of its installation.
    return [path for path in dict.fromkeys(paths) if started and _changed(seen, path) > started + SLACK]


def _changed(seen: Snapshot, path: str) -> float:
    changed = float((seen.stat(path) or {}).get("ctime", 0.0))
    return changed if changed <= seen.at + SLACK else 0.0


def _said_of_deleted(seen: Snapshot, problems: "Mapping[Daemon, list[Problem]]") -> str:
    """Return what the figure deleted_files says; where a problem tells the reason, the same, for it is said once."""
    affected = [daemon for daemon in problems if release.deleted(seen, daemon)]
    if len(affected) > 1:
        return f"{len(affected)} sshds still run files that were upgraded on disk: restart them"
    (daemon,) = affected
    if said := problems[daemon]:
        return said[0].sentence
    who = "" if len(problems) == 1 else f"{printable(daemon.name, 200)}: "
    if _is_gone(seen, daemon) and not seen.is_denied(prefix(daemon) + daemon.path):
        return f"{who}{printable(daemon.path, 200)} is gone and still runs: reinstall it before any restart"
    return who + _counted(daemon, release.deleted(seen, daemon))


def _counted(daemon: Daemon, gone: list[str]) -> str:
    libraries = [path for path in gone if ".so" in path.rpartition("/")[2]]
    others = [path for path in gone if path not in libraries and path != daemon.path]
    words = ["sshd"] if daemon.path in gone else []
    words += [_number(some, noun) for some, noun in ((libraries, "libraries"), (others, "other files")) if some]
    were, ones = ("was", "one") if len(gone) == 1 else ("were", "ones")
    return f"{join(words)} {were} upgraded on disk, sshd still runs the old {ones}: restart it"


def _number(paths: list[str], noun: str) -> str:
    return _base(paths[0]) if len(paths) == 1 else f"{len(paths)} {noun}"


def _base(path: str) -> str:
    return printable(path.rpartition("/")[2], 80)


def _evidence(seen: Snapshot, daemon: Daemon) -> list[str]:
    runs, disk = release.running(seen, daemon), release.on_disk(seen, daemon)
    found = []
    if not hidden_file(seen, daemon):
        path = printable(daemon.path, 200)
        found.append(f"pid {daemon.pid} runs {runs or 'what we may not see'}, {path} is {disk or 'gone'}")
    found += [
        f"{printable(path, 200)} is {version or 'of no known release'}"
        for path, version in release.helper_releases(seen, daemon).items()
    ]
    if gone := release.deleted(seen, daemon):
        found.append(f"pid {daemon.pid} has mapped deleted files: {_names(gone)}")
    if newer := _newer(seen, daemon):
        found.append(f"installed after the start of pid {daemon.pid}: {_names(newer)}")
    return found


def _names(paths: list[str]) -> str:
    names = [_base(path) for path in paths]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


# --- what to do


def _remedies(seen: Snapshot, daemon: Daemon) -> Iterable[str]:
    """Yield what puts it right. No restart where a new sshd would not start: the old one still holds the sessions."""
    lost = _lost(seen, daemon)
    blocked = _not_executable(seen, daemon)
    if lost:
        yield _put_back(seen, daemon, lost)
    for path in blocked:
        yield in_root(daemon, "chmod 755", path) + "   # the next connection is served, without a restart"
    if not lost and not blocked:
        yield _again(seen, daemon)


def _lost(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return what is needed and not there: helpers of the binary on disk, the binary, libraries."""
    found = _absent(seen, daemon, release.next_helper_paths(seen, daemon))
    if release.is_visible(seen, daemon) and _is_gone(seen, daemon):
        found += _absent(seen, daemon, [daemon.path])
    return found or _unloadable(seen, daemon)


def _put_back(seen: Snapshot, daemon: Daemon, lost: list[str]) -> str:
    names = join(_base(path) for path in lost[:NAMED])
    if daemon.is_foreign:
        return f"start the container of pid {daemon.pid} anew from its image: it has no {names} any more"
    if daemon.root != "/":
        root = printable(daemon.root, 200)
        return f"do not restart the sshd of pid {daemon.pid}: put {names} back into {root} first, then restart it"
    command = reinstall_library(seen, lost[0]) if ".so" in lost[0] else reinstall(seen, lost[0])
    if not command:
        return f"do not restart sshd: the new one would not start; install {names} again first"
    return f"{command} && {restart(seen)}   # in this order: without {names} a restarted sshd ends at once"


def _again(seen: Snapshot, daemon: Daemon) -> str:
    if daemon.is_foreign:
        return f"restart the container of pid {daemon.pid}   # its sshd and the files on its disk are of two releases"
    if daemon.root != "/":
        return f"restart the sshd of pid {daemon.pid} in {printable(daemon.root, 200)}   # sessions go on"
    return f"{restart(seen)}   # sessions go on; the listener and its children become of one release"


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
