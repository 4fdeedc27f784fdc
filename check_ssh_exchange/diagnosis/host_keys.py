"""What is wrong with the host keys that a server has shown: not those expected, others than before, run out."""

from collections.abc import Iterator

from ..plugin.nagios import Critical, State, Warn
from ..report import HostKey, Report
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .remedies import remedies_for


class Objection(NamedTuple):
    """A sentence about a key, and the state that it leads to."""

    state: State
    sentence: str
    alternatives: tuple[str, ...] = ()


def fingerprint(text: str) -> str:
    """Return a fingerprint as ssh-keygen -l prints it, in its one form; raises ValueError for what is none."""
    name, _, digest = text.partition(":")
    digest = digest.rstrip("=")
    if name != "SHA256" or len(digest) != DIGEST or not set(digest) <= _BASE64:
        raise ValueError(f"{text[:80]!r} is not a valid fingerprint: use SHA256:... as ssh-keygen -l prints it")
    return f"SHA256:{digest}"


def remembered(history: "History", report: Report, now: float, window: float) -> "History":
    """Return the history with the keys of one more run; a change is forgotten when `window` seconds have passed."""
    known = dict(history.host_keys)
    changes = {kind: (kind, before, at) for kind, before, at in history.host_key_changes if now - window <= at <= now}
    for kind, shown in by_type(report.host_keys).items():
        before = known.get(kind)
        if before in shown:
            continue
        known[kind] = shown[0]
        if before is not None:
            changes[kind] = kind, before, now
    return history._replace(host_keys=tuple(known.items()), host_key_changes=tuple(changes.values()))


DIGEST = 43  # characters of a SHA-256 hash in base64 without padding
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

LAST_MOMENT = 253_402_214_400  # the last day of the year 9999: a certificate may name moments that no calendar has

_CHANGED = (
    "the server was reinstalled or its host keys were regenerated",
    "another machine answers under this name: a failover, a load balancer whose backends have different keys",
    "a man in the middle",
)


def by_type(keys: tuple[HostKey, ...]) -> dict[str, list[str]]:
    """Return the fingerprints of each type of plain key, in the order in which they were shown."""
    found: dict[str, list[str]] = {}
    for key in keys:
        fingerprints = found.setdefault(key.plain_type, [])
        if key.fingerprint not in fingerprints:
            fingerprints.append(key.fingerprint)
    return found


def objections(report: Report, expectations: "Expectations", history: "History", clock: "Clock") -> list[Objection]:
    """Return what is wrong with the keys of a report, the worst first; `history` includes this run."""
    keys = report.host_keys
    found = [
        *_unexpected(keys, expectations.host_keys),
        *_unknown(report, expectations.known_hosts, clock),
        # With a file of known hosts the certificate is judged as ssh judges it, which may take the key without it.
        *([] if expectations.known_hosts else _out_of_time(keys, report.at, clock)),
        *_changed(keys, history, clock),
    ]
    return sorted(found, key=lambda one: one.state is not Critical)


def with_host_keys(diagnosis: Diagnosis, found: list[Objection], report: Report) -> Diagnosis:
    """Return the diagnosis with what is wrong with the keys; it is the cause where all else is well."""
    if not found:
        return diagnosis
    sentences = tuple(one.sentence for one in found)
    if diagnosis.cause not in (Cause.HEALTHY, Cause.SLOW):
        return diagnosis._replace(evidence=(*diagnosis.evidence, *sentences))
    alternatives = tuple(dict.fromkeys(sentence for one in found for sentence in one.alternatives))
    remedies = remedies_for(Cause.HOST_KEY, report)
    return Diagnosis(Cause.HOST_KEY, Confidence.CERTAIN, (*sentences, *diagnosis.evidence), alternatives, remedies)


def _unexpected(keys: tuple[HostKey, ...], fingerprints: tuple[str, ...]) -> Iterator[Objection]:
    # A fingerprint does not say of which type its key is, and a server has several: one that is right will do.
    if fingerprints and not any(key.fingerprint in fingerprints for key in keys):
        yield Objection(
            Critical,
            f"the server shows {_list(keys)}, expected {' or '.join(fingerprints)}",
            (*_CHANGED, "the fingerprint expected is of a type of key that was not asked for"),
        )


def _unknown(report: Report, known_hosts: "KnownHosts | None", clock: "Clock") -> Iterator[Objection]:
    if known_hosts is not None:
        expected = known_hosts.of(report.host, report.port)
        for sentence in expected.objections(report.host_keys, report.at, clock):
            yield Objection(Critical, sentence, _CHANGED)


def _out_of_time(keys: tuple[HostKey, ...], now: float, clock: "Clock") -> Iterator[Objection]:
    for key in keys:
        certificate = key.certificate
        if certificate is None:
            continue
        if certificate.valid_before is not None and certificate.valid_before <= now:
            yield Objection(Critical, f"the certificate of the {key.plain_type} host key ran out at "
                            f"{clock(certificate.valid_before)}")  # fmt: skip
        elif certificate.valid_after > now:
            yield Objection(Critical, f"the certificate of the {key.plain_type} host key is not valid before "
                            f"{clock(min(certificate.valid_after, LAST_MOMENT))}")  # fmt: skip


def _changed(keys: tuple[HostKey, ...], history: "History", clock: "Clock") -> Iterator[Objection]:
    shown = by_type(keys)
    for kind, before, at in history.host_key_changes:
        now = shown.get(kind, [before])
        if before not in now:
            yield Objection(Warn, f"the {kind} host key was {before} until {clock(at)}, now {now[0]}", _CHANGED)


def _list(keys: tuple[HostKey, ...]) -> str:
    return ", ".join(f"{fingerprint} ({kind})" for kind, shown in by_type(keys).items() for fingerprint in shown)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from .history import Clock, History
    from .known_hosts import KnownHosts
    from .verdict import Expectations
