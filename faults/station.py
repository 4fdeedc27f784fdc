"""An exporter and the schedulers' side of each of its doors: what it says of a target to each of them."""

import ctypes
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from tests.lab.exporter import Program, Reply, running, wait_for
from tests.lab.gearmand import HOST, Core, gearmand
from tests.lab.zoo import free_port

SECONDS = 100.0  # for an answer; a check's own timeout is shorter
QUEUE, KEY, SERVICE = "servicegroup_ssh", "a secret of the lab", "SSH exchange"
INTERVAL = 3.0  # of a background target: it comes within this time, and a second result not before the first is written
CLONE_NEWNET = 0x40000000
_CAUSE = re.compile(r"^cause: (\w+ \(\w+\))", re.MULTILINE)


class Said(NamedTuple):
    """What a door or the plugin says; `cause` with its confidence, "" where the door tells none."""

    code: int
    line: str
    cause: str
    perfdata: tuple[str, ...] | None


def of_output(code: int, output: str) -> Said:
    """Return what an output says that was printed by `-v`."""
    first, _, details = output.partition("\n")
    line, _, perfdata = first.partition(" | ")
    cause = _CAUSE.search(details)
    return Said(code, line, cause[1] if cause else "", tuple(perfdata.split()))


def of_document(code: int, document: Mapping[str, Any]) -> Said:
    """Return what a JSON document says, which has no perfdata."""
    diagnosis = document["diagnosis"]
    line = f"SSH {document['state'].upper()} - {document['summary']}"
    return Said(code, line, f"{diagnosis['cause']} ({diagnosis['confidence']})", None)


@contextmanager
def entered(prefix: Sequence[str]) -> Iterator[None]:
    """Have this thread, and the processes it starts, in the network namespace of `ip netns exec NAME`."""
    if not prefix:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path: str, descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/var/run/netns/{prefix[-1]}", os.O_RDONLY)
        try:
            enter(prefix[-1], there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter("the namespace that this thread began in", home)
    finally:
        os.close(home)


class Station:
    """An exporter with a gearmand and a spool, in the network namespace of this thread.

    `prefix` starts the exporter, `ip netns exec NAME` gives it the namespace's own /etc too. Threads may share one.
    """

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = tuple(prefix)
        self._undo = ExitStack()
        self._lock, self._core_lock = threading.Lock(), threading.Lock()
        self._numbers = itertools.count(1)
        self._modules: dict[str, Mapping[str, Any]] = {}
        self._background: dict[str, Mapping[str, Any]] = {}
        self._results: dict[str, dict[str, str]] = {}
        self._spool_lock = threading.Lock()
        self._first: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._place = Path(undo.enter_context(TemporaryDirectory()))
            self._spool = self._place / "spool"
            self._spool.mkdir()
            (self._place / "key").write_text(f"{KEY}\n")
            self._gearman_port, _ = undo.enter_context(gearmand(self._place, free_port(HOST)))
            self.exporter: Program = undo.enter_context(
                running(self._place, self._configuration(), prefix=self._prefix)
            )
            self._core = undo.enter_context(Core(self._gearman_port, QUEUE, KEY))
            wait_for(lambda: self._core.status()[2] == 1, SECONDS)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def _configuration(self) -> str:
        gearman = {"servers": [f"{HOST}:{self._gearman_port}"], "queues": [QUEUE], "key_file": "key"}
        feeds = [{"nagios": {"check_result_directory": "spool", "service": SERVICE}}]
        background = list(self._background.values())
        return json.dumps({"gearman": gearman, "feeds": feeds, "modules": self._modules, "background": background})

    def _reload(self) -> None:
        (self._place / "config.yml").write_text(self._configuration())
        reply = self.exporter.post("/-/reload", b"", SECONDS)
        if reply.status != 200:
            raise RuntimeError(f"the configuration is not taken: {reply.text}")

    def _module(self, settings: Mapping[str, Any]) -> str:
        name = f"m{next(self._numbers)}"
        with self._lock:
            self._modules[name] = settings
            self._reload()
        return name

    def by_checker(self, words: Sequence[str]) -> Said:
        """Ask as Icinga does."""
        reply = self.exporter.post("/v1/checker?command=lab", json.dumps(body(words)).encode(), SECONDS)
        said = json.loads(reply.text)["lab"]
        found = of_output(said["exitcode"], said["checkresult"])
        return found._replace(perfdata=tuple(said["perfdata"]))

    def by_gearman(self, words: Sequence[str]) -> Said:
        """Ask as the core does that has Mod-Gearman."""
        name = f"job {next(self._numbers)}"
        with self._core_lock:
            self._core.submit(name, " ".join(["/usr/lib/nagios/plugins/check_ssh_exchange", *words]), timeout=60)

        def result() -> dict[str, str] | None:
            with self._core_lock:
                if found := self._core.result(0.0001):
                    self._results[found["service_description"]] = found
                return self._results.pop(name, None)

        found = wait_for(result, SECONDS)
        if found is None:
            raise RuntimeError("no result")
        return of_output(int(found["return_code"]), found["output"].replace("\\n", "\n"))

    def by_probe(self, target: str, settings: Mapping[str, Any], wanted: str) -> Said:
        """Ask by /probe, for the `wanted` format."""
        name = self._module(settings)
        reply: Reply = self.exporter.get(f"/probe?target={quote(target)}&module={name}&format={wanted}")
        if reply.status != 200:
            raise RuntimeError(f"status {reply.status}: {reply.text}")
        code = int(reply.headers["x-exit-code"])
        return of_document(code, json.loads(reply.text)) if wanted == "json" else of_output(code, reply.text)

    def by_spool(self, target: str, settings: Mapping[str, Any]) -> Said:
        """Probe it in the background, and read what the core would."""
        host = f"host{next(self._numbers)}"
        name = self._module(settings)
        group = {"targets": [target], "module": name, "interval": f"{INTERVAL:g}s", "labels": {"host": host}}
        self._list(host, group)
        try:
            result = wait_for(lambda: self._fed(host), SECONDS)
        finally:
            self._list(host, None)
        if result is None:
            raise RuntimeError("no result")
        return of_output(int(result[0]), result[1])

    def _fed(self, host: str) -> tuple[str, str] | None:
        """Read what the spool holds, as the core does, and return the first result of a host."""
        with self._spool_lock:
            for name, code, output in taken(self._spool):
                self._first.setdefault(name, (code, output))
            return self._first.get(host)

    def _list(self, host: str, group: Mapping[str, Any] | None) -> None:
        with self._lock:
            if group is None:
                del self._background[host]
            else:
                self._background[host] = group
            self._reload()


def taken(spool: Path) -> Iterator[tuple[str, str, str]]:
    """Yield host, exit code and output of each result in a spool, the oldest first, and remove the files."""
    for mark in sorted(spool.glob("c*.ok"), key=lambda path: path.stat().st_mtime_ns):
        file = mark.with_suffix("")
        for block in file.read_text().split("\n\n"):
            fields = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
            if "host_name" in fields:
                yield fields["host_name"], fields["return_code"], unescaped(fields["output"])
        mark.unlink()
        file.unlink()


def unescaped(text: str) -> str:
    """Return an output as the core reads it from a file."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def body(words: Sequence[str]) -> dict[str, Any]:
    """Return the JSON that Icinga makes of these options: flags are true, what comes twice is a list."""
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        key = rest.pop(0)
        value = rest.pop(0) if rest and not rest[0].startswith("-") else True
        before = found.get(key)
        found[key] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found
