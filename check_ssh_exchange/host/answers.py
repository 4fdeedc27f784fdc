"""What a listener's binary answered when it was asked for its configuration, and what that is recorded as. Pure."""

from .snapshot import Snapshot

WITHOUT_KEYS = ", without host keys"  # ends what a second asking is recorded as, where sshd has no key that it can read


def key_of(pid: int, monitor: str = "") -> str:
    """Return what the command that asks a listener's binary is recorded as."""
    return f"configuration of {pid}" + (f" for {monitor}" if monitor else "")


def answer_of(seen: Snapshot, pid: int, monitor: str = "") -> str | None:
    """Return what it printed, with `monitor` for clients from that address; None where it told nothing."""
    key = key_of(pid, monitor)
    outputs = (seen.command(key), seen.command(key + WITHOUT_KEYS))
    return next((output.out for output in outputs if output.is_good), None)
