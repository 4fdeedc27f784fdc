"""The item host_keys: can each be loaded, is it the one of last time, when do host certificates end."""

from collections.abc import Iterator, Mapping

from ...diagnosis.cause import Cause
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import printable
from ..about import About
from ..finding import ROOT, Finding, Kind, Lack, Problem, skipped
from ..host import restart
from ..keys import DEFAULTS, HANDED_OVER, Certificate, Key, KeyFault, certificates_of, is_told, keys_of
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import from_here, is_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ITEM = "host_keys"
DAY = 86400.0
REMEMBERED = DAY  # seconds for which a change is told


def find(seen: Snapshot, about: About) -> Finding:
    """Return what is wrong with the host keys of every listener that was asked."""
    every = daemons(seen, about.ports)
    asked = [one for one in every if is_trusted(seen, one)]
    if not asked:
        return skipped(ITEM, "no sshd of this host that could be asked for its keys")
    problems: list[Problem] = []
    evidence: list[str] = []
    lacks: list[Lack] = []
    keys: list[tuple[Daemon, Key]] = []
    for daemon in asked:
        name = f"{daemon.name}: " if len(every) > 1 else ""
        if not is_told(seen, daemon):
            untold = Lack("", f"{name}sshd does not tell which host keys it has")
            whose = daemon.name if name else "sshd"
            lacks.append(untold if seen.is_root else Lack(ROOT, f"which host keys {whose} has"))
            continue
        own = keys_of(seen, daemon)
        keys += [(daemon, key) for key in own]
        found = [*_unusable(daemon, own), *_unlike(seen, daemon, own), *_out_of_time(seen, daemon)]
        problems += [one._replace(sentence=f"{name}{one.sentence}", pid=daemon.pid) for one in found]
        evidence += [f"{name}{sentence}" for sentence in _evidence(seen, daemon, own)]
        if not seen.is_root and any(key.is_usable is None for key in own):
            lacks.append(Lack(ROOT, "whether sshd can load its host keys"))
    changes = _Changes(about.memory.get(ITEM), seen.at)
    for daemon, key in keys:
        if key.is_usable is not False:
            changes.see(f"{daemon.root.rstrip('/')}{key.path}", key.fingerprint)
    problems += changes.problems()
    usable = [(daemon, key) for daemon, key in keys if key.is_usable]
    judged = [key for _, key in keys if key.is_usable is not None] if seen.is_root else []
    seen_only = [key for _, key in keys if key.is_usable is None and key.fingerprint]
    return Finding(
        ITEM,
        _summary(len(usable), len(seen_only)),
        tuple(problems),
        tuple(evidence),
        tuple(dict.fromkeys(_remedies(seen, problems, keys))),
        (Figure("host_keys", float(len(usable))),) if judged else (),
        lacks=tuple(dict.fromkeys(lacks)),
        remember=changes.document(),
        keys=tuple(dict.fromkeys((key.type, key.fingerprint) for _, key in keys if _is_shown(key))),
        is_skipped=not keys and not problems and not seen.is_root,
    )


def _summary(usable: int, seen_only: int) -> str:
    if usable:
        return f"{usable} host key{'s' * (usable > 1)}"
    return f"{seen_only} host key{'s' * (seen_only > 1)}, which root alone can read" if seen_only else ""


def _is_shown(key: Key) -> bool:
    return bool(key.fingerprint) and key.is_usable is not False


def _unusable(daemon: Daemon, keys: tuple[Key, ...]) -> Iterator[Problem]:
    bad = [key for key in keys if key.is_usable is False]
    if keys and len(bad) == len(keys):
        first = next((key for key in bad if key.fault is not KeyFault.MISSING), bad[0])
        if daemon.release is None or daemon.release >= HANDED_OVER:
            consequence = "it serves still, do not restart"
        else:
            consequence = "every new connection ends at once"
        sentence = f"no host key can be used, {consequence}: {_spoken(first)}"
        yield Problem(Critical, sentence, Cause.SERVER_FAULT)
        return
    for key in bad:
        if key.is_missed or key.fault is not KeyFault.MISSING:
            yield Problem(Warn, f"host key {_spoken(key)}", Cause.SERVER_FAULT)


def _spoken(key: Key) -> str:
    return f"{printable(key.path, 200)} {key.fault}{f': {key.reason}' if key.reason else ''}"


def _unlike(seen: Snapshot, daemon: Daemon, keys: tuple[Key, ...]) -> Iterator[Problem]:
    """Yield a problem for each kind of key that a handshake of --probe was shown, and that none of the files holds."""
    probes = [one for one in seen.document.get("probes", ()) if one.get("pid") == daemon.pid]
    shown = dict.fromkeys((str(kind), str(digest)) for one in probes for kind, digest in one.get("keys") or ())
    for kind, digest in shown:
        files = [key for key in keys if key.is_usable and key.type == kind]
        if files and digest not in [key.fingerprint for key in files]:
            path = printable(files[0].path, 200)
            sentence = f"sshd shows another {printable(kind, 64)} key than {path}: restart or restore"
            yield Problem(Warn, sentence, Cause.HOST_KEY)


def _out_of_time(seen: Snapshot, daemon: Daemon) -> Iterator[Problem]:
    for one in certificates_of(seen, daemon):
        if fault := one.fault or _untimely(one, seen.at):
            sentence = f"host certificate {printable(one.path, 200)} {fault}"
            yield Problem(Warn, sentence, Cause.HOST_KEY, kind=Kind.CERTIFICATE)


