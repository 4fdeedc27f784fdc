"""What each listener's own binary says of its configuration: the effective values, for each monitor too, and -t.

The file is never parsed here. `sshd -G` (9.3 and later) needs neither root nor host keys, but heeds no -C; `sshd -T`
needs a host key that it can read, any one: where it cannot read its own it is given one that nobody will ever use.
"""

from collections.abc import Iterator

from ..answers import WITHOUT_KEYS, key_of
from ..configuration_files import hidden_file
from ..door import Door
from ..settings import chosen, client, settings_of
from ..snapshot import Snapshot
from ..sshd import Daemon, looked_at
from ..trusted import is_trusted, prefix
from .binaries import inside

MOST_MONITORS = 8  # addresses that each listener is asked for
MOST_LISTENERS = 16
_NO_KEYS = "no hostkeys available"


def answered() -> Iterator[None]:
    """Wait until the plain settings of every listener are known: for sources that begin with this one."""
    for _ in range(3):
        yield


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the settings of every listener that may be asked, then those for each monitor, and the user's account."""
    yield  # until the versions are known
    trusted = [daemon for daemon in looked_at(seen) if is_trusted(seen, daemon)]
    asked = [daemon for daemon in trusted if not hidden_file(seen, daemon)][:MOST_LISTENERS]
    for daemon in asked:
        _ask(door, seen, daemon)
    yield
    for daemon in asked:
        if seen.is_root and _NO_KEYS in seen.command(key_of(daemon.pid)).err:
            _dump(door, daemon, key_of(daemon.pid) + WITHOUT_KEYS, with_key=True)
    yield
    for daemon in asked:
        if settings_of(seen, daemon) is not None:
            _ask_for_monitors(door, seen, daemon)
    yield from _account(door, seen, asked)


def _ask(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    if (daemon.release or (0, 0)) >= (9, 3):
        words = inside(daemon, daemon.path, "-G", *chosen(daemon))
        door.want(*words, key=key_of(daemon.pid))
    else:
        _dump(door, daemon, key_of(daemon.pid), with_key=not seen.is_root)
    if seen.is_root:
        door.want(*inside(daemon, daemon.path, "-t", *chosen(daemon)), key=f"test of {daemon.pid}")


def _dump(door: Door, daemon: Daemon, key: str, *more: str, with_key: bool) -> None:
    given = ("-h", "/dev/stdin") if with_key else ()
    words = inside(daemon, daemon.path, "-T", *chosen(daemon), *given, *more)
    door.want(*words, given=throw_away_key() if with_key else b"", key=key)


def _ask_for_monitors(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    with_key = not seen.is_root or seen.command(key_of(daemon.pid) + WITHOUT_KEYS).is_good
    for monitor in seen.monitors[:MOST_MONITORS]:
        _dump(door, daemon, key_of(daemon.pid, monitor), "-C", client(seen, daemon, monitor), with_key=with_key)


def throw_away_key() -> bytes:
    """Return a host key of zeros that sshd can read, for its -T alone: no signature is made with it.

    PROTOCOL.key of OpenSSH: an Ed25519 key without a passphrase.
    """
    import base64

    def string(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    name = string(b"ssh-ed25519")
    public = name + string(bytes(32))
    secret = bytes(8) + public + string(bytes(64)) + string(b"")
    secret += bytes(range(1, 1 + -len(secret) % 8))
    parts = (string(b"none"), string(b"none"), string(b""), (1).to_bytes(4, "big"), string(public), string(secret))
    text = base64.encodebytes(b"openssh-key-v1\0" + b"".join(parts))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + b"-----END OPENSSH PRIVATE KEY-----\n"


# --- the user who is to log in


def _account(door: Door, seen: Snapshot, asked: list[Daemon]) -> Iterator[None]:
    name = seen.document.get("login_user")
    if not name or not asked:
        yield
        return
    from ..account import account_of, is_name, key_of_file, quoted

    if not is_name(name):
        yield
        return
    for daemon in asked:
        door.want(*inside(daemon, "getent", "passwd", name), key=f"account at {daemon.root}")
    yield
    for daemon in asked:
        output = seen.command(f"account at {daemon.root}")
        if output.is_absent or output.code == 127:  # chroot(1): a chroot for sshd alone has no getent
            door.want("grep", "-m1", f"^{quoted(name)}:", f"{prefix(daemon)}/etc/passwd", key=key_of_file(daemon))
    yield
    for daemon in asked:
        account, settings = account_of(seen, daemon), settings_of(seen, daemon)
        if account is None or settings is None:
            continue
        for file in account.files(settings):
            for path in account.way(file):
                door.stat(prefix(daemon) + path)
            door.link(prefix(daemon) + file)
