"""Results on their way to the core: background jobs in the queue that each job names.

A result goes to the server that its job came from; where that one is away, to the next, for the core reads from all.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...gearman_metrics import GearmanMetrics
from .connection import Connection
from .packet import ProtocolError
from .settings import Server

LOG = logging.getLogger("ssh_exchange_exporter")

MAX_WAITING = 10_000  # results for one server; above it the oldest is lost, and counted
# Seconds that a result is offered to the servers in turn. The core takes a check for lost after its own timeout.
PATIENCE = 120.0
PAUSE = 0.5


class Result(NamedTuple):
    """A payload for a queue, and until when (on the loop's clock) it is worth sending.

    `over` is called when a server has it, or when it is given up before the worker leaves.
    """

    queue: str
    payload: bytes
    until: float
    over: Callable[[], None]


class Results:
    """Sends results, those for one server one after the other. To be made and used within one running loop."""

    def __init__(self, servers: Sequence[Server], metrics: GearmanMetrics) -> None:
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._senders = {server: _Sender(server, self._pass_on, self._lose) for server in servers}

    def put(self, server: Server, queue: str, payload: bytes, over: Callable[[], None]) -> None:
        """Send a payload, to this server first; `over` is called when that is done with."""
        self._senders[server].put(Result(queue, payload, self._loop.time() + PATIENCE, over))

    def _pass_on(self, server: Server, result: Result) -> None:
        """Let the next server try what this one has not taken."""
        servers = list(self._senders)
        self._senders[servers[(servers.index(server) + 1) % len(servers)]].put(result)

    def _lose(self, result: Result) -> None:
        self._metrics.lost()
        LOG.warning("result lost: no gearmand took it", extra={"fields": {"queue": result.queue}})

    @property
    def waiting(self) -> int:
        """Return how many results are not sent yet."""
        return sum(sender.unsent for sender in self._senders.values())

    async def close(self, seconds: float) -> None:
        """Wait up to `seconds` until all are sent, then give the rest up."""
        until = self._loop.time() + seconds
        while self.waiting and self._loop.time() < until:
            await asyncio.sleep(0.02)
        for sender in self._senders.values():
            await sender.close()


class _Sender:
    """Sends to one server what is put here; what it does not take is passed on."""

    def __init__(
        self, server: Server, pass_on: Callable[[Server, Result], None], lose: Callable[[Result], None]
    ) -> None:
        self._server = server
        self._pass_on = pass_on
        self._lose = lose
        self._waiting: deque[Result] = deque()
        self._sending: Result | None = None
        self._has_some = asyncio.Event()
        self._connection: Connection | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def unsent(self) -> int:
        return len(self._waiting) + (self._sending is not None)

    def put(self, result: Result) -> None:
        if len(self._waiting) >= MAX_WAITING:
            oldest = self._waiting.popleft()
            self._lose(oldest)
            oldest.over()
        self._waiting.append(result)
        self._has_some.set()

    async def _run(self) -> None:
        while True:
            await self._has_some.wait()
            while self._waiting:
                self._sending = result = self._waiting.popleft()
                if result.until < asyncio.get_running_loop().time():
                    self._lose(result)
                    result.over()
                elif await self._is_sent(result):
                    result.over()
                else:
                    self._pass_on(self._server, result)
                    self._sending = None
                    await asyncio.sleep(PAUSE)
                self._sending = None
            self._has_some.clear()

    async def _is_sent(self, result: Result) -> bool:
        try:
            if self._connection is None:
                self._connection = await Connection.open(self._server.host, self._server.port)
            async with asyncio.timeout(PATIENCE):
                await self._connection.submit(result.queue, result.payload)
        except (OSError, ProtocolError) as error:
            LOG.debug("result not sent", extra={"fields": {"server": str(self._server), "error": str(error)}})
            self._disconnect()
            return False
        return True

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        # Their jobs are not over: where their server lives, it gives them to another worker.
        for result in (*((self._sending,) if self._sending else ()), *self._waiting):
            self._lose(result)
        self._disconnect()
