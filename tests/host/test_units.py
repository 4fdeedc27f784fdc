"""Units of systemd: the items socket_activation and daemon on snapshots of hosts where systemd is the init.

What `systemctl show` prints is written from systemctl-show.c and org.freedesktop.systemd1(5) of systemd 252 and 255;
the units themselves from the packages that each case names.
"""

from collections.abc import Mapping

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.findings import addresses, daemon, socket_activation
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import units as source
from check_ssh_exchange.host.units import KEY, PATTERNS, WOULD_BE, units
from tests.host.test_listeners import BOTH, IPV6, host, sentences, tcp

SYSTEMD = {"/run/systemd/system": {"mode": 0o40755, "mtime": 1.0, "ctime": 1.0, "inode": 1, "device": 1}}
DEBIAN = {"/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'}
UBUNTU = {"/etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nID_LIKE=debian\n'}
CLOSED = ("", "")

# Debian 12's ssh.service, Type=notify.
SERVICE = {
    "Id": "ssh.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success",
    "UnitFileState": "enabled", "NeedDaemonReload": "no", "NRestarts": "0", "MainPID": "700",
    "ExecMainStartTimestampMonotonic": "50000000000", "StateChangeTimestampMonotonic": "50000100000",
}  # fmt: skip
# Ubuntu 24.04's ssh.socket: Accept=no, its addresses written by sshd-socket-generator.
SOCKET = {
    "Id": "ssh.socket", "LoadState": "loaded", "ActiveState": "active", "SubState": "listening", "Result": "success",
    "UnitFileState": "enabled", "NeedDaemonReload": "no", "Accept": "no", "BindIPv6Only": "ipv6-only",
    "Backlog": "4294967295", "NConnections": "0", "NAccepted": "0", "NRefused": "0", "MaxConnections": "64",
    "MaxConnectionsPerSource": "0", "TriggerLimitIntervalUSec": "2s", "TriggerLimitBurst": "20",
    "Listen": "0.0.0.0:22 (Stream)\nListen=[::]:22 (Stream)",
}  # fmt: skip
# Arch's and Flatcar's sshd.socket: Accept=yes, one sshd@.service for each connection.
ACCEPTING = {
    **SOCKET, "Id": "sshd.socket", "Accept": "yes", "TriggerLimitBurst": "200", "BindIPv6Only": "default",
    "Listen": "[::]:22 (Stream)",
}  # fmt: skip
INACTIVE = {**SERVICE, "ActiveState": "inactive", "SubState": "dead", "MainPID": "0", "UnitFileState": "disabled"}


def shown(*blocks: Mapping[str, str]) -> dict[str, str]:
    return {KEY: "\n".join("".join(f"{name}={value}\n" for name, value in block.items()) for block in blocks)}


def on_systemd(
    *blocks: Mapping[str, str],
    pid: int = 0,
    tables: tuple[str, str] = BOTH,
    commands: Mapping[str, str] | None = None,
    system: Mapping[str, str] = DEBIAN,
) -> Snapshot:
    return host(pid=pid, tables=tables, stats=SYSTEMD, files=system, commands={**shown(*blocks), **(commands or {})})


def judged(seen: Snapshot) -> list[str]:
    return [*sentences(daemon.find(seen, About())), *sentences(socket_activation.find(seen, About()))]


# --- what is healthy


def test_a_service_that_listens_itself() -> None:
    seen = on_systemd(SERVICE, pid=700)
    assert judged(seen) == []
    assert socket_activation.find(seen, About()).is_skipped
    assert daemon.find(seen, About()).evidence == ("ssh.service: active (running), enabled, 0 restarts",)


def test_an_inactive_service_under_a_listening_socket() -> None:
    seen = on_systemd(INACTIVE, SOCKET, system=UBUNTU)
    assert judged(seen) == []
    found = daemon.find(seen, About())
    assert found.summary == "ssh.socket on 0.0.0.0:22 [::]:22"
    assert dict(found.figures) == {"listeners": 1}


def test_an_sshd_that_the_socket_has_started() -> None:
    seen = on_systemd({**SERVICE, "UnitFileState": "disabled"}, {**SOCKET, "SubState": "running"}, pid=700)
    assert judged(seen) == []
    assert dict(daemon.find(seen, About()).figures) == {"listeners": 1}
    assert addresses.find(seen, About()).problems == ()


def test_a_socket_that_accepts_and_connections_that_failed() -> None:
    # Of each client that goes away without a word sshd@.service ends with 255, and stays in the list of failed units.
    failed = {
        **SERVICE, "Id": "sshd@12-192.0.2.1:22-198.51.100.9:41000.service", "ActiveState": "failed",
        "SubState": "failed", "Result": "exit-code", "MainPID": "0", "UnitFileState": "static",
    }  # fmt: skip
    seen = on_systemd(
        {**ACCEPTING, "NConnections": "3", "NAccepted": "900"}, failed, tables=("", tcp((IPV6, "0016", 0, "9")))
    )
    assert judged(seen) == []
    found = socket_activation.find(seen, About())
    assert found.summary == "sshd.socket on [::]:22 starts an sshd for each connection"
    assert "sshd.socket fails for good after 200 activations in 2s (TriggerLimit)" in found.evidence


def test_a_socket_of_both_families_serves_both() -> None:
    # Debian's ssh.socket: ListenStream=22, which is [::]:22 for both where BindIPv6Only is not ipv6-only.
    both = {**SOCKET, "BindIPv6Only": "default", "SubState": "running", "Listen": "[::]:22 (Stream)"}
    asked = {"configuration of 700": "listenaddress [::]:22\nlistenaddress 0.0.0.0:22\n"}
    seen = on_systemd(SERVICE, both, pid=700, tables=("", tcp((IPV6, "0016", 0, "12"))), commands=asked)
    assert judged(seen) == []
    assert addresses.find(seen, About()).problems == ()


def test_a_port_of_the_socket_alone_is_how_it_is_configured() -> None:
    # Flatcar's way to another port: a drop-in of sshd.socket, sshd_config as it was.
    own = {**ACCEPTING, "Listen": "[::]:2222 (Stream)"}
    asked = {f"{WOULD_BE} -G": "port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\n"}
    assert judged(on_systemd(own, tables=("", tcp((IPV6, "08AE", 0, "9"))), commands=asked)) == []


def test_a_reload_is_no_start() -> None:
    path = "/etc/ssh/sshd_config"
    for changed, is_older in ((60_000.0, False), (80_000.0, True)):
        reloaded = {**SERVICE, "StateChangeTimestampMonotonic": "70000000000"}
        seen = on_systemd(reloaded, pid=700)
        seen.document["stats"][path] = {**SYSTEMD["/run/systemd/system"], "mtime": seen.at - 100_000 + changed}
        found = daemon.find(seen, About())
        assert bool(found.problems) is is_older
        if is_older:
            assert found.remedies == (
                "/usr/sbin/sshd -t && systemctl reload ssh   # reads the configuration; sessions go on",
            )


# --- what is wrong


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"},
            "critical no sshd listens: ssh.service failed (exit-code)",
        ),
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "start-limit-hit", "NRestarts": "5"},
            "critical no sshd listens: ssh.service failed (start-limit-hit)",
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "NRestarts": "17"},
            "critical no sshd listens: ssh.service ends and is restarted again and again (17 times)",
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart-queued", "NRestarts": "17"},  # systemd 254
            "critical no sshd listens: ssh.service ends and is restarted again and again (17 times)",
        ),
        ({"ActiveState": "inactive", "SubState": "dead"}, "critical no sshd listens"),
    ],
)
def test_a_service_that_does_not_run(change: dict[str, str], said: str) -> None:
    seen = on_systemd({**SERVICE, "MainPID": "0", **change}, tables=CLOSED)
    found = daemon.find(seen, About())
    assert sentences(found) == [said]
    assert found.problems[0].cause == Cause.NOT_LISTENING
    assert any("systemctl restart ssh" in remedy for remedy in found.remedies)


