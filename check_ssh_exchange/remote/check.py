"""One check from its options to its answer: remember, measure, evaluate, print."""

import os
import stat
import time

from ..diagnosis.evaluate import Outcome, evaluate
from ..ending import Depth
from ..interrupt import ignore_signals
from ..measure import measure
from ..report import Family, Fault, FaultKind, Report
from .clock import clock
from .options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plugin.state_file import Document, StateFile


MAX_KNOWN_HOSTS = 16 << 20  # bytes; a fleet of 50,000 servers has as many


def check(options: Options) -> tuple[int, str]:
    """Return the exit code and the output."""
    if options.is_explained:
        from .explanation import demand_rich

        demand_rich()  # before the run, not after its ten seconds
    return answer(_outcome(options), options)


def answer(outcome: Outcome, options: Options) -> tuple[int, str]:
    """Return the exit code and the output that a command line asks for."""
    code = int(outcome.verdict.state)
    if options.is_explained:
        from .explanation import page

        return code, page(outcome, options.expectations.thresholds)
    if options.is_json:
        from ..plugin.output import json_line
        from .json_output import document

        return code, json_line(document(outcome))
    from .status_line import text

    return code, text(outcome, options.expectations.thresholds, options.verbosity)


def _outcome(options: Options) -> Outcome:
    # At the deeper depths asyncssh reads the file and judges by it.
    if options.plan.login.known_hosts and options.plan.depth is Depth.HOSTKEY:
        from ..diagnosis.known_hosts import parse

        try:
            known = parse(_content(options.plan.login.known_hosts))
        except OSError as error:
            reason = error.strerror or str(error)
            fault = Fault(FaultKind.LOCAL, f"cannot use the host keys in {options.plan.login.known_hosts}: {reason}")
            return evaluate(_unbegun(options, time.time())._replace(fault=fault), None, options.expectations, clock)
        types = tuple(sorted(known.of(options.target.host, options.target.port).types))
        options = options._replace(
            expectations=options.expectations._replace(known_hosts=known),
            plan=options.plan._replace(host_key_types=types),
        )
    return (
        _remembered(options) if options.state_file else evaluate(_measured(options), None, options.expectations, clock)
    )


def _content(path: str) -> bytes:
    """Return what a file holds; raises OSError, for one that is too long or no file too."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "not a regular file")
        data = file.read(MAX_KNOWN_HOSTS + 1)
    if len(data) > MAX_KNOWN_HOSTS:
        raise OSError(0, f"more than {MAX_KNOWN_HOSTS} bytes")
    return data


def _unbegun(options: Options, now: float) -> Report:
    target, plan = options.target, options.plan
    return Report(host=target.host, port=target.port, depth=plan.depth, asked=plan.handshakes, at=now)


def _measured(options: Options) -> Report:
    return measure(options.target, options.plan, on_done=ignore_signals)


def _remembered(options: Options) -> Outcome:
    """Measure with what earlier runs saw at hand, and remember this one."""
    from ..diagnosis import history as past
    from ..plugin.state_file import StateFile, StateFileError
    from ..text import printable

    target, plan = options.target, options.plan
    # Another family or source may fare otherwise with the same host.
    family = [plan.family] if plan.family is not Family.ANY else []
    key = " ".join([f"{target.host}:{target.port}", *family, *plan.sources[:1]])
    file = StateFile(options.state_file or "", "check_ssh_exchange", key)
    notes: list[str] = []
    history = past.History()
    try:
        history = past.History.of_document(file.load())
    except StateFileError as error:
        notes.append(printable(str(error)))
    now = time.time()
    if past.waits(history, now) and not plan.exempt:
        return evaluate(_unbegun(options, now), history, options.expectations, clock)
    report = _measured(options)
    try:
        outcome = _remember(file, report, options) if report.fault is None else None
    except StateFileError as error:
        outcome = None
        notes.append(printable(str(error)))
    outcome = outcome or evaluate(report, history, options.expectations, clock)
    return outcome._replace(notes=tuple(dict.fromkeys((*outcome.notes, *notes))))


def _remember(file: "StateFile", report: Report, options: Options) -> Outcome:
    """Evaluate with the history as it is now, another check may have changed it, and write the new one."""
    outcomes: list[Outcome] = []

    def change(document: "Document") -> "Document":
        from ..diagnosis.history import History

        outcomes.append(evaluate(report, History.of_document(document), options.expectations, clock))
        return outcomes[0].history._asdict()

    file.update(change)
    return outcomes[0]
