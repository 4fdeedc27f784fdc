"""One epoll loop for all handshakes. Facts about epoll, and what follows from them:

* epoll reports descriptors, not objects, and a closed descriptor's number is reused at once. So `_connections` is the
  only map from number to handshake, and an entry leaves it in the same call that closes the socket.
* A socket that is closed leaves the epoll set by itself (we never duplicate one), so no EPOLL_CTL_DEL is spent.
* Deadlines are many and mostly never come: a heap with lazy deletion. An entry names descriptors and not handshakes,
  so a handshake that has ended is free at once and not seconds later; by then its descriptor may be another one's, so
  each handshake knows its own deadline.

A host program may own the loop: it watches `fileno()` for reading, calls `step(0)` when it is readable or when
`next_deadline()` has come.
"""

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable

from ..ending import Ending
from . import kernel
from .connection import EVENTS, Connection
from .errors import NoDescriptors, ProbeError

LINGER = 500_000_000  # nanoseconds; a server closes within a round trip and the end of a process
MAX_EVENTS = 512  # a batch; what is not fetched now is reported by the next call


class Timer:
    """A call at some moment, unless it is cancelled before."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call, and let go of what would have been called."""
        self.callback = None


class Engine:
    """Drives connections and timers. The engine alone closes sockets."""

    __slots__ = ("_connections", "_epoll", "_last", "_leaving", "_sequence", "_stamping", "_timers")

    def __init__(self) -> None:
        try:
            self._epoll = select.epoll()
            # The kernel starts stamping only a moment after the machine's first socket has asked for it. This one asks
            # now and stays, so the first handshake's first segment already has its stamp.
            self._stamping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            raise NoDescriptors(f"no file descriptor for the event loop: {error.strerror}") from None
        kernel.request_stamps(self._stamping)
        self._connections: dict[int, Connection] = {}
        self._leaving: dict[int, Connection] = {}  # we have sent FIN, the server has not
        self._timers: list[tuple[int, int, Timer | list[int]]] = []
        self._last: tuple[int, list[int]] = (-1, [])  # the newest deadline and its descriptors: a burst has one
        self._sequence = itertools.count()

    def fileno(self) -> int:
        """Return the epoll descriptor; it is readable when `step` has something to do."""
        return self._epoll.fileno()

    def open(self, connection: Connection, deadline: int) -> None:
        """Start a handshake that must have ended at `deadline` (monotonic nanoseconds).

        Raises NoDescriptors or ProbeError; then nothing was opened. `on_end` is called from `step`, never from here.
        """
        connection.start()
        descriptor = connection.socket.fileno()
        self._connections[descriptor] = connection
        if connection.exchange.ending is not None:  # connect() itself has answered
            self.call_at(0, lambda: self.report(connection))
            return
        self._epoll.register(descriptor, EVENTS)
        self._expect(connection, descriptor, deadline)

    def _expect(self, connection: Connection, descriptor: int, deadline: int) -> None:
        connection.deadline = deadline
        newest, descriptors = self._last
        if newest == deadline:
            descriptors.append(descriptor)
            return
        descriptors = [descriptor]
        self._last = deadline, descriptors
        heapq.heappush(self._timers, (deadline, next(self._sequence), descriptors))

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call back from `step` at or after the monotonic nanosecond `when`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._sequence), timer))
        return timer

    def next_deadline(self) -> int | None:
        """Return the monotonic nanosecond of the next timer, None when there is none."""
        timers = self._timers
        while timers and isinstance(timer := timers[0][2], Timer) and timer.callback is None:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def step(self, timeout: float | None = None) -> None:
        """Wait for at most `timeout` seconds (None: until the next timer), then handle all that has happened."""
        if self._timers:
            left = max(0.0, (self._timers[0][0] - time.monotonic_ns()) / 1e9)
            timeout = left if timeout is None else min(timeout, left)
        self._handle(self._epoll.poll(timeout, MAX_EVENTS))
        if self._timers:
            self._run_timers()

    def _handle(self, events: list[tuple[int, int]]) -> None:
        connections = self._connections
        for descriptor, mask in events:
            connection = connections.get(descriptor)
            if connection is None:
                if (connection := self._leaving.get(descriptor)) is not None and connection.drain():
                    del self._leaving[descriptor]
                continue
            # What `is_ended` says, without the call: this runs for every event of every handshake.
            if connection.exchange.ending is None and connection.fault is None:
                exchange = connection.exchange
                try:
                    connection.ready(mask)
                except ProbeError as fault:
                    connection.fault = fault
                if exchange.ending is not None or connection.fault is not None:
                    self.report(connection)

    def _run_timers(self) -> None:
        timers = self._timers
        now = time.monotonic_ns()
        if timers[0][0] > now:
            return
        # A process that lost the CPU after its last look at epoll finds the deadline past and the server's answer
        # waiting. What came before `now` counts; a late look is not the server's fault.
        self._handle(self._epoll.poll(0, MAX_EVENTS))
        while timers and timers[0][0] <= now:
            deadline, _, due = heapq.heappop(timers)
            if isinstance(due, Timer):
                if due.callback is not None:
                    due.callback()
                continue
            if deadline == self._last[0]:
                self._last = (-1, [])  # nothing may join those that have had their time
            for descriptor in due:
                self._expire(descriptor, deadline)

    def _expire(self, descriptor: int, deadline: int) -> None:
        connection = self._leaving.get(descriptor)
        if connection is not None and connection.deadline <= deadline:
            del self._leaving[descriptor]
            connection.socket.close()
            return
        connection = self._connections.get(descriptor)
        if connection is not None and connection.deadline <= deadline and not connection.is_ended:
            connection.expire()
            self.report(connection)

    def report(self, connection: Connection) -> None:
        """Report an ended connection to its owner, once."""
        on_end = connection.on_end
        if on_end is not None:
            # The connection lets its owner go: the two would be a cycle, left to the garbage collector.
            connection.on_end = None
            on_end(connection)

    def close(self, connection: Connection) -> None:
        """Leave a connection; a second call does nothing. Its socket closes when the server has closed its side too.

        A server that does not is waited for at most LINGER.
        """
        descriptor = connection.socket.fileno()
        if self._connections.pop(descriptor, None) is not None and not connection.leave():
            self._leaving[descriptor] = connection
            # Its deadline may have come and gone while it was held, so this timer is the one that ends it.
            self._expect(connection, descriptor, time.monotonic_ns() + LINGER)

    def linger(self, seconds: float) -> None:
        """Wait until servers have closed what they have served, at most `seconds` and LINGER."""
        end = time.monotonic_ns() + min(int(seconds * 1e9), LINGER)
        while any(c.exchange.ending is Ending.COMPLETED for c in self._leaving.values()):
            left = end - time.monotonic_ns()
            if left <= 0:
                return
            self.step(left / 1e9)

    def shutdown(self) -> None:
        """Close every socket and the epoll descriptor."""
        for connection in list(self._connections.values()):
            self.close(connection)
        for connection in self._leaving.values():
            connection.drain()
            connection.socket.close()
        self._leaving.clear()
        self._stamping.close()
        self._epoll.close()
