"""Results made by hand and judged as the program judges them."""

from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.remote.options import parse
from check_ssh_exchange.report import Fault, FaultKind, Handshake, Report
from ssh_exchange_exporter.probe_request import Origin
from ssh_exchange_exporter.result import Result
from tests.runs import EXCEEDED, run

NOW = 1_800_000_000.0
ROLES = {"baseline": 0.0001, "burst": 0.2525, "recheck": 0.51}


def timed(report: Report) -> Report:
    """The report with the times of a real run: a quarter of a second between baseline, burst and recheck."""

    def place(one: Handshake) -> Handshake:
        started = ROLES[one.role] + one.number * 0.0001
        if one.ending is not Ending.COMPLETED:
            return one._replace(started=started, ended=0.002)
        return one._replace(started=started, ended=0.0026, connect=0.00002, banner=0.0012, kexinit=0.0011)

    return report._replace(handshakes=tuple(map(place, report.handshakes)), took=0.515)


HEALTHY = timed(run("SSSSS", by="9.2"))
THROTTLED = timed(run("SStSt", "S", says=EXCEEDED, by="9.2"))
BANNED = timed(run("SSiii", "i", icmp=(3, 13, "192.0.2.254"), by="9.2"))
STALLED = timed(run("qqqqq"))
EVERY_ENDING = timed(run("ScrtbqkRiuxnp", "S", second="S", asked="n", by="9.2"))
NAMELESS = Report(
    host="nowhere.example",
    port=22,
    depth=Depth.KEXINIT,
    asked=5,
    fault=Fault(FaultKind.NAME_RESOLUTION, "nowhere.example does not resolve: name or service not known"),
)


def probed(report: Report, target: str = "host.example:22", number: int = 1, **changed: object) -> Result:
    """The result of a probe that began twelve seconds before NOW."""
    outcome = evaluate(report, None, parse(["-H", "host.example"]).expectations)
    result = Result(number, target, "default", Origin.BACKGROUND, NOW - 12, report.took, outcome)
    return result._replace(**changed)  # type: ignore[arg-type]


def with_diagnosis(result: Result, diagnosis: Diagnosis) -> Result:
    """The result with another diagnosis."""
    return result._replace(outcome=result.outcome._replace(diagnosis=diagnosis))
