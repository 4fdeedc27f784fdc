"""An interactive shell in a terminal of its own: what a person types, what a TAB makes of it, what is listed."""

import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple, Self

SECONDS = 60.0  # a shell answers in milliseconds; only one that hangs reaches this
LINES, COLUMNS = 60, 250
SHOW = "\x18\x10"  # Ctrl-X Ctrl-P: the shell prints its line between marks
CLEAR = "\x18\x0b"  # Ctrl-X Ctrl-K: the line is empty; no key of these the terminal itself takes
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x07\x08]")

BASH = r"""
PS1='ready> '
bind 'set enable-bracketed-paste off' 'set show-all-if-ambiguous on' 'set completion-display-width 0'
bind 'set completion-query-items 0' 'set page-completions off' 'set bell-style none'
show() { printf '\nline<%s>line\n' "$READLINE_LINE"; }
bind -x '"\C-x\C-p": show'
bind '"\C-x\C-k": kill-whole-line'
"""
ZSH = r"""
PS1='ready> '
unsetopt beep prompt_cr prompt_sp
LISTMAX=10000
show() { print -r -- $'\n'"line<$BUFFER>line" >$TTY }
zle -N show
bindkey '^I' complete-word
bindkey '^X^P' show
bindkey '^X^K' kill-whole-line
"""


class Answer(NamedTuple):
    """The line after the TAB, and the words that the shell has printed below it."""

    line: str
    listed: frozenset[str]


class Shell:
    """A shell that has read a start file; a context manager that ends it."""

    def __init__(self, command: Sequence[str], start: str, home: Path, env: Mapping[str, str]) -> None:
        self._command = command
        self._start = start
        self._home = home
        self._env = {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8", "INPUTRC": "/dev/null", **env}
        self._seen = ""

    def __enter__(self) -> Self:
        self._terminal, inner = pty.openpty()
        ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            self._command, stdin=inner, stdout=inner, stderr=inner, cwd=self._home, env=self._env,
            start_new_session=True, preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(inner)
        file = self._home / "start"
        file.write_text(f"{self._start}\nprintf '%s%s\\n' begun ''\n")
        self._send(f"source {file}\n")
        self._read(r"begun\r*\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        os.close(self._terminal)

    def complete(self, text: str) -> Answer:
        """Type a text and TAB on a new line; return what the shell makes of it."""
        self._seen = ""
        self._send(f"{text}\t{SHOW}")
        found = self._read(r"line<(.*?)>line")
        shown = ESCAPES.sub(" ", self._seen[: self._seen.index("line<")])
        # The next answer must have nothing of this line: wait until the shell has an empty one.
        self._seen = ""
        self._send(CLEAR + SHOW)
        self._read(r"line<>line")
        return Answer(found[1], frozenset(shown.split()))

    def _send(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read(self, pattern: str) -> re.Match[str]:
        until = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self._seen, re.DOTALL)):
            left = until - time.monotonic()
            if left <= 0:
                self._process.kill()  # no other test waits as long
                raise AssertionError(f"no {pattern} in what the shell has written: {self._seen!r}")
            if select.select([self._terminal], [], [], left)[0]:
                self._seen += os.read(self._terminal, 65536).decode("utf-8", "replace")
        return found
