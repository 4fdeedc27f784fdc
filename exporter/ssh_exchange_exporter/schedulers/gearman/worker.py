"""A worker of Mod-Gearman: takes jobs from queues of its own, answers them by the exporter's engine, starts no process.

A connection to each server carries many jobs at once. Leaving is to ask for no more jobs and to finish those at hand:
CANT_DO or RESET_ABILITIES would make gearmand give these to another worker, and they would be done twice.
"""

import asyncio
import logging
import time
from functools import partial
from typing import NamedTuple

from check_ssh_exchange import __version__
from check_ssh_exchange.text import printable

from ...gearman_metrics import GearmanMetrics
from ..answer import Answer, unknown
from ..checks import Checks
from . import job as jobs
from .cipher import Cipher, UnreadableError
from .connection import Connection
from .fate import Fate
from .packet import Kind, Packet, ProtocolError
from .results import Results
from .settings import Server, Settings

LOG = logging.getLogger("ssh_exchange_exporter")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # seconds between two tries to connect
DRAIN = 15.0  # seconds for the jobs at hand when the worker is to leave; a check takes 10


class Link(NamedTuple):
    """A connection, and the server at its other end."""

    server: Server
    connection: Connection


class Worker:
    """Works from its construction until `close`. To be made and used within one running loop."""

    def __init__(self, settings: Settings, checks: Checks, metrics: GearmanMetrics) -> None:
        self._settings = settings
        self._checks = checks
        self._metrics = metrics
        self._cipher = Cipher(settings.key)
        self._source = f"ssh_exchange_exporter @ {settings.identifier}"
        self._status_queue = f"worker_{settings.identifier}"
        self._jobs: set[asyncio.Task[None]] = set()
        self._is_leaving = False
        self._held: set[Link] = set()  # where a job may wait that there is no room for
        self._results = Results(settings.servers, metrics)
        metrics.forget()
        self._links = [asyncio.create_task(self._serve(server)) for server in settings.servers]

    async def _serve(self, server: Server) -> None:
        """Keep a connection to a server."""
        pause = FIRST_PAUSE
        while True:
            self._metrics.connected(str(server), is_up=False)
            try:
                connection = await Connection.open(server.host, server.port)
            except OSError as error:
                LOG.debug("gearmand not reached", extra={"fields": {"server": str(server), "error": str(error)}})
            else:
                began = asyncio.get_running_loop().time()
                error_text = await self._work(connection, server)
                LOG.warning("gearmand lost", extra={"fields": {"server": str(server), "error": error_text}})
                if asyncio.get_running_loop().time() - began > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _work(self, connection: Connection, server: Server) -> str:
        """Take jobs from a connection until it ends; return why it did."""
        link = Link(server, connection)
        try:
            connection.send(Kind.SET_CLIENT_ID, self._settings.identifier.encode())
            for queue in (*self._settings.queues, self._status_queue):
                connection.send(Kind.CAN_DO, queue.encode())
            self._metrics.connected(str(server), is_up=True)
            LOG.info("gearmand connected", extra={"fields": {"server": str(server)}})
            self._grab(link)
            async for packet in connection.packets():
                self._handle(link, packet)
        except (OSError, ProtocolError) as error:
            return printable(str(error))
        finally:
            self._held.discard(link)
            connection.close()
        return "it closed the connection"

    def _grab(self, link: Link) -> None:
        """Ask for a job, now or as soon as there is room for one."""
        if len(self._jobs) >= self._settings.most:
            self._held.add(link)
        elif not self._is_leaving:
            link.connection.send(Kind.GRAB_JOB_UNIQ)

    def _handle(self, link: Link, packet: Packet) -> None:
        if packet.kind == Kind.NO_JOB and not self._is_leaving:
            link.connection.send(Kind.PRE_SLEEP)  # gearmand answers NOOP at once where a job came in between
        elif packet.kind == Kind.NOOP:
            self._grab(link)
        elif packet.kind == Kind.JOB_ASSIGN_UNIQ and len(packet.arguments) == 4:
            handle, queue, _, payload = packet.arguments
            if queue == self._status_queue.encode():
                link.connection.send(Kind.WORK_COMPLETE, handle, self._status().encode())
            else:
                self._begin(link, handle, None if packet.is_cut else payload)
            self._grab(link)

    def _status(self) -> str:
        name, most, busy, done = self._settings.identifier, self._settings.most, len(self._jobs), self._metrics.done
        version = f"ssh_exchange_exporter {__version__}"
        words = f"{name} has {most} worker and is working on {busy} jobs. Version: {version}"
        return f"{words}|worker={most};;;1;{most} jobs={done}c"

    def _begin(self, link: Link, handle: bytes, payload: bytes | None) -> None:
        task = asyncio.create_task(self._do(link, handle, payload))
        self._jobs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()):
            LOG.error("a job failed", exc_info=error)
        while self._held and len(self._jobs) < self._settings.most:
            self._grab(self._held.pop())

    async def _do(self, link: Link, handle: bytes, payload: bytes | None) -> None:
        """Answer a job; its result is sent whatever has become of the server it came from."""
        job = self._read(payload)
        if job is None:
            link.connection.send(Kind.WORK_FAIL, handle)
            return
        # Only when the result is in a server's hands: a job of a worker that was killed goes to another one.
        complete = partial(link.connection.send, Kind.WORK_COMPLETE, handle, b"")
        fate = Fate.UNWANTED
        if job.result_queue and job.host:
            begun = time.time()
            fate, answer = await self._answer(job, begun)
            text = jobs.result(job, answer, begun, time.time(), self._source)
            self._results.put(link.server, job.result_queue, self._cipher.wrap(text), complete)
        else:
            complete()
        self._metrics.job(fate)

    def _read(self, payload: bytes | None) -> jobs.Job | None:
        try:
            if payload is None:
                raise UnreadableError("it is longer than any job of ours")
            return jobs.read(self._cipher.unwrap(payload))
        except (UnreadableError, jobs.BadJobError) as error:
            key = "is the key the same as the core's?" if self._settings.key is not None else "is it encrypted?"
            LOG.warning("job not readable", extra={"fields": {"error": f"{error}: {key}"}})
            self._metrics.job(Fate.UNREADABLE)
            return None

    async def _answer(self, job: jobs.Job, now: float) -> tuple[Fate, Answer]:
        if (age := job.age(now)) > job.timeout:
            words = f"the job waited {age:.0f} s in its queue, longer than its timeout of {job.timeout:.0f} s"
            return Fate.LATE, unknown(words)
        try:
            words_of_job = jobs.arguments(job.command_line)
        except jobs.RefusedError as refusal:
            return Fate.REFUSED, unknown(str(refusal))
        seconds = max(jobs.MARGIN, job.timeout - jobs.MARGIN)
        return Fate.ANSWERED, await self._checks.answer(words_of_job, seconds)

    async def close(self) -> None:
        """Take no more jobs, finish those at hand, send their results and leave."""
        self._is_leaving = True
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=DRAIN)
        for task in tuple(self._jobs):
            task.cancel()
        await self._results.close(DRAIN / 3)
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, *self._jobs, return_exceptions=True)
