"""The items daemon, binaries, addresses and backlog: on real sshds of four releases, on snapshots of other hosts."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host import collect
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import addresses, backlog, binaries, daemon
from check_ssh_exchange.host.release import deleted, names_of
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import binaries as binaries_source
from check_ssh_exchange.host.sources import configuration as configuration_source
from check_ssh_exchange.host.sources import listeners, processes, releases, system, units
from check_ssh_exchange.host.sshd import daemons
from tests.lab import zoo
from tests.lab.chroots import cache
from tests.lab.network import Namespace
from tests.lab.network import missing as no_namespaces

from .by_hand import Host

SOURCES = (
    system.read,
    processes.read,
    binaries_source.read,
    configuration_source.read,
    units.read,
    releases.read,
    listeners.read,
)
RELEASES = ("openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6")
SPLIT = ("openssh-10.0", "openssh-10.6")  # with a program of its own for each connection
AT = 1_800_000_000.0
BOOTED = AT - 100_000
NETNS = "net:[4026531840]"
real = pytest.mark.real

Look = Callable[..., Snapshot]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Return a function that reads this host; a server's snapshot has been a document meanwhile."""
    if reason := zoo.missing():
        pytest.skip(reason)
    monkeypatch.setattr(collect, "SOURCES", SOURCES)
    monkeypatch.setattr(collect, "SAMPLED", 0.0)
    return lambda: Snapshot.of_document(json.loads(json.dumps(collect.collect().document)))


def about(server: zoo.Server, **more: Any) -> About:
    return About(ports=(server.port,), **more)


def sentences(finding: Finding) -> list[str]:
    return [f"{problem.state} {problem.sentence}" for problem in finding.problems]


def figures(finding: Finding) -> dict[str, float]:
    return dict(finding.figures)


# --- snapshots of other hosts


