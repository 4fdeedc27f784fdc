"""The item processes: limits of the host, of sshd's control group and of all above it."""

import json

import pytest

from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.findings import processes
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import cgroups, kernel, system
from check_ssh_exchange.host.sources import processes as source
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from faults.damage import control_group
from faults.holding import held
from tests.host.by_hand import Host
from tests.lab import zoo

MOUNT = "cgroup2 /sys/fs/cgroup cgroup2 rw,relatime 0 0\n"


def host(threads: int = 100, pid_max: str = "32768", threads_max: str = "192729") -> Host:
    made = Host()
    made.sshd(10)
    made.files({
        "/proc/loadavg": f"0.00 0.01 0.05 1/{threads} 4711\n", "/proc/sys/kernel/pid_max": f"{pid_max}\n",
        "/proc/sys/kernel/threads-max": f"{threads_max}\n", "/proc/mounts": MOUNT,
        "/proc/10/cgroup": "0::/system.slice/ssh.service\n",
    })  # fmt: skip
    return made


def group(made: Host, path: str, now: str, most: str) -> Host:
    made.file(f"/sys/fs/cgroup{path}/pids.current", f"{now}\n")
    made.file(f"/sys/fs/cgroup{path}/pids.max", f"{most}\n")
    return made


def said(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, About(), Wishes(("processes",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize(("threads", "state"), [(29491, Ok), (29600, Warn), (32500, Critical)])
def test_every_thread_takes_a_number(threads: int, state: object) -> None:
    assert said(host(threads).seen) == (state, [f"threads of the host: {threads} of 32768"] if state != Ok else [])


def test_the_smaller_limit_of_the_kernel_counts() -> None:
    assert said(host(995, "4194304", "1000").seen) == (Critical, ["threads of the host: 995 of 1000"])


@pytest.mark.parametrize("path", ["/system.slice/ssh.service", "/system.slice", ""])
def test_the_limit_of_any_group_around_sshd_counts(path: str) -> None:
    name = path.rpartition("/")[2] or "this host"
    assert said(group(host(), path, "99", "100").seen) == (Critical, [f"pids of {name}: 99 of 100"])


def test_forks_that_were_refused_are_evidence() -> None:
    made = group(host(), "/system.slice/ssh.service", "5", "100")
    made.file("/sys/fs/cgroup/system.slice/ssh.service/pids.events", "max 7\n")
    finding = processes.find(made.seen, About())
    assert finding.problems == ()
    assert finding.evidence[-1] == "forks refused by the limit of ssh.service so far: 7"


def test_the_limited_unit_is_named_in_the_remedy() -> None:
    made = group(host(), "/system.slice/ssh.service", "99", "100")
    assert not [line for line in processes.find(made.seen, About()).remedies if "systemctl" in line]
    made.document["stats"]["/run/systemd/system"] = {"size": 0}
    finding = processes.find(made.seen, About())
    assert finding.remedies[0] == "systemctl status ssh.service   # TasksMax is 100"


@pytest.mark.parametrize(("now", "most"), [("5", "max"), ("", "100"), ("-1", "5"), ("x", "y"), ("1" * 5000, "7")])
def test_no_limit_or_no_number_is_no_share(now: str, most: str) -> None:
    finding = processes.find(group(host(), "/system.slice", now, most).seen, About())
    assert finding.evidence == ("threads of the host: 100 of 32768 (0 %)",)


def test_a_limit_of_nothing_is_full() -> None:
    assert said(group(host(), "/system.slice", "1", "0").seen)[0] == Critical


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d/e f", "0 0 0 1/" + "9" * 5000, "\0\x1b|"])
def test_hostile_files_say_nothing(text: str) -> None:
    made = host()
    made.files(dict.fromkeys(["/proc/loadavg", "/proc/mounts", "/proc/10/cgroup"], text))
    assert processes.find(made.seen, About()).is_skipped


def test_a_hostile_name_of_a_group_is_escaped() -> None:
    made = group(host(), "/a\x1b[31m|" + "x" * 1000, "99", "100")
    made.file("/proc/10/cgroup", "0::/a\x1b[31m|" + "x" * 1000 + "\n")
    [sentence] = said(made.seen)[1]
    assert sentence.isprintable()
    assert len(sentence) < 100


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_sshd_that_can_fork_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "SOURCES", (system.read, source.read, cgroups.read, kernel.read))
    with control_group() as directory, zoo.server("openssh-9.2", cgroup=directory) as server:
        (directory / "pids.max").write_text("4")
        with held(server, 3, "127.0.7.5"):  # silent clients: a child each
            seen = Snapshot(json.loads(json.dumps(collecting.collect().document)))
        outcome = judge(seen, About(ports=(server.port,)), Wishes(("processes",)))
        assert [problem.sentence for problem in outcome.judged[0].problems] == [f"pids of {directory.name}: 4 of 4"]
        assert outcome.verdict.state == Critical
