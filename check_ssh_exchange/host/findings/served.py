"""What --probe and --trial have found: problems and evidence for the items daemon and configuration.

Both show a symptom. Where another item names what is behind it, they are evidence, so that the culprit leads.
"""

from collections.abc import Iterator, Sequence

from ...diagnosis.cause import Cause, Confidence
from ...ending import TIMEOUTS, Ending
from ...plugin.nagios import Critical, Ok
from ...text import join, milliseconds, printable
from ..about import About
from ..finding import Finding, Kind, Lack, Problem
from ..keys import NO_KEYS
from ..settings import shell_line
from ..snapshot import Snapshot
from ..sshd import daemons, place
from .configuration import HARMLESS, names_line

MAX_LINE = 200  # characters of a line that is quoted
# What sshd -ddd says of every run, whatever happens.
_NO_REASON = (
    "debug",
    "Server listening on",
    "Connection from",
    "Connection closed by",
    "Received disconnect",
    "Disconnected",
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Record = Mapping[str, Any]
    Others = Sequence[tuple[str, Problem]]  # every item's problems, each with the item


def with_probes(finding: Finding, seen: Snapshot, about: About, others: "Others") -> Finding:
    """Return the finding of the item daemon with what --probe found."""
    problems, evidence, remedies = list(finding.problems), list(finding.evidence), list(finding.remedies)
    is_explained = any(problem.state is Critical for _, problem in others)
    refused: dict[tuple[int, str], list[Record]] = {}
    for found in seen.document.get("probes", ()):
        if found.get("ending") == "completed":
            where = place(str(found["address"]), int(found["port"]))
            between = ": where a monitor is refused, look between it and here" if about.monitors else ""
            evidence.append(f"{where} is served from here, banner {milliseconds(found['banner'] or 0.0)}{between}")
        else:
            refused.setdefault((int(found["pid"]), _words(found)), []).append(found)
    for (_, words), every in refused.items():
        where = join([place(str(one["address"]), int(one["port"])) for one in every])
        sentence = f"{where} {'are' if len(every) > 1 else 'is'} not served from here: {words}"
        if is_explained:
            evidence.append(sentence)
            continue
        first = every[0]
        cause = Cause(str(first["cause"])) if first.get("cause") in tuple(Cause) else None
        problems.append(Problem(Critical, sentence, cause, Confidence.LIKELY))
        address = printable(str(first["address"]), 64)
        remedies.append(f"check_ssh_exchange -H {address} -p {int(first['port'])} -v   # asks it again, and says why")
    return finding._replace(problems=tuple(problems), evidence=tuple(evidence), remedies=tuple(remedies))


def _words(found: "Record") -> str:
    """Return how a handshake ended as a person says it, with what the server said."""
    if found.get("ending") not in tuple(Ending):
        return printable(str(found.get("fault") or "no answer"), MAX_LINE)
    ending = Ending(found["ending"])
    seconds = f" for {float(found['seconds']):g} s" if ending in TIMEOUTS and found.get("seconds") else ""
    said = f" ({printable(str(found['text']), MAX_LINE)})" if found.get("text") else ""
    return f"{ending.phrase}{seconds}{said}"


def with_trials(finding: Finding, seen: Snapshot, about: About, others: "Others") -> Finding:
    """Return the finding of the item configuration with what --trial found."""
    problems, evidence = list(finding.problems), list(finding.evidence)
    remedies, lacks = list(finding.remedies), list(finding.lacks)
    by_pid = {daemon.pid: daemon for daemon in daemons(seen, about.ports)}
    for found in seen.document.get("trials", ()):
        pid = int(found["pid"])
        if reason := found.get("skipped"):
            lacks.append(Lack("", f"no trial of the sshd of pid {pid}: {printable(str(reason), MAX_LINE)}"))
            continue
        if found.get("ending") == "completed":
            evidence.append(f"a trial of the sshd of pid {pid} served a handshake: it may be restarted")
            continue
        said = str(found.get("said", ""))
        line = printable(_reason(said), MAX_LINE)
        daemon = by_pid.get(pid)
        name = f"{daemon.name}: " if daemon and len(by_pid) > 1 else ""
        if _is_known(said, pid, others):
            evidence.append(f"a trial of the sshd of pid {pid} failed: {line}")
            continue
        sentence = f"{name}a new sshd would not serve: {line}"
        problems.append(Problem(Critical, sentence, Cause.SERVER_FAULT, pid=pid))
        if daemon:
            remedies.append(f"{shell_line(daemon, '-t')}   # do not restart it before this says nothing")
    return finding._replace(
        problems=tuple(problems), evidence=tuple(evidence), remedies=tuple(remedies), lacks=tuple(lacks)
    )


def _is_known(said: str, pid: int, others: "Others") -> bool:
    """Return whether an item has said already what the trial of an sshd fails for."""
    for item, problem in others:
        if problem.cause is not Cause.SERVER_FAULT or problem.state is Ok or problem.pid != pid:
            continue
        if problem.kind is Kind.NO_RESTART:
            return True
        if problem.state is Critical and (item == "binaries" or (item == "host_keys" and NO_KEYS in said)):
            return True
    return False


def _reason(said: str) -> str:
    """Return the line that says why: the first that names a line of a file, else the last."""
    found = list(_reasons(said))
    line = next((line for line in found if names_line(line)), found[-1] if found else "it said nothing")
    return line.removesuffix(".")


def _reasons(said: str) -> Iterator[str]:
    """Yield the lines that may say why."""
    for line in said.splitlines():
        line = line.strip()
        if line and not line.startswith(_NO_REASON) and not HARMLESS.search(line):
            yield line