def tcp(*rows: tuple[str, str, int, str]) -> str:
    """Return a /proc/net/tcp of listeners: address in the kernel's digits, port in digits, how many wait, inode."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    return head + "".join(
        f"   0: {address}:{port} {'0' * len(address)}:0000 0A 00000000:{waits:08X} 00:00000000 00000000 0 0 {inode} 1\n"
        for address, port, waits, inode in rows
    )


IPV4, IPV6 = "00000000", "0" * 32
SSH = "0016"
BOTH = (tcp((IPV4, SSH, 0, "11")), tcp((IPV6, SSH, 0, "12")))


def host(
    *,
    tables: tuple[str, str] = BOTH,
    state: str = "S",
    started: float = 50_000.0,
    pid: int = 700,
    uid: int = 0,
    files: Mapping[str, str] | None = None,
    stats: Mapping[str, Any] | None = None,
    commands: Mapping[str, str] | None = None,
    lists: Mapping[str, list[str]] | None = None,
    title: str = "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
) -> Snapshot:
    """Return a host with one sshd, started so many seconds after the boot; with `pid` 0 there is none."""
    texts = {
        "/proc/stat": f"btime {BOOTED:.0f}\n", "/proc/uptime": "100000.00 1.0\n",
        "/proc/self/net/tcp": tables[0], "/proc/self/net/tcp6": tables[1],
    }  # fmt: skip
    links = {"/proc/self/ns/net": NETNS, "/proc/self/ns/mnt": "m", "/proc/self/ns/pid": "p", "/proc/self/ns/user": "u"}
    names: dict[str, list[str]] = {"/proc": []}
    if pid:
        here = f"/proc/{pid}"
        fields = " ".join(["1", *["0"] * 17, str(int(started * 100))])
        texts |= {
            f"{here}/comm": "sshd\n", f"{here}/stat": f"{pid} (sshd) {state} {fields} 0", f"{here}/cmdline": title,
            f"{here}/net/tcp": tables[0], f"{here}/net/tcp6": tables[1], f"{here}/status": "Uid:\t0\t0\t0\t0\n",
            f"{here}/net/fib_trie": "  |-- 192.0.2.7\n     /32 host LOCAL\n  |-- 127.0.0.1\n     /32 host LOCAL\n",
            f"{here}/net/if_inet6": "20010db8000000000000000000000007 02 40 00 80 eth0\n",
        }  # fmt: skip
        names |= {"/proc": [str(pid)], f"{here}/fd": ["3", "4"]}
        links |= {f"{here}/ns/net": NETNS, f"{here}/root": "/"}
        if uid == 0:
            links |= {f"{here}/exe": "/usr/sbin/sshd", f"{here}/fd/3": "socket:[11]", f"{here}/fd/4": "socket:[12]"}
    return Snapshot(
        {
            "schema": 1, "program": "check_sshd_local", "at": AT, "uid": uid, "host": {}, "samples": [],
            "files": {path: {"text": text} for path, text in {**texts, **(files or {})}.items()},
            "stats": {**dict.fromkeys(("/usr", "/usr/sbin"), file(BOOTED)), **(stats or {})},
            "links": {path: {"target": target} for path, target in links.items()},
            "lists": {path: {"names": found} for path, found in {**names, **(lists or {})}.items()},
            "commands": {key: {"code": 0, "out": out, "err": ""} for key, out in (commands or {}).items()},
        }
    )  # fmt: skip


def file(changed: float, inode: int = 5) -> dict[str, float]:
    return {
        "mtime": changed,
        "ctime": changed,
        "inode": inode,
        "device": 1,
        "mode": 0o100755,
        "size": 1,
        "uid": 0,
        "gid": 0,
    }


# --- daemon


@real
@pytest.mark.parametrize("name", RELEASES)
def test_a_healthy_sshd_is_ok_with_its_address(name: str, look: Look) -> None:
    with zoo.server(name) as server:
        seen = look()
        found = daemon.find(seen, about(server))
        version = name.replace("openssh-", "OpenSSH_")
        assert found.summary.startswith(version)
        assert found.summary.endswith(f" on 127.0.0.1:{server.port}")
        assert figures(found) == {"listeners": 1}
        others = [module.find(seen, about(server)) for module in (binaries, addresses, backlog)]
        assert [one.problems for one in (found, *others)] == [()] * 4
        assert figures(others[0]) == {"deleted_files": 0}
        assert figures(others[2]) == {"backlog": 0}


@real
def test_a_stopped_listener_is_stalled_and_its_queue_fills(look: Look) -> None:
    with zoo.server("openssh-9.2") as server:
        os.kill(server.pid, signal.SIGSTOP)
        waiting = [socket.create_connection((server.address, server.port)) for _ in range(96)]
        seen = look()
        for connection in waiting:
            connection.close()
        os.kill(server.pid, signal.SIGCONT)
        (problem,) = daemon.find(seen, about(server)).problems
        assert str(problem.state) == "critical"
        assert problem.sentence.endswith(f"is stopped (pid {server.pid}): connections hang")
        assert problem.cause == Cause.STALLED
        found = backlog.find(seen, about(server))
        assert figures(found) == {"backlog": 75}
        assert found.summary == f"96 of 128 connections wait on 127.0.0.1:{server.port}"


@real
def test_nobody_listens_where_we_are_to_look(look: Look) -> None:
    with zoo.server("openssh-9.2") as server:
        port = zoo.free_port("127.0.0.1")
        found = daemon.find(look(), About(ports=(port,)))
    (said,) = sentences(found)
    assert re.fullmatch(rf"critical no sshd listens on port {port} \(it listens on [\d, and]+\)", said)
    assert str(server.port) in said
    assert not any("restart" in remedy for remedy in found.remedies)
    assert found.problems[0].cause == Cause.NOT_LISTENING
    assert figures(found) == {"listeners": 0}


@real
def test_a_configuration_newer_than_its_reader_until_it_is_told_to_read(look: Look) -> None:
    with zoo.copy("openssh-10.0") as chroot, chroot.server(options={"PidFile": "/run/sshd.pid"}) as server:
        path = chroot.root / "etc/zoo.conf"
        changed = time.time() + 30  # as if half a minute had gone by
        pid_file = chroot.root / "run/sshd.pid"
        os.utime(path, (changed, changed))
        later = look()
        later.document["at"] = changed + 60  # type: ignore[index]
        (problem,) = daemon.find(later, about(server)).problems
        assert str(problem.state) == "warning"
        assert problem.sentence.startswith("sshd is older than its configuration: /etc/zoo.conf was changed ")
        old = written(pid_file)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: written(pid_file) not in (None, old))
        until(lambda: bool(zoo.listening(server.pid)))
        # As old as what it was read for: by now a busy machine may be seconds later than its reader.
        os.utime(path, ns=(pid_file.stat().st_mtime_ns,) * 2)
        assert daemon.find(look(), about(server)).problems == ()


def written(path: Path) -> tuple[int, int] | None:
    """Which file stands there and when it was last written; None while there is none: sshd takes its own away."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_sshd_at_all_is_not_listening() -> None:
    found = daemon.find(host(pid=0, tables=("", "")), About())
    assert sentences(found) == ["critical no sshd listens"]
    assert found.remedies == ("/usr/sbin/sshd -t   # would it start with this configuration?", "service sshd restart")


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/inetd.conf": "ssh stream tcp nowait root /usr/sbin/sshd sshd -i\n"},  # inetd(8), Debian openbsd-inetd
        # xinetd.conf(5)
        {"/etc/xinetd.d/ssh": "service ssh\n{\n disable = no\n server = /usr/sbin/sshd\n server_args = -i\n}\n"},
    ],
)
def test_a_super_server_listens_for_sshd(files: dict[str, str]) -> None:
    seen = host(pid=0, files=files, lists={"/etc/xinetd.d": ["ssh"]})
    assert daemon.find(seen, About()).problems == ()


