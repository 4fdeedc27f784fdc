"""The item memory: the host's, sshd's own control group's, swap, pressure, kills."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.cgroups import groups
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import memory
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import cgroups, kernel, processes, system
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from tests.host.by_hand import Host
from tests.lab import zoo
from tests.lab.processes import remove_group

MIB = 1 << 20
UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n"
DIVIDED = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"


def host(total: int = 8000, available: int = 4000) -> Host:
    """A host with an sshd; megabytes."""
    made = Host()
    made.sshd(10)
    made.file("/proc/meminfo", f"MemTotal: {total << 10} kB\nMemFree: 1 kB\nMemAvailable: {available << 10} kB\n")
    made.file("/proc/uptime", "5000.00 9000.00\n")
    return made


def in_a_group(made: Host, path: str = "/system.slice/ssh.service", now: int = 98, most: str = str(100 * MIB)) -> Host:
    """Put sshd in a control group of v2; the files are those of cgroup-v2.rst."""
    made.file("/proc/mounts", UNIFIED)
    made.file("/proc/10/cgroup", f"0::{path}\n")
    directory = f"/sys/fs/cgroup{path.rstrip('/')}"
    made.files({
        f"{directory}/memory.max": f"{most}\n", f"{directory}/memory.current": f"{now * MIB}\n",
        f"{directory}/memory.stat": "anon 1\nfile 2\nactive_file 0\ninactive_file 0\nslab_reclaimable 0\n",
        f"{directory}/memory.events": "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\n",
    })  # fmt: skip
    return made


def available(finding: Finding) -> float:
    return dict(finding.figures)["memory_available"]


def sentence(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, About(), Wishes(("memory",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


def test_the_host_has_enough() -> None:
    finding = memory.find(host().seen, About())
    assert (available(finding), finding.problems, finding.summary) == (50, (), "50 % of memory is available")
    assert sentence(host().seen)[0] == Ok


@pytest.mark.parametrize(("left", "state"), [(801, Ok), (790, Warn), (159, Critical)])
def test_the_host_runs_out(left: int, state: object) -> None:
    said = [f"memory of the host: {(8000 - left) / 1024:.1f} GiB of 7.8 GiB used"] if state != Ok else []
    assert sentence(host(8000, left).seen) == (state, said)


def test_the_limit_of_sshds_own_group_counts() -> None:
    assert sentence(in_a_group(host()).seen) == (Warn, ["memory of ssh.service: 98 MiB of 100 MiB used"])
    assert sentence(in_a_group(host(), now=99).seen) == (Critical, ["memory of ssh.service: 99 MiB of 100 MiB used"])


def test_the_cache_of_files_is_available() -> None:
    made = in_a_group(host())
    text = f"active_file {20 * MIB}\ninactive_file {30 * MIB}\nslab_reclaimable {8 * MIB}\n"
    made.file("/sys/fs/cgroup/system.slice/ssh.service/memory.stat", text)
    assert available(memory.find(made.seen, About())) == 50  # the host's; the group has 60 left


def test_a_group_above_counts_too() -> None:
    made = in_a_group(in_a_group(host(), "/kubepods/pod1", 99), "/kubepods/pod1/abc", 1)
    assert sentence(made.seen) == (Critical, ["memory of pod1: 99 MiB of 100 MiB used"])


def test_the_container_that_we_are_in_is_the_root() -> None:
    made = in_a_group(host(), "/", 99)
    made.document["stats"]["/.dockerenv"] = {"size": 0}
    assert sentence(made.seen) == (Critical, ["memory of this container: 99 MiB of 100 MiB used"])


@pytest.mark.parametrize("most", ["max", "", "x", "9" * 30, str(1 << 62)])
def test_no_limit_is_none(most: str) -> None:
    assert available(memory.find(in_a_group(host(), most=most).seen, About())) == 50


def test_version_1_of_control_groups() -> None:  # cgroup-v1/memory.rst
    made = host()
    made.file("/proc/mounts", DIVIDED + UNIFIED)
    made.file("/proc/10/cgroup", "9:name=systemd:/\n4:cpu,memory:/ssh\n0::/other\n")
    made.files({
        "/sys/fs/cgroup/memory/ssh/memory.limit_in_bytes": f"{100 * MIB}\n",
        "/sys/fs/cgroup/memory/ssh/memory.usage_in_bytes": f"{99 * MIB}\n",
        "/sys/fs/cgroup/memory/ssh/memory.stat": f"inactive_file 5\ntotal_inactive_file {4 * MIB}\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
    })  # fmt: skip
    assert sentence(made.seen) == (Warn, ["memory of ssh: 95 MiB of 100 MiB used"])


@pytest.mark.parametrize("path", ["/../../etc", "/a/../../../../etc", "/" + "x/" * 5000])
def test_no_group_leads_out_of_the_tree(path: str) -> None:
    made = host()
    made.file("/proc/mounts", UNIFIED)
    made.file("/proc/10/cgroup", f"0::{path}\n")
    found = groups(made.seen, 10, "memory")
    assert len(found) <= 16
    assert all(one.directory.startswith("/sys/fs/cgroup") and "/.." not in one.directory for one in found)


# --- kills

# mm/oom_kill.c, 6.1: the line of the host and that of a control group; 4.18 (RHEL 8) has the first one without "Out".
KILLED = (
    "[ 4000.500000] Out of memory: Killed process 77 (sshd) total-vm:15852kB, anon-rss:2048kB, UID:0 pgtables:76kB\n"
    "[ 4950.250000] Memory cgroup out of memory: Killed process 78 (sshd-session) total-vm:15852kB, anon-rss:1kB\n"
    "[ 4960.000000] Out of memory: Killed process 79 (mysqld) total-vm:15852kB, anon-rss:2048kB, UID:0 pgtables:76kB\n"
)


def test_the_kernels_log_tells_of_killed_sshds_in_the_time_looked_at() -> None:
    made = host()
    made.command("dmesg", KILLED)
    assert sentence(made.seen) == (Warn, ["the kernel killed sshd once for lack of memory, last 50 s ago"])
    finding = memory.find(made.seen, About(since=3600.0))
    assert finding.problems[0].sentence == "the kernel killed sshd 2 times for lack of memory, last 50 s ago"
    assert finding.problems[0].cause == Cause.SERVER_FAULT


def test_without_the_log_the_groups_counter_tells_since_the_last_run() -> None:
    made = in_a_group(host(), now=10)
    first = memory.find(made.seen, About())
    assert first.problems == ()
    events = "/sys/fs/cgroup/system.slice/ssh.service/memory.events"
    made.file(events, "oom 2\noom_kill 2\n")
    made.command("dmesg", err="dmesg: read kernel buffer failed: Operation not permitted\n", code=1)
    second = memory.find(made.seen, About(memory={"memory": json.loads(json.dumps(first.remember))}))
    assert [problem.sentence for problem in second.problems] == [
        "the kernel killed 2 of the processes of ssh.service for lack of memory"
    ]
    assert second.unseen == ("root would show which processes the kernel has killed for lack of memory",)
    assert memory.find(made.seen, About(memory={"memory": second.remember})).problems == ()
    assert memory.find(made.seen, About(memory={"memory": ["broken"]})).problems == ()


def test_swap_and_pressure_are_evidence() -> None:
    made = host()
    made.file(
        "/proc/meminfo", "MemTotal: 8192000 kB\nMemAvailable: 4096000 kB\nSwapTotal: 2097152 kB\nSwapFree: 0 kB\n"
    )
    made.file(
        "/proc/pressure/memory",
        "some avg10=9.00 avg60=12.34 avg300=1 total=5\nfull avg10=3.00 avg60=3.00 avg300=1 total=2\n",
    )
    made.file("/proc/pressure/io", "some avg10=0.00 avg60=0.99 avg300=0.00 total=5\n")
    finding = memory.find(made.seen, About())
    assert finding.problems == ()
    assert finding.evidence[1:] == (
        "swap: 2.0 GiB of 2.0 GiB used",
        "pressure: processes waited for memory in 12.34 % of the last minute, all of them 3.00 %",
    )


@pytest.mark.parametrize(
    "text", ["", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: x kB", "\0\x1b" * 1000, "MemTotal:" * 10000]
)
def test_hostile_files_say_nothing(text: str) -> None:
    made = in_a_group(host(), most="0")
    made.files(dict.fromkeys(["/proc/meminfo", "/proc/uptime", "/proc/pressure/memory"], text))
    made.command("dmesg", text + "[" * 100_000)
    assert memory.find(made.seen, About()).is_skipped


# --- real groups


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of the memory controller."""
    for parent in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        made = parent / f"check-ssh-{os.getpid()}-{secrets.token_hex(3)}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            if any((made / name).exists() for name in LIMITS):
                yield made
                return
        finally:
            remove_group(made)
    pytest.skip("no control group with a limit of memory can be made here")


