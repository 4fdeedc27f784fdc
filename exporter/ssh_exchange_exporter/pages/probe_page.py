"""The page of one probe: the cause, its evidence, what to do, and every handshake."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from check_ssh_exchange.diagnosis.cause import PHRASES, Cause, Confidence
from check_ssh_exchange.diagnosis.clients import is_post_quantum, refused
from check_ssh_exchange.diagnosis.host_keys import certificate_words
from check_ssh_exchange.plugin.output import MAX_SUMMARY
from check_ssh_exchange.report import PHASES, Algorithms, Handshake, HostKey, Report

from ..probe_request import Origin
from ..result import Result
from ..text import age, counted, duration, in_milliseconds, moment
from .drawing import drawing
from .html import Attributes, Child, Markup, badge, frame, join, link, table, tag

_REQUESTED_BY = {
    Origin.PROBE: "an HTTP request",
    Origin.BACKGROUND: "background probing",
    Origin.CHECK: "a command line of check_ssh_exchange",
}
CONFIDENCE_WORDS = {
    Confidence.CERTAIN: "certain",
    Confidence.LIKELY: "likely",
    Confidence.POSSIBLE: "perhaps",
}


def probe_page(result: Result, now: float) -> str:
    """Return the page of a probe; `now` is in seconds since the epoch."""
    report, diagnosis = result.report, result.diagnosis
    reasons = [
        _listed("Evidence", diagnosis.evidence),
        _listed("It could also be", diagnosis.alternatives),
        _remedies(result),
        _listed("Notes", result.outcome.notes),
        _facts(result, now),
    ]
    parts = [
        _verdict(result),
        tag("div", {"class": "columns"}, *reasons),
        _section("Timeline", drawing(report)),
        _handshakes(report),
    ]
    return frame(f"{result.target}: {PHRASES[diagnosis.cause]}", join(parts), depth=1)


def _section(heading: str, *children: Child) -> Markup:
    name = heading.lower().replace(" ", "-")
    return tag("section", {"aria-labelledby": name}, tag("h2", {"id": name}, heading), *children)


def _verdict(result: Result) -> Markup:
    state = str(result.verdict.state)
    fault = result.report.fault
    sure = tag("span", {"class": "sure"}, CONFIDENCE_WORDS[result.diagnosis.confidence])
    # The confidence of having no explanation says nothing.
    is_named = result.diagnosis.cause is not Cause.UNEXPLAINED
    return tag(
        "div",
        {"class": f"card verdict is-{state}"},
        tag("p", {"class": "quiet"}, badge(state), f" Probe {result.number} of ", tag("strong", None, result.target)),
        tag("h1", None, PHRASES[result.diagnosis.cause]),
        tag("p", None, "Confidence: ", sure) if is_named else None,
        tag("p", None, result.summary),
        # A fault is the summary, cut to the length of a status line.
        tag("p", None, "Not carried out: ", fault.sentence) if fault and len(fault.sentence) > MAX_SUMMARY else None,
    )


def _listed(heading: str, sentences: Iterable[str]) -> Markup:
    items = [tag("li", None, sentence) for sentence in sentences]
    return _section(heading, tag("ul", None, *items)) if items else Markup()


def _remedies(result: Result) -> Markup:
    diagnosis = result.diagnosis
    if diagnosis.cause is Cause.HEALTHY:
        return Markup()
    commands: list[Markup] = []
    for where, remedies in groupby(diagnosis.remedies, lambda remedy: remedy.where):
        commands.append(tag("p", None, f"On the {where}:"))
        commands += [tag("pre", None, tag("code", None, remedy.command)) for remedy in remedies]
    return _section("What to do", *commands, tag("p", None, "More in the runbook: ", _runbook(diagnosis.cause)))


def _runbook(cause: Cause) -> Markup:
    return link(f"../runbook/{cause}", str(cause))


def _facts(result: Result, now: float) -> Markup:
    report, diagnosis = result.report, result.diagnosis
    server = report.server
    startups = diagnosis.startups
    others = startups and f"about {startups.likeliest} ({startups.low} to {startups.high}) unauthenticated connections"
    known: dict[str, Child] = {
        "When": join([_time(result.at), f" ({age(now - result.at)})"]),
        "Took": duration(result.took),
        "Runbook": _runbook(diagnosis.cause),
        "Target": result.target,
        "Address": report.address and f"{report.address} port {report.port}",
        "Probed from": report.source,
        "Module": result.module,
        "Requested by": _REQUESTED_BY[result.origin],
        "Depth": f"{report.depth}, {counted(report.asked, 'handshake')}",
        "Server": server and tag("code", None, server.identification),
        "Host keys": join([_host_key(key) for key in report.host_keys]) if report.host_keys else None,
        "Post-quantum key exchange": report.algorithms and _post_quantum(report.algorithms),
        "Refused clients": report.algorithms and ", ".join(refused(report.algorithms)),
        "Name resolved in": None if report.resolve is None else duration(report.resolve),
        "Other clients": others or None,
        "Self-inflicted": "yes: the burst of this probe reached the limit by itself"
        if diagnosis.self_inflicted
        else None,
    }
    pairs = [join([tag("dt", None, term), tag("dd", None, fact)]) for term, fact in known.items() if fact]
    return _section("The probe", tag("dl", None, *pairs))


def _host_key(key: HostKey) -> Markup:
    words = f", {certificate_words(key.certificate, moment)}" if key.certificate else ""
    return tag("div", None, f"{key.plain_type} ", tag("code", None, key.fingerprint), words)


def _post_quantum(offered: Algorithms) -> str:
    return "offered" if is_post_quantum(offered.kex) else "not offered"


def _time(at: float) -> Markup:
    words = moment(at)
    return tag("time", {"datetime": words.replace(" UTC", "Z").replace(" ", "T")}, words)


def _handshakes(report: Report) -> Markup:
    if not report.handshakes:
        return Markup()
    phases = [phase for phase in PHASES if any(getattr(one, phase) is not None for one in report.handshakes)]
    headings = ["#", "Role", "Ending", *(f"{phase} (ms)" for phase in phases), "End (ms)"]
    has_words = any(one.text or one.detail for one in report.handshakes)
    shown = table(
        "All handshakes, in the order of their SYNs.",
        [*headings, *(["Text or detail"] if has_words else []), "Address", "Source port"],
        [_row(one, phases, has_words=has_words) for one in report.handshakes],
        "handshakes",
    )
    return _section("Handshakes", shown)


def _row(one: Handshake, phases: Sequence[str], *, has_words: bool) -> Markup:
    box = tag("rect", {"class": "phase p-connect", "width": 10, "height": 10})
    swatch: Attributes = {"class": f"swatch e-{one.ending}", "width": 10, "height": 10, "aria-hidden": "true"}
    said = [tag("code", None, one.text) if one.text else None, tag("small", None, one.detail) if one.detail else None]
    role = one.role if one.role != "burst" or one.wave < 2 else f"burst, wave {one.wave}"
    role += " (second source)" if one.is_second_source else " (client spoke first)" if one.spoke_first else ""
    numbers = [getattr(one, phase) for phase in phases]
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, one.number),
        tag("td", None, role),
        tag("td", None, tag("svg", swatch, box), str(one.ending)),
        *(tag("td", {"class": "number"}, in_milliseconds(took)) for took in [*numbers, one.ended]),
        tag("td", {"class": "said"}, *said) if has_words else None,
        tag("td", {"class": "address"}, one.address),
        tag("td", {"class": "number"}, one.source_port),
    )
