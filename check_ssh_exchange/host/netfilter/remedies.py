"""Commands that let an address in again, in the words of what has made the rule: ufw, firewalld, fail2ban, nft."""

from collections.abc import Iterable

from .model import Table
from .walk import Because

# Programs are known by their tables, chains and sets.
MAKERS = {"f2b": "fail2ban", "fail2ban": "fail2ban", "crowdsec": "crowdsec", "sshguard": "sshguard", "ufw": "ufw",
          "firewalld": "firewalld"}  # fmt: skip


def maker(why: Because) -> str:
    """Return which program a rule is of, "" for one by hand."""
    for name in (why.set_name, why.chain, why.table.name):
        for beginning, program in MAKERS.items():
            if name.lower().lstrip("-").startswith((beginning, f"addr-set-{beginning}", f"addr6-set-{beginning}")):
                return program
    return ""


def front_end(tables: Iterable[Table]) -> str:
    """Return what manages the rules as a whole: ufw, firewalld, "" for neither."""
    for table in tables:
        if table.name == "firewalld" or "IN_public" in table.chains or "INPUT_ZONES" in table.chains:
            return "firewalld"
        if any(name.startswith("ufw") for name in table.chains):
            return "ufw"
    return ""


def remedies(tables: list[Table], address: str, why: Because, ports: tuple[int, ...]) -> list[str]:
    """Return the commands that end this refusal, and keep it away."""
    made = {"fail2ban": _fail2ban, "crowdsec": _crowdsec, "sshguard": _sshguard}.get(maker(why))
    if made:
        return made(address, why)
    if why.recent:
        forget = f"echo -{address} > /proc/net/xt_recent/{_word(why.recent.name)}   # forget its connections"
        return [forget, *_allow(tables, address, why, ports)]
    if why.set_name and why.table.tool == "nft":
        table = f"{why.table.family} {_word(why.table.name)} {_word(why.set_name)}"
        return [f"nft delete element {table} '{{ {address} }}'   # take it out of the set"]
    if why.set_name:
        return [f"ipset del {_word(why.set_name)} {address}   # take it out of the set"]
    return _allow(tables, address, why, ports)


def _allow(tables: list[Table], address: str, why: Because, ports: tuple[int, ...]) -> list[str]:
    reason = "   # before every other rule"
    front = front_end(tables)
    if front == "ufw":
        return [f"ufw prepend allow proto tcp from {address} to any port {port}{reason}" for port in ports[:4]]
    if front == "firewalld":
        return [f"firewall-cmd --permanent --zone=trusted --add-source={address} && firewall-cmd --reload"]
    if why.table.tool == "nft":
        field = "ip6 saddr" if ":" in address else "ip saddr"
        numbers = ", ".join(map(str, ports[:8]))
        chain = f"{why.table.family} {_word(why.table.name)} {_word(why.chain)}"
        return [f"nft insert rule {chain} {field} {address} tcp dport '{{ {numbers} }}' accept{reason}"]
    tool = _iptables("ip6" if ":" in address else "ip", why)
    return [f"{tool} -s {address} -p tcp --dport {port} -j ACCEPT{reason}" for port in ports[:4]]


def opening(tables: list[Table], family: str, why: Because, ports: tuple[int, ...]) -> list[str]:
    """Return the commands that accept every address of a family."""
    reason = "   # lets everybody in, before every other rule"
    front = front_end(tables)
    if front == "ufw":
        return [f"ufw prepend allow proto tcp from any to any port {port}{reason}" for port in ports[:4]]
    if front == "firewalld":
        return [
            f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload   # lets everybody in"
            for port in ports[:4]
        ]
    if why.table.tool == "nft":
        chain = f"{why.table.family} {_word(why.table.name)} {_word(why.chain)}"
        return [f"nft insert rule {chain} tcp dport '{{ {', '.join(map(str, ports[:8]))} }}' accept{reason}"]
    return [f"{_iptables(family, why)} -p tcp --dport {port} -j ACCEPT{reason}" for port in ports[:4]]


def _iptables(family: str, why: Because) -> str:
    """Return the beginning of a command that puts a rule before all of the table that refuses."""
    tool = "iptables" if family == "ip" else "ip6tables"
    if why.table.name == "filter":
        return f"{tool} -I INPUT"
    return f"{tool} -t {_word(why.table.name)} -I {_word(why.chain)}"


def _fail2ban(address: str, why: Because) -> list[str]:
    name = why.set_name or why.chain
    jail = _word(name.partition("-")[2].removeprefix("set-")) if "-" in name else "sshd"
    return [
        f"fail2ban-client set {jail} unbanip {address}",
        f"fail2ban-client set {jail} addignoreip {address}   # until it restarts; for good: ignoreip in jail.local",
    ]


def _crowdsec(address: str, _why: Because) -> list[str]:
    return [f"cscli decisions delete --ip {address}"]


def _sshguard(address: str, why: Because) -> list[str]:
    remove = f"nft delete element {why.table.family} sshguard attackers '{{ {address} }}'"
    return [remove, f"echo {address} >> /etc/sshguard/whitelist   # then restart sshguard"]


def _word(text: str) -> str:
    """Return a name as one word of a shell; what a name cannot have becomes an underscore."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in text[:64])