def test_a_socket_on_another_port_is_healthy() -> None:
    other = {**SOCKET, "Listen": "0.0.0.0:2222 (Stream)"}
    seen = on_systemd(INACTIVE, other, tables=(tcp(("00000000", "08AE", 0, "9")), ""))
    found = daemon.find(seen, About(ports=(22,)))
    assert sentences(found) == ["critical no sshd listens on port 22 (it listens on 2222)"]
    assert found.remedies[1].startswith("systemctl cat ssh.socket ")


def test_a_monitor_reaches_what_systemd_holds() -> None:
    loopback = (tcp(("0100007F", "0016", 0, "11")), "")
    for listen, said in (("0.0.0.0:22 (Stream)", []), ("127.0.0.1:22 (Stream)", ["systemctl edit ssh.socket"])):
        held = {**SOCKET, "SubState": "running", "Listen": listen}
        found = addresses.find(on_systemd(SERVICE, held, pid=700, tables=loopback), About(monitors=("198.51.100.7",)))
        reached = [one for one in found.problems if "loopback only" in one.sentence]
        assert len(reached) == len(said)
        assert [remedy.partition("   # ")[0] for remedy in found.remedies][: len(said)] == said


def test_a_failed_service_beside_an_sshd_that_listens() -> None:
    failed = {**SERVICE, "ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "MainPID": "0"}
    assert judged(on_systemd(failed, pid=700)) == ["critical ssh.service failed (exit-code), though an sshd listens"]
    assert judged(on_systemd(failed, SOCKET)) == [
        "critical ssh.service failed (exit-code) under a listening ssh.socket"
    ]


def test_an_sshd_that_ends_now_and_then() -> None:
    often = {**SERVICE, "NRestarts": "4", "ExecMainStartTimestampMonotonic": "99940000000"}
    assert judged(on_systemd(often, pid=700)) == ["warning ssh.service was restarted 4 times, the last 60 s ago"]
    assert judged(on_systemd({**often, "NRestarts": "1"}, pid=700)) == []


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("trigger-limit-hit", "too many connections in a moment (TriggerLimit)"),
        ("resources", "no resources, or the address is in use"),
        ("service-start-limit-hit", "its service was started too often"),
    ],
)
def test_a_socket_that_failed_for_good(result: str, reason: str) -> None:
    # systemd#15633, meta-balena#3807: nothing starts it again.
    failed = {**SOCKET, "ActiveState": "failed", "SubState": "failed", "Result": result}
    seen = on_systemd(INACTIVE, failed, tables=CLOSED)
    found = socket_activation.find(seen, About())
    assert sentences(found) == [
        f"critical ssh.socket failed ({result}): {reason}; nothing listens until it is restarted"
    ]
    assert found.problems[0].cause == Cause.NOT_LISTENING
    assert found.remedies[0] == "systemctl reset-failed ssh.socket ssh.service; systemctl restart ssh.socket"
    still = on_systemd(SERVICE, failed, pid=700)
    assert [one.split()[0] for one in judged(still)] == ["warning"]


