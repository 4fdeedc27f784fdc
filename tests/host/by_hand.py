"""Snapshots made by hand: a host with listeners, their children and connections, files and programs as given."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from check_ssh_exchange.host.snapshot import Snapshot

AT = 1_800_000_000.0
BOOT = 1_799_000_000  # when the host was started
LISTEN, ESTABLISHED, CLOSE_WAIT = "0A", "01", "08"


class Host:
    """Grows a snapshot; `seen` is what it has come to."""

    def __init__(self, uid: int = 0, **more: Any) -> None:
        self.document: dict[str, Any] = {
            "schema": 1, "program": "check_sshd_local", "at": AT, "uid": uid, "host": {}, "files": {}, "stats": {},
            "lists": {"/proc": {"names": []}}, "links": {}, "commands": {}, "samples": [], **more,
        }  # fmt: skip
        self._sockets: list[str] = []
        self.file("/proc/stat", f"btime {BOOT}\n")

    @property
    def seen(self) -> Snapshot:
        self.file("/proc/self/net/tcp", "\n".join(["header", *self._sockets]))
        return Snapshot(self.document)

    @property
    def pids(self) -> list[str]:
        names: list[str] = self.document["lists"]["/proc"]["names"]
        return names

    def file(self, path: str, text: str) -> None:
        self.document["files"][path] = {"text": text}

    def files(self, texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            self.file(path, text)

    def command(self, key: str, out: str = "", **more: Any) -> None:
        self.document["commands"][key] = {"code": 0, "out": out, "err": "", "took": 0.003, **more}

    def sample(self, **titles: "tuple[int, int, int] | None") -> None:
        """Add what the titles said a little later: `sample(p10=(3, 10, 100))`."""
        told = {name.removeprefix("p"): title and list(title) for name, title in titles.items()}
        self.document["samples"].append([0.02 * len(self.document["samples"]), told])

    def sshd(
        self, pid: int = 10, startups: "str | None" = "0 of 10-100", version: str = "OpenSSH_9.2p1", port: int = 22
    ) -> int:
        """Add a listener; `startups` as in its title, None for one before 8.2."""
        said = f" [listener] {startups} startups" if startups else ""
        self.process(pid, 1, f"sshd: /usr/sbin/sshd -D{said}" if startups else "/usr/sbin/sshd -D", "sshd")
        self.command(f"version of {pid}", err=f"{version}, OpenSSL 3.0\n")
        self.connection(pid, port, state=LISTEN)
        found = startups and startups.split(" of ")
        if found:
            begin, full = found[1].split("-")
            self.sample(**{f"p{pid}": (int(found[0]), int(begin), int(full))})
        return pid

    def process(self, pid: int, parent: int, title: str, name: str, age: float = 5.0, state: str = "S") -> None:
        """Add a process of sshd; root sees its descriptors."""
        self.pids.append(str(pid))
        started = int((AT - age - BOOT) * 100)
        fields = f"{state} {parent} " + "0 " * 17 + f"{started} 0"
        self.files({
            f"/proc/{pid}/stat": f"{pid} ({name}) {fields}", f"/proc/{pid}/cmdline": title, f"/proc/{pid}/comm": name,
        })  # fmt: skip
        if self.document["uid"] == 0:
            self.document["lists"][f"/proc/{pid}/fd"] = {"names": []}
            self.document["links"][f"/proc/{pid}/exe"] = {"target": "/usr/sbin/sshd"}
        else:
            self.document["lists"][f"/proc/{pid}/fd"] = {"error": "EACCES"}

    def connection(self, pid: "int | None", port: int = 22, peer: str = "0.0.0.0", state: str = ESTABLISHED) -> None:  # noqa: S104 - no listening
        """Add a socket; with `pid` that process has it open."""
        inode = 1000 + len(self._sockets)
        place = "00000000" if state == LISTEN else "0100007F"
        other = ipaddress.IPv4Address(peer).packed[::-1].hex().upper()
        self._sockets.append(
            f"0: {place}:{port:04X} {other}:{40000 if state != LISTEN else 0:04X} {state} 0:0 00:0 0 0 0 {inode} 1"
        )
        names = self.document["lists"].get(f"/proc/{pid}/fd", {}).get("names")
        if pid is not None and names is not None:
            names.append(str(len(names)))
            self.document["links"][f"/proc/{pid}/fd/{len(names) - 1}"] = {"target": f"socket:[{inode}]"}

    def startup(self, pid: int, listener: int, peer: str, age: float = 5.0, title: str = "sshd: [accepted]") -> None:
        """Add a connection that has not logged in."""
        self.process(pid, listener, title, title.partition(":")[0], age)
        self.connection(pid, peer=peer)
