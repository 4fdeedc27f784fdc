"""A scripted server on loopback that throttles as OpenSSH does, for `make demo` and the tests.

`python -m check_ssh_exchange.demo` runs the plugin against it four times; with `--serve` it serves other tools. The
plugin never imports this module.
"""

import argparse
import asyncio
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, Self

from .diagnosis.maxstartups import MaxStartups, drop_percent, parse
from .diagnosis.sayings import EXCEEDED, NOT_ALLOWED
from .diagnosis.software import software_of
from .report import Server
from .wire import kexinit
from .wire.packet import packet

HOST = "127.0.0.1"
SOFTWARE = "OpenSSH_9.2p1 Demo"
BACKLOG = 128  # sshd's own
MAX_LINE = 8192  # what sshd reads of a client that never ends its identification line
LOGIN_GRACE_TIME = 120.0  # sshd's default
SETTLE_SECONDS = 10.0  # a slot is free within a millisecond; ten seconds are for a machine under load
RUN_SECONDS = 60.0  # a run of the plugin ends within ten
MAX_TRIES = 2000  # connections that the scanner tries; with the demo's setting some 40 fill the server
WIDTH = 100
EXCERPT = ("schema", "state", "summary", "server", "handshakes", "early_close_ratio", "diagnosis")

SETTING = MaxStartups(10, 30, 20)
# The first draws are 96 85 3 87 20 98 79: with ten connections held the baseline is served, the second and fourth of
# the burst are dropped, and what follows is served. None lies between 20 and 79, so a slot that is freed late changes
# nothing.
SEED = 27950


def refusal_of(software: str) -> str:
    """Return what this OpenSSH says to a connection that it drops: nothing before 8.2."""
    known = software_of(Server.of(f"SSH-2.0-{software}"))
    version = (known.version if known else ()) or (9, 2)
    return NOT_ALLOWED if version >= (9, 8) else EXCEEDED if version >= (8, 2) else ""


class ThrottlingServer:
    """A listener in a thread of its own; a context manager.

    `startups` counts the connections in progress: all that were served and are not gone yet; no client logs in.
    """

    def __init__(
        self, start: int, rate: int, full: int, *, seed: int | None = None, port: int = 0, software: str = SOFTWARE
    ) -> None:
        self.setting = MaxStartups(start, rate, full)
        self.port = port
        self.identification = f"SSH-2.0-{software}"
        self.refusal = refusal_of(software)
        self.login_grace_time = LOGIN_GRACE_TIME
        self.random = random.Random(seed)  # noqa: S311 (a coin, not a key)
        self.startups = self.served = self.dropped = 0
        self.transports: set[asyncio.WriteTransport] = set()

    def __enter__(self) -> Self:
        listener = socket.create_server((HOST, self.port), backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listener),), name="throttling server")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def settle(self, startups: int) -> bool:
        """Wait until this number of connections is in progress; return whether it came to that."""
        give_up = time.monotonic() + SETTLE_SECONDS
        while self.startups != startups and time.monotonic() < give_up:
            time.sleep(0.001)
        return self.startups == startups

    def drops_the_next(self) -> bool:
        """Decide on a new connection as sshd does, which draws no number below start."""
        chance = drop_percent(self.startups, self.setting)
        # Of all its generators Python promises only for random() that a seed's draws stay the same.
        return chance > 0 and int(self.random.random() * 100) < chance

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Startup(self), sock=listener, backlog=BACKLOG)
        await asyncio.to_thread(self._stopping.wait)
        server.close()
        while self.transports:  # each is gone one turn of the loop after its abort
            for transport in list(self.transports):
                transport.abort()
            await asyncio.sleep(0)