def test_without_the_right_to_see_processes_nothing_is_claimed() -> None:
    hidden = {"/proc/mounts": "proc /proc proc rw,nosuid,nodev,noexec,relatime,hidepid=invisible 0 0\n"}
    for seen in (host(pid=0, uid=1000, files=hidden), host(pid=0, uid=1000)):
        found = daemon.find(seen, About())
        assert found.problems == ()
        assert found.is_skipped
        assert found.unseen[0].startswith("root")


def test_an_sshd_on_another_port_is_healthy() -> None:
    seen = host(tables=(tcp((IPV4, "08AE", 0, "11")), ""), files={"/etc/os-release": "ID=debian\n"})
    found = daemon.find(seen, About(ports=(22,)))
    assert sentences(found) == ["critical no sshd listens on port 22 (it listens on 2222)"]
    assert [remedy.partition("   # ")[0] for remedy in found.remedies] == [
        "check_sshd_local -p 2222", "grep -rin '^ *port' /etc/ssh/sshd_config /etc/ssh/sshd_config.d",
    ]  # fmt: skip


def test_a_zombie_listens_no_more() -> None:
    found = daemon.find(host(state="Z", title="", tables=("", "")), About())
    assert sentences(found) == ["critical no sshd listens"]
    assert found.evidence == ("pid 700 has ended and is a zombie",)


def test_many_zombies_hide_no_listener() -> None:
    made = Host()
    for pid in range(100, 160):
        made.process(pid, 1, "", "sshd", state="Z")
    made.sshd(pid=700)
    assert [one.pid for one in daemons(made.seen)] == [700]


@pytest.mark.parametrize(("changed", "is_older"), [(50_010, True), (49_990, False), (50_001, False), (200_000, False)])
def test_times_decide_whether_a_configuration_was_read(changed: float, is_older: bool) -> None:
    path = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
    seen = host(
        stats={path: file(BOOTED + changed), "/etc/ssh/sshd_config": file(BOOTED)},
        lists={"/etc/ssh/sshd_config.d": ["50-cloud-init.conf", "README"]},
    )
    found = daemon.find(seen, About())
    assert sentences(found) == (
        [f"warning sshd is older than its configuration: {path} was changed 10 s after it was read"] * is_older
    )


def test_only_roots_sshd_names_its_configuration() -> None:
    title = "sshd: /usr/sbin/sshd -D -f /srv/secret [listener] 0 of 10-100 startups"
    stats = {"/srv/secret": file(BOOTED + 60_000), "/usr/sbin/sshd": file(BOOTED)}
    found = daemon.find(host(title=title, stats=stats), About())
    assert len(found.problems) == 1
    assert found.remedies[0].startswith("/usr/sbin/sshd -t -f /srv/secret && kill -HUP 700 ")
    anybody = {"/proc/700/status": "Uid:\t1000\t1000\t1000\t1000\n"}
    assert daemon.find(host(title=title, stats=stats, files=anybody), About(ports=(22,))).problems == ()


