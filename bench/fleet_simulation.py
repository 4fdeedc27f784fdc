"""`python -m bench.fleet_simulation [--write]`: large fleets on a simulated clock, as tables for docs/scaling.md.

The exporter's own code decides: which shard holds a target, when a target is due, what a budget allows, which series
there are. Servers and clocks are simulated, chance is seeded: two runs print the same.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from check_ssh_exchange.plan import Target
from check_ssh_exchange.probe.schedule import PATIENCE
from ssh_exchange_exporter.background.share import Shard, phase
from ssh_exchange_exporter.background.targets import BackgroundTarget, TargetSpec
from ssh_exchange_exporter.configuration.configuration import DEFAULT_BUCKETS
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.exposition.fleet_text import Chosen, FleetText

from . import simulated_fleet as fleet
from . import simulated_meetings as meetings
from .simulated_result import healthy
from .simulated_server import BURST, SLOWEST, Run
from .table import table

DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
SEED = 12
BOOTED = fleet.EPOCH - 1234.56
SHARE = 10_000  # targets of one exporter
VANTAGES = ("fra", "iad", "sin", "gru", "syd")
ROUNDS = 5
STANDSTILL = 600.0  # seconds
TOOK = Run(0.0, SLOWEST / 2, 0.0).ended
HANGING = 10.0  # seconds: the default deadline of a probe


# What a check costs by each door, in milliseconds, and the row of bench/RESULTS.md that says so.
DOORS = (
    ("plugin as a process", 35.0, "CPU of a default run"),
    ("`/probe` (depth banner)", 0.81, "handshakes per CPU-second, /probe"),
    ("background", 1e3 * fleet.CPU_PER_RUN, "background probing"),
)


class Size(NamedTuple):
    """How much of each fleet is looked at."""

    sharded: int = 100_000
    share: int = SHARE
    servers: int = 10_000
    penalties: int = 200


FULL = Size()


class Table(NamedTuple):
    """A table with its title, and how its figures came about."""

    title: str
    header: tuple[str, ...]
    lines: list[tuple[str, ...]]
    how: str

    def text(self) -> str:
        return table(self.header, self.lines)


def owners(targets: Sequence[Target], shards: int) -> list[int]:
    """Return the shard of each target."""
    all_of_them = [Shard(number, shards) for number in range(1, shards + 1)]
    return [next(shard.number for shard in all_of_them if shard.holds(target)) for target in targets]


def shards(size: Size) -> Table:
    """Count the targets of each shard, and those that move when there is one more."""
    found: list[tuple[str, ...]] = []
    for count, number in ((10_000, 2), (100_000, 10), (1_000_000, 100)):
        sample = min(count, size.sharded, 500_000 // number * 2)
        targets = fleet.targets(sample)
        before, after = owners(targets, number), owners(targets, number + 1)
        loads = [before.count(one) for one in range(1, number + 1)]
        moved = [new for old, new in zip(before, after, strict=True) if old != new]
        spread = f"{min(loads):,} to {max(loads):,}" if sample == count else "not counted"
        elsewhere = sum(new != number + 1 for new in moved)
        found.append((
            f"{count:,}", f"{number}", f"{sample:,}", spread,
            f"{100 * len(moved) / sample:.1f} %", f"{elsewhere}", f"{count * number:,}",
        ))  # fmt: skip
    return Table(
        "Shards",
        ("targets", "shards", "of them counted", "on a shard", "move to one more", "move elsewhere", "hashes a load"),
        found,
        "`Shard.holds` of every target counted. Hashes a load: what each exporter computes when it reads the whole "
        "list, 0.7 us each.",
    )


def load(size: Size) -> Table:
    """Walk one exporter's schedule through a minute of each kind."""
    targets = fleet.targets(size.share)
    rows: list[tuple[str, ...]] = []
    usual = fleet.Conditions(TOOK, TOOK)
    for vantage in ("", VANTAGES[0]):
        name = f"vantage {vantage}" if vantage else "no vantage"
        with fleet.seeded(SEED):
            exporter = fleet.Exporter(targets, BOOTED, usual, vantage)
            minute = fleet.EPOCH + fleet.INTERVAL
            rows.append(_load(f"cold start, {name}", list(exporter.turns(minute)), fleet.EPOCH))
            exporter.reload(minute)
            rows.append(_load(f"reload of all, {name}", list(exporter.turns(minute + fleet.INTERVAL)), minute))
            begun = minute + fleet.INTERVAL + STANDSTILL
            after = exporter.turns(begun + fleet.INTERVAL, not_before=begun)
            rows.append(_load(f"after a standstill, {name}", list(after), begun))
    for most in (fleet.MOST_AT_ONCE, 2 * fleet.MOST_AT_ONCE):
        with fleet.seeded(SEED):
            exporter = fleet.Exporter(targets, BOOTED, fleet.Conditions(TOOK, HANGING, most), VANTAGES[0])
            tenth = fleet.EPOCH + 9 * fleet.INTERVAL
            later = [turn for turn in exporter.turns(tenth + fleet.INTERVAL) if turn.due >= tenth]
            rows.append(_load(f"a tenth hangs, max_in_flight {most}", later, tenth))
    return Table(
        "One exporter",
        ("minute", "probes", "handshakes in a second", "descriptors", "latest start", "all probed in"),
        rows,
        f"{size.share:,} targets each {fleet.INTERVAL:g} s, round trips of {SLOWEST / 2:g} s. The most handshakes that "
        "begin within one second, and the most connections at once; the longest that a probe began after its time "
        f"(turns begin each half second). Standstill: the process was stopped for {STANDSTILL / 60:g} minutes. A tenth "
        f"hangs: each tenth probe takes {HANGING:g} s, in the tenth minute. "
        f"A handshake takes {1e6 * fleet.CPU_PER_HANDSHAKE:.0f} us of the core (bench/RESULTS.md, background probing).",
    )


