"""The door to the host: the only code of check_sshd_local that reads files and runs programs.

Every answer is bounded, timed and recorded, errors too, so that what was decided can be decided again elsewhere.
Programs run without a shell, from a fixed PATH, in the C locale, without our input.
"""

import errno
import itertools
import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_FILE = 1 << 18  # bytes of a file, where its reader asks for no other bound
MAX_OUTPUT = 1 << 20  # bytes of a program's output; `nft -j list ruleset` of a large firewall has half of that
MAX_BINARY = 1 << 23  # bytes of a program that is searched; sshd has 1.3 million
MAX_ENTRIES = 65536  # names in a directory
SECONDS = 3.0  # for one program; all of them are quick where nothing is wrong
WHOLE = 8.0  # for all of them together
MOST_MATCHES = 1000  # of a pattern in a file; sshd has a hundred
KILLED = 0.5  # seconds until a killed program is gone
LEAST = 0.2  # that each has, even where the whole time is over
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C", "LANG": "C", "HOME": "/nonexistent", "SYSTEMD_PAGER": "", "TERM": "dumb"}


class Wanted(NamedTuple):
    """A program to run: what it is recorded as, its words, its input and its bounds."""

    key: str
    words: tuple[str, ...]
    given: bytes
    seconds: float
    limit: int


def key_of(words: Sequence[str]) -> str:
    """Return what a command is recorded as."""
    return " ".join(words)