# --- binaries


def upgrade(chroot: zoo.Chroot, name: str) -> None:
    """Put another release's files in place as a package manager does: new files, renamed over the old ones."""
    zoo.build([name])
    source = cache() / name / "usr"
    subprocess.run(["cp", "-a", "--remove-destination", source, chroot.root], check=True)


def answers(server: zoo.Server) -> bytes:
    with socket.create_connection((server.address, server.port), 30) as connection:
        try:
            return connection.recv(8)
        except ConnectionResetError:
            return b""


@real
@pytest.mark.parametrize(
    ("before", "after", "child", "dies"),
    [
        ("openssh-8.4", "openssh-9.2", "sshd", False),
        ("openssh-9.2", "openssh-10.0", "sshd", True),
        ("openssh-8.4", "openssh-10.6", "sshd", True),
        ("openssh-10.0", "openssh-10.6", "sshd-session", False),
    ],
)
def test_an_upgrade_under_a_running_listener(before: str, after: str, child: str, dies: bool, look: Look) -> None:
    with zoo.copy(before) as chroot, chroot.server() as server:
        upgrade(chroot, after)
        found = binaries.find(look(), about(server))
        (problem,) = found.problems
        runs, disk = (name.replace("openssh-", "OpenSSH_") for name in (before, after))
        if dies:
            start = f"the listener is {runs}p. {child} on disk is {disk}p.: every new connection dies"
        else:
            start = f"sshd was upgraded on disk to {disk}p., still runs {runs}p.: restart it"
        assert re.match(start.replace("p. ", "p., "), problem.sentence)
        assert str(problem.state) == ("critical" if dies else "warning")
        assert problem.cause == Cause.SERVER_FAULT
        assert dict(found.sentences) == {"deleted_files": problem.sentence}
        assert found.remedies[0].startswith(f"restart the sshd of pid {server.pid} in ")
        assert (answers(server) == b"") is dies
        assert figures(found)["deleted_files"] >= 2


@real
@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("helper", ["sshd-session", "sshd-auth"])
def test_a_helper_is_missing(name: str, helper: str, look: Look) -> None:
    with zoo.copy(name) as chroot, chroot.server() as server:
        (chroot.root / "usr/lib/openssh" / helper).unlink()
        seen = look()
        found = binaries.find(seen, about(server))
        assert sentences(found) == [f"critical /usr/lib/openssh/{helper} is missing: every new connection dies"]
        (remedy,) = found.remedies
        assert remedy.startswith(f"do not restart the sshd of pid {server.pid}: put {helper} back into {chroot.root} ")


@real
@pytest.mark.parametrize("helper", ["sshd-session", "sshd-auth"])
def test_a_helper_is_not_executable(helper: str, look: Look) -> None:
    with zoo.copy("openssh-10.6") as chroot, chroot.server() as server:
        path = chroot.root / "usr/lib/openssh" / helper
        path.chmod(0o644)
        assert answers(server) == b""
        found = binaries.find(look(), about(server))
        assert sentences(found) == [f"critical {helper} is not executable: every new connection dies"]
        assert found.problems[0].cause == Cause.SERVER_FAULT
        (remedy,) = found.remedies
        command = remedy.partition("   # ")[0]
        assert command == f"chmod 755 {path}"
        subprocess.run(command.split(), check=True)
        assert answers(server) == b"SSH-2.0-"
        assert binaries.find(look(), about(server)).problems == ()


SPLIT_STRINGS = {"strings of 700": "a:OpenSSH_10.0p2\na:/usr/lib/openssh/sshd-session\n"}


