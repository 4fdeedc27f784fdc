"""xinetd in front of sshd -i: its limits close connections without a word."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import zoo

from .holding import SECOND_SOURCE
from .package import environment, program
from .scenario import Scenario, Target

SERVER = "openssh-9.2"
START_SECONDS = 60.0
SERVICE = """defaults
{{
    log_type = FILE {log}
}}
service zoo
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    wait = no
    user = root
    bind = 127.0.0.1
    port = {port}
    server = /usr/sbin/chroot
    server_args = {root} /usr/sbin/sshd -i -f /etc/inetd.conf
{limit}
}}
"""
SSHD = "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\n"
OURS = ("-S", "127.0.0.1")


@contextmanager
def behind_xinetd(limit: str, *options: str) -> Iterator[Target]:
    """An sshd that xinetd starts for each connection, within a limit."""
    xinetd = program("xinetd")
    with zoo.copy(SERVER) as chroot:
        (chroot.root / "etc/inetd.conf").write_text(SSHD)
        port, config = zoo.free_port("127.0.0.1"), chroot.home / "xinetd.conf"
        log = chroot.home / "xinetd.log"
        config.write_text(SERVICE.format(log=log, port=port, root=chroot.root, limit=f"    {limit}"))
        command = [str(xinetd), "-dontfork", "-f", str(config), "-pidfile", str(chroot.home / "pid")]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            try:
                await_listening(process, port, log)
                yield Target("127.0.0.1", port, ("-t", "4", *options))
            finally:
                process.kill()
                chroot.evict()


def await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until xinetd listens, without a connection that it would count."""
    deadline = time.monotonic() + START_SECONDS
    while not any(found == port for _, found in zoo.listening(process.pid)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"xinetd does not listen: {log.read_text() if log.exists() else ''}")
        time.sleep(0.01)


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    limit, both = Cause.PER_SOURCE_LIMIT, (*OURS, "-S", SECOND_SOURCE)
    per_source = partial(behind_xinetd, "per_source = 3")
    yield Scenario("xinetd per_source", (limit,), per_source, self_inflicted=True)
    yield Scenario("xinetd per_source, two sources", (limit,), partial(per_source, *both), self_inflicted=True)
    # One source alone cannot tell a limit of its own from a limit of all.
    instances = partial(behind_xinetd, "instances = 3")
    all_of_them = (Cause.MAXSTARTUPS, limit)
    yield Scenario("xinetd instances", all_of_them, instances, says="xinetd's instances")
    yield Scenario("xinetd instances, two sources", (Cause.MAXSTARTUPS,), partial(instances, *both))
    # xinetd closes its listener at the fourth connection: the kernel refuses or resets what is on its way by then.
    yield Scenario("xinetd cps", (Cause.RATE_LIMIT,), partial(behind_xinetd, "cps = 3 5"), endings_vary=True)
    # A listener that fails closes as fast, and as silently.
    denied = (Cause.ACCESS_DENIED, Cause.SERVER_FAULT)
    only = partial(behind_xinetd, "only_from = 192.0.2.1")
    yield Scenario("xinetd only_from", denied, only, says="only_from")
    other = partial(behind_xinetd, f"only_from = {SECOND_SOURCE}", *both)
    yield Scenario("xinetd only_from, second source let in", (Cause.ACCESS_DENIED,), other)
