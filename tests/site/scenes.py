"""The scenes of the site's examples: a real server in the state that a page tells of, and who runs the commands."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple

from tests.lab import exporter, zoo

from .place import MONITOR, OTHER, SERVER, Place, connected, environment

SLOTS = 10
CROWDED = {"MaxStartups": f"{SLOTS}:100:{SLOTS}"}  # above ten it drops every connection: the same in each run
DEFAULT_FULL = 100  # MaxStartups 10:30:100
TRIES = 3000  # random early drop refuses most connections when a server is nearly full
PORT = 10922
# Clears the screen, is a script in a page, and adds a figure; the client is silent, so the close is an orderly one.
HOSTILE = f"""
import socket
server = socket.create_server(("{SERVER}", 22), backlog=64)
while True:
    client, _ = server.accept()
    client.sendall(b"\\x1b[2J<script>alert(1)</script> | early_close=0\\r\\n")
    client.close()
"""
START_SECONDS = 60.0
ALLOWED = "allowed_targets: [bastion.example, 198.51.100.0/24]\n"
BLACKBOX = "prometheus-blackbox-exporter"


class Scene(NamedTuple):
    """A state of the server, and who runs the commands. It is `shared` by blocks where a run does not change it.

    Where it is `timed`, what is printed depends on how fast a slot becomes free again.
    """

    enter: Callable[[Place], AbstractContextManager[object]]
    is_on_server: bool = False
    is_shared: bool = True
    is_timed: bool = False


@contextmanager
def served(place: Place, name: str = "openssh-9.2", options: Mapping[str, str] | None = None) -> Iterator[zoo.Server]:
    """An SSH server on bastion.example."""
    with zoo.server(
        name, options=options or {}, address=SERVER, port=22, prefix=place.server.prefix, config="LogLevel VERBOSE\n"
    ) as server:
        yield server


@contextmanager
def held(place: Place, count: int, options: Mapping[str, str] | None = None) -> Iterator[None]:
    """A server of whose slots another client holds some without logging in."""
    with served(place, options=options), ExitStack() as stack:
        for _ in range(TRIES):
            (connection,) = connected(place, 1, OTHER)
            if connection.recv(256).startswith(b"SSH-"):
                stack.enter_context(connection)
                count -= 1
            else:
                connection.close()
            if not count:
                break
        if count:
            raise RuntimeError(f"{count} connections more could not be held")
        yield


@contextmanager
def penalised(place: Place) -> Iterator[None]:
    """An OpenSSH 10.6 that has a penalty against the monitor, which makes handshakes without a login.

    By default each of them adds a second, which a slow machine takes as well: it would never be shut out, or not for
    as long as the commands take.
    """
    with served(place, "openssh-10.6", {"PerSourcePenalties": "noauth:100"}):
        for _ in range(TRIES):
            (connection,) = connected(place, 1, MONITOR)
            with connection:
                if not connection.recv(256).startswith(b"SSH-"):
                    break
                connection.sendall(b"SSH-2.0-hurry\r\n")
        else:
            raise RuntimeError("the monitor is not shut out")
        yield


@contextmanager
def banned(place: Place) -> Iterator[None]:
    """A firewall as fail2ban leaves it: the monitor is answered by ICMP."""
    with served(place), place.server.nft("input", f"ip saddr {MONITOR} tcp dport 22 reject"):
        yield


@contextmanager
def stopped(place: Place) -> Iterator[None]:
    """A listener that hangs."""
    with served(place) as server:
        server.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            server.process.send_signal(signal.SIGCONT)


@contextmanager
def without_host_keys(place: Place) -> Iterator[None]:
    """A server whose host keys were removed while it ran."""
    with zoo.copy("openssh-9.2") as chroot, chroot.server(address=SERVER, port=22, prefix=place.server.prefix):
        for key in (chroot.root / "etc/ssh").glob("ssh_host_*"):
            key.unlink()
        yield


@contextmanager
def hostile(place: Place) -> Iterator[None]:
    """A server that answers with what would harm a terminal, a page or perfdata, and closes."""
    process = subprocess.Popen([*place.server.prefix, sys.executable, "-c", HOSTILE], stdin=subprocess.DEVNULL)
    try:
        exporter.wait_for(lambda: (ip_address(SERVER), 22) in zoo.listening(process.pid), START_SECONDS)
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@contextmanager
def closed(_: Place) -> Iterator[None]:
    """No server."""
    yield


@contextmanager
def exported(
    place: Place, inner: Callable[[Place], AbstractContextManager[object]], configuration: str | None = None
) -> Iterator[None]:
    """The exporter on the monitor, at its own port, beside another scene."""
    command = ("env", *(f"{name}={value}" for name, value in environment(place.home).items()))
    flag = f"--web.listen-address=127.0.0.1:{PORT}"
    file = place.files / "config.yml"
    if configuration:
        file.write_text(configuration)
    try:
        with inner(place), exporter.running(
            place.home, configuration, flag, prefix=(*place.monitor.prefix, *command)
        ):  # fmt: skip
            yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def blackboxed(place: Place, inner: Callable[[Place], AbstractContextManager[object]]) -> Iterator[None]:
    """blackbox_exporter with the module ssh_banner of its own example, beside another scene."""
    file = place.home / "blackbox.yml"
    file.write_text(
        "modules:\n  ssh_banner:\n    prober: tcp\n    tcp:\n      query_response:\n"
        '        - expect: "^SSH-2.0-"\n        - send: "SSH-2.0-blackbox-ssh-check"\n'
    )
    command = [*place.monitor.prefix, BLACKBOX, f"--config.file={file}", "--web.listen-address=127.0.0.1:9115"]
    with inner(place), (place.home / "blackbox.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            exporter.wait_for(lambda: place.run("curl -sf http://127.0.0.1:9115/metrics")[0], START_SECONDS)
            yield
        finally:
            process.terminate()
            process.wait(60)


throttled = partial(served, options={"MaxStartups": "3:100:3"})
crowded = partial(held, count=SLOTS - 2, options=CROWDED)
full = partial(held, count=DEFAULT_FULL)
exempt = partial(served, name="openssh-10.6", options={"PerSourcePenaltyExemptList": f"{MONITOR},2001:db8::7"})
newest = partial(served, name="openssh-10.6")

SCENES: dict[str, Scene] = {
    "healthy": Scene(served),
    "healthy, on the server": Scene(served, is_on_server=True),
    "throttled": Scene(throttled, is_shared=False, is_timed=True),
    "crowded": Scene(crowded, is_shared=False, is_timed=True),
    "full": Scene(full),
    "full, on the server": Scene(full, is_on_server=True),
    "penalised": Scene(penalised, is_shared=False),
    "banned": Scene(banned),
    "stopped": Scene(stopped),
    "without host keys": Scene(without_host_keys),
    "OpenSSH 10.6": Scene(newest, is_shared=False),
    "exempt": Scene(exempt),
    "hostile": Scene(hostile),
    "no server": Scene(closed),
    "exporter, healthy": Scene(partial(exported, inner=served)),
    "exporter, full": Scene(partial(exported, inner=full)),
    "exporter, hostile": Scene(partial(exported, inner=hostile)),
    "exporter, closed to others": Scene(partial(exported, inner=served, configuration=ALLOWED)),
    "exporter, no server": Scene(partial(exported, inner=closed)),
    "blackbox_exporter, full": Scene(partial(blackboxed, inner=full)),
    "blackbox_exporter, healthy": Scene(partial(blackboxed, inner=served)),
}


def entered(place: Place, name: str, blocks: list[list[str]]) -> list[list[str]]:
    """Run the commands of blocks in a scene, and return what each command printed."""
    scene = SCENES[name]
    host = place.server if scene.is_on_server else place.monitor
    if not scene.is_shared and len(blocks) > 1:
        return [told for block in blocks for told in entered(place, name, [block])]
    with scene.enter(place):
        return [place.run(*commands, host=host) for commands in blocks]
