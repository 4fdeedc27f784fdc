"""The rules in their order: the first that holds decides.

Order is part of the knowledge: what the wire says in so many words comes first, then marks that one cause alone leaves,
then what only the comparison of handshakes tells.
"""

from ..report import Report
from .cause import Cause
from .connecting import NOT_CONNECTED
from .diagnosis import Diagnosis
from .evidence import evidence
from .facts import Facts
from .maxstartups import MaxStartups
from .remedies import remedies_for
from .rule import POSSIBLE, Rule
from .silence import CLOSED_WITHOUT_WORDS, SILENT
from .words import SSHD_TEXTS, WORDS

RULES: tuple[Rule, ...] = (*WORDS, *SSHD_TEXTS, *NOT_CONNECTED, *CLOSED_WITHOUT_WORDS, *SILENT)
NO_RULE = Rule(Cause.UNEXPLAINED, POSSIBLE, lambda _: True)


def explain(report: Report, setting: MaxStartups | None = None) -> Diagnosis:
    """Return why handshakes of a report failed."""
    facts = Facts(report, setting)
    rule = next((rule for rule in RULES if rule.holds(facts)), NO_RULE)
    self_inflicted = facts.is_self_inflicted(rule.cause)
    return Diagnosis(
        cause=rule.cause,
        confidence=rule.confidence,
        evidence=evidence(facts, rule.cause),
        alternatives=rule.alternatives,
        remedies=remedies_for(
            rule.cause, port=report.port, source=report.source or "OUR-ADDRESS", address=report.address or report.host
        ),
        self_inflicted=self_inflicted,
        # Where our own burst explains the drops, they say nothing of others.
        startups=facts.estimate if rule.cause is Cause.MAXSTARTUPS and not self_inflicted else None,
    )