@pytest.mark.parametrize(
    ("system", "command"),
    [
        ("ID=debian", "apt-get install --reinstall openssh-server && service ssh restart"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'", "apt-get install --reinstall openssh-server && service ssh restart"),
        ("ID=rocky\nID_LIKE='rhel centos fedora'", "dnf reinstall openssh-server && service sshd restart"),
        ("ID=alpine", "apk fix openssh-server && rc-service sshd restart"),
    ],
)
def test_a_restart_comes_after_the_package(system: str, command: str) -> None:
    stats = {"/proc/700/exe": file(1), "/usr/sbin/sshd": file(1)}
    seen = host(files={"/etc/os-release": system}, commands=SPLIT_STRINGS, stats=stats)
    (remedy,) = binaries.find(seen, About()).remedies
    assert remedy.partition("   # ")[0] == command


def test_a_restart_alone_helps_where_the_new_sshd_needs_no_such_helper() -> None:
    stats = {"/proc/700/exe": file(1), "/usr/sbin/sshd": file(1, 8)}
    disk = {"strings on disk of 700": "a:OpenSSH_9.2p1\n"}
    seen = host(files={"/etc/os-release": "ID=debian"}, commands={**SPLIT_STRINGS, **disk}, stats=stats)
    found = binaries.find(seen, About())
    assert sentences(found) == ["critical /usr/lib/openssh/sshd-session is missing: every new connection dies"]
    assert found.remedies[0].startswith("service ssh restart ")


def test_a_library_comes_back_with_its_package() -> None:
    path = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
    maps = f"7f0000000000-7f0000001000 r--p 00000000 00:01 9 {path} (deleted)\n"
    stats = {"/proc/700/exe": file(1), "/usr/sbin/sshd": file(1)}
    for name, start in (
        (
            "debian",
            "found=$(dpkg -S '*/libcrypto.so.3') && apt-get install --reinstall ${found%%:*} && service ssh restart ",
        ),
        ("fedora", f"dnf reinstall $(rpm -qf {path}) && service sshd restart "),
        ("other", "do not restart sshd: the new one would not start; install libcrypto.so.3 again first"),
    ):
        seen = host(files={"/etc/os-release": f"ID={name}", "/proc/700/maps": maps}, stats=stats)
        (remedy,) = binaries.find(seen, About()).remedies
        assert remedy.startswith(start)


@real
def test_the_binary_itself_is_gone(look: Look) -> None:
    with zoo.copy("openssh-10.6") as chroot, chroot.server() as server:
        (chroot.root / "usr/sbin/sshd").unlink()
        assert answers(server) == b"SSH-2.0-"
        found = binaries.find(look(), about(server))
        assert found.problems == ()
        said = "/usr/sbin/sshd is gone and still runs: reinstall it before any restart"
        assert dict(found.sentences) == {"deleted_files": said}
        assert found.remedies[0].startswith("do not restart ")


def test_a_rebuild_is_told_by_its_kinds_of_files() -> None:
    def said(*paths: str) -> str:
        maps = "".join(f"7f0-7f1 r--p 00000000 00:01 9 {path} (deleted)\n" for path in paths)
        stats = {path: file(1) for path in (*paths, "/usr/sbin/sshd")} | {"/proc/700/exe": file(1, 7)}
        strings = dict.fromkeys(("strings of 700", "strings on disk of 700"), "a:OpenSSH_9.2p1\n")
        found = binaries.find(host(files={"/proc/700/maps": maps}, stats=stats, commands=strings), About())
        assert found.problems == ()
        return dict(found.sentences)["deleted_files"]

    libraries = [f"/usr/lib/lib{number}.so.1" for number in range(27)]
    assert said("/usr/sbin/sshd", *libraries) == (
        "sshd and 27 libraries were upgraded on disk, sshd still runs the old ones: restart it"
    )
    assert said(libraries[0]) == "lib0.so.1 was upgraded on disk, sshd still runs the old one: restart it"
    assert said(libraries[0], "/usr/share/a", "/usr/share/b") == (
        "lib0.so.1 and 2 other files were upgraded on disk, sshd still runs the old ones: restart it"
    )


@real
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_library_is_deleted_and_then_replaced(name: str, look: Look) -> None:
    with zoo.copy(name) as chroot, chroot.server() as server:
        library = next(chroot.root.glob("usr/lib/*/libcrypto.so.3"))
        kept = library.with_name("kept")
        shutil.copy2(library, kept)
        library.unlink()
        found = binaries.find(look(), about(server))
        path = f"/{library.relative_to(chroot.root)}"
        # In the chroot /lib is a link to /usr/lib; what is mapped has the file's own path.
        assert sentences(found) == [f"critical {path} is gone: every new connection dies"]
        assert answers(server) == b""
        kept.rename(library)
        found = binaries.find(look(), about(server))
        assert found.problems == ()  # the figure has a threshold
        assert figures(found) == {"deleted_files": 1}
        assert answers(server) == b"SSH-2.0-"


@real
def test_the_same_release_in_another_file_is_only_a_deleted_file(look: Look) -> None:
    with zoo.copy("openssh-9.2") as chroot, chroot.server() as server:
        path = chroot.root / "usr/sbin/sshd"
        shutil.copy2(path, path.with_name("new"))
        path.with_name("new").rename(path)
        found = binaries.find(look(), about(server))
        assert found.problems == ()
        assert figures(found) == {"deleted_files": 1}
        assert answers(server) == b"SSH-2.0-"


def test_who_may_not_see_what_is_mapped_compares_times() -> None:
    compiled = "/usr/sbin/sshd:OpenSSH_10.0p2\n/usr/sbin/sshd:/usr/lib/openssh/sshd-session\n"
    stats = {"/usr/sbin/sshd": file(BOOTED), "/usr/lib/openssh/sshd-session": file(BOOTED + 60_000)}
    seen = host(uid=1000, stats=stats, commands={"strings on disk of 700": compiled})
    found = binaries.find(seen, About())
    assert sentences(found) == ["warning sshd is older than its files on disk"]
    assert "installed after the start of pid 700: sshd-session" in found.evidence
    assert found.figures == ()
    assert found.unseen == ("root would show which files sshd has mapped (/proc/PID/maps)",)
    quiet = host(uid=1000, stats=dict.fromkeys(stats, file(BOOTED)), commands={"strings on disk of 700": compiled})
    assert binaries.find(quiet, About()).problems == ()


def test_whose_root_is_hidden_and_whose_file_is_not_here_is_not_judged_by_this_hosts_files() -> None:
    title = "sshd: /usr/sbin/sshd -D -f /etc/other.conf [listener] 0 of 10-100 startups"
    stats = {"/usr/sbin/sshd": file(BOOTED + 60_000)}
    for other, is_older in (({"error": "ENOENT"}, False), ({"error": "EACCES"}, True), (file(BOOTED), True)):
        seen = host(uid=1000, title=title, stats={**stats, "/etc/other.conf": other})
        del seen.document["links"]["/proc/700/root"]
        found = binaries.find(seen, About())
        assert bool(found.problems) is is_older
        assert any("/usr/sbin/sshd is" in line for line in found.evidence) is is_older


def test_what_is_no_file_is_not_deleted() -> None:
    maps = "\n".join(
        f"7f0000000000-7f0000001000 r--p 00000000 00:01 9 {path}"
        for path in (
            "/dev/zero (deleted)", "/memfd:x (deleted)", "/SYSV00000000 (deleted)", "/usr/lib/libz.so.1.2.13",
            "/usr/lib/a b\x1b|.so.1 (deleted)", "[heap]", "", "/usr/lib/a b\x1b|.so.1 (deleted)",
        )
    )  # fmt: skip
    seen = host(files={"/proc/700/maps": maps}, stats={"/proc/700/exe": file(1), "/usr/sbin/sshd": file(1)})
    (one,) = daemons(seen)
    assert deleted(seen, one) == ["/usr/lib/a b\x1b|.so.1"]
    (problem,) = binaries.find(seen, About()).problems
    assert problem.sentence == r"/usr/lib/a b\x1b\x7c.so.1 is gone: every new connection dies"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/lib/libz.so.1.2.13", ["/lib/libz.so.1.2.13", "/lib/libz.so.1.2", "/lib/libz.so.1"]),
        (
            "/lib64/libcrypto.so.1.1.1k",
            [f"/lib64/libcrypto.so.{number}" for number in ("1.1.1k", "1.1", "1", "1.1.1")],
        ),
        ("/lib/libc-2.31.so", ["/lib/libc-2.31.so"]),
    ],
)  # fmt: skip
def test_names_of_what_replaced_a_library(path: str, names: list[str]) -> None:
    assert names_of(path) == names


