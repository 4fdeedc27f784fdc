"""The engine under an asyncio loop: no thread and no second loop, its epoll descriptor is one more to watch."""

import asyncio
import time
from collections.abc import Callable

from .engine import Engine

# Nanoseconds. Timers wait for the next multiple of this: the pauses of many runs then end together, and their bursts
# find the processor's caches filled. No latency is measured by a timer.
GRID = 20_000_000


class Host:
    """Steps an engine whenever its descriptor is readable or its next timer is due.

    An error of the engine goes to `on_error`, or to the loop where there is none.
    """

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.engine = engine
        self.loop = loop
        self._on_error = on_error
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0
        loop.add_reader(engine.fileno(), self.step)

    def step(self) -> None:
        """Let the engine handle what has happened, then schedule its next call."""
        try:
            self.engine.step(0)
        except Exception as error:
            if self._on_error is None:
                raise
            self._on_error(error)
        finally:  # whatever one run has raised, the others have their timers
            self.look()

    def look(self) -> None:
        """Take over the engine's next timer; call it after anything but `step` has opened or scheduled."""
        due = self.engine.next_deadline()
        # A timer that comes too early finds nothing to do and takes the next one over. To cancel and set one at every
        # event costs more than the events of a handshake.
        if due is None:
            return
        due = -(-due // GRID) * GRID
        if self._timer is not None and self._due <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self.loop.call_later(max(0.0, (due - time.monotonic_ns()) / 1e9), self._come)

    def _come(self) -> None:
        self._timer = None
        self.step()

    def close(self) -> None:
        """Leave the loop; the engine is the caller's to shut down."""
        self.loop.remove_reader(self.engine.fileno())
        if self._timer is not None:
            self._timer.cancel()
