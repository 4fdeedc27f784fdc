"""The item host_keys: can each be loaded, is it the one of last time, when do host certificates end."""

from collections.abc import Iterator, Mapping

from ...diagnosis.cause import Cause
from ...plugin.nagios import Critical, Warn
from ...plugin.perfdata import Figure
from ...text import printable
from ..about import About
from ..finding import Finding, Problem, skipped
from ..keys import Certificate, Key, certificates_of, is_told, keys_of
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import is_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ITEM = "host_keys"
DAY = 86400.0
REMEMBERED = DAY  # seconds for which a change is told
# Since 9.8 the listener hands its keys over to sshd-session; before, each child loads them anew.
HANDED_OVER = (9, 8)


def find(seen: Snapshot, about: About) -> Finding:
    """Return what is wrong with the host keys of every listener that was asked."""
    every = daemons(seen, about.ports)
    asked = [one for one in every if is_trusted(seen, one)]
    if not asked:
        return skipped(ITEM, "no sshd of this host that could be asked for its keys")
    problems: list[Problem] = []
    evidence: list[str] = []
    lacks: list[str] = []
    keys: list[tuple[Daemon, Key]] = []
    for daemon in asked:
        name = f"{daemon.name}: " if len(every) > 1 else ""
        if not is_told(seen, daemon):
            lacks.append(f"{name}sshd does not tell which host keys it has")
            continue
        own = keys_of(seen, daemon)
        keys += [(daemon, key) for key in own]
        found = [*_unusable(daemon, own), *_out_of_time(seen, daemon)]
        problems += [one._replace(sentence=f"{name}{one.sentence}") for one in found]
        evidence += [f"{name}{sentence}" for sentence in _evidence(seen, daemon, own)]
        if not seen.is_root and any(key.is_usable is None for key in own):
            lacks.append("root would show whether sshd can load its host keys")
    changes = _Changes(about.memory.get(ITEM), seen.at)
    for daemon, key in keys:
        changes.see(f"{daemon.root.rstrip('/')}{key.path}", key.fingerprint)
    problems += changes.problems()
    usable = [(daemon, key) for daemon, key in keys if key.is_usable]
    judged = [key for _, key in keys if key.is_usable is not None]
    return Finding(
        ITEM,
        f"{len(usable)} host key{'s' * (len(usable) > 1)}" if usable else "",
        tuple(problems),
        tuple(evidence),
        tuple(_remedies(problems, keys)),
        (Figure("host_keys", float(len(usable))),) if judged and (usable or seen.is_root) else (),
        lacks=tuple(dict.fromkeys(lacks)),
        remember=changes.document(),
        keys=tuple(dict.fromkeys((key.type, key.fingerprint) for _, key in keys if key.fingerprint)),
    )


def _unusable(daemon: Daemon, keys: tuple[Key, ...]) -> Iterator[Problem]:
    bad = [key for key in keys if key.is_usable is False]
    if keys and len(bad) == len(keys):
        if daemon.release is None or daemon.release >= HANDED_OVER:
            consequence = "at the next restart sshd will not start"
        else:
            consequence = "every new connection ends at once"
        first = next((key for key in bad if key.fault != "is missing"), bad[0])
        sentence = f"no host key can be used, {consequence}: {_spoken(first)}"
        yield Problem(Critical, sentence, Cause.SERVER_FAULT)
        return
    for key in bad:
        if key.is_missed or key.fault != "is missing":
            yield Problem(Warn, f"host key {_spoken(key)}", Cause.SERVER_FAULT)


def _spoken(key: Key) -> str:
    return f"{printable(key.path, 200)} {key.fault}"


def _out_of_time(seen: Snapshot, daemon: Daemon) -> Iterator[Problem]:
    for one in certificates_of(seen, daemon):
        path = printable(one.path, 200)
        if one.fault:
            yield Problem(Warn, f"host certificate {path} {one.fault}", Cause.HOST_KEY)
        elif one.end is not None and one.end <= seen.at:
            yield Problem(Warn, f"host certificate {path} ended {_ago(seen.at - one.end)} ago", Cause.HOST_KEY)
        elif one.begin is not None and one.begin > seen.at:
            yield Problem(Warn, f"host certificate {path} begins in {_ago(one.begin - seen.at)}", Cause.HOST_KEY)


def _ago(seconds: float) -> str:
    days = int(seconds // DAY)
    if days:
        return f"{days} day{'s' * (days > 1)}"
    return f"{int(seconds // 3600)} h" if seconds >= 3600 else f"{int(seconds // 60)} min"


def _evidence(seen: Snapshot, daemon: Daemon, keys: tuple[Key, ...]) -> Iterator[str]:
    for key in keys:
        if key.fingerprint:
            yield f"{printable(key.path, 200)}: {printable(key.type, 64)} {key.fingerprint}"
    for one in certificates_of(seen, daemon):
        if not one.fault:
            yield f"{printable(one.path, 200)}: {_end_of(one, seen.at)}"


def _end_of(one: Certificate, now: float) -> str:
    if one.end is None:
        return "a host certificate without an end"
    return f"a host certificate that ends in {_ago(one.end - now)}" if one.end > now else "a host certificate, ended"


def _remedies(problems: list[Problem], keys: list[tuple[Daemon, Key]]) -> Iterator[str]:
    bad = [key for _, key in keys if key.is_usable is False and (key.is_missed or key.fault != "is missing")]
    for key in bad[:4]:
        if key.fault.startswith("may be read"):
            yield f"chmod 600 {printable(key.path, 200)}   # sshd takes no key that others may read"
        elif key.fault in ("is missing", "is empty"):
            yield f"mv -n BACKUP {printable(key.path, 200)}   # clients that know it refuse a new one"
    if any(key.is_usable is False for _, key in keys) and not any(key.is_usable for _, key in keys):
        yield "ssh-keygen -A   # makes the missing keys of every type"
    if any("certificate" in problem.sentence for problem in problems):
        yield "ssh-keygen -s CA_KEY -h -I NAME -n HOST -V +52w KEY.pub   # signs the host key again"


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