# --- addresses


def configuration(*lines: str) -> dict[str, str]:
    return {"configuration of 700": "\n".join(lines)}


def test_a_family_that_is_configured_and_not_served() -> None:
    asked = configuration("Port 22", "AddressFamily any", "ListenAddress [::]:22", "ListenAddress 0.0.0.0:22")
    seen = host(tables=(BOTH[0], ""), commands=asked)
    found = addresses.find(seen, About())
    assert sentences(found) == ["warning IPv6 is configured and not served: nothing listens on [::]:22"]
    assert found.problems[0].cause == Cause.ADDRESS_FAMILY
    assert addresses.find(host(commands=asked), About()).problems == ()


def test_a_host_without_the_family_need_not_serve_it() -> None:
    asked = configuration("listenaddress [::]:22", "listenaddress 0.0.0.0:22")
    for inet6 in (
        "",
        "00000000000000000000000000000001 01 80 10 80 lo\nfe800000000000000000000000000001 2 40 20 80 e\n",
    ):
        seen = host(tables=(BOTH[0], ""), commands=asked, files={"/proc/700/net/if_inet6": inet6})
        assert addresses.find(seen, About()).problems == ()


def test_an_address_counts_only_where_the_host_has_it() -> None:
    asked = configuration("listenaddress 192.0.2.7:22", "listenaddress 127.0.0.1:22", "listenaddress 192.0.2.99:22")
    seen = host(tables=(tcp(("0100007F", SSH, 0, "11")), ""), commands=asked)
    found = addresses.find(seen, About())
    assert sentences(found) == ["warning 192.0.2.7:22 is configured and not served"]
    assert "the host has no such address now: 192.0.2.99:22" in found.evidence


