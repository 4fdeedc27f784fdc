"""Checks that other schedulers ask for: command lines answered by probes, a limited number at once."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from check_ssh_exchange.plugin.arguments import Message, UsageError
from check_ssh_exchange.plugin.process import misused
from check_ssh_exchange.remote.status_line import PREFIX

from ..broker import ProbeBroker
from ..configuration.allowed import Allowed
from ..configuration.target import written
from ..own_metrics import OwnMetrics
from ..probe_request import Origin, ProbeRequest, TargetNotAllowedError
from .answer import Answer, of_output, of_response, unknown
from .command import Command, read

LOG = logging.getLogger("ssh_exchange_exporter")


class Checks:
    """Answers command lines of check_ssh_exchange. To be made and used within one running loop."""

    def __init__(self, broker: ProbeBroker, own: OwnMetrics, allowed: Callable[[], Allowed], most: int) -> None:
        self._broker = broker
        self._own = own
        self._allowed = allowed
        self.resize(most)

    def resize(self, most: int) -> None:
        """Make at most this many probes at once from now on; those under way are not counted again."""
        self.most = most
        self._turns = asyncio.Semaphore(most)

    async def answer(self, words: Sequence[str], seconds: float | None = None) -> Answer:
        """Return what the plugin would print for these arguments, within its `--timeout` and `seconds`.

        Whatever the words are, it answers. Cancelled, it gives its turn back and ends a probe that nobody else awaits.
        """
        try:
            command = read(words)
            return await self._in_turn(command, command.timeout if seconds is None else min(command.timeout, seconds))
        except Message as message:  # a text was asked for, as by --help
            return of_output(message.code, str(message))
        except UsageError as error:
            return of_output(*misused(PREFIX, error))
        except TargetNotAllowedError as refusal:
            self._own.forbidden.inc()
            return unknown(str(refusal))
        except Exception:
            LOG.exception("a check failed")
            return unknown("internal error of the exporter, see its log")

    async def _in_turn(self, command: Command, seconds: float) -> Answer:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        turns = self._turns
        try:
            async with asyncio.timeout_at(deadline):
                await turns.acquire()
        except TimeoutError:
            return unknown(
                f"no turn within {seconds:.3g} s: the exporter makes {self.most} probes at once (max_in_flight)"
            )
        try:
            return await self._probed(command, deadline - loop.time())
        finally:
            turns.release()

    async def _probed(self, command: Command, seconds: float) -> Answer:
        target = command.options.target
        request = ProbeRequest(
            target,
            written(target),
            command.name,
            command,
            Origin.CHECK,
            trace=command.options.plan.trace,
            allowed=self._allowed(),
            memory=command.memory,
        )
        return of_response(await self._broker.probe(request, seconds), command)
