"""Where and with what the figures were taken."""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import check_ssh_exchange

# Where distributions install monitoring-plugins; it is not on PATH.
PLUGINS = ("/usr/lib/nagios/plugins", "/usr/lib/monitoring-plugins", "/usr/lib64/nagios/plugins", "/usr/libexec/nagios")
# What to install where a program is missing, by Debian's names.
PACKAGES = {
    "check_ssh": "monitoring-plugins-basic",
    "ssh-keyscan": "openssh-client",
    "tcpdump": "tcpdump",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
}
_VERSION_OPTIONS = {
    "check_ssh": "--version",
    "ssh": "-V",
    "tcpdump": "--version",
    "prometheus-blackbox-exporter": "--version",
}


def program(name: str) -> str | None:
    """Return the path of a program, None when it is not installed."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *PLUGINS]))


def remedy(name: str) -> str:
    """Return what to say about a program that is missing."""
    return f"not installed: apt-get install {PACKAGES[name]}"


def facts() -> list[str]:
    """Return date, machine and versions, a sentence each."""
    return [
        f"date: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        f"machine: {_processor()}, {len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}",
        f"Python: {platform.python_implementation()} {platform.python_version()}",
        f"versions: check_ssh_exchange {check_ssh_exchange.__version__}, " + ", ".join(map(_version, _VERSION_OPTIONS)),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    found = program(name)
    if found is None:
        return f"no {name}"
    told = subprocess.run([found, _VERSION_OPTIONS[name]], capture_output=True, text=True, check=False)
    return (told.stdout + told.stderr).partition("\n")[0].strip()
