"""A real gearmand, and the core's side of Mod-Gearman: jobs into a queue, results out of another.

What the module of a Nagios sends and reads is written here from its protocol, independently of the exporter's own code.
"""

import base64
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.lab import daemons
from tests.lab.zoo import free_port

PROGRAM = Path("/usr/sbin/gearmand")
PACKAGE = "gearman-job-server"
HOST = "127.0.0.1"
RESULTS = "check_results"
SECONDS = 60.0  # for what takes a second
CAN_DO, SUBMIT_JOB, JOB_CREATED, GRAB_JOB, NO_JOB, JOB_ASSIGN = 1, 7, 8, 9, 10, 11
WORK_COMPLETE, WORK_FAIL, SUBMIT_JOB_LOW_BG = 13, 14, 34


def missing() -> str | None:
    """Return what to install, as a sentence; None where gearmand is there."""
    return None if PROGRAM.exists() else f"install the Debian package {PACKAGE}"


class Wire:
    """A blocking connection to gearmand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, kind: int, *arguments: bytes) -> None:
        data = b"\0".join(arguments)
        self._socket.sendall(b"\0REQ" + struct.pack(">II", kind, len(data)) + data)

    def _exactly(self, number: int) -> bytes:
        data = b""
        while len(data) < number:
            more = self._socket.recv(number - len(data))
            assert more, "gearmand closed the connection"
            data += more
        return data

    def receive(self, *kinds: int) -> tuple[int, bytes]:
        """Return the next packet of one of these types."""
        while True:
            magic, kind, length = struct.unpack(">4sII", self._exactly(12))
            data = self._exactly(length)
            assert magic == b"\0RES"
            if kind in kinds:
                return kind, data

    def lines(self, command: str) -> list[list[str]]:
        """Return the answer of the text protocol, by its columns."""
        self._socket.sendall(f"{command}\n".encode())
        data = b""
        while not data.endswith(b".\n"):
            more = self._socket.recv(1 << 16)
            assert more, "gearmand closed the connection"
            data += more
        return [line.split("\t") for line in data.decode().splitlines()[:-1]]


class Core:
    """What Nagios' module does: submits jobs and takes results; `key` None: without encryption."""

    def __init__(self, port: int, queue: str, key: str | None) -> None:
        self.port = port
        self.queue = queue
        padded = None if key is None else key.encode()[:32].ljust(32, b"\0")
        self._cipher = None if padded is None else Cipher(algorithms.AES(padded), modes.ECB())  # noqa: S305
        self._jobs, self._results = Wire(port), Wire(port)
        self._results.send(CAN_DO, RESULTS.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.__exit__()
        self._results.__exit__()

    def wrap(self, text: str) -> bytes:
        data = text.encode()
        if self._cipher is not None:
            encryptor = self._cipher.encryptor()
            data = encryptor.update(data + b"\0" * (16 - len(data) % 16)) + encryptor.finalize()
        return base64.b64encode(data)

    def unwrap(self, payload: bytes) -> str:
        data = base64.b64decode(payload, validate=True)
        if self._cipher is not None:
            decryptor = self._cipher.decryptor()
            data = decryptor.update(data) + decryptor.finalize()
        return data.rstrip(b"\0").decode()

    def submit(self, service: str, command: str, *, timeout: int = 30, age: float = 0.0, more: str = "") -> None:
        """Submit a check as module 5.2 does."""
        text = (
            f"type=service\nresult_queue={RESULTS}\ntarget_queue={self.queue}\nhost_name=web\n"
            f"service_description={service}\n{more}core_time={time.time() - age:.6f}\ntimeout={timeout}\n"
            f"command_line={command}\n\n\n"
        )
        self.submit_payload(self.wrap(text))

    def submit_payload(self, payload: bytes, unique: bytes = b"") -> None:
        self._jobs.send(SUBMIT_JOB_LOW_BG, self.queue.encode(), unique, payload)
        self._jobs.receive(JOB_CREATED)

    def result(self, seconds: float = SECONDS) -> dict[str, str] | None:
        """Return the fields of the next result, in their order; None where none comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._results.send(GRAB_JOB)
            kind, data = self._results.receive(JOB_ASSIGN, NO_JOB)
            if kind == JOB_ASSIGN:
                handle, _, payload = data.split(b"\0", 2)
                self._results.send(WORK_COMPLETE, handle, b"")
                lines = self.unwrap(payload).split("\n")
                return dict(line.split("=", 1) for line in lines[: lines.index("")])
            time.sleep(0.02)
        return None

    def status(self, queue: str | None = None) -> tuple[int, int, int]:
        """Return how many jobs a queue has in all, how many are at work, and how many workers it has."""
        with Wire(self.port) as wire:
            for name, *numbers in wire.lines("status"):
                if name == (queue or self.queue):
                    total, running, workers = map(int, numbers)
                    return total, running, workers
        return 0, 0, 0

    def ask(self, queue: str) -> str:
        """Return what a worker answers to a foreground job, as check_gearman asks for its status."""
        with Wire(self.port) as wire:
            wire.send(SUBMIT_JOB, queue.encode(), b"", b"check")
            _, data = wire.receive(WORK_COMPLETE)
            return data.split(b"\0", 1)[1].decode()


@contextmanager
def gearmand(place: Path, port: int = 0) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run gearmand on a port of loopback; yield the port and the process."""
    port = port or free_port(HOST)
    command: list[str | Path] = [
        PROGRAM,
        f"--listen={HOST}",
        f"--port={port}",
        f"--log-file={place}/gearmand-{port}.log",
    ]
    command += [f"--pid-file={place}/gearmand-{port}.pid"]
    log = place / f"gearmand-{port}.out"
    with daemons.running(command, log) as process:

        def answers() -> bool | None:
            with suppress(OSError), Wire(port):
                return True
            return None

        daemons.await_result(answers, process, log)
        yield port, process
