"""What is wrong with the host keys that a server has shown: not those expected, others than before, run out."""

from collections.abc import Iterator

from ..plugin.nagios import Critical, State, Unknown, Warn
from ..report import Certificate, HostKey, Report, plain_type
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .remedies import Remedy, Where, remedies_for


class Objection(NamedTuple):
    """A sentence about a key, and the state that it leads to; `phrase` says what is wrong in the status line."""

    state: State
    sentence: str
    alternatives: tuple[str, ...] = ()
    phrase: str = ""


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
    newest = tuple(known.items())[-MAX_KEYS:], tuple(changes.values())[-MAX_KEYS:]
    return history._replace(host_keys=newest[0], host_key_changes=newest[1])


MAX_KEYS = 16  # types that are remembered; there are not as many, but a server may invent some
DIGEST = 43  # characters of a SHA-256 hash in base64 without padding
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

MOST_NAMES = 5  # in a sentence
_CERTIFICATE = (
    Remedy(Where.SERVER, "ssh-keygen -Lf /etc/ssh/ssh_host_ed25519_key-cert.pub   # Valid: from ... to ..."),
    Remedy(Where.SERVER, "sign the host key again (ssh-keygen -s CA -h -I NAME -n NAMES -V +52w KEY.pub), reload sshd"),
)

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
        *_unexpected(report, expectations.host_keys),
        *_unknown(report, expectations.known_hosts, clock),
        # With a file of known hosts the certificate is judged as ssh judges it, which may take the key without it.
        *([] if expectations.known_hosts else _flawed(keys, report.at, clock)),
        *_changed(keys, history, clock),
    ]
    return sorted(found, key=lambda one: one.state is not Critical)


def with_host_keys(diagnosis: Diagnosis, found: list[Objection], report: Report) -> Diagnosis:
    """Return the diagnosis with what is wrong with the keys.

    A key that is not the one expected is the cause, whatever else happens: who sits between may drop connections too.
    One that has changed is the cause where all else is well.
    """
    found = [one for one in found if one.state is not Unknown]
    if not found:
        return diagnosis
    sentences = tuple(one.sentence for one in found)
    remedies = (*_CERTIFICATE,) if found[0].phrase else remedies_for(Cause.HOST_KEY, report)
    is_well = diagnosis.cause in (Cause.HEALTHY, Cause.SLOW)
    if not is_well and found[0].state is not Critical:
        return diagnosis._replace(evidence=(*diagnosis.evidence, *sentences), remedies=(*diagnosis.remedies, *remedies))
    alternatives = tuple(dict.fromkeys(sentence for one in found for sentence in one.alternatives))
    beside = () if is_well else (f"besides: {diagnosis.cause.phrase}",)
    return diagnosis._replace(
        cause=Cause.HOST_KEY,
        confidence=Confidence.CERTAIN,
        evidence=(*sentences, *beside, *diagnosis.evidence),
        alternatives=(*alternatives, *diagnosis.alternatives),
        remedies=(*remedies, *diagnosis.remedies),
        self_inflicted=False,
        own_phrase=found[0].phrase,
    )


def _unexpected(report: Report, fingerprints: tuple[str, ...]) -> Iterator[Objection]:
    # A fingerprint does not say of which type its key is, and a server has several: one that is right will do, and
    # then every key of its type must be.
    keys = report.host_keys
    matched = {key.plain_type for key in keys if key.fingerprint in fingerprints}
    strangers = tuple(key for key in keys if key.plain_type in matched and key.fingerprint not in fingerprints)
    if not fingerprints or (matched and not strangers):
        return
    expected = " or ".join(fingerprints)
    unseen = _unseen(report)
    if not matched and unseen:
        words = f"none of the expected host keys was shown, and {_few(unseen)} were not asked for: raise --handshakes"
        yield Objection(Unknown, words)
    else:
        yield Objection(Critical, f"the server shows {_list(strangers or keys)}, expected {expected}", _CHANGED)


def _unknown(report: Report, known_hosts: "KnownHosts | None", clock: "Clock") -> Iterator[Objection]:
    if known_hosts is None:
        return
    expected = known_hosts.of(report.host, report.port)
    unseen = tuple(kind for kind in _unseen(report) if kind in expected.types)
    if unseen and not any(key.plain_type in expected.types for key in report.host_keys):
        words = f"none of the known host keys was shown, and {_few(unseen)} were not asked for: raise --handshakes"
        yield Objection(Unknown, words)
        return
    for sentence in expected.objections(report.host_keys, report.at, clock):
        yield Objection(Critical, sentence, _CHANGED)


def _unseen(report: Report) -> tuple[str, ...]:
    """Return the types of keys that the server offers and has not shown."""
    offered = report.algorithms.host_key if report.algorithms else ()
    shown = {key.plain_type for key in report.host_keys}
    return tuple(dict.fromkeys(kind for name in offered if (kind := plain_type(name)) not in shown))


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def _flawed(keys: tuple[HostKey, ...], now: float, clock: "Clock") -> Iterator[Objection]:
    for key in keys:
        certificate, what = key.certificate, f"the certificate of the {key.plain_type} host key"
        if certificate is None:
            continue
        if not certificate.is_host:
            yield Objection(Warn, f"{what} is a user's, not a host's", phrase="the host certificate is a user's")
        elif certificate.valid_before is not None and certificate.valid_before <= now:
            words = f"{what} ran out at {clock(certificate.valid_before)}"
            yield Objection(Critical, words, phrase="the host certificate has run out")
        elif certificate.valid_after > now:
            words = f"{what} is not valid before {clock(certificate.valid_after)}"
            yield Objection(Critical, words, phrase="the host certificate is not valid yet")


def certificate_words(certificate: Certificate, clock: "Clock") -> str:
    """Return a certificate in words: whose it is, who signed it, for which names, until when."""
    owner = "certificate" if certificate.is_host else "user's certificate"
    names = _few(certificate.principals) or "no name"
    end = "without an end" if certificate.valid_before is None else f"until {clock(certificate.valid_before)}"
    return f'{owner} "{certificate.key_id[:80]}" of {certificate.ca_fingerprint} for {names}, {end}'


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
