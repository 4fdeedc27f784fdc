"""`python -m faults.vantages [ROUNDS]`: three vantage points at one OpenSSH 10.6 that has the default MaxStartups.

First each has a name of its own, then, as the proof to the contrary, all have one name and come at the same moment:
three bursts of four are more than the ten startups that the server serves for certain.

Background targets are probed each 60 s; here each 2 s, so that 200 rounds take seven minutes. Two moments of a server
are then 30 times closer to each other, so the port is one for which they are as far apart as most are in 60 s:
`python -m bench.fleet_simulation` counts the servers for which they are not.
"""

import itertools
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from check_ssh_exchange.plan import Target
from ssh_exchange_exporter.background.share import phase
from tests.lab import zoo
from tests.lab.exporter import Program, running

SERVER = "openssh-10.6"
HOST = "127.0.0.1"
# No penalties: at this pace a minute's handshakes come in two seconds.
OPTIONS = {"MaxStartups": "10:30:100", "PerSourcePenalties": "no"}
VANTAGES = ("fra", "iad", "sin")
TOGETHER = ("fra", "fra", "fra")
INTERVAL = 2.0  # seconds; each round is one probe of every exporter
APART = 0.6  # seconds between two moments, more than a run on loopback and the half second that a turn may wait
PORTS = 5000  # tries
PATIENCE = 20.0  # times the interval, for each round: a bound for a busy machine
# OpenSSH 10 writes a line for the first drops of a minute, and the number of the others at times.
_DROP = re.compile(r"drop connection #|Maxstartups logging rate-limited: additional ([0-9]+) connections dropped")


class Found(NamedTuple):
    """What three exporters and the server have seen; `endings` are sums over the exporters."""

    rounds: int
    endings: dict[str, float]
    drops_logged: int
    sources: set[str]
    moments: dict[str, float]

    @property
    def handshakes(self) -> int:
        return int(sum(self.endings.values()))

    @property
    def lost(self) -> int:
        """How many handshakes did not complete."""
        return self.handshakes - int(self.endings["completed"])


def port_apart() -> int:
    """Return a free port of whose three moments no two are closer than APART: one port of a hundred."""
    for _ in range(PORTS):
        port = zoo.free_port(HOST)
        moments = sorted(phase(Target(HOST, port), vantage, INTERVAL) for vantage in VANTAGES)
        gaps = [later - earlier for earlier, later in itertools.pairwise([*moments, moments[0] + INTERVAL])]
        if min(gaps) >= APART:
            return port
    raise RuntimeError(f"none of {PORTS} ports keeps {', '.join(VANTAGES)} apart: their moments do not differ")


def source(number: int) -> str:
    """Return the address from which the exporter of this number probes."""
    return f"127.0.0.{11 + number}"


@contextmanager
def exporters(port: int, vantages: Sequence[str]) -> Iterator[list[Program]]:
    """Run an exporter for each vantage, all with this server as background target."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory()))
        programs = []
        for number, vantage in enumerate(vantages):
            own = place / str(number)
            own.mkdir()
            text = (
                f"modules: {{default: {{source_addresses: ['{source(number)}'], exempt: true}}}}\n"
                f"vantage: {vantage}\n"
                f"background: [{{targets: ['{HOST}:{port}'], interval: {INTERVAL:g}s}}]\n"
            )
            programs.append(stack.enter_context(running(own, text)))
        yield programs


def watch(rounds: int, vantages: Sequence[str] = VANTAGES, *, stop_at_a_loss: bool = False) -> Found:
    """Return what is seen when each exporter has probed so many times, or (on demand) when a handshake was lost."""
    port = port_apart()
    with zoo.server(SERVER, port=port, options=OPTIONS) as server, exporters(port, vantages) as programs:
        deadline = time.monotonic() + rounds * INTERVAL * PATIENCE
        while True:
            found = _look(programs, server)
            if found.rounds >= rounds or (stop_at_a_loss and found.lost):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found.rounds} of {rounds} rounds in {rounds * INTERVAL * PATIENCE:.0f} s")
            time.sleep(INTERVAL / 4)


def _look(programs: Sequence[Program], server: zoo.Server) -> Found:
    endings: dict[str, float] = {"completed": 0.0}
    rounds, moments = [], {}
    for number, program in enumerate(programs):
        samples = program.metrics()
        for labels in samples.labels("ssh_exchange_handshakes_total"):
            ending = labels["ending"]
            endings[ending] = endings.get(ending, 0.0) + samples.value("ssh_exchange_handshakes_total", ending=ending)
        rounds.append(int(samples.value("ssh_exchange_exporter_probes_total", origin="background")))
        for at in samples.values("ssh_exchange_last_probe_timestamp_seconds"):
            moments[source(number)] = at % INTERVAL
    log = server.log()
    sources = {source(number) for number in range(len(programs)) if f" {source(number)} port " in log}
    return Found(min(rounds), endings, drops_in(log), sources, moments)


def drops_in(log: str) -> int:
    """Return how many connections the server says to have dropped."""
    return sum(int(more or 1) for more in _DROP.findall(log))


def _told(name: str, found: Found) -> str:
    endings = ", ".join(f"{ending} {count:.0f}" for ending, count in sorted(found.endings.items()) if count)
    moments = ", ".join(f"{moment:.2f}" for moment in found.moments.values())
    return (
        f"{name}: {found.rounds} rounds, {found.handshakes} handshakes: {endings}; {found.lost} lost, "
        f"{found.drops_logged} drops in sshd's log (it holds some back); last begun {moments} s into the interval"
    )


def main(rounds: int) -> int:
    """Run both, print what was found; return 1 if own names lost a handshake or one name for all lost none."""
    if reason := zoo.missing():
        print(reason)
        return 1
    apart = watch(rounds)
    print(_told("a name each", apart), flush=True)
    together = watch(rounds, TOGETHER)
    print(_told("one name for all", together))
    return int(bool(apart.lost or apart.drops_logged or not together.lost))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
