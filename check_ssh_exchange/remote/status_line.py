"""The plugin's text: one status line with its perfdata, and the long output of -v, -vv and -vvv."""

from collections.abc import Iterator

from ..diagnosis.cause import Cause
from ..diagnosis.evaluate import Outcome
from ..diagnosis.explain import part_of
from ..diagnosis.figures import UNITS
from ..ending import Ending
from ..plugin import output
from ..plugin.perfdata import block, fixed
from ..plugin.thresholds import Thresholds
from ..report import PHASES, Handshake, Report, quantile
from ..text import milliseconds, printable
from .clock import clock

PREFIX = "SSH"
MOST_NAMES = 40  # of an algorithm list; OpenSSH 10.6 has 21 host key algorithms
MAX_TEXT = 60  # characters of the server's own words in the status line


def summary(outcome: Outcome) -> str:
    """Return what the status line says after the state: the cause first when something is wrong."""
    report = outcome.report
    if report.fault is not None:
        return output.summary_of([printable(report.fault.sentence)])
    is_served = bool(report.handshakes) and report.completed == len(report.handshakes)
    served = [_served(report)] if is_served else []
    return output.summary_of([problem(outcome), *outcome.verdict.reasons, *served, *outcome.notes])


def line(outcome: Outcome) -> str:
    """Return the status line without its perfdata."""
    return output.status_line(PREFIX, outcome.verdict.state, summary(outcome))


def perfdata(outcome: Outcome, thresholds: Thresholds) -> str:
    """Return the block of perfdata."""
    return block(outcome.figures, UNITS, thresholds)


def text(outcome: Outcome, thresholds: Thresholds, verbosity: int) -> str:
    """Return the whole output, perfdata in one block on line 1 at every verbosity."""
    return output.text(line(outcome), perfdata(outcome, thresholds), _details(outcome, verbosity))


def problem(outcome: Outcome) -> str:
    """Return the one phrase that says what is wrong: `2 of 5 handshakes turned away: MaxStartups throttling, "..."`."""
    report, diagnosis = outcome.report, outcome.diagnosis
    if not report.handshakes:
        return ""
    if report.completed == len(report.handshakes):
        return "" if diagnosis.cause is Cause.HEALTHY else diagnosis.phrase
    from ..diagnosis.facts import Facts

    facts = Facts(part_of(report, diagnosis.address) if diagnosis.address else report)
    where = f"{diagnosis.address}: " if diagnosis.address else ""
    phrase = f"{where}{facts.count}: {diagnosis.phrase}"
    if facts.texts:
        said = facts.texts.most_common(1)[0][0]
        phrase += f', "{said if len(said) <= MAX_TEXT else said[: MAX_TEXT - 3] + "..."}"'
    elif diagnosis.cause is Cause.UNEXPLAINED and facts.failed and facts.failed[0].detail:
        phrase = f"{where}{facts.count}: {facts.failed[0].detail}"
    elif facts.failed and facts.endings <= {Ending.PROTOCOL_ERROR, Ending.NOT_SSH} and facts.failed[0].detail:
        phrase += f", {facts.failed[0].detail}"
    return f"{phrase}, by our own burst alone" if diagnosis.self_inflicted else phrase


def _served(report: Report) -> str:
    server = report.server
    name = f"{server.software} (protocol {server.protocol})" if server else "no identification"
    words = f"{name}, {report.completed}/{len(report.handshakes)} handshakes"
    banners = report.durations("banner")
    return f"{words}, banner {milliseconds(quantile(banners, 0.5))}" if banners else words


def _details(outcome: Outcome, verbosity: int) -> Iterator[str]:
    if verbosity >= 1:
        yield from _explained(outcome)
    if verbosity >= 2:
        for handshake in outcome.report.handshakes:
            yield _handshake(handshake)
            if verbosity >= 3:
                yield from (f"    {at:9.6f} {way} {data}" for at, way, data in handshake.wire)


def _explained(outcome: Outcome) -> Iterator[str]:
    report, diagnosis = outcome.report, outcome.diagnosis
    # Where we could not measure, the fault is the whole explanation, unless the name itself is the cause.
    has_cause = report.fault is None or diagnosis.cause is not Cause.UNEXPLAINED
    if report.address and report.address != report.host:
        yield f"address: {report.address}"
    if report.server:
        yield f"server: {report.server.identification}"
    if has_cause:
        phrase = "" if diagnosis.cause is Cause.HEALTHY else f": {diagnosis.cause.phrase}"
        yield f"cause: {diagnosis.cause} ({diagnosis.confidence}){phrase}"
    yield from (f"evidence: {sentence}" for sentence in diagnosis.evidence)
    yield from (f"could also be: {sentence}" for sentence in diagnosis.alternatives)
    yield from (str(remedy) for remedy in diagnosis.remedies)
    yield from (f"note: {note}" for note in outcome.notes)
    if diagnosis.cause is not Cause.HEALTHY and has_cause:
        yield f"runbook: check_ssh_exchange --runbook {diagnosis.cause}"
    yield from _offered(report)


def _offered(report: Report) -> Iterator[str]:
    """Yield the host keys that were shown and what the server's KEXINIT offers; last, for a server may offer much."""
    for key in report.host_keys:
        from ..diagnosis.host_keys import certificate_words

        found = key.certificate
        yield f"shown host key: {key.plain_type} {key.fingerprint}" + (
            f", {certificate_words(found, clock)}" if found else ""
        )
    offered = report.algorithms
    if offered is not None:
        from ..diagnosis.clients import is_post_quantum, refused

        yield f"post-quantum key exchange: {'offered' if is_post_quantum(offered.kex) else 'not offered'}"
        if clients := refused(offered):
            yield f"refused clients: {', '.join(clients)}"
        for name, names in offered._asdict().items():
            more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield f"{name.replace('_', ' ')}: {', '.join(names[:MOST_NAMES])}{more}"


def _handshake(handshake: Handshake) -> str:
    phases = [f"{phase} {milliseconds(took)}" for phase in PHASES if (took := getattr(handshake, phase)) is not None]
    words = [
        f"#{handshake.number} {handshake.role} {handshake.source}:{handshake.source_port} to {handshake.address}:",
        str(handshake.ending),
        f"after {fixed(handshake.ended)} s",
    ]
    if phases:
        words.append(f"({', '.join(phases)})")
    if handshake.host_key:
        words.append(f"{handshake.host_key.type} {handshake.host_key.fingerprint}")
    if handshake.text:
        words.append(f'"{handshake.text}"')
    if handshake.detail:
        words.append(f"[{handshake.detail}]")
    return " ".join(words)