def _load(name: str, turns: Sequence[fleet.Turn], begun: float) -> tuple[str, ...]:
    opened = [moment for turn in turns for moment in (turn.begun, *[_burst(turn)] * BURST)]
    spans = [span for turn in turns for span in _spans(turn)]
    late = max(turn.begun - max(turn.due, begun) for turn in turns)
    first: dict[str, float] = {}
    for turn in turns:
        first.setdefault(turn.host, turn.begun)
    return (
        name, f"{len(turns):,}", f"{fleet.most_within(opened, 1.0):,}", f"{fleet.most_open(spans):,}",
        f"{late:.1f} s", f"{max(first.values()) - begun:.0f} s",
    )  # fmt: skip


def _burst(turn: fleet.Turn) -> float:
    """Return when the burst begins: beside a baseline that hangs it does so after a share of the time."""
    if turn.takes == HANGING:
        return turn.begun + HANGING * PATIENCE
    return Run(turn.begun, SLOWEST / 2, 0.0).burst_begun


def _spans(turn: fleet.Turn) -> list[tuple[float, float, int]]:
    baseline = HANGING if turn.takes == HANGING else Run(0.0, SLOWEST / 2, 0.0).wave
    return [(turn.begun, turn.begun + baseline, 1), (_burst(turn), turn.begun + turn.takes, BURST)]


def together(size: Size) -> Table:
    """Count how often runs of several vantage points meet at a server, and what it does to them."""
    servers = fleet.targets(size.servers)
    rows: list[tuple[str, ...]] = []
    with fleet.seeded(SEED) as chance:
        scheduled = partial(meetings.by_schedule, servers, rounds=ROUNDS, chance=chance)
        minute = meetings.by_the_minute(servers, 3, ROUNDS, chance)
        by_chance = scheduled(["", "", ""])
        three = scheduled(VANTAGES[:3])
        five = scheduled(VANTAGES)
        for name, plan, others, burst in (
            ("3, all at the full minute", minute, 0, BURST),
            ("3, no vantage", by_chance, 0, BURST),
            ("3, a vantage each", three, 0, BURST),
            ("3, a vantage each, 4 others", three, 4, BURST),
            ("5, a vantage each", five, 0, BURST),
            ("5, a vantage each, `handshakes: 3`", five, 0, 2),
        ):
            met = meetings.meet(plan, ROUNDS, chance, others, burst)
            rows.append((
                name, f"{100 * met.twos / met.server_rounds:.1f} %", f"{100 * met.threes / met.server_rounds:.2f} %",
                f"{met.most}", f"{1e6 * met.dropped / met.handshakes:,.0f}", f"{met.dropping:,}",
            ))  # fmt: skip
    return Table(
        "Vantage points at a server",
        ("vantage points", "minutes in which 2 meet", "3 meet", "most startups", "dropped of a million", "servers"),
        rows,
        f"{size.servers:,} servers with MaxStartups 10:30:100, {ROUNDS} minutes, default runs of five handshakes, "
        f"round trips up to {SLOWEST:g} s, slots free up to 0.3 s after the close. Runs meet when one begins while the "
        "server still holds a connection of another. Dropped: handshakes that the formula of sshd turned away; "
        "servers: those that dropped any. 4 others: unauthenticated connections that other clients hold all the time. "
        f"A vantage's moments are the same each minute: of {size.sharded:,} servers {near_each_other(size)} have those "
        f"of {', '.join(VANTAGES[:3])} within half a second.",
    )


def near_each_other(size: Size) -> int:
    """Count the servers to which three vantage points come within half a second, each minute."""
    count = 0
    for target in fleet.targets(size.sharded):
        moments = sorted(phase(target, name, fleet.INTERVAL) for name in VANTAGES[:3])
        gaps = [later - earlier for earlier, later in pairwise([*moments, moments[0] + fleet.INTERVAL])]
        count += fleet.INTERVAL - max(gaps) < 0.5
    return count


