"""What to run or set, by cause, and where: each is a command or a setting with its reason."""

from collections.abc import Iterator
from enum import StrEnum

from ..ending import Ending
from ..report import Report
from ..values import NamedTuple
from .cause import Cause
from .software import System, system_of


class Where(StrEnum):
    """The machine that a remedy is for."""

    SERVER = "server"
    MONITOR = "monitor"
    FRONTEND = "frontend"  # a load balancer, or whatever else answers before the SSH server
    DEVICE = "device"  # an appliance without a shell


class Remedy(NamedTuple):
    """A command or a setting with its reason, and the machine to use it on."""

    where: Where
    command: str

    def __str__(self) -> str:
        return f"on the {self.where}: {self.command}"


SSH_PORT = 22  # known_hosts names it by the host alone, any other port as [host]:port

LOG = "journalctl -u ssh -u sshd --since -1h   # or /var/log/auth.log, /var/log/secure"
LISTENER = "ss -ltnp 'sport = :{port}'   # who listens, and on which addresses"
TITLE = "ps -C sshd -o pid,args   # the listener's title says 'N of START-FULL startups'"
FIREWALL = "nft list ruleset; iptables -S; ip6tables -S   # rules that name port {port} or {source}"

OURS = "check_sshd_local "  # runs on Unix, beside sshd

# A line on its own is for the server.
REMEDIES: dict[Cause, tuple[str | Remedy, ...]] = {
    Cause.MAXSTARTUPS: (
        "check_sshd_local --only startups,log -v   # names who holds the startups",
        "sshd -T   # maxstartups, logingracetime, persourcemaxstartups",
        TITLE,
        "pgrep -a sshd   # [accepted], [net] and [session-auth] have not logged in",
        "block the address that holds them; else lower LoginGraceTime, then raise MaxStartups",
    ),
    Cause.PER_SOURCE_LIMIT: (
        "check_sshd_local --only log --monitor {source} -v   # whom PerSourceMaxStartups has dropped",
        "sshd -T   # persourcemaxstartups, persourcenetblocksize",
        "similar limits: xinetd's per_source, systemd's MaxConnectionsPerSource, iptables connlimit, dropbear's five",
        FIREWALL,
    ),
    Cause.PENALTY: (
        "check_sshd_local --only log --monitor {source} -v   # what the penalty is for",
        "journalctl -u ssh -u sshd -g penalty   # and: -g 'drop connection'",
        "sshd -T   # persourcepenalties, persourcepenaltyexemptlist",
        "sshd_config: PerSourcePenaltyExemptList {source}",
    ),
    Cause.RATE_LIMIT: (
        "check_sshd_local --only firewall --monitor {source} -v   # the rule that limits",
        FIREWALL,
        "cat /etc/xinetd.d/*   # cps",
    ),
    Cause.BANNED: (
        "check_sshd_local --only bans,firewall --monitor {source} -v   # the jail or the rule that bans",
        "fail2ban-client status; fail2ban-client status sshd   # is {source} among the banned?",
        "fail2ban-client set sshd unbanip {source}; jail.local: ignoreip = 127.0.0.1/8 ::1 {source}",
        FIREWALL,
    ),
    Cause.FILTERED: (
        "uptime   # from its console: is the host up?",
        "check_sshd_local --only firewall --monitor {source} -v   # the rule that drops",
        LISTENER,
        FIREWALL,
    ),
    Cause.NOT_LISTENING: (
        "check_sshd_local --only daemon,socket_activation,bans,firewall --monitor {source} -v   # what refuses us",
        LISTENER,
        "systemctl status ssh sshd ssh.socket",
        LOG,
    ),
    Cause.ACCESS_DENIED: (
        "check_sshd_local --only tcp_wrappers --monitor {source} -v   # the line that denies",
        "grep -v '^#' /etc/hosts.deny /etc/hosts.allow",
        "hosts.allow: sshd: {source}",
        "journalctl -g 'refused connect from'",
    ),
    Cause.SERVER_FAULT: (
        LOG,
        "check_sshd_local --trial -v   # looks at all that may break it, and tries a new sshd",
        "ss -ltnp 'sport = :{port}'   # sshd? Where a forwarder listens (docker-proxy, slirp, socat), look inside",
        "sshd -t   # does it load its configuration and host keys?",
        "ls -l /etc/ssh/ssh_host_*_key /run/sshd /usr/lib/openssh; getent passwd sshd",
        "grep deleted /proc/$(pgrep -o sshd)/maps   # libraries or binaries replaced under it: restart sshd",
        "cat /sys/fs/cgroup/system.slice/ssh.service/pids.{{max,current}}; cat /proc/$(pgrep -o sshd)/limits",
    ),
    Cause.STALLED: (
        "check_sshd_local --only daemon,backlog -v   # is it stopped, is its backlog full?",
        "ps -C sshd -o pid,stat,wchan,args   # T is stopped, D waits for a disk",
        "ss -ltn 'sport = :{port}'   # Recv-Q above Send-Q: the backlog is full",
        LOG,
    ),
    Cause.SLOW: (
        "check_sshd_local --only name_service --monitor {source} -v   # times the look-up of a name",
        "grep -v '^#' /etc/hosts.allow /etc/hosts.deny   # a host name in them costs a look-up before the banner",
        "uptime; vmstat 1 3; df -h   # load, memory, a full disk",
    ),
    Cause.PROXY: (
        Remedy(Where.FRONTEND, "is a backend up, and does it expect PROXY protocol or TLS on port {port}?"),
        Remedy(
            Where.FRONTEND, "docker ps; podman ps   # behind docker-proxy, slirp, socat, socket-proxyd: look inside"
        ),
        LISTENER,
    ),
    Cause.TARPIT: (LISTENER,),
    Cause.NOT_SSH: (LISTENER,),
    Cause.ADDRESS_FAMILY: (
        "check_sshd_local --only addresses -v   # the family that is configured and not served",
        LISTENER,
        "sshd -T   # listenaddress, addressfamily",
        FIREWALL,
    ),
    Cause.UNREACHABLE: (Remedy(Where.MONITOR, "ip route get {address}; traceroute {address}"),),
    Cause.INCOMPATIBLE: ("sshd -T   # kexalgorithms, hostkeyalgorithms, ciphers, macs; compare with ssh -Q kex",),
    Cause.HOST_KEY: (
        "check_sshd_local --only host_keys -vv   # from its console: the fingerprints of its keys",
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub   # from its console: compare with the key shown",
        "ls -lt /etc/ssh/ssh_host_*_key.pub   # when did the keys change?",
        Remedy(
            Where.MONITOR, "ssh-keygen -R {entry} -f KNOWN_HOSTS   # only when the server's owner confirms the new key"
        ),
    ),
    Cause.UNEXPLAINED: (LOG, TITLE),
}


