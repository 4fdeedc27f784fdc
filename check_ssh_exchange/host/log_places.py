"""Where the logs are, and what reading them is recorded as."""

# Where syslogs put the facility authpriv: Debian and its kin; RHEL; SUSE and Alpine; a file of sshd's own.
OF_SSHD = ("/var/log/auth.log", "/var/log/secure", "/var/log/messages", "/var/log/sshd.log")
OF_KERNEL = ("/var/log/audit/audit.log", "/var/log/kern.log", "/var/log/syslog", "/var/log/messages")
JOURNALS = ("/var/log/journal", "/run/log/journal")
JOURNAL, JOURNAL_AGAIN = "journal of sshd", "journal of sshd, once more"
KERNEL_JOURNAL, KERNEL_JOURNAL_AGAIN = "journal of the kernel", "journal of the kernel, once more"
RING = "dmesg"
LONGEST = 86400.0  # seconds; a position that is older is of no use


def generations(path: str, every: "tuple[str, ...]") -> list[str]:
    """Return the files of a log among these, what was rotated away first, the log itself last."""
    rotated = [one for one in every if one.startswith((f"{path}.", f"{path}-"))]
    return [
        *sorted(rotated, key=lambda one: (not one.startswith(f"{path}.1"), one)),
        *(one for one in every if one == path),
    ]