class _Startup(asyncio.Protocol):
    """One connection from accept until it is gone."""

    def __init__(self, server: ThrottlingServer) -> None:
        self._server = server
        self._heard = b""
        self._grace: asyncio.TimerHandle | None = None  # runs while the connection holds a slot

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP makes
        """Serve or drop."""
        server, self._transport = self._server, transport
        server.transports.add(transport)
        if server.drops_the_next():
            server.dropped += 1
            self._say(server.refusal)
            transport.close()
            return
        server.served += 1
        server.startups += 1
        self._grace = asyncio.get_running_loop().call_later(server.login_grace_time, transport.abort)
        self._say(server.identification)

    def data_received(self, data: bytes) -> None:
        """Answer the client's identification line with our KEXINIT, and nothing after that."""
        if self._grace is None or self._heard.endswith(b"\n"):
            return
        line, end, _ = (self._heard + data)[:MAX_LINE].partition(b"\n")
        self._heard = line + end
        if end and line.startswith(b"SSH-"):
            self._transport.write(packet(kexinit.build()))
        elif end or len(line) == MAX_LINE:
            self._say("Invalid SSH identification string.")
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Free the slot."""
        self._server.transports.discard(self._transport)
        if self._grace is not None:
            self._grace.cancel()
            self._server.startups -= 1

    def _say(self, line: str) -> None:
        if line:
            self._transport.write(line.encode() + b"\r\n")


class Unexpected(Exception):
    """The demonstration did not show what it is to show; the message is one sentence."""


class Part(NamedTuple):
    """One run of the plugin: what is said before it, how many connections others hold, its options and exit code."""

    title: str
    words: str
    held: int
    arguments: tuple[str, ...]
    expected: int


_THROTTLED = (
    f"A scanner holds {SETTING.start} connections and never logs in, so the server drops some of our handshakes:"
)
_EXPLAINED = "--explain draws every handshake, and says why and what to do on the server:"
_JSON = "An excerpt: of the handshakes only one that was turned away, and no latencies, counts and perfdata:"
_FULL = f"The scanner holds {SETTING.full} connections now, so every other connection is dropped:"
PARTS = (
    Part("1. Healthy", "Nobody else is connected, and five handshakes are served:", 0, (), 0),
    Part("2. Throttled", _THROTTLED, SETTING.start, (), 1),
    Part("3. The same for a person", _EXPLAINED, SETTING.start, ("--explain",), 1),
    Part("4. The same for a program", _JSON, SETTING.start, ("--output-format", "json"), 1),
    Part("5. Full", _FULL, SETTING.full, (), 2),
)

_HOST = Part(
    "6. On the server itself",
    "check_sshd_local looks at this machine's own sshd, from inside. It changes nothing and connects nowhere; -v would "
    "say what to do:",
    0, (), 0,
)  # fmt: skip


def demonstrate() -> None:
    """Show the six runs; raises Unexpected when one of them did not end as it must."""
    held: list[socket.socket] = []
    with ThrottlingServer(*SETTING, seed=SEED) as server:
        start, rate, full = SETTING
        _tell(
            f"A server on {HOST}:{server.port} throttles as OpenSSH does with MaxStartups {SETTING}: of connections "
            f"that have not logged in it serves {start} freely; from then on it drops {rate} % of new connections, "
            f"rising to all of them at {full}. Each command below is really run; its real output follows."
        )
        try:
            for part in PARTS:
                _hold(held, server, part.held)
                _show(part, server)
        finally:
            for connection in held:
                connection.close()
    _show_host()
    _tell("\nNow your own host, which costs it a handful of connections that never log in (-h lists the options):")
    print(f"  {os.path.relpath(sys.prefix)}/bin/check_ssh_exchange -H your.host")


def _hold(held: list[socket.socket], server: ThrottlingServer, count: int) -> None:
    """Be the scanner that never logs in: connect until `count` connections are held, and send nothing."""
    for _ in range(MAX_TRIES):
        # The slots of the run before must be free, or they would be taken for ours.
        if not server.settle(len(held)) or len(held) == count:
            break
        connection = socket.create_connection((HOST, server.port), timeout=SETTLE_SECONDS)
        if connection.recv(MAX_LINE).startswith(b"SSH-"):
            held.append(connection)
        else:
            connection.close()
    if not len(held) == server.startups == count:
        raise Unexpected(f"the server has {server.startups} connections in progress instead of {count}")


def _show(part: Part, server: ThrottlingServer) -> None:
    server.random.seed(SEED)
    done, output = _run(part, "check_ssh_exchange", "-H", HOST, "-p", str(server.port))
    is_as_expected = done.returncode == part.expected
    print(_excerpt(output) if "json" in part.arguments and is_as_expected else output)
    print("exit code", done.returncode, flush=True)
    if not is_as_expected:
        raise Unexpected(f"the exit code of part {part.title} is {done.returncode} instead of {part.expected}")


def _show_host() -> None:
    """Run the plugin for the server itself, on this machine: what it finds here is not known beforehand."""
    done, output = _run(_HOST, "check_ssh_exchange.host")
    print(f"{output}\nexit code {done.returncode}", flush=True)
    if not output.startswith("SSHD ") or not 0 <= done.returncode <= 3:
        raise Unexpected(f"part {_HOST.title} did not end with a status line")


def _run(part: Part, module: str, *more: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Tell and run a command; return how it ended and all that it printed."""
    command = [sys.executable, "-m", module, *more, *part.arguments]
    _tell(f"\n{part.title}\n{'-' * len(part.title)}\n{part.words}\n")
    print("$", shlex.join(command), flush=True)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=RUN_SECONDS, check=False)
    return done, (done.stdout + done.stderr).rstrip("\n")


