"""A diagnosis as a value: the cause, how sure it is, what speaks for it and what to do."""

from typing import NamedTuple

from .cause import Cause, Confidence


class Diagnosis(NamedTuple):
    """Why handshakes ended as they did. All texts are printable; `remedies` are commands or settings on the server."""

    cause: Cause
    confidence: Confidence
    evidence: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    self_inflicted: bool = False

    @property
    def runbook(self) -> str:
        """Return the page that explains the cause, relative to the project."""
        return f"docs/runbook/{self.cause}.md"