def test_maxconnections_of_a_socket_that_accepts() -> None:
    tables = ("", tcp((IPV6, "0016", 0, "9")))
    full = on_systemd({**ACCEPTING, "NConnections": "64"}, tables=tables)
    assert judged(full) == [
        "critical sshd.socket has 64 of 64 connections (MaxConnections): every other one is closed at once"
    ]
    assert judged(on_systemd({**ACCEPTING, "NConnections": "60"}, tables=tables))[0].startswith("warning")
    assert judged(on_systemd({**ACCEPTING, "NConnections": "9"}, tables=tables)) == []


def test_the_configuration_names_another_port_than_the_socket() -> None:
    # Ubuntu from 22.10 on: Port of sshd_config counts only once a generator has put it into the socket.
    asked = {f"{WOULD_BE} -G": "port 2222\nlistenaddress [::]:2222\nlistenaddress 0.0.0.0:2222\n"}
    found = socket_activation.find(on_systemd(INACTIVE, SOCKET, commands=asked, system=UBUNTU), About())
    assert sentences(found) == [
        "warning sshd_config names [::]:2222 0.0.0.0:2222, but ssh.socket listens on 0.0.0.0:22 [::]:22"
    ]
    assert found.remedies[0].startswith("systemctl daemon-reload; systemctl restart ssh.socket ")


def test_the_configuration_names_one_address_and_the_socket_takes_all() -> None:
    asked = {"configuration of 700": "port 22\nlistenaddress 192.0.2.7:22\n"}
    (said,) = judged(on_systemd(SERVICE, {**SOCKET, "SubState": "running"}, pid=700, commands=asked))
    assert said == "warning sshd_config names 192.0.2.7:22, but ssh.socket listens on 0.0.0.0:22 [::]:22"


