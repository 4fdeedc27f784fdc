"""Nagios' and Naemon's spool: files of check results that the core reads from its `check_result_path`.

A file holds many results and is read once an empty file with `.ok` behind its name stands beside it (base/checks.c,
process_check_result_queue, in Nagios 4.4). The core reads it, then deletes both.
"""

import logging
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

LOG = logging.getLogger("ssh_exchange_exporter")

MAX_UNREAD = 32  # files; while nobody reads them, the newest result of each service waits here
MAX_IN_FILE = 1000  # results
MODE = 0o640  # for a core that runs as another user of the same group
_NAME_DIGITS = 6  # the core reads files of 7 characters that begin with c
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Passive(NamedTuple):
    """A result for the core: times are seconds since the epoch, `output` is the plugin's."""

    host: str
    service: str
    begun: float
    ended: float
    code: int
    output: str


def text_of(results: Iterable[Passive]) -> str:
    """Return the content of a file; a blank line ends each result."""
    return "### Active Check Result File ###\n\n" + "\n".join(map(_lines, results))


def _lines(result: Passive) -> str:
    fields = {
        "host_name": result.host,
        "service_description": result.service,
        "check_type": 1,  # passive
        "check_options": 0,
        "scheduled_check": 0,
        "reschedule_check": 0,
        "latency": 0,
        "start_time": f"{result.begun:.6f}",
        "finish_time": f"{result.ended:.6f}",
        "early_timeout": 0,
        "exited_ok": 1,
        "return_code": result.code,
        "output": result.output.replace("\\", "\\\\").replace("\n", "\\n"),
    }
    return "".join(f"{name}={value}\n" for name, value in fields.items())


class Spool:
    """Results on their way into a directory. `put` only remembers; `write` does the work of a disk (blocking).

    While the core does not read, only the newest result of each service is kept: an older one is of no use any more,
    and the core's freshness checks tell that nothing comes.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._waiting: dict[tuple[str, str], Passive] = {}
        self.replaced = 0  # results that a newer one has replaced before the core took them
        self.error = ""

    def put(self, result: Passive) -> None:
        """Remember a result until the next `write`."""
        before = self._waiting.pop((result.host, result.service), None)
        self.replaced += before is not None
        self._waiting[result.host, result.service] = result

    def write(self) -> int:
        """Write what waits, as long as the core reads; return how many results are written."""
        written = 0
        while self._waiting:
            results = list(self._waiting.values())[:MAX_IN_FILE]
            if not self._has_room() or not self._is_written(results):
                break
            for result in results:
                # A newer one may have come meanwhile, from another thread.
                if self._waiting.get((result.host, result.service)) is result:
                    del self._waiting[result.host, result.service]
            written += len(results)
        return written

    def _has_room(self) -> bool:
        try:
            unread = sum(name.startswith("c") and not name.endswith(".ok") for name in os.listdir(self.directory))
        except OSError as error:
            return self._failed(error.strerror or str(error))
        return unread < MAX_UNREAD or self._failed("nobody reads the results in it")

    def _failed(self, error: str) -> bool:
        if error != self.error:
            LOG.warning("results not written", extra={"fields": {"directory": self.directory, "error": error}})
        self.error = error
        return False

    def _is_written(self, results: list[Passive]) -> bool:
        # The core reads no file without its .ok, which is made last: what is there then is whole.
        path = os.path.join(self.directory, "c" + "".join(secrets.choice(_LETTERS) for _ in range(_NAME_DIGITS)))
        try:
            _make(path, text_of(results).encode("utf-8", "backslashreplace"))
            _make(f"{path}.ok", b"")
        except OSError as error:
            for name in (path, f"{path}.ok"):
                with suppress(OSError):
                    os.unlink(name)
            return self._failed(error.strerror or str(error))
        if self.error:
            LOG.info("results written again", extra={"fields": {"directory": self.directory}})
        self.error = ""
        return True


def _make(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    try:
        os.fchmod(descriptor, MODE)
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
