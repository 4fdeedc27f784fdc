"""Host keys and host certificates as a snapshot shows them. Pure."""

import re
from collections.abc import Iterator
from enum import StrEnum

from ..text import printable
from ..values import NamedTuple
from .settings import settings_of
from .snapshot import Output, Snapshot
from .sshd import Daemon
from .trusted import prefix

KEY, PUBLIC, CERTIFICATE = "host key", "public host key", "host certificate"  # what their programs are recorded as
MOST = 16  # keys, and as many certificates, of a listener; servconf.h has 256
# servconf.c, fill_default_server_options: those of them that are there are used, the others are not missed.
DEFAULTS = ("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key")
# Since 9.8 the listener hands its keys over to sshd-session; before, each child loads them anew.
HANDED_OVER = (9, 8)
_PRINTED = re.compile(r"([0-9]{2,5}) (SHA256:\S{43}) .*\(([A-Z0-9-]+)\)")
_PLAIN = re.compile(r"([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{16,32768}={0,2})(?: |$)")
_VALID = re.compile(r"Valid: (forever|.*)")
_MOMENT = re.compile(r"(from|after|before|to) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
_TYPES = {"RSA": "ssh-rsa", "DSA": "ssh-dss", "ED25519": "ssh-ed25519"}
# What sshd says of a key that it cannot load and was told to, at -t and when it starts: sshd.c, main.
_UNLOADABLE = re.compile(r"Unable to load host key: (.+)")
NO_KEYS = "no hostkeys available"
# authfile.c, sshkey_perm_ok: sshd refuses any right of the group as well, but RHEL's up to 8 lets ssh_keys read.
_OTHERS = 0o007
_SPOKEN = re.compile(r"(?:Load key )?\"?/\S+\"?: ")  # before the reason, in ssh-keygen's words


class KeyFault(StrEnum):
    """Why a host key cannot be used, as a sentence says it of the file."""

    MISSING = "is missing"
    EMPTY = "is empty"
    TOO_OPEN = "may be read by others than its owner"
    ENCRYPTED = "has a passphrase"
    UNLOADABLE = "cannot be loaded"


class Key(NamedTuple):
    """A HostKey: what it is, and what is wrong with it; `reason` is what ssh-keygen said of that, "" for nothing.

    `is_usable` is None where it could not be told; `is_missed`: sshd is told to use it, so its absence is a fault.
    """

    path: str
    type: str
    fingerprint: str
    is_usable: bool | None
    fault: KeyFault | None = None
    reason: str = ""
    is_missed: bool = True


class Certificate(NamedTuple):
    """A HostCertificate: its validity in seconds since the epoch, None for no bound; `fault` where it is unreadable."""

    path: str
    begin: float | None
    end: float | None
    fault: str = ""


def key_files(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    """Return the files of HostKey; where sshd did not tell them, those that it missed, else those by default."""
    settings = settings_of(seen, daemon)
    named = settings.all("HostKey") if settings else tuple(dict.fromkeys(_missed(seen, daemon) or ()))
    return tuple(path for path in (named or DEFAULTS)[:MOST] if path.startswith("/"))


def is_told(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether it is known which host keys a listener has, or that it has none."""
    return settings_of(seen, daemon) is not None or NO_KEYS in seen.command(f"test of {daemon.pid}").err


def _missed(seen: Snapshot, daemon: Daemon) -> list[str] | None:
    """Return the keys that `sshd -t` could not load though it was told to, None where it was not asked."""
    test = seen.command(f"test of {daemon.pid}")
    if test.code is None:
        return None
    return [found[1] for line in test.err[:65536].splitlines() if (found := _UNLOADABLE.match(line.strip()))]


def certificates(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    """Return the files of HostCertificate."""
    settings = settings_of(seen, daemon)
    named = settings.all("HostCertificate") if settings else ()
    return tuple(path for path in named[:MOST] if path.startswith("/"))


def keys_of(seen: Snapshot, daemon: Daemon) -> tuple[Key, ...]:
    """Return the host keys of a listener."""
    settings = settings_of(seen, daemon)
    by_agent = settings is not None and settings.get("HostKeyAgent").lower() not in ("", "none")
    missed = _missed(seen, daemon)
    keys = tuple(_key(seen, daemon, path, missed, by_agent=by_agent) for path in key_files(seen, daemon))
    if not seen.is_root and all(key.fault is KeyFault.MISSING for key in keys):
        # We may not see in which root it is: it serves, so it may well have others.
        return tuple(key._replace(is_usable=None, fault=None) for key in keys)
    return keys


def _key(seen: Snapshot, daemon: Daemon, path: str, missed: list[str] | None, *, by_agent: bool) -> Key:
    private = seen.command(f"{KEY} of {daemon.pid}: {path}")
    public = seen.command(f"{PUBLIC} of {daemon.pid}: {path}")
    kind, digest = of_plain(private.out) if private.is_good else of_printed(public.out)
    key = Key(path, kind, digest, None, is_missed=path not in DEFAULTS if missed is None else path in missed)
    if private.is_good and kind:
        return key._replace(is_usable=True)
    if by_agent:  # its private half is in the agent alone (sshd_config(5), HostKeyAgent)
        return key
    told = seen.document["stats"].get(prefix(daemon) + path, {})
    if told.get("error") == "ENOENT":
        return key._replace(is_usable=False, fault=KeyFault.MISSING)
    if not seen.is_root and told.get("uid") == 0 and told.get("mode", 0) & _OTHERS:
        return key._replace(is_usable=False, fault=KeyFault.TOO_OPEN)
    if not seen.is_root or private.is_absent or private.error:
        return key
    fault = _fault(private, told.get("size"))
    reason = _reason(private) if fault is KeyFault.UNLOADABLE else ""
    return key._replace(is_usable=False, fault=fault, reason=reason)


def _fault(output: Output, size: int | None) -> KeyFault:
    if size == 0:
        return KeyFault.EMPTY
    text = output.err.lower()
    if "too open" in text:
        return KeyFault.TOO_OPEN
    return KeyFault.ENCRYPTED if "passphrase" in text else KeyFault.UNLOADABLE


def _reason(output: Output) -> str:
    """Return what ssh-keygen gave as its reason, "" for none."""
    lines = [line.strip() for line in output.err.splitlines() if line.strip()]
    return printable(_SPOKEN.sub("", lines[-1]), 200) if lines else ""


def of_plain(text: str) -> tuple[str, str]:
    """Return type and fingerprint of a public key as `ssh-keygen -y` prints it, ("", "") for none."""
    found = _PLAIN.match(text)
    if found is None:
        return "", ""
    import base64
    import hashlib

    try:
        data = base64.b64decode(found[2], validate=True)
    except ValueError:
        return "", ""
    return found[1], "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def of_printed(text: str) -> tuple[str, str]:
    """Return type and fingerprint as `ssh-keygen -l` prints them, ("", "") for none."""
    found = _PRINTED.match(text)
    if found is None:
        return "", ""
    kind = f"ecdsa-sha2-nistp{found[1]}" if found[3] == "ECDSA" else _TYPES.get(found[3], found[3].lower())
    return kind, found[2]


def certificates_of(seen: Snapshot, daemon: Daemon) -> Iterator[Certificate]:
    """Yield the host certificates of a listener; those that ssh-keygen could not be asked for are left out."""
    zone = float(seen.document.get("zone") or 0)
    for path in certificates(seen, daemon):
        output = seen.command(f"{CERTIFICATE} of {daemon.pid}: {path}")
        if output.is_absent or output.error:
            continue
        if found := _VALID.search(output.out) if output.is_good else None:
            moments = {"from": None, "to": None, **dict(_moments(found[1], zone))}
            yield Certificate(path, moments["from"], moments["to"])
        elif "Permission denied" not in output.err:
            reason = _reason(output)
            yield Certificate(path, None, None, f"cannot be read{f': {reason}' if reason else ''}")


def _moments(text: str, zone: float) -> Iterator[tuple[str, float]]:
    """Yield the moments of `Valid: from ... to ...`; ssh-keygen prints them in local time (sshkey.c)."""
    from datetime import datetime, timezone

    names = {"after": "from", "before": "to"}
    for word, moment in _MOMENT.findall(text):
        try:
            at = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp()  # noqa: UP017 - by 3.11 too
        except ValueError:
            continue
        yield names.get(word, word), at - zone
