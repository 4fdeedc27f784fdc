"""From a report to a diagnosis: a fault, the rules, several addresses, what can be wrong although all were served."""

from functools import lru_cache

from ..ending import Ending
from ..report import Algorithms, FaultKind, Report, Role, quantile
from ..text import printable
from .cause import Cause, Confidence
from .diagnosis import Diagnosis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .maxstartups import MaxStartups

SLOW_AFTER = 1.0  # seconds of median banner latency: the default warning threshold

# What OpenSSH 10's client offers by default (ssh -Q, ssh_config(5)). A server that has none of the names of one of
# these lists serves a handshake, and no client of today.
_TODAY = {
    "kex": ("mlkem768", "sntrup761", "curve25519-sha256", "ecdh-sha2-nistp", "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group14-sha256", "diffie-hellman-group16-", "diffie-hellman-group18-"),
    "host_key": ("ssh-ed25519", "ecdsa-sha2-nistp", "sk-", "rsa-sha2-"),
    "cipher": ("chacha20-poly1305", "aes128-gcm", "aes256-gcm", "aes128-ctr", "aes192-ctr", "aes256-ctr"),
}  # fmt: skip


def diagnose(
    report: Report,
    setting: "MaxStartups | None" = None,
    slow_after: float = SLOW_AFTER,
    earlier_cut: int | None = None,
) -> Diagnosis:
    """Return why the handshakes of a report ended as they did.

    `setting` is the server's MaxStartups where the user knows it; a median banner above `slow_after` seconds is slow;
    `earlier_cut` is how many at once were served when an earlier run's burst was cut sharply.
    """
    fault = report.fault
    if fault is not None and fault.kind is FaultKind.NAME_RESOLUTION:
        return Diagnosis(Cause.NAME_RESOLUTION, Confidence.CERTAIN, (printable(fault.sentence),))
    served = report.completed
    if served < len(report.handshakes):
        parts = _by_address(report)
        return _explain(report, setting, earlier_cut) if len(parts) < 2 else _explain_each(parts, setting)
    if not served:
        return Diagnosis(Cause.UNEXPLAINED, Confidence.POSSIBLE, (printable(fault.sentence),) if fault else ())
    confidence = Confidence.CERTAIN if fault is None else Confidence.POSSIBLE
    waits = ("the server waits for its client's line, so this run spoke first",) if report.speaks_first else ()
    return _explain_served(report, slow_after) or Diagnosis(
        Cause.HEALTHY, confidence, (f"{served} of {served} handshakes completed", *waits)
    )


def part_of(report: Report, address: str) -> Report:
    """Return what a report says of one address."""
    handshakes = tuple(handshake for handshake in report.handshakes if handshake.address == address)
    sources = [handshake.source for handshake in handshakes if handshake.source]
    family = handshakes[0].family
    return report._replace(handshakes=handshakes, address=address, family=family, source=(*sources, report.source)[0])


def _explain(report: Report, setting: "MaxStartups | None", earlier_cut: int | None = None) -> Diagnosis:
    # Most runs find a healthy server, and need no rules.
    from .evidence import evidence
    from .facts import Facts
    from .remedies import remedies_for
    from .rules import NO_RULE, RULES

    facts = Facts(report, setting, earlier_cut)
    rule = next((rule for rule in RULES if rule.holds(facts)), NO_RULE)
    self_inflicted = facts.is_self_inflicted(rule.cause)
    return Diagnosis(
        cause=rule.cause,
        confidence=rule.confidence,
        evidence=evidence(facts, rule.cause),
        alternatives=rule.alternatives,
        remedies=remedies_for(rule.cause, report, facts.served_at_once if self_inflicted else None),
        self_inflicted=self_inflicted,
        own_phrase=rule.phrase,
        # Where our own burst explains the drops, they say nothing of others.
        startups=facts.estimate if rule.cause is Cause.MAXSTARTUPS and not self_inflicted else None,
    )


def _by_address(report: Report) -> list[Report]:
    """Return the report of each address, in the order of their first SYNs."""
    addresses = dict.fromkeys(handshake.address for handshake in report.handshakes)
    return [part_of(report, address) for address in addresses]


def _explain_each(parts: list[Report], setting: "MaxStartups | None") -> Diagnosis:
    """Return the diagnosis of the address that fares worst, with a sentence for each."""
    found: list[tuple[float, Report, Diagnosis | None]] = []
    for part in parts:
        share = part.completed / len(part.handshakes)
        found.append((share, part, None if share == 1 else _explain(part, setting)))
    _, worst, diagnosis = min(found, key=lambda one: one[0])
    if diagnosis is None:
        raise ValueError("nothing failed at any address")
    sentences = tuple(_sentence(part, one) for _, part, one in found)
    families = {part.family for share, part, _ in found if share}, {part.family for _, part, _ in found}
    if families[0] and families[0] < families[1]:
        return Diagnosis(
            Cause.ADDRESS_FAMILY,
            Confidence.LIKELY,
            (*sentences, *diagnosis.evidence),
            remedies=diagnosis.remedies,
            address=worst.address or "",
        )
    return diagnosis._replace(evidence=(*sentences, *diagnosis.evidence), address=worst.address or "")


def _sentence(part: Report, found: Diagnosis | None) -> str:
    from .facts import Facts

    if found is None:
        return f"{part.address}: {len(part.handshakes)} of {len(part.handshakes)} handshakes {Ending.COMPLETED.phrase}"
    return f"{part.address}: {Facts(part).count}: {found.cause.phrase}"


def _explain_served(report: Report, slow_after: float) -> Diagnosis | None:
    """Return what is wrong although all handshakes completed, None when nothing is."""
    foreign = _foreign(report.algorithms) if report.algorithms is not None else ""
    if foreign:
        return _about_served(report, Cause.INCOMPATIBLE, Confidence.LIKELY, foreign)
    banners = report.durations("banner")
    middle = quantile(banners, 0.5) if banners else 0.0
    if middle > slow_after:
        alone = [h.banner for h in report.of_role(Role.BASELINE) if h.banner is not None]
        found = [
            f"the banner took {middle:.3f} s in the median",
            *(f"alone it took {took:.3f} s" for took in alone[:1]),
        ]
        return _about_served(report, Cause.SLOW, Confidence.CERTAIN, *found)
    late = slow_kexinit(report, slow_after)
    if late is not None:
        sentence = f"the server's KEXINIT took {late:.3f} s in the median after our identification"
        slow = _about_served(report, Cause.SLOW, Confidence.CERTAIN, sentence)
        return slow._replace(alternatives=("the server waits for entropy, as devices and virtual machines do",))
    return None


@lru_cache(256)  # servers of a fleet offer the same
def _foreign(offered: Algorithms) -> str:
    """Return the sentence about the algorithms of which a client of today has none, "" where there are none such."""
    for name, known in _TODAY.items():
        names = getattr(offered, name)
        if not any(algorithm.startswith(known) for algorithm in names):
            return f"its {name.replace('_', ' ')} algorithms are {', '.join(names[:6]) or 'none'}"
    return ""


def slow_kexinit(report: Report, slow_after: float) -> float | None:
    """Return the median time of the server's KEXINIT (seconds) where it is above `slow_after`, else None."""
    kexinits = report.durations("kexinit")
    middle = quantile(kexinits, 0.5) if kexinits else 0.0
    return middle if middle > slow_after else None


def _about_served(report: Report, cause: Cause, confidence: Confidence, *sentences: str) -> Diagnosis:
    from .remedies import remedies_for

    return Diagnosis(cause, confidence, sentences, remedies=remedies_for(cause, report))
