"""Jobs of Mod-Gearman while gearmand or its worker, the exporter, is killed and started again."""

import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.exporter import Program, running, wait_for
from tests.lab.gearmand import HOST, Core, gearmand
from tests.lab.zoo import free_port

QUEUE, KEY = "servicegroup_ssh", "a secret of the lab"
PROGRAM = "/usr/lib/nagios/plugins/check_ssh_exchange"
SECONDS = 100.0
CHECK_SECONDS = 3.0  # of a check of a silent server: jobs are in work when something is killed
HELD_SECONDS = 100.0  # of one that its server ends earlier: a busy machine has time for a kill meanwhile
QUIET = 1.0  # seconds without a result after which none is taken to come any more
METRIC = "ssh_exchange_exporter_gearman"


class Found(NamedTuple):
    """How many jobs there were, how often each was answered, and what the exporter counted.

    `again` is how many the core had to submit a second time, as it does with checks that never came back.
    """

    jobs: int
    answers: Counter[str]
    again: int
    lost: float
    seconds: float

    @property
    def once(self) -> int:
        """How many were answered exactly once."""
        return sum(count == 1 for count in self.answers.values())


@contextmanager
def silent() -> Iterator[int]:
    """A port of every loopback address that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - bound to the device `lo`: nothing from outside comes here
        listener.listen(4096)
        yield listener.getsockname()[1]


def address(number: int) -> str:
    """Return a loopback address of its own for each number, so that no two jobs share a probe."""
    return f"127.7.{number // 250}.{number % 250 + 1}"


def configuration(place: Path, port: int) -> str:
    """Return the configuration of a worker."""
    (place / "key").write_text(f"{KEY}\n")
    return json.dumps({"gearman": {"servers": [f"{HOST}:{port}"], "queues": [QUEUE], "key_file": "key"}})


def submit(core: Core, port: int, names: list[str], seconds: float = CHECK_SECONDS) -> None:
    """Submit a check of a silent server for each name."""
    for name in names:
        command = f"{PROGRAM} -H {address(int(name))} -p {port} -n 1 -t {seconds:g}"
        core.submit(name, command, timeout=200)


def drain(core: Core, answers: Counter[str], enough: Callable[[], bool]) -> None:
    """Take results until there are enough, and then until no more come."""
    until = time.monotonic() + SECONDS
    while not enough():
        assert time.monotonic() < until, f"{len(answers)} jobs are answered"
        if found := core.result(0.5):
            answers[found["service_description"]] += 1
    while found := core.result(QUIET):
        answers[found["service_description"]] += 1


def lost(exporter: Program) -> float:
    """Return how many results the exporter counts as lost."""
    return exporter.metrics().value(f"{METRIC}_results_lost_total")


def answered(exporter: Program) -> float:
    """Return how many jobs the exporter has answered."""
    return exporter.metrics().value(f"{METRIC}_jobs_total", fate="answered")


def is_idle(exporter: Program) -> bool:
    """Return whether it has answered some jobs, and no check is in work."""
    return answered(exporter) > 0 and exporter.metrics().value("ssh_exchange_exporter_probes_in_flight") == 0


def gearmand_killed(place: Path, jobs: int) -> Found:
    """Kill gearmand while jobs are in work and others wait in it, start it again, submit what it has forgotten."""
    port, begun = free_port(HOST), time.monotonic()
    answers: Counter[str] = Counter()
    with ExitStack() as stack:
        silence, first = stack.enter_context(ExitStack()), stack.enter_context(ExitStack())
        target = silence.enter_context(silent())
        _, process = first.enter_context(gearmand(place, port))
        with Core(port, QUEUE, KEY) as core:
            submit(core, target, list(map(str, range(jobs))), HELD_SECONDS)
            exporter = stack.enter_context(running(place, configuration(place, port)))
            wait_for(lambda: core.status()[1] >= jobs // 10, SECONDS)
        kill(process)
        first.close()
        silence.close()  # this resets what waits there: the checks in work end
        stack.enter_context(gearmand(place, port))
        with Core(port, QUEUE, KEY) as core:
            # Those in work come from the exporter, those that waited are gone with gearmand.
            drain(core, answers, lambda: is_idle(exporter) and len(answers) + lost(exporter) >= answered(exporter))
            missing = [name for name in map(str, range(jobs)) if name not in answers]
            wait_for(lambda: core.status()[2] == 1, SECONDS)
            submit(core, target, missing)
            drain(core, answers, lambda: len(answers) == jobs)
        return Found(jobs, answers, len(missing), lost(exporter), time.monotonic() - begun)


def exporter_restarted(place: Path, jobs: int, by: signal.Signals) -> Found:
    """End the exporter while jobs are in work and others wait, and start another one."""
    begun = time.monotonic()
    answers: Counter[str] = Counter()
    with silent() as target, ExitStack() as stack:
        port, _ = stack.enter_context(gearmand(place))
        core = stack.enter_context(Core(port, QUEUE, KEY))
        submit(core, target, list(map(str, range(jobs))))
        with running(place, configuration(place, port)) as exporter:
            # Some are answered, some in work, some wait.
            drain_some(core, answers, jobs // 10)
            exporter.process.send_signal(by)
            exporter.process.wait(SECONDS)
        exporter = stack.enter_context(running(place, configuration(place, port)))
        drain(core, answers, lambda: len(answers) == jobs)
        wait_for(lambda: core.status()[:2] == (0, 0), SECONDS)
        return Found(jobs, answers, 0, lost(exporter), time.monotonic() - begun)


def drain_some(core: Core, answers: Counter[str], number: int) -> None:
    """Take so many results."""
    until = time.monotonic() + SECONDS
    while len(answers) < number:
        assert time.monotonic() < until, f"{len(answers)} jobs are answered"
        if found := core.result(0.5):
            answers[found["service_description"]] += 1


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait for its end."""
    process.kill()
    process.wait()
