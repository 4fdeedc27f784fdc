"""Identification strings and the lines that may come before them (RFC 4253 section 4.2)."""

from functools import lru_cache

from ..ending import Reason
from ..values import NamedTuple

# OpenSSH's client takes 1024 lines of 8192 bytes, the identification among them (ssh.h: SSH_MAX_PRE_BANNER_LINES,
# SSH_MAX_BANNER_LEN), asyncssh the same; a server that needs more is of no use to them, hence not to us.
MAX_LINES = 1024
MAX_LINE = 8192

PREFIX = b"SSH-"


class WireError(Exception):
    """The server's bytes break a rule: `reason` and the message say which, `words` has the bytes worth keeping."""

    def __init__(self, reason: Reason, message: str, words: bytes = b"") -> None:
        super().__init__(message)
        self.reason = reason
        self.words = words


class NotSSH(WireError):
    """The bytes cannot become an SSH identification."""


class Malformed(WireError):
    """The server speaks SSH and breaks its rules."""


class Identification(NamedTuple):
    """A server's identification, `SSH-protocol-software comments`, as bytes that came from a stranger."""

    line: bytes
    protocol: bytes
    software: bytes
    comments: bytes


class Lines:
    """Cut a byte stream into lines up to and with the identification; what follows it is left in `rest`."""

    __slots__ = ("_count", "rest")

    def __init__(self) -> None:
        self.rest = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self.rest = self.rest + data if self.rest else data

    def next_line(self) -> bytes | None:
        """Return the next line without CR LF or LF, None when it is not complete.

        Raises NotSSH or Malformed for a line, or a number of lines, that no SSH client reads to its end.
        """
        line, end, rest = self.rest.partition(b"\n")
        if len(line) > MAX_LINE or b"\0" in line:  # too few bytes, and harmless ones, break no rule
            _check(line)
        if not end:
            return None
        self._count += 1
        if self._count > MAX_LINES:
            raise NotSSH(Reason.TOO_MANY_LINES, f"more than {MAX_LINES} lines before an identification", line)
        self.rest = rest
        return line.removesuffix(b"\r")


def _check(line: bytes) -> None:
    """Raise as soon as a line, whole or still coming, can no longer be read to its end."""
    size = len(line) - line.endswith(b"\r")
    if line.startswith(PREFIX):
        if size > MAX_LINE:
            raise Malformed(Reason.LONG_IDENTIFICATION, f"an identification of more than {MAX_LINE} bytes", line)
    elif size > MAX_LINE:
        raise NotSSH(Reason.LONG_LINE, f"a line of more than {MAX_LINE} bytes", line)
    elif b"\0" in line:
        # RFC 4253 4.2 forbids it, and every TLS record has one among its first five bytes: no need to wait.
        raise NotSSH(Reason.NUL_BYTE, "a NUL byte before an identification", line)


@lru_cache(64)  # a server says the same in each handshake
def parse_line(line: bytes) -> Identification:
    """Return the parts of a line that begins with `SSH-`.

    Accepts what ssh(1) does (kex.c, kex_exchange_identification): a software version of blanks, control characters and
    bytes beyond ASCII. Raises Malformed for the rest: protocol other than 2.0 or 1.99, nothing behind it, NUL, CR.
    """
    protocol, dash, rest = line[len(PREFIX) :].partition(b"-")
    software, _, comments = rest.partition(b" ")
    # 1.99 is a server that speaks 1 and 2 (RFC 4253 5.1); anything else is not SSH 2.
    if protocol not in (b"2.0", b"1.99"):
        name = protocol.decode("ascii", "backslashreplace") or "(none)"
        raise Malformed(Reason.OLD_PROTOCOL, f"an identification of protocol {name}", line)
    if not rest:
        # Tried: OpenSSH 9.2 refuses both forms; paramiko 5 and asyncssh 2.24 only the one without its second dash.
        accepted = ", which OpenSSH refuses and paramiko and asyncssh accept" if dash else ""
        raise Malformed(Reason.NO_SOFTWARE, f"an identification without a software version{accepted}", line)
    if b"\0" in line or b"\r" in line:
        raise Malformed(Reason.CONTROL_CHARACTER, "a NUL or CR in the identification", line)
    return Identification(line, protocol, software, comments)
