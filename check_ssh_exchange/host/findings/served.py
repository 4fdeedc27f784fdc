"""What --probe and --trial have found: problems and evidence for the items daemon and configuration."""

from collections.abc import Iterator

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical
from ...text import milliseconds, printable
from ..about import About
from ..finding import Finding, Problem
from ..snapshot import Snapshot
from ..sshd import place

MAX_LINE = 200  # characters of a line that is quoted
# What sshd -ddd says of every run, whatever happens; the last other line is the reason.
_NO_REASON = (
    "debug",
    "Server listening on",
    "Connection from",
    "Connection closed by",
    "Received disconnect",
    "Disconnected",
)


def with_probes(finding: Finding, seen: Snapshot, about: About) -> Finding:
    """Return the finding of the item daemon with what --probe found."""
    problems, evidence = list(finding.problems), list(finding.evidence)
    for found in seen.document.get("probes", ()):
        where = place(str(found["address"]), int(found["port"]))
        if found.get("ending") == "completed":
            between = ": where a monitor is refused, look between it and here" if about.monitors else ""
            evidence.append(f"{where} is served from here, banner {milliseconds(found['banner'] or 0.0)}{between}")
        else:
            problems.append(_refused(where, found))
    return finding._replace(problems=tuple(problems), evidence=tuple(evidence))


def _refused(where: str, found: "Record") -> Problem:
    words = printable(str(found.get("text") or found.get("fault") or found.get("ending") or "no answer"))
    cause = Cause(str(found["cause"])) if found.get("cause") in tuple(Cause) else None
    return Problem(Critical, f"{where} is not served from here either: {words[:MAX_LINE]}", cause, Confidence.LIKELY)


def with_trials(finding: Finding, seen: Snapshot) -> Finding:
    """Return the finding of the item configuration with what --trial found."""
    problems, evidence = list(finding.problems), list(finding.evidence)
    for found in seen.document.get("trials", ()):
        if found.get("ending") == "completed":
            evidence.append(f"a trial of the sshd of pid {int(found['pid'])} served a handshake: it may be restarted")
        else:
            line = next(_reasons(str(found.get("said", ""))), "it said nothing")
            sentence = f"a new sshd would not serve: {printable(line)[:MAX_LINE]}"
            problems.append(Problem(Critical, sentence, Cause.SERVER_FAULT))
    return finding._replace(problems=tuple(problems), evidence=tuple(evidence))


def _reasons(said: str) -> Iterator[str]:
    """Yield the lines that may say why, the last first."""
    for line in reversed(said.splitlines()):
        line = line.strip()
        if line and not line.startswith(_NO_REASON):
            yield line


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Record = Mapping[str, object]