def one_address(size: Size) -> Table:
    """Count the servers that refuse several exporters which they see behind one address."""
    servers = fleet.targets(size.penalties)
    rows: list[tuple[str, ...]] = []
    for interval in (60, 30, 20, 15, 10, 5):
        shares = [
            100 * meetings.penalising(servers, VANTAGES[:count], interval, 600.0) / size.penalties
            for count in (1, 2, 3, 4, 5)
        ]
        rows.append((f"{interval} s", *[f"{share:.0f} %" for share in shares]))
    return Table(
        "Exporters behind one address",
        ("interval", "1 exporter", "2", "3", "4", "5"),
        rows,
        f"Servers of {size.penalties:,} that refuse the address within ten minutes (OpenSSH 9.8 and later, "
        "PerSourcePenalties at its defaults), when none of the exporters holds back for the others.",
    )


def scrapes(_: Size) -> Table:
    """Count how one exporter answers several Prometheis."""
    rows: list[tuple[str, ...]] = []
    for interval, count in ((60, 2), (60, 4), (15, 2), (15, 4), (5, 1), (5, 2)):
        with fleet.seeded(SEED + count) as chance:
            offsets = [chance.uniform(0, interval) for _ in range(count)]
        got = meetings.scraped(offsets, interval, 3600.0)
        rows.append((
            f"{interval} s", f"{count}", f"{100 * got.fresh / got.requests:.0f} %",
            f"{100 * got.shared / got.requests:.0f} %", f"{100 * got.last / got.requests:.0f} %",
            f"{got.oldest:.1f} s", f"{got.refused}",
        ))  # fmt: skip
    return Table(
        "Prometheis at one exporter",
        ("scrape interval", "Prometheis", "new probe", "shared probe", "last result", "oldest", "refused"),
        rows,
        "An hour of /probe for one server, each Prometheus at its own moment of the interval; the exporter's budget "
        "decides. Oldest: the greatest age of a last result; refused: handshakes that the server's penalties refused.",
    )


def series(_: Size) -> Table:
    """Count the series of a healthy target, and what fleets of them are for Prometheus."""
    specification = TargetSpec("server.example:22", Target("server.example"), (), "default", Module(), fleet.INTERVAL)
    target = BackgroundTarget(specification, DEFAULT_BUCKETS)
    target.add(healthy(specification.text))
    rows: list[tuple[str, ...]] = []
    for name, chosen in (
        ("causes: all", Chosen()),
        ("causes: current", Chosen(all_causes=False)),
        ("causes: current, phases: [banner]", Chosen(all_causes=False, phases=("banner",))),
    ):
        text = FleetText().write([target], is_openmetrics=False, chosen=chosen)
        written = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
        size = sum(map(len, written))
        rows.append((
            f"`{name}`", f"{len(written)}", f"{SHARE * size / 1e6:.0f} MB",
            *(f"{count * len(written) / 1e6:.1f} M" for count in (10_000, 100_000, 1_000_000)),
            f"{1_000_000 * len(written) / fleet.INTERVAL / 1e3:,.0f} k/s",
        ))  # fmt: skip
    return Table(
        "Series",
        ("series", "a target", "/metrics of 10,000", "10,000", "100,000", "1,000,000", "samples of these"),
        rows,
        "A healthy target at depth kexinit without labels of its own; /metrics as text, without compression; samples a "
        "second when each exporter is scraped once a minute.",
    )


def doors(_: Size) -> Table:
    """Reckon what the measured cost of a check by each door is for a fleet."""
    rows: list[tuple[str, ...]] = []
    for door, milliseconds, row in DOORS:
        cores = (f"{count * milliseconds / 1000 / fleet.INTERVAL:.1f}" for count in (10_000, 100_000, 1_000_000))
        rows.append((
            door, f"{milliseconds:g} ms", f"{1000 * fleet.INTERVAL / milliseconds / 2:,.0f}", *cores, row
        ))  # fmt: skip
    return Table(
        "Doors",
        ("way", "CPU a check", "a minute on half a core", "cores: 10,000", "100,000", "1,000,000", "measured in"),
        rows,
        "A check is a default run of five handshakes, each target once a minute, without the CPU of the core that "
        "schedules it, of Prometheus and of the server.",
    )


TABLES: tuple[Callable[[Size], Table], ...] = (doors, shards, load, together, one_address, scrapes, series)


def written(text: str, table: Table) -> str:
    """Return a document in which a table, known by its first heading, and the paragraph after it are these."""
    blocks = text.split("\n\n")
    (place,) = [number for number, block in enumerate(blocks) if block.startswith(f"| {table.header[0]} ")]
    blocks[place : place + 2] = [table.text(), table.how]
    return "\n\n".join(blocks)


def main() -> None:
    """Print every table, or write them into the document."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet_simulation", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put them into {DOCUMENT.name}")
    options = parser.parse_args()
    for make in TABLES:
        table = make(FULL)
        print(f"## {table.title}\n\n{table.text()}\n\n{table.how}\n", flush=True)
        if options.write:
            DOCUMENT.write_text(written(DOCUMENT.read_text(), table))


if __name__ == "__main__":
    main()