def test_a_listener_that_is_left_over_from_before_daemon_reload() -> None:
    new = {**SOCKET, "Listen": "0.0.0.0:2222 (Stream)\nListen=[::]:2222 (Stream)", "SubState": "running"}
    seen = on_systemd(SERVICE, new, pid=700)
    assert judged(seen) == ["warning ssh.socket says port 2222, where nothing listens, and sshd still listens on 22"]
    changed = on_systemd(INACTIVE, {**SOCKET, "NeedDaemonReload": "yes"})
    assert judged(changed) == ["warning ssh.socket was changed on disk: systemctl daemon-reload"]


@pytest.mark.parametrize(
    ("pids", "found"), [("700", []), ("700\t7", ["critical no sshd listens (one in a container does)"])]
)
def test_without_root_a_container_is_known_by_its_pids(pids: str, found: list[str]) -> None:
    seen = on_systemd({**SERVICE, "ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, pid=700)
    for name in ("mnt", "pid", "user"):
        seen.document["links"][f"/proc/700/ns/{name}"] = {"error": "EACCES"}
    seen.document["files"]["/proc/700/status"] = {"text": f"Name:\tsshd\nUid:\t0\t0\t0\t0\nNSpid:\t{pids}\n"}
    assert judged(seen) == found


def test_a_container_with_an_sshd_does_not_stand_in_for_this_hosts() -> None:
    seen = on_systemd({**SERVICE, "ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, pid=700)
    seen.document["links"].update({f"/proc/700/ns/{name}": {"target": "other"} for name in ("mnt", "pid")})
    assert judged(seen) == ["critical no sshd listens (one in a container does)"]
    without = on_systemd(pid=700)
    without.document["links"].update({f"/proc/700/ns/{name}": {"target": "other"} for name in ("mnt", "pid")})
    without.document["commands"][KEY]["out"] = "Id=ssh.service\nLoadState=not-found\n"
    assert judged(without) == []


# --- how it is read


def test_units_are_read_once_each_in_either_notation() -> None:
    old = {**SOCKET, "Listen": ""}  # systemd 245: ListenStream=...
    seen = on_systemd(
        SERVICE, SERVICE, {**old, "ListenStream": "[::]:22"}, {"Id": "sshd.socket", "LoadState": "not-found"}
    )
    assert [(one.name, one.listen) for one in units(seen)] == [("ssh.service", ()), ("ssh.socket", (("::", 22),))]
    assert units(host(commands=shown(SERVICE))) == ()  # another init, whatever is installed


@pytest.mark.parametrize(
    "text", ["\x1b|\0\udcff" * 1000, "x" * 1_000_000, "9" * 5000, "Listen=[::]:99999999 (Stream)", "\n\n" * 9999]
)
def test_hostile_output_of_systemctl(text: str) -> None:
    block = "\n".join(f"{name}={text}" for name in SOCKET)
    seen = on_systemd(commands={KEY: f"{block}\nId=ssh.socket\nLoadState=loaded\nActiveState=active\n\n{block}"})
    for module in (daemon, socket_activation, addresses):
        found = module.find(seen, About())
        said = [*(problem.sentence for problem in found.problems), *found.evidence, *found.remedies, found.summary]
        assert all(len(one) < 2000 and one.isprintable() and "|" not in one for one in said)


def test_systemd_is_asked_once_and_only_where_it_is_the_init() -> None:
    door = Door()
    none = Snapshot({**host(pid=0).document, **door.document})
    assert list(source.read(door, none)) == []
    door.document["stats"]["/run/systemd/system"] = SYSTEMD["/run/systemd/system"]
    asking = source.read(door, none)
    next(asking)
    (wanted,) = door._wanted.values()
    assert wanted.words[:3] == ("systemctl", "show", "--no-pager")
    assert wanted.words[-len(PATTERNS) :] == PATTERNS
    door._wanted.clear()
    door.document["commands"][KEY] = {"code": 0, "out": shown(SOCKET)[KEY]}
    next(asking)  # a socket waits and no sshd runs: what would it listen on?
    assert [one.words for one in door._wanted.values()] == [("/usr/sbin/sshd", "-G")]