def _untimely(one: Certificate, now: float) -> str:
    """Return that a certificate has ended or not begun, "" for neither."""
    if one.end is not None and one.end <= now:
        return f"ended {_ago(now - one.end)} ago"
    return f"begins in {_ago(one.begin - now)}" if one.begin is not None and one.begin > now else ""


def _ago(seconds: float) -> str:
    days = int(seconds // DAY)
    if days:
        return f"{days} day{'s' * (days > 1)}"
    return f"{int(seconds // 3600)} h" if seconds >= 3600 else f"{int(seconds // 60)} min"


def _evidence(seen: Snapshot, daemon: Daemon, keys: tuple[Key, ...]) -> Iterator[str]:
    for key in keys:
        told = f"{printable(key.type, 64)} {key.fingerprint}"
        if key.fingerprint and key.fault is KeyFault.MISSING:
            yield f"{printable(key.path, 200)}: missing; its .pub file is of {told}"
        elif key.fingerprint:
            yield f"{printable(key.path, 200)}: {told}"
    for one in certificates_of(seen, daemon):
        if not one.fault:
            yield f"{printable(one.path, 200)}: {_end_of(one, seen.at)}"


def _end_of(one: Certificate, now: float) -> str:
    if one.end is None:
        return "a host certificate without an end"
    return f"a host certificate that ends in {_ago(one.end - now)}" if one.end > now else "a host certificate, ended"


def _remedies(seen: Snapshot, problems: list[Problem], keys: list[tuple[Daemon, Key]]) -> Iterator[str]:
    is_any_usable = any(key.is_usable for _, key in keys)
    bad = [pair for pair in keys if pair[1].is_usable is False]
    missed = [
        (daemon, key) for daemon, key in bad
        if key.is_missed or key.fault is not KeyFault.MISSING or not is_any_usable
    ]  # fmt: skip
    for daemon, key in missed[:4]:
        path = from_here(daemon, key.path)
        if key.fault is KeyFault.TOO_OPEN:
            yield f"chmod 600 {path}   # sshd takes no key that others may read"
        elif key.fault is KeyFault.ENCRYPTED:
            yield f"ssh-keygen -p -N '' -f {path}   # asks for the passphrase; sshd cannot"
        else:
            yield f"mv BACKUP {path}   # the key that clients know"
    if not is_any_usable:
        yield from _new_ones(missed)
    for daemon in dict.fromkeys(daemon for daemon, _ in keys):
        if any(_unlike(seen, daemon, tuple(key for one, key in keys if one == daemon))):
            command = restart(seen) if daemon.root == "/" else f"kill -HUP {daemon.pid}"
            yield f"{command}   # shows the key of the file; clients that know the other refuse it"
    if any(problem.kind is Kind.CERTIFICATE for problem in problems):
        yield "ssh-keygen -s CA_KEY -h -I NAME -n HOST -V +52w KEY.pub   # signs the host key again"


def _new_ones(keys: list[tuple[Daemon, Key]]) -> Iterator[str]:
    """Yield what makes keys anew; `ssh-keygen -A` makes those by default that are missing or empty, and no others."""
    reason = "only if there is no backup: clients that know the old key refuse a new one"
    for daemon, key in keys:
        if key.fault not in (KeyFault.MISSING, KeyFault.EMPTY):
            continue
        if key.path in DEFAULTS:
            chroot = "" if daemon.root == "/" else f" -f {from_here(daemon, '')}"
            yield f"ssh-keygen -A{chroot}   # {reason}"
        else:
            # Of the kind that its .pub file still tells.
            kind = next((word for word in ("rsa", "ecdsa") if word in key.type.partition("-cert")[0]), "ed25519")
            yield f"ssh-keygen -q -t {kind} -N '' -f {from_here(daemon, key.path)}   # {reason}"


class _Changes:
    """The fingerprints of the last runs and of this one, and which have changed within a day."""

    def __init__(self, memory: object, now: float) -> None:
        known = memory if isinstance(memory, Mapping) else {}
        self._now = now
        self._keys = {path: text for path, text in _pairs(known, "keys") if isinstance(text, str)}
        self._changed: dict[str, float] = {
            path: float(at)
            for path, at in _pairs(known, "changed")
            if isinstance(at, int | float) and 0 <= now - at <= REMEMBERED
        }

    def see(self, path: str, fingerprint: str) -> None:
        """Take a key of this run; one that could not be seen leaves what is remembered."""
        if not fingerprint:
            return
        if self._keys.get(path, fingerprint) != fingerprint:
            self._changed[path] = self._now
        self._keys[path] = fingerprint

    def problems(self) -> Iterator[Problem]:
        """Yield a problem for each key that has changed."""
        for path, at in self._changed.items():
            when = f"within the last {_ago(max(60.0, self._now - at))}" if self._now > at else "since the last run"
            yield Problem(Warn, f"host key {printable(path, 200)} has changed {when}", Cause.HOST_KEY)

    def document(self) -> "dict[str, Any]":
        """Return what the next run is to know."""
        return {"keys": self._keys, "changed": self._changed}


def _pairs(known: "Mapping[str, Any]", name: str) -> "list[tuple[str, Any]]":
    found = known.get(name)
    return [(str(path), value) for path, value in found.items()] if isinstance(found, Mapping) else []