class Door:
    """Reads the host and keeps the record. `document` is the snapshot's part of files, programs and times."""

    def __init__(self, seconds: float = WHOLE) -> None:
        self._end = time.monotonic() + seconds
        self.document: dict[str, dict[str, Any]] = {
            "files": {}, "stats": {}, "lists": {}, "links": {}, "commands": {}
        }  # fmt: skip
        self._wanted: dict[str, Wanted] = {}

    # --- files

    def read(self, path: str, limit: int = MAX_FILE, *, start: int = 0, from_end: bool = False) -> str | None:
        """Return at most `limit` bytes of a regular file or of /proc, None where it cannot be read.

        `start` skips bytes; `from_end` keeps the last ones. Links are followed only in /proc and /sys: elsewhere they
        could lead out of their place.
        """
        try:
            data, size = _content(path, limit, start, from_end=from_end)
        except OSError as error:
            self.document["files"][path] = {"error": _name(error)}
            return None
        text = data.decode("utf-8", "surrogateescape")
        self.document["files"][path] = {
            "text": text,
            "size": size,
            "start": max(start, size - limit if from_end else 0),
        }
        return text

    def read_lines(self, path: str, is_wanted: Callable[[bytes], bool], limit: int = MAX_FILE) -> None:
        """Record the wanted lines of a file of /proc, at most `limit` bytes of them; it may be many times as long."""
        kept: list[bytes] = []
        size = 0
        try:
            with open(path, "rb") as file:
                for line in file:
                    if is_wanted(line):
                        size += len(line)
                        if size > limit:
                            break
                        kept.append(line)
        except OSError as error:
            self.document["files"][path] = {"error": _name(error)}
            return
        self.document["files"][path] = {
            "text": b"".join(kept).decode("utf-8", "surrogateescape"),
            "size": size,
            "start": 0,
        }

    def stat(self, path: str, *, follow: bool = True) -> "dict[str, Any] | None":
        """Return size, mode, owner, times, inode and kind of a path, None where there is none or no right."""
        try:
            found = os.stat(path, follow_symlinks=follow)
        except OSError as error:
            self.document["stats"][path] = {"error": _name(error)}
            return None
        self.document["stats"][path] = told = {
            "size": found.st_size, "mode": found.st_mode, "uid": found.st_uid, "gid": found.st_gid,
            "mtime": found.st_mtime, "ctime": found.st_ctime, "inode": found.st_ino, "device": found.st_dev,
        }  # fmt: skip
        return told

    def list(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none where it cannot be read."""
        try:
            names = sorted(os.listdir(path))[:MAX_ENTRIES]
        except OSError as error:
            self.document["lists"][path] = {"error": _name(error)}
            return []
        self.document["lists"][path] = {"names": names}
        return names

    def link(self, path: str) -> str | None:
        """Return where a link leads, None where it cannot be read."""
        try:
            target = os.readlink(path)
        except OSError as error:
            self.document["links"][path] = {"error": _name(error)}
            return None
        self.document["links"][path] = {"target": target}
        return target

    def contains(self, path: str, word: str, limit: int = MAX_BINARY) -> bool | None:
        """Return whether a file has this ASCII word among its first bytes, None where it cannot be read.

        So a library that a program needs is found without running it. The file itself is not kept.
        """
        key = f"contains {word}:{path}"
        try:
            data, _ = _content(path, limit, 0, from_end=False)
        except OSError as error:
            self.document["stats"][key] = {"error": _name(error)}
            return None
        self.document["stats"][key] = {"found": word.encode("ascii") in data}
        return word.encode("ascii") in data

    def search(self, key: str, pattern: str, *paths: str, limit: int = MAX_BINARY) -> None:
        """Record what of the first bytes of files matches an ASCII pattern, as `grep -aoH` would say it.

        grep itself reads a file without line ends into memory as a whole, and anybody's may be as large as he likes.
        """
        lines: list[str] = []
        error = ""
        for path in paths:
            try:
                data, _ = _content(path, limit, 0, from_end=False)
            except OSError as failure:
                error = _name(failure)
                continue
            found = re.finditer(pattern.encode("ascii"), data)
            lines += [f"{path}:{one[0].decode('ascii')}" for one in itertools.islice(found, MOST_MATCHES)]
        told: dict[str, Any] = {"code": 0 if lines else 1, "out": "".join(f"{line}\n" for line in lines), "err": ""}
        self.document["commands"][key] = {**told, "error": error} if error and not lines else told

    def space(self, path: str) -> None:
        """Record blocks and inodes of the file system that holds a path."""
        try:
            found = os.statvfs(path)
        except OSError as error:
            self.document["stats"][f"space:{path}"] = {"error": _name(error)}
            return
        self.document["stats"][f"space:{path}"] = {
            "blocks": found.f_blocks, "free": found.f_bfree, "available": found.f_bavail, "size": found.f_frsize,
            "files": found.f_files, "files_free": found.f_ffree, "is_read_only": bool(found.f_flag & os.ST_RDONLY),
        }  # fmt: skip

    # --- programs

    def want(
        self, *words: str, given: bytes = b"", seconds: float = SECONDS, limit: int = MAX_OUTPUT, key: str = ""
    ) -> None:
        """Ask for a program to be run by the next `run`; a second asking does nothing."""
        key = key or key_of(words)
        if key not in self.document["commands"]:
            self._wanted.setdefault(key, Wanted(key, words, given, seconds, limit))

    def run(self, meanwhile: Callable[[], float | None] = lambda: None) -> None:
        """Run all that is wanted, at once. `meanwhile` is called again and again, and says after how many seconds."""
        wanted, self._wanted = list(self._wanted.values()), {}
        # However many hang: a monitoring system waits for ten seconds or so.
        left = max(LEAST, self._end - time.monotonic())
        running = [Program(one._replace(seconds=min(one.seconds, left))) for one in wanted]
        poll = select.poll()
        by_descriptor = {}
        for program in running:
            for descriptor in program.descriptors:
                poll.register(descriptor, select.POLLIN)
                by_descriptor[descriptor] = program
        while by_descriptor:
            pause = meanwhile()
            now = time.monotonic()
            left = min(program.deadline for program in by_descriptor.values()) - now
            ready = poll.poll(max(0.0, min(left, 60.0 if pause is None else pause)) * 1000)
            for descriptor, _ in ready:
                if not by_descriptor[descriptor].read(descriptor):
                    poll.unregister(descriptor)
                    del by_descriptor[descriptor]
            for descriptor, program in list(by_descriptor.items()):
                if time.monotonic() >= program.deadline:
                    program.give_up()
                    poll.unregister(descriptor)
                    del by_descriptor[descriptor]
        for program in running:
            self.document["commands"][program.wanted.key] = program.end()


class Program:
    """A program that runs: its output as far as it is kept."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.deadline = time.monotonic() + wanted.seconds
        self._begun = time.monotonic()
        self._ended: float | None = None
        self._error = ""
        self._kept = {"out": b"", "err": b""}
        self._process: subprocess.Popen[bytes] | None = None
        self._names: dict[int, str] = {}
        try:
            self._start()
        except OSError as error:
            self._error = _name(error)

    def _start(self) -> None:
        words = list(self.wanted.words)
        given = _with(self.wanted.given) if self.wanted.given else subprocess.DEVNULL
        try:
            self._process = process = subprocess.Popen(
                words, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd="/", env=ENVIRONMENT, start_new_session=True,
            )  # fmt: skip
        finally:
            if given != subprocess.DEVNULL:
                os.close(given)
        for stream, name in ((process.stdout, "out"), (process.stderr, "err")):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._names[stream.fileno()] = name

    @property
    def descriptors(self) -> list[int]:
        """The ends that we read."""
        return list(self._names)

    def read(self, descriptor: int) -> bool:
        """Read what has come; return whether more may come."""
        name = self._names[descriptor]
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._kept[name] += data[: max(0, self.wanted.limit - len(self._kept[name]))]
        if len(self._kept[name]) >= self.wanted.limit:
            self._error = "EFBIG"
            self.give_up()
            return False
        if not data:
            self._ended = time.monotonic()
        return bool(data)

    def give_up(self) -> None:
        """Kill the program and what it has started."""
        if self._process is not None and self._process.returncode is None:
            self._error = self._error or "ETIMEDOUT"
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _given_up(self) -> int | None:
        """Wait a moment for a killed program; one that waits for a dead disk cannot even be killed."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(KILLED) if self._process else None
        return None

    def end(self) -> "dict[str, Any]":
        """Return the record: exit code, output, what went wrong, seconds taken."""
        code = None
        if self._process is not None:
            try:
                code = self._process.wait(max(0.1, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.give_up()
                code = self._given_up()
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
        told: dict[str, Any] = {name: kept.decode("utf-8", "surrogateescape") for name, kept in self._kept.items()}
        told.update(code=code, took=round((self._ended or time.monotonic()) - self._begun, 3))
        if self._error:
            told["error"] = self._error
        return told


def _with(data: bytes) -> int:
    """Return a descriptor that reads these few bytes."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return ours


def _content(path: str, limit: int, start: int, *, from_end: bool) -> tuple[bytes, int]:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    # Below /proc/PID/root a link is a container's, and would lead into our own root.
    # What is in /etc is root's, and configuration management makes links there.
    if not path.startswith(("/proc/", "/sys/", "/etc/")) or path.split("/")[3:4] == ["root"]:
        flags |= os.O_NOFOLLOW
    with open(os.open(path, flags), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        start = max(start, found.st_size - limit) if from_end else start
        if start:
            file.seek(start)
        data = b""
        while len(data) < limit and (more := file.read(limit - len(data))):
            data += more
        return data, max(found.st_size, start + len(data))


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "EIO")
