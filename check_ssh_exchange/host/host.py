"""What a snapshot says of the host itself: its system, its container, its service names, in its own words. Pure."""

import re

from ..text import printable
from .snapshot import Snapshot


def system_of(seen: Snapshot) -> str:
    """Return the distribution's name with its version, else the kernel's: `Debian GNU/Linux 12 (bookworm)`."""
    fields = release(seen)
    name = fields.get("PRETTY_NAME") or str(seen.document.get("host", {}).get("system", ""))
    return printable(name)


def release(seen: Snapshot) -> dict[str, str]:
    """Return the fields of os-release."""
    text = seen.text("/etc/os-release") or seen.text("/usr/lib/os-release") or ""
    return {name: value.strip().strip("\"'") for name, _, value in (row.partition("=") for row in text.splitlines())}


def container_of(seen: Snapshot) -> str | None:
    """Return which kind of container we are in, None for none."""
    if seen.stat("/.dockerenv"):
        return "docker"
    if seen.stat("/run/.containerenv"):
        return "podman"
    found = re.search(r"/(lxc|docker|kubepods|libpod|containerd)", seen.text("/proc/1/cgroup") or "")
    if found:
        return found[1]
    return "systemd-nspawn" if seen.stat("/run/systemd/container") else None


def hides_processes(seen: Snapshot) -> bool:
    """Return whether /proc shows each user but root his own processes alone (proc(5), hidepid); 0 and off hide none."""
    mounts = (line.split() for line in seen.lines("/proc/mounts"))
    options = [option for fields in mounts if fields[2:3] == ["proc"] for option in ",".join(fields[3:4]).split(",")]
    values = [value for name, _, value in (option.partition("=") for option in options) if name == "hidepid"]
    return not seen.is_root and any(value not in ("0", "off") for value in values)


def has_systemd(seen: Snapshot) -> bool:
    """Return whether systemd is the init here: only then its units mean anything."""
    return seen.stat("/run/systemd/system") is not None


def service(seen: Snapshot) -> str:
    """Return the name of sshd's unit here: ssh on Debian and its kin, sshd elsewhere."""
    fields = release(seen)
    kin = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    return "ssh" if "debian" in kin or "ubuntu" in kin else "sshd"


def restart(seen: Snapshot) -> str:
    """Return the command that restarts sshd here."""
    if has_systemd(seen):
        return f"systemctl restart {service(seen)}"
    return "rc-service sshd restart" if release(seen).get("ID") == "alpine" else f"service {service(seen)} restart"
