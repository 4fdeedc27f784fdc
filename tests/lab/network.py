"""Two network namespaces with a link between them: real routes, firewalls and resolvers, and nothing of the machine's.

`with Namespace() as network` gives `network.client` and `network.server`, each a Host with a name for `ip netns exec`.
"""

import functools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[2]
TOOLS = ("ip", "iptables", "ip6tables", "nft")
LINK = "link0"  # what each side calls its end
ETC = Path("/etc/netns")  # ip-netns(8): files here appear in /etc for what is run in the namespace
SECONDS = 30.0

# No limit on ICMP answers: else the kernel swallows some of a quick series, and a test would meet one at random.
# Duplicate address detection would keep an IPv6 address unusable for a second or two.
SETTINGS = {
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv6/icmp/ratelimit": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}
ROUTER = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}

# The first packets over a new link wait for its neighbours to be found, and an ICMPv6 answer to one of these is taken
# only when the SYN is sent again, a second later. Afterwards everything takes its usual 0.1 ms.
WARM_UP = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection((address, 9), timeout=10)
    except ConnectionRefusedError:
        pass
"""


class NetworkError(Exception):
    """A namespace could not be made, or a command in it failed; the message says which and why."""


class Host(NamedTuple):
    """One side: the name of its namespace, its addresses, the second ones being as good as the first."""

    name: str
    ipv4: tuple[str, str]
    ipv6: tuple[str, str]
    link_local: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that is to run here."""
        return ("ip", "netns", "exec", self.name)

    def run(self, *command: str) -> str:
        """Run a command here and return its output."""
        return run(*self.prefix, *command)

    def python(self, script: str, *arguments: str) -> str:
        """Run a script here that may import this project, and return its output."""
        return self.run("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", script, *arguments)

    @contextmanager
    def rule(self, tool: str, chain: str, *words: str) -> Iterator[None]:
        """Have a rule of iptables or ip6tables in force: `rule("iptables", "INPUT", "-p", "tcp", "-j", "DROP")`."""
        self.run(tool, "-I", chain, *words)
        try:
            yield
        finally:
            self.run(tool, "-D", chain, *words)

    @contextmanager
    def nft(self, hook: str, *rules: str) -> Iterator[None]:
        """Have nft rules in force for both families: `nft("input", "tcp dport 22 reject")`."""
        chain = [f"type filter hook {hook} priority 0", *rules]
        run(
            *self.prefix,
            "nft",
            "-f",
            "-",
            text="\n".join(["table inet test {", f"chain {hook} {{", *chain, "}", "}\n"]),
        )
        try:
            yield
        finally:
            self.run("nft", "delete", "table", "inet", "test")

    @contextmanager
    def route(self, *words: str) -> Iterator[None]:
        """Have a route: `route("203.0.113.0/24", "via", "192.0.2.2")`."""
        family = "-6" if any(":" in word for word in words) else "-4"
        run("ip", "-n", self.name, family, "route", "add", *words)
        try:
            yield
        finally:
            run("ip", "-n", self.name, family, "route", "delete", *words)

    @contextmanager
    def files(self, **files: str) -> Iterator[None]:
        """Have /etc/hosts and its like read so by what is started here; an underscore in a name stands for a dot."""
        directory = ETC / self.name
        make(directory)
        try:
            for name, text in files.items():
                (directory / name.replace("_", ".")).write_text(text)
            yield
        finally:
            shutil.rmtree(directory)
            with suppress(OSError):  # another test has files there, or has removed it
                ETC.rmdir()


class Namespace:
    """A client's and a server's namespace, linked; a context manager that removes both. The server's also routes."""

    def __init__(self) -> None:
        unique = f"check-ssh-{os.getpid()}-{secrets.token_hex(3)}"
        self.client = Host(f"{unique}-c", ("192.0.2.1", "192.0.2.11"), ("2001:db8::1", "2001:db8::11"), "fe80::1")
        self.server = Host(f"{unique}-s", ("192.0.2.2", "192.0.2.12"), ("2001:db8::2", "2001:db8::12"), "fe80::2")
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for host in (self.client, self.server):
                run("ip", "netns", "add", host.name)
                undo.callback(run, "ip", "netns", "delete", host.name)
            self._join()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def _join(self) -> None:
        client, server = self.client, self.server
        set_all(client, SETTINGS)
        set_all(server, SETTINGS | ROUTER)
        peer = ["peer", "name", LINK, "netns", server.name]
        run("ip", "-n", client.name, "link", "add", LINK, "type", "veth", *peer)
        for host in (client, server):
            addresses = [*(f"{v4}/24" for v4 in host.ipv4), *(f"{v6}/64 nodad" for v6 in (*host.ipv6, host.link_local))]
            lines = [f"link set {LINK} addrgenmode none", "link set lo up", f"link set {LINK} up"]
            lines += [f"address add {address} dev {LINK}" for address in addresses]
            run("ip", "-n", host.name, "-batch", "-", text="\n".join(lines))
        scoped = f"{server.link_local}%{LINK}"
        client.run(sys.executable, "-S", "-c", WARM_UP, *server.ipv4, *server.ipv6, scoped)


def make(directory: Path) -> None:
    """Make a directory in ETC, which the last user of all processes removes: also between two steps of this."""
    while not directory.exists():
        with suppress(FileNotFoundError, FileExistsError):
            directory.mkdir(parents=True)


def set_all(host: Host, settings: dict[str, str]) -> None:
    """Set what sysctl(8) would, in the namespace."""
    host.run("sh", "-c", "\n".join(f"echo {value} > /proc/sys/{name}" for name, value in settings.items()))


def run(*command: str, text: str = "") -> str:
    """Run a command and return its output. Raises NetworkError."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@functools.cache
def missing(tools: Sequence[str] = TOOLS) -> str | None:
    """Why no namespace can be made here, as a sentence; None if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if absent := [tool for tool in tools if not shutil.which(tool)]:
        return f"the network tests lack {', '.join(absent)}: install iproute2, iptables and nftables"
    try:
        with Namespace() as network:
            for tool in ("iptables", "ip6tables"):
                network.server.run(tool, "-S")
            network.server.run("nft", "list", "ruleset")
    except (NetworkError, OSError) as error:
        return f"no network namespaces can be made here: {error}"
    return None
