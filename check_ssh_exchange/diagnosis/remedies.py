"""What to run or set on the server, by cause; each line is a command or a setting with its reason."""

from .cause import Cause

LOG = "journalctl -u ssh -u sshd --since -1h   # or /var/log/auth.log, /var/log/secure"
LISTENER = "ss -ltnp 'sport = :{port}'   # who listens, and on which addresses"
TITLE = "ps -C sshd -o pid,args   # the listener's title says 'N of 10-100 startups'"
FIREWALL = "nft list ruleset; iptables -S; ip6tables -S   # rules that name port {port} or {source}"

REMEDIES: dict[Cause, tuple[str, ...]] = {
    Cause.MAXSTARTUPS: (
        "sshd -T   # maxstartups, logingracetime, persourcemaxstartups",
        TITLE,
        "ss -tn state established 'sport = :{port}'   # who holds the unauthenticated connections",
        "raise MaxStartups, lower LoginGraceTime",
    ),
    Cause.PER_SOURCE_LIMIT: (
        "sshd -T   # persourcemaxstartups, persourcenetblocksize",
        "such limits too: xinetd's per_source, systemd's MaxConnectionsPerSource, iptables connlimit, dropbear's five",
        FIREWALL,
    ),
    Cause.PENALTY: (
        "journalctl -u ssh -u sshd -g penalty   # and: -g 'drop connection'",
        "sshd -T   # persourcepenalties, persourcepenaltyexemptlist",
        "sshd_config: PerSourcePenaltyExemptList {source}",
    ),
    Cause.RATE_LIMIT: (FIREWALL, "cat /etc/xinetd.d/*   # cps"),
    Cause.BANNED: (
        "fail2ban-client status; fail2ban-client status sshd   # is {source} among the banned?",
        "fail2ban-client set sshd unbanip {source}; jail.local: ignoreip = 127.0.0.1/8 ::1 {source}",
        FIREWALL,
    ),
    Cause.FILTERED: ("is the host up? " + LISTENER, FIREWALL),
    Cause.NOT_LISTENING: (LISTENER, "systemctl status ssh sshd ssh.socket", LOG),
    Cause.ACCESS_DENIED: (
        "grep -v '^#' /etc/hosts.deny /etc/hosts.allow",
        "hosts.allow: sshd: {source}",
        "journalctl -g 'refused connect from'",
    ),
    Cause.SERVER_FAULT: (
        LOG,
        "sshd -t   # does it load its configuration and host keys?",
        "ls -l /etc/ssh/ssh_host_*_key /run/sshd /usr/lib/openssh; getent passwd sshd",
        "grep deleted /proc/$(pgrep -o sshd)/maps   # libraries or binaries replaced under it: restart sshd",
        "cat /sys/fs/cgroup/system.slice/ssh.service/pids.{{max,current}}; cat /proc/$(pgrep -o sshd)/limits",
    ),
    Cause.STALLED: (
        "ps -C sshd -o pid,stat,wchan,args   # T is stopped, D waits for a disk",
        "ss -ltn 'sport = :{port}'   # Recv-Q above Send-Q: the backlog is full",
        LOG,
    ),
    Cause.SLOW: (
        "grep -v '^#' /etc/hosts.allow /etc/hosts.deny   # a host name in them costs a look-up before the banner",
        "uptime; vmstat 1 3; df -h   # load, memory, a full disk",
    ),
    Cause.PROXY: (
        "on the load balancer: is a backend up, and does it expect PROXY protocol or TLS on port {port}?",
        "on the backend: " + LISTENER,
    ),
    Cause.TARPIT: (LISTENER,),
    Cause.NOT_SSH: (LISTENER,),
    Cause.ADDRESS_FAMILY: (LISTENER, "sshd -T   # listenaddress, addressfamily", FIREWALL),
    Cause.UNREACHABLE: ("on the monitor: ip route get {address}; traceroute {address}",),
    Cause.INCOMPATIBLE: ("sshd -T   # kexalgorithms, hostkeyalgorithms, ciphers, macs; compare with ssh -Q kex",),
    Cause.UNEXPLAINED: (LOG, TITLE),
}


def remedies_for(cause: Cause, *, port: int, source: str, address: str) -> tuple[str, ...]:
    """Return the lines for a cause with the run's own port and addresses filled in."""
    return tuple(line.format(port=port, source=source, address=address) for line in REMEDIES.get(cause, ()))