LIMITS = ("memory.max", "memory.limit_in_bytes")


def limit(group: Path, megabytes: int) -> None:
    name = next(name for name in LIMITS if (group / name).exists())
    (group / name).write_text(str(megabytes * MIB))


def seen_now(monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    monkeypatch.setattr(collecting, "SOURCES", (system.read, processes.read, cgroups.read, kernel.read))
    return Snapshot(json.loads(json.dumps(collecting.collect().document)))


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_sshd_in_a_group_of_its_own(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.server("openssh-9.2", cgroup=group) as server:
        limit(group, 64)
        about = About(ports=(server.port,), since=0.0)  # the kernel's log has what other tests have done
        finding = memory.find(seen_now(monkeypatch), about)
        assert [line for line in finding.evidence if line.startswith(f"memory of {group.name}: ")]
        assert finding.problems == ()
        # Memory that stays taken: a mapping of another process in the group.
        script = "import os; kept = bytearray(os.urandom(1)) * (56 << 20); print('in', flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              preexec_fn=lambda: joined(group)) as other:  # fmt: skip
            assert other.stdout is not None
            assert other.stdout.readline() == b"in\n"
            seen = seen_now(monkeypatch)
            other.kill()
        del seen.document["files"]["/proc/meminfo"]  # the whole machine's, which may have less
        outcome = judge(seen, about, Wishes(("memory",)))
        [problem] = outcome.judged[0].problems
        assert problem.sentence.startswith(f"memory of {group.name}: ")
        assert problem.sentence.endswith(" MiB of 64 MiB used")


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_the_kernel_kills_a_real_process_for_lack_of_memory(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.server("openssh-9.2", cgroup=group) as server:
        about = About(ports=(server.port,))
        before = memory.find(seen_now(monkeypatch), about)
        limit(group, 40)
        # Not quite the name of sshd's child: the kernel's log stays, and every run on this machine reads it.
        script = "open('/proc/self/comm', 'w').write('sshd-greedy'); kept = bytearray(b'x') * (200 << 20)"
        with subprocess.Popen([sys.executable, "-c", script], preexec_fn=lambda: joined(group)) as greedy:
            assert greedy.wait() == -9
        seen = seen_now(monkeypatch)
        log = seen.document["commands"]["dmesg"]
        # Of this process alone: the log has what other tests have done, and its clock is not quite the system's.
        own = [line for line in log["out"].splitlines() if f" {greedy.pid} (sshd-greedy)" in line]
        log["out"] = "\n".join(own).replace("(sshd-greedy)", "(sshd-session)")
        finding = memory.find(seen, about)
        assert [problem.sentence.partition(",")[0] for problem in finding.problems] == [
            "the kernel killed sshd once for lack of memory"
        ]
        seen.document["commands"]["dmesg"] = {"code": 1, "out": "", "err": "dmesg: Operation not permitted"}
        finding = memory.find(seen, about._replace(memory={"memory": before.remember}))
        assert [problem.sentence for problem in finding.problems] == [
            f"the kernel killed 1 of the processes of {group.name} for lack of memory"
        ]


def joined(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


def test_the_kernels_log_is_read_where_it_may_tell_of_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()
    made = Host()
    made.document = {**made.document, **door.document}
    monkeypatch.setattr(
        door, "read", lambda path, _=0: made.file(path, "oom_kill 1\n" if path == "/proc/vmstat" else "")
    )
    wanted: list[str] = []
    monkeypatch.setattr(door, "want", lambda *words, **_: wanted.extend(words))
    list(kernel.read(door, made.seen))
    assert wanted == ["dmesg"]