LOOPBACK = (tcp(("0100007F", SSH, 0, "11")), tcp(("00000000000000000000000001000000", SSH, 0, "12")))


def test_a_monitor_cannot_reach_loopback() -> None:
    seen = host(tables=LOOPBACK, files={"/etc/os-release": "ID=debian"})
    found = addresses.find(seen, About(monitors=("198.51.100.7",)))
    assert sentences(found) == ["warning the monitor 198.51.100.7 cannot reach it: sshd listens on loopback only"]
    assert (found.problems[0].cause, str(found.problems[0].confidence)) == (Cause.NOT_LISTENING, "likely")
    assert found.remedies == (
        "grep -rin ListenAddress /etc/ssh/sshd_config /etc/ssh/sshd_config.d"
        "   # name one that the monitor reaches, restart sshd then",
    )
    here = ("127.0.0.9", "::1", "192.0.2.7", "web")  # the third is the host's own
    assert addresses.find(seen, About(monitors=here)).problems == ()
    assert addresses.find(seen, About()).problems == ()
    two = addresses.find(seen, About(monitors=(*here, "198.51.100.7", "2001:db8::9")))
    assert sentences(two)[0].startswith("warning the monitors 198.51.100.7 and 2001:db8::9 cannot reach it: ")
    assert addresses.find(host(), About(monitors=("198.51.100.7",))).problems == ()


@real
def test_a_monitor_cannot_reach_a_real_sshd_on_loopback(look: Look) -> None:
    with zoo.server("openssh-10.6") as server:
        found = addresses.find(look(), about(server, monitors=("198.51.100.7",)))
        assert sentences(found) == ["warning the monitor 198.51.100.7 cannot reach it: sshd listens on loopback only"]
        assert found.remedies[0].startswith(f"ps -o args= -p {server.pid} ")


@real
def test_an_address_that_came_after_sshd_is_not_served(look: Look) -> None:
    if reason := no_namespaces():
        pytest.skip(reason)
    late = "192.0.2.50"
    with Namespace() as network, zoo.copy("openssh-9.2") as chroot:
        own = network.server.ipv4[0]
        config = f"ListenAddress {late}:22\n"
        with chroot.server(address=own, port=22, config=config, prefix=network.server.prefix) as server:
            words = ["/usr/sbin/sshd", "-T", "-f", zoo.CONFIG, f"-oListenAddress={own}:22"]
            asked = subprocess.run(["chroot", chroot.root, *words], capture_output=True, text=True, check=True).stdout

            def judged() -> Finding:
                seen = look()
                seen.document["commands"][f"configuration of {server.pid}"] = {"code": 0, "out": asked}
                return addresses.find(seen, about(server))

            assert judged().problems == ()
            network.server.run("ip", "address", "add", late, "dev", "link0")
            assert sentences(judged()) == [f"warning {late}:22 is configured and not served"]


