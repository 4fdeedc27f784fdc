"""The plugin's text: one status line with its perfdata, and the long output of -v, -vv and -vvv."""

from ..diagnosis.cause import PHRASES, Cause
from ..diagnosis.diagnosis import Diagnosis
from ..perfdata import fixed
from ..report import PHASES, Handshake, Report, quantile
from ..text import printable
from ..verdict import Verdict, problem

PREFIX = "SSH"
# What Nagios shows in one row of its table; longer evidence belongs to -v.
MAX_SUMMARY = 180
# NRPE carries 65,505 bytes of output and cuts what is behind them.
MAX_OUTPUT = 60_000


def summary(report: Report, diagnosis: Diagnosis, verdict: Verdict) -> str:
    """Return what the status line says behind the state: the cause first when something is wrong."""
    if report.fault is not None:
        parts = [printable(report.fault)]
    else:
        parts = [part for part in (problem(report, diagnosis), *verdict.reasons) if part]
        if report.handshakes and report.completed == len(report.handshakes):
            parts.append(_served(report))
        parts += [note for note in report.notes if note not in parts]
    text = ", ".join(parts)  # not ";": Nagios Core shows it as ":"
    return text if len(text) <= MAX_SUMMARY else text[: MAX_SUMMARY - 3] + "..."


def _served(report: Report) -> str:
    server = report.server
    name = f"{server.software} (protocol {server.protocol})" if server else "no identification"
    told = f"{name}, {report.completed}/{len(report.handshakes)} handshakes"
    banners = report.durations("banner")
    if banners:
        told += f", banner {milliseconds(quantile(banners, 0.5))}"
    return told


def milliseconds(seconds: float) -> str:
    """Return a duration as a person reads it: 0.31 ms, 3.1 ms, 150 ms."""
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 1 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def text(report: Report, diagnosis: Diagnosis, verdict: Verdict, verbosity: int) -> str:
    """Return the whole output, perfdata in one block on line 1 at every verbosity, at most MAX_OUTPUT bytes."""
    first = f"{PREFIX} {str(verdict.state).upper()} - {summary(report, diagnosis, verdict)}"
    if verdict.perfdata:
        first += f" | {verdict.perfdata}"
    lines = [first]
    if verbosity >= 1:
        lines += _explained(report, diagnosis)
    if verbosity >= 2:
        for handshake in report.handshakes:
            lines.append(_handshake(handshake))
            if verbosity >= 3:
                lines += [f"    {at:9.6f} {way} {data}" for at, way, data in handshake.wire]
    whole = "\n".join(lines) + "\n"
    if len(whole) > MAX_OUTPUT:
        whole = whole[:MAX_OUTPUT].rpartition("\n")[0] + "\n(cut: more than a monitoring agent carries)\n"
    return whole


def _explained(report: Report, diagnosis: Diagnosis) -> list[str]:
    lines = []
    if report.address and report.address != report.host:
        lines.append(f"address: {report.address}")
    if report.server:
        lines.append(f"server: {report.server.identification}")
    if report.fault is None or diagnosis.cause is not Cause.UNEXPLAINED:
        lines.append(f"cause: {diagnosis.cause} ({diagnosis.confidence}): {PHRASES[diagnosis.cause]}")
    lines += [f"evidence: {sentence}" for sentence in diagnosis.evidence]
    lines += [f"could also be: {sentence}" for sentence in diagnosis.alternatives]
    lines += [f"on the server: {remedy}" for remedy in diagnosis.remedies]
    lines += [f"note: {note}" for note in report.notes]
    if diagnosis.cause is not Cause.HEALTHY and (report.fault is None or diagnosis.cause is not Cause.UNEXPLAINED):
        lines.append(f"runbook: {diagnosis.runbook}")
    return [line.replace("|", "/") for line in lines]


def _handshake(handshake: Handshake) -> str:
    phases = [f"{phase} {milliseconds(took)}" for phase in PHASES if (took := getattr(handshake, phase)) is not None]
    words = [
        f"#{handshake.number} {handshake.role} {handshake.source}:{handshake.source_port} to {handshake.address}:",
        str(handshake.ending),
        f"after {fixed(handshake.ended)} s",
    ]
    if phases:
        words.append(f"({', '.join(phases)})")
    if handshake.text:
        words.append(f'"{handshake.text}"')
    if handshake.detail:
        words.append(f"[{handshake.detail}]")
    return " ".join(words)