def _excerpt(output: str) -> str:
    try:
        document = json.loads(output)
    except ValueError as error:
        raise Unexpected(f"the plugin's JSON cannot be read: {error}") from None
    document["handshakes"] = [shown for shown in document["handshakes"] if shown["ending"] == "turned_away"][:1]
    return json.dumps({key: document[key] for key in EXCERPT}, indent=2)


def _tell(text: str) -> None:
    for line in text.split("\n"):
        print(textwrap.fill(line, WIDTH), flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"demo: {message} (-h lists the options)\n")


def _checked(arguments: Sequence[str]) -> argparse.Namespace:
    made = _Parser(prog="demo", description="Show the plugin against a throttling server.", allow_abbrev=False)
    made.add_argument("--serve", action="store_true", help="only serve, for other tools, until Ctrl-C")
    made.add_argument("--port", type=int, default=0, help="with --serve: the port (any free one)")
    made.add_argument("--max-startups", default="3:50:6", help="with --serve: start:rate:full (3:50:6)")
    made.add_argument("--software", default=SOFTWARE, help=f"with --serve: what is announced ({SOFTWARE})")
    made.add_argument("--text", help="with --serve: the text sent to dropped connections (that of the software)")
    given = made.parse_args(arguments)
    if arguments and not given.serve:
        made.error("the options are for --serve")
    if not 0 <= given.port <= 65535:
        made.error(f"{given.port} is not a valid port")
    if not (given.software + (given.text or "")).isprintable():
        made.error("--software and --text are one line each")
    try:
        given.max_startups = parse(given.max_startups)
    except ValueError as error:
        made.error(str(error))
    return given


def serve(given: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = ThrottlingServer(*given.max_startups, port=given.port, software=given.software)
    server.refusal = server.refusal if given.text is None else given.text
    with server:
        _tell(f"{server.identification} on {HOST}:{server.port}, MaxStartups {server.setting}; Ctrl-C ends it")
        signal.sigwait(signals)
    print(f"{server.served} connections served, {server.dropped} dropped")


def main(arguments: Sequence[str]) -> int:
    """Demonstrate or serve; return 0, 1 when something was not as it must be, 2 for a bad command line."""
    given = _checked(arguments)
    try:
        serve(given) if given.serve else demonstrate()
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os._exit(1)  # the reader is gone; a message would be a traceback
    except (Unexpected, OSError, subprocess.TimeoutExpired) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
