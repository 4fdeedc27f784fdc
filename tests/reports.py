"""Reports made by hand, judged as the plugin judges them with options from its command line."""

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.diagnosis import Diagnosis, diagnose
from check_ssh_exchange.ending import NOT_ACCEPTED, Depth, Ending
from check_ssh_exchange.remote.options import parse
from check_ssh_exchange.remote.status_line import text
from check_ssh_exchange.report import Handshake, Report, Server
from check_ssh_exchange.text import printable
from check_ssh_exchange.verdict import Verdict, judge

OPENSSH = Server("SSH-2.0-OpenSSH_9.2p1 Debian-2", "2.0", "OpenSSH_9.2p1", "Debian-2")
COMPLETED, CLOSED, RESET, TURNED = Ending.COMPLETED, Ending.CLOSED, Ending.RESET, Ending.TURNED_AWAY
WITH_BANNER = (COMPLETED, Ending.CLOSED_AFTER_BANNER, Ending.KEXINIT_TIMEOUT)


def shake(number: int, ending: Ending, banner: float = 0.003, said: bytes | None = None) -> Handshake:
    return Handshake(
        number=number,
        role="burst" if number else "baseline",
        family="ipv4",
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
        family="ipv4",
        source="192.0.2.9",
        handshakes=tuple(
            shake(number, ending, banner, said if ending is not COMPLETED else None)
            for number, ending in enumerate(endings)
        ),
        server=OPENSSH if set(endings) & set(WITH_BANNER) else None,
    )
    return report._replace(**changed)  # type: ignore[arg-type]


def judged(report: Report, *options: str, cause: Cause | None = None) -> tuple[Verdict, str]:
    """Judge as the plugin does with these options; `cause` overrides the diagnosis. Return verdict and output."""
    given_options = parse(["-H", "host.example", *options])
    diagnosis = diagnose(report) if cause is None else Diagnosis(cause, Confidence.LIKELY)
    verdict = judge(report, diagnosis, given_options.expected)
    return verdict, text(report, diagnosis, verdict, given_options.verbosity)


def state(report: Report, *options: str, cause: Cause | None = None) -> str:
    verdict, output = judged(report, *options, cause=cause)
    assert output.startswith(f"SSH {str(verdict.state).upper()} - ")
    return str(verdict.state)
