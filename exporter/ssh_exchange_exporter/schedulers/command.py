"""A command line of check_ssh_exchange as another scheduler hands it over. Pure.

The plugin's own parser reads it, so that every option, default and error is the plugin's. What names a file is refused:
the scheduler's user has no right to read or to write with the exporter's rights, and the exporter remembers by itself.
"""

import shlex
from collections.abc import Hashable, Sequence
from functools import lru_cache

from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Plan
from check_ssh_exchange.plugin.arguments import UsageError
from check_ssh_exchange.remote.options import Options, parse
from check_ssh_exchange.report import Family
from check_ssh_exchange.text import printable

from ..configuration.module import MAX_HANDSHAKES, MAX_TIMEOUT

MAX_LENGTH = 4096  # characters of a command line; every option of the plugin given once needs 500
REMEMBERED = 20_000  # command lines that need not be read again
# Characters of a line that is remembered. A longer one, which nobody needs, is read each time: thousands of different
# ones must not fill the memory.
REMEMBERED_LENGTH = 1000


class Command:
    """A command line that was read: what it asks for, as a recipe for the broker. Raises UsageError or Message."""

    def __init__(self, words: Sequence[str]) -> None:
        self.options = _checked(words)
        self.name = printable(shlex.join(words), 4 * MAX_LENGTH)

    @property
    def depth(self) -> Depth:
        """Return how far each handshake goes."""
        return self.options.plan.depth

    @property
    def timeout(self) -> float:
        """Return the seconds that the whole check may take, waiting included."""
        return self.options.plan.timeout

    def plan(self, timeout: float, *, trace: bool = False) -> Plan:
        """Return the plan of one run that takes at most `timeout` seconds."""
        plan = self.options.plan
        return plan._replace(timeout=min(timeout, plan.timeout), trace=trace)

    def expectations(self) -> Expectations:
        """Return what the result is judged by."""
        return self.options.expectations

    @property
    def memory(self) -> Hashable:
        """Return the key of what is remembered between runs: as in a state file, a family or a source has its own."""
        plan = self.options.plan
        family = None if plan.family is Family.ANY else plan.family
        return (self.options.target, family, plan.sources[:1])


def read(words: Sequence[str]) -> Command:
    """Return a command line, one of usual length read once for all its checks. Raises UsageError or Message."""
    length = sum(map(len, words)) + len(words)
    if length > MAX_LENGTH:
        raise UsageError(f"the command line has more than {MAX_LENGTH} characters")
    return _read(tuple(words)) if length <= REMEMBERED_LENGTH else Command(words)


@lru_cache(REMEMBERED)
def _read(words: tuple[str, ...]) -> Command:
    return Command(words)


def _checked(words: Sequence[str]) -> Options:
    # Before the parser: it would read the file.
    if any(word.startswith("--extra-opts") for word in words):
        raise _names_a_file("--extra-opts", "give its options themselves")
    options = parse(words)
    if options.state_file:
        raise _names_a_file("--state-file", "the exporter remembers earlier runs without it")
    if options.plan.login.identity:
        raise _names_a_file("--identity", "let a module of the exporter log in")
    if options.plan.login.known_hosts:
        raise _names_a_file("--known-hosts", "give --host-key, or let a module of the exporter read it")
    if options.plan.handshakes > MAX_HANDSHAKES:
        raise UsageError(f"the exporter makes at most {MAX_HANDSHAKES} handshakes for a check")
    if options.plan.timeout > MAX_TIMEOUT:
        raise UsageError(f"the exporter takes at most {MAX_TIMEOUT:.0f} s for a check")
    return options


def _names_a_file(option: str, instead: str) -> UsageError:
    return UsageError(f"{option} names a file, which the exporter neither reads nor writes for others: {instead}")