def test_whose_a_socket_is_among_several_is_not_guessed() -> None:
    asked = configuration("listenaddress [::]:22", "listenaddress 0.0.0.0:22")
    alone = host(tables=(BOTH[0], ""), commands=asked, uid=1000)
    assert len(addresses.find(alone, About()).problems) == 1
    both = host(tables=(BOTH[0], ""), commands=asked, uid=1000)
    for path in [path for path in both.document["files"] if path.startswith("/proc/700/")]:
        both.document["files"][path.replace("700", "701")] = both.document["files"][path]
    both.document["lists"]["/proc"]["names"].append("701")
    found = addresses.find(both, About())
    assert found.problems == ()
    assert found.unseen == ("root would show which of several sshds listens where",)


# --- backlog


def test_the_bound_is_what_ss_says_and_a_burst_is_no_backlog() -> None:
    full = (tcp((IPV4, SSH, 60, "11")), "")
    # ss(8): State Recv-Q Send-Q Local Peer
    told = {"ss -Hltn": "LISTEN 60     60     0.0.0.0:22  0.0.0.0:*   \n"}
    assert figures(backlog.find(host(tables=full, commands=told), About())) == {"backlog": 100}
    assert figures(backlog.find(host(tables=full), About())) == {"backlog": 46.9}
    gone = {"/proc/700/task/700/net/tcp": tcp((IPV4, SSH, 0, "11"))}
    assert figures(backlog.find(host(tables=full, files=gone), About())) == {"backlog": 0}


def test_overflows_are_counted_since_the_last_run() -> None:
    rows = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 {} {}\nIpExt: A\nIpExt: 1\n"
    seen = host(files={"/proc/700/net/netstat": rows.format(12, 15)})
    found = backlog.find(seen, About(memory={"backlog": {"ListenOverflows": 2, "ListenDrops": 15}}))
    assert found.evidence == (
        "since the last run the kernel counted for all programs of this host: ListenOverflows 10",
    )
    assert found.remember == {"ListenOverflows": 12, "ListenDrops": 15}
    for memory in ({}, {"backlog": 3}, {"backlog": {"ListenOverflows": "x"}}, {"backlog": {"ListenOverflows": 99}}):
        assert backlog.find(seen, About(memory=memory)).evidence == ()


# --- what a stranger may write


def hostile() -> Iterator[str]:
    yield "\x1b[31m\0|<b>\udcff\n" * 1000
    yield "x" * 1_000_000
    yield "listenaddress [::::]:99999\nlistenaddress 999.1.1.1:22\nlistenaddress 1.2.3.4:99999999999999\n"
    yield "TcpExt: ListenOverflows\nTcpExt: " + "9" * 5000
    yield f"OpenSSH_{'9' * 5000}.1p1\n/{'../' * 1000}sshd-session\nOpenSSH_9\x1b.1p1"
    yield "LISTEN " + "9" * 5000 + " 1 a:22 \n"
    yield "2001 \n" * 10_000 + "g" * 32


@pytest.mark.parametrize("text", list(hostile()))
def test_hostile_text_is_bounded_and_escaped(text: str) -> None:
    keys = ("configuration of 700", "strings of 700", "strings on disk of 700", "strings of helpers of 700", "ss -Hltn")
    paths = ("net/fib_trie", "net/if_inet6", "net/netstat", "maps", "status", "task/700/net/tcp")
    seen = host(
        title=f"sshd: {text} [listener] 0 of 10-100 startups",
        files={**{f"/proc/700/{path}": text for path in paths}, "/etc/inetd.conf": text, "/run/sshd.pid": text},
        commands=dict.fromkeys(keys, text),
        stats={"/proc/700/exe": file(1, 7), "/usr/sbin/sshd": file(1)},
        lists={"/etc/ssh/sshd_config.d": [text]},
    )
    for module in (daemon, binaries, addresses, backlog):
        found = module.find(seen, About(memory={"backlog": {"ListenOverflows": 1}}))
        said = [*(problem.sentence for problem in found.problems), *found.evidence, *found.remedies, found.summary]
        assert all(len(one) < 2000 and one.isprintable() and "|" not in one for one in said)