# Where our own burst meets a limit: it is low, or others hold connections all the time, which looks the same from here.
OWN_BURST = (
    Remedy(Where.SERVER, "check_sshd_local --only startups,log -v   # do others hold startups as well?"),
    Remedy(Where.SERVER, "sshd -T   # maxstartups, persourcemaxstartups: are they meant to be so low?"),
)

# Some SYNs are answered and some are not.
PACKETS_LOST = (
    Remedy(Where.SERVER, "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # full?"),
    Remedy(Where.SERVER, "nstat -az TcpExtListenOverflows TcpExtListenDrops; ss -ltn 'sport = :{port}'"),
    Remedy(Where.MONITOR, "mtr --tcp --port {port} --report {address}   # where packets get lost"),
)

# Large packets that vanish: the largest that comes back shows the MTU of the path.
PATH_MTU = (
    Remedy(Where.MONITOR, "ping -c 3 -M do -s 1472 {address}; ping -c 3 -M do -s 1252 {address}"),
    Remedy(Where.MONITOR, "tracepath -n {address}   # where the path narrows"),
    Remedy(Where.FRONTEND, "clamp the MSS on the tunnel: nft ... tcp flags syn tcp option maxseg size set rt mtu"),
)

_EVENTS = "Get-WinEvent -LogName OpenSSH/Operational -MaxEvents 50"
_PORT = "Get-NetTCPConnection -LocalPort {port}   # who listens, who is connected"
_RULES = "Get-NetFirewallRule -DisplayName *ssh*; Get-NetFirewallRule -Action Block -Enabled True"
_SSHD = r"& $env:WINDIR\System32\OpenSSH\sshd.exe -T   # from an administrator's PowerShell"
_CONFIG = r"$env:ProgramData\ssh\sshd_config"

