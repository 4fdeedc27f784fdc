"""A diagnosis: the cause, how sure it is, what speaks for it and what to do."""

from ..values import NamedTuple
from .cause import Cause, Confidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .maxstartups import Estimate
    from .remedies import Remedy


class Diagnosis(NamedTuple):
    """Why handshakes ended as they did. All texts are printable.

    `self_inflicted`: our own burst alone explains the refusals. `startups` estimates the unauthenticated connections
    that others hold on the server, None where drops do not allow one. `address` is the one that the cause is about,
    where a run saw several. `own_phrase` says it better than the cause's own, "" where nothing does.
    """

    cause: Cause
    confidence: Confidence
    evidence: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    remedies: "tuple[Remedy, ...]" = ()
    self_inflicted: bool = False
    startups: "Estimate | None" = None
    address: str = ""
    own_phrase: str = ""

    @property
    def phrase(self) -> str:
        """Return the cause as the status line says it, with `perhaps` where it is only possible."""
        is_guess = self.confidence is Confidence.POSSIBLE and self.cause is not Cause.UNEXPLAINED
        return f"{'perhaps ' if is_guess else ''}{self.own_phrase or self.cause.phrase}"
