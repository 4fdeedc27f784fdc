"""Reports made by hand, judged as the plugin judges them with options from its command line."""

from typing import NamedTuple

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.evaluate import Outcome, evaluate
from check_ssh_exchange.diagnosis.verdict import judge
from check_ssh_exchange.ending import NOT_ACCEPTED, Depth, Ending
from check_ssh_exchange.plugin.nagios import State
from check_ssh_exchange.remote.options import parse
from check_ssh_exchange.remote.status_line import perfdata, text
from check_ssh_exchange.report import Family, Handshake, Report, Role, Server
from check_ssh_exchange.text import printable

OPENSSH = Server("SSH-2.0-OpenSSH_9.2p1 Debian-2", "2.0", "OpenSSH_9.2p1", "Debian-2")
COMPLETED, CLOSED, RESET, TURNED = Ending.COMPLETED, Ending.CLOSED, Ending.RESET, Ending.TURNED_AWAY
WITH_BANNER = (COMPLETED, Ending.CLOSED_AFTER_BANNER, Ending.KEXINIT_TIMEOUT)


def shake(number: int, ending: Ending, banner: float = 0.003, said: bytes | None = None) -> Handshake:
    return Handshake(
        number=number,
        role=Role.BURST if number else Role.BASELINE,
        family=Family.IPV4,
        address="192.0.2.1",
        source="192.0.2.9",
        source_port=40000 + number,
        ending=ending,
        started=0.0,
        ended=0.01,
        text=printable(said) if said is not None else None,
        connect=None if ending in NOT_ACCEPTED else 0.00001,
        banner=banner if ending in WITH_BANNER else None,
        kexinit=0.0015 if ending is COMPLETED else None,
    )


def run(*endings: Ending, banner: float = 0.003, said: bytes | None = None, **changed: object) -> Report:
    """Return a report of handshakes with these endings, by default all that were asked for."""
    report = Report(
        host="host.example",
        port=22,
        depth=Depth.KEXINIT,
        asked=len(endings),
        address="192.0.2.1",
        family=Family.IPV4,
        source="192.0.2.9",
        handshakes=tuple(
            shake(number, ending, banner, said if ending is not COMPLETED else None)
            for number, ending in enumerate(endings)
        ),
        server=OPENSSH if set(endings) & set(WITH_BANNER) else None,
    )
    return report._replace(**changed)  # type: ignore[arg-type]


class Judged(NamedTuple):
    """What the plugin makes of a report."""

    state: State
    reasons: tuple[str, ...]
    perfdata: str


Window = tuple[int, int]


def outcome(report: Report, *options: str, cause: Cause | None = None, window: Window | None = None) -> Outcome:
    """Evaluate as the plugin does with these options; `cause` overrides the diagnosis, `window` what is remembered."""
    expectations = parse(["-H", "host.example", *options]).expectations
    found = evaluate(report, None, expectations)
    if cause is None and window is None:
        return found
    diagnosis = found.diagnosis if cause is None else Diagnosis(cause, Confidence.LIKELY)
    return Outcome(report, diagnosis, judge(report, diagnosis, expectations, window), window=window)


def judged(
    report: Report, *options: str, cause: Cause | None = None, window: Window | None = None
) -> tuple[Judged, str]:
    """Return what the plugin makes of a report with these options, and its output."""
    given_options = parse(["-H", "host.example", *options])
    thresholds = given_options.expectations.thresholds
    found = outcome(report, *options, cause=cause, window=window)
    verdict = Judged(*found.verdict, perfdata(found, thresholds))
    return verdict, text(found, thresholds, given_options.verbosity)


def state(report: Report, *options: str, cause: Cause | None = None, window: Window | None = None) -> str:
    verdict, output = judged(report, *options, cause=cause, window=window)
    assert output.startswith(f"SSH {str(verdict.state).upper()} - ")
    return str(verdict.state)