# For PowerShell, where the server is OpenSSH for Windows.
WINDOWS: dict[Cause, tuple[str, ...]] = {
    Cause.MAXSTARTUPS: (_SSHD, _PORT, f"{_CONFIG}: raise MaxStartups, lower LoginGraceTime; Restart-Service sshd"),
    Cause.PER_SOURCE_LIMIT: (_SSHD, _RULES),
    Cause.PENALTY: (_EVENTS, _SSHD, f"{_CONFIG}: PerSourcePenaltyExemptList {{source}}; Restart-Service sshd"),
    Cause.RATE_LIMIT: (_RULES,),
    Cause.BANNED: (_RULES, _EVENTS),
    Cause.FILTERED: (_PORT, _RULES),
    Cause.NOT_LISTENING: ("Get-Service sshd, ssh-agent", _PORT, _EVENTS),
    Cause.ACCESS_DENIED: (_RULES, _EVENTS),
    Cause.SERVER_FAULT: (
        _EVENTS,
        r"icacls $env:ProgramData\ssh\ssh_host_*_key   # only SYSTEM and Administrators may have access",
        r"& $env:WINDIR\System32\OpenSSH\sshd.exe -t   # does it load its configuration and host keys?",
        "Restart-Service sshd",
    ),
    Cause.STALLED: ("(Get-Process sshd).Threads   # do they wait, and for what?", _PORT, "Restart-Service sshd"),
    Cause.SLOW: ("Get-Counter '\\Processor(_Total)\\% Processor Time', '\\Memory\\Available MBytes'", _EVENTS),
    Cause.INCOMPATIBLE: (_SSHD,),
    Cause.HOST_KEY: (r"ssh-keygen -lf $env:ProgramData\ssh\ssh_host_ed25519_key.pub   # from its console",),
    Cause.UNEXPLAINED: (_EVENTS, "Get-Service sshd"),
}
_DEVICE = (
    "its log, and its limits of SSH sessions, logins and connections a second (the vendor's manual)",
    "its access lists and its blocking of addresses after failed logins: is {source} in them?",
)
# An appliance that blocks an address does so for minutes, and every further try may prolong it.
_BLOCKED = Remedy(
    Where.MONITOR, "probe it less often and with fewer handshakes: --handshakes 2, a longer check_interval"
)


def _lines(cause: Cause, report: Report) -> Iterator[Remedy]:
    """Yield the remedies for the kind of machine that has answered."""
    if cause is Cause.STALLED and any(h.ending is Ending.KEXINIT_TIMEOUT for h in report.handshakes):
        yield from PATH_MTU
    system = system_of(report.server)
    if cause is Cause.FILTERED and report.completed:
        yield from (one for one in PACKETS_LOST if one.where is Where.MONITOR or system is System.UNIX)
        return
    lines = [line if isinstance(line, Remedy) else Remedy(Where.SERVER, line) for line in REMEDIES.get(cause, ())]
    if system is not System.UNIX:
        lines = [line for line in lines if not line.command.startswith(OURS)]
    if system is System.UNIX or cause not in WINDOWS:
        yield from lines
        return
    if system is System.WINDOWS:
        yield from (Remedy(Where.SERVER, line) for line in WINDOWS[cause])
    else:
        yield from (Remedy(Where.DEVICE, line) for line in _DEVICE)
        yield _BLOCKED
    yield from (line for line in lines if line.where is not Where.SERVER)


def remedies_for(cause: Cause, report: Report, at_once: int | None = None) -> tuple[Remedy, ...]:
    """Return the remedies for a cause with the run's own port and addresses filled in.

    `at_once` is how many handshakes at once the server serves, where our own burst has asked for more.
    """
    names = {
        "port": report.port,
        "source": report.source or "OUR-ADDRESS",
        "address": report.address or report.host,
        "entry": report.host if report.port == SSH_PORT else f"'[{report.host}]:{report.port}'",
    }
    if at_once is not None and cause is Cause.MAXSTARTUPS and system_of(report.server) is System.UNIX:
        found: tuple[Remedy, ...] = OWN_BURST
    else:
        found = tuple(Remedy(where, command.format(**names)) for where, command in _lines(cause, report))
    if at_once is None:
        return found
    if cause is Cause.RATE_LIMIT:
        return (Remedy(Where.MONITOR, "fewer handshakes, or some time between them: -n 2, or --pause 1"), *found)
    return (Remedy(Where.MONITOR, f"no more than {max(1, at_once)} at once: --concurrency {max(1, at_once)}"), *found)
