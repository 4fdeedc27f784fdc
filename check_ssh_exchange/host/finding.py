"""A finding: what one item says of the host."""

from enum import StrEnum

from ..diagnosis.cause import Cause, Confidence
from ..plugin.nagios import State
from ..plugin.perfdata import Figure
from ..values import NamedTuple


class Kind(StrEnum):
    """What a problem is, where an item or --trial has more to say of it than its sentence."""

    CERTIFICATE = "a host certificate"
    NO_RESTART = "sshd would not start again"
    OLD_CONFIGURATION = "sshd has not read its configuration"


class Problem(NamedTuple):
    """One thing that is wrong: the state it leads to, a sentence for the status line, and the cause it is evidence of.

    `pid` is that of the sshd that it is about, None where it is about several or about the host.
    Sentences are printable: what a server or a log said is escaped before it comes here.
    """

    state: State
    sentence: str
    cause: Cause | None = None
    confidence: Confidence = Confidence.CERTAIN
    kind: Kind | None = None
    pid: int | None = None


ROOT = "root"  # what most lack; their words are joined


class Lack(NamedTuple):
    """What could not be seen, and which right would show it: "" where none would, and `words` are the sentence."""

    right: str
    words: str

    @property
    def sentence(self) -> str:
        """`root would show who holds the startups`."""
        if not self.right:
            return self.words
        return f"{self.right}{',' * (',' in self.right)} would show {self.words}"


class Finding(NamedTuple):
    """What an item says.

    `summary` is what it says where nothing is wrong. `remedies` are commands for this host, with their reasons behind
    `   # `; none has a pipe, which would begin perfdata. `lacks` is what could not be seen. `counters` are what has
    happened since the last run, by the names of figures. `remember` is what the item wants to find in `About.memory`,
    under its own name, at the next run (a JSON value). `sentences` say more than "label is N" of a figure out of its
    range, by its label: `pids of ssh.service: 98 of 100`. `keys` are host keys, (type, fingerprint). `is_skipped`:
    nothing of this kind is here, or we may not see it; `summary` says which.
    """

    item: str
    summary: str = ""
    problems: tuple[Problem, ...] = ()
    evidence: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    lacks: tuple[Lack, ...] = ()
    counters: tuple[tuple[str, float], ...] = ()
    remember: object = None
    keys: tuple[tuple[str, str], ...] = ()
    is_skipped: bool = False
    sentences: tuple[tuple[str, str], ...] = ()

    @property
    def unseen(self) -> tuple[str, ...]:
        """What could not be seen, each in a sentence."""
        return tuple(lack.sentence for lack in self.lacks)


def skipped(item: str, summary: str) -> Finding:
    """Return the finding of an item that has nothing to look at here; the summary says why."""
    return Finding(item, summary, is_skipped=True)
