"""A run over several addresses of a name: each is diagnosed for itself, the one that fares worst names the cause."""

from ..ending import Ending
from ..report import Report
from .cause import PHRASES, Cause, Confidence
from .diagnosis import Diagnosis
from .facts import Facts
from .maxstartups import MaxStartups


def parts_of(report: Report) -> list[Report]:
    """Return the report of each address, in the order of their first SYNs."""
    addresses = dict.fromkeys(handshake.address for handshake in report.handshakes)
    return [part_of(report, address) for address in addresses]


def part_of(report: Report, address: str) -> Report:
    """Return what a report says of one address."""
    handshakes = tuple(handshake for handshake in report.handshakes if handshake.address == address)
    sources = [handshake.source for handshake in handshakes if handshake.source]
    family = handshakes[0].family
    return report._replace(handshakes=handshakes, address=address, family=family, source=(*sources, report.source)[0])


def explain_each(parts: list[Report], setting: MaxStartups | None) -> Diagnosis:
    """Return the diagnosis of the address that fares worst, with a sentence for each."""
    from .rules import explain

    told: list[tuple[float, Report, Diagnosis | None]] = []
    for part in parts:
        share = part.completed / len(part.handshakes)
        told.append((share, part, None if share == 1 else explain(part, setting)))
    _, worst, diagnosis = min(told, key=lambda one: one[0])
    if diagnosis is None:
        raise ValueError("nothing failed at any address")
    sentences = tuple(_sentence(part, found) for _, part, found in told)
    families = {part.family for share, part, _ in told if share}, {part.family for _, part, _ in told}
    if families[0] and families[0] < families[1]:
        return Diagnosis(
            Cause.ADDRESS_FAMILY,
            Confidence.LIKELY,
            (*sentences, *diagnosis.evidence),
            (f"what keeps {worst.address} from it: {PHRASES[diagnosis.cause]}",),
            diagnosis.remedies,
            address=worst.address or "",
        )
    return diagnosis._replace(evidence=(*sentences, *diagnosis.evidence), address=worst.address or "")


def _sentence(part: Report, found: Diagnosis | None) -> str:
    if found is None:
        return f"{part.address}: {len(part.handshakes)} of {len(part.handshakes)} handshakes {Ending.COMPLETED}"
    return f"{part.address}: {Facts(part).count}: {PHRASES[found.cause]}"
