"""check_sshd_local: what one run with every item costs the server that it runs on."""

from tests.lab import zoo

from .process import cost, installation
from .table import Row, spread

CPU, WALL = 0.3, 2.0  # seconds
TITLE = "check_sshd_local on a quiet host, every item"
_TARGET = f"<= {CPU} s CPU, <= {WALL:g} s wall"


def row(rounds: int) -> Row:
    """Measure in `rounds` runs against an idle sshd."""
    if reason := zoo.missing():
        return Row(TITLE, _TARGET, reason, None, "")
    with installation() as installed, zoo.server("openssh-9.2") as server:
        command = [installed.python, "-m", "check_ssh_exchange.host", "-p", str(server.port), "--monitor", "127.0.0.1"]
        costs = [cost(command) for _ in range(rounds + 1)][1:]  # the first fills the caches
    cpu, wall = ([value / 1000 for value in values] for values in zip(*((c.cpu, c.wall) for c in costs), strict=True))
    middle, slowest = sorted(cpu)[len(cpu) // 2], sorted(wall)[len(wall) // 2]
    return Row(
        TITLE,
        _TARGET,
        f"{middle:.2f} s CPU, {slowest:.2f} s wall",
        middle <= CPU and slowest <= WALL,
        f"{rounds} runs as root on one CPU, an idle sshd; user and system time of the plugin and of the programs "
        "that it runs, as wait4() tells it, median (least to greatest). A second of the wall time is the sampling of "
        "sshd's title.",
        ("what", "CPU, s", "wall, s", "exit codes"),
        (
            (
                "check_sshd_local",
                spread(cpu, 2),
                spread(wall, 2),
                " ".join(str(c) for c in sorted({one.code for one in costs})),
            ),
        ),
    )
