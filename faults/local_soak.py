"""`python -m faults.local_soak [RUNS]`: check_sshd_local on healthy servers with scanners at work; each alarm is false.

Each server has scanners that connect again and again, read, send rubbish or nothing, and leave: a few at once, fewer
than MaxStartups' start, so nothing is throttled. From 9.8 on they are penalised, which is no concern of ours.
"""

import random
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.lab import zoo

from .plugin import LocalAnswer, run_local
from .scenario import Target
from .soak import alarms, in_turn

SERVERS = ("openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6")
SCANNERS = 4  # connections of a server at once; MaxStartups begins to drop at ten
RUBBISH = (b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-Go\r\n", b"\x16\x03\x01\x02\0", b"\0" * 300)


@contextmanager
def scanned(port: int, number: int) -> Iterator[None]:
    """Have scanners at a port, each from an address of its own."""
    is_over = threading.Event()

    def scan(own: int) -> None:
        chance = random.Random(own)  # noqa: S311 - no secret
        while not is_over.wait(chance.uniform(0.02, 0.3)):
            with suppress(OSError), socket.socket() as client:
                client.settimeout(2)
                client.bind((f"127.9{number}.{own}.{chance.randrange(1, 250)}", 0))
                client.connect(("127.0.0.1", port))
                client.recv(100)
                client.sendall(chance.choice(RUBBISH))
                is_over.wait(chance.uniform(0, 0.5))

    threads = [threading.Thread(target=scan, args=(own,)) for own in range(SCANNERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def answers(runs: int) -> Iterator[tuple[str, LocalAnswer]]:
    """Yield the answer of each of `runs` runs, with the server's name."""
    zoo.build(SERVERS)
    with ExitStack() as stack:
        ports = {name: stack.enter_context(zoo.server(name)).port for name in SERVERS}
        for number, port in enumerate(ports.values()):
            stack.enter_context(scanned(port, number))
        yield from in_turn(runs, ports, lambda _, port: run_local(Target("127.0.0.1", port)))


def main(runs: int) -> int:
    """Run, print the alarms and the total; return 1 if an alarm was raised."""
    if reason := zoo.missing():
        print(reason)
        return 1
    return alarms(
        ((name, answer.line) for name, answer in answers(runs) if answer.document["state"] != "ok"),
        f"{runs} runs of check_sshd_local on {len(SERVERS)} healthy servers",
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
