"""The units that collect, under a real systemd: they see what root sees, with the rights they name and no other."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from check_ssh_exchange.host import cli
from tests.exporter.program import wait_for
from tests.lab.systemd import LIBRARY, ROOT, Machine, missing, unit_names

UNITS = ROOT / "contrib" / "systemd"
COLLECTOR = "check_sshd_local.service"
PLUGIN = "/usr/lib/nagios/plugins/check_sshd_local"
SNAPSHOT = "/run/check_sshd_local/snapshot.json"
# Of systemd-analyze, in tenths; what it calls "OK" begins at 30 and "MEDIUM" at 50. What each unit keeps is said in it.
EXPOSURE = {COLLECTOR: 32, "check_sshd_local_textfile.service": 7}
CHROOT = "/srv/chroot"

# What a collector can be kept from: an sshd, another one in a chroot, both with a client; rules of both firewalls; a
# log that is not root's.
SCENE = f"""
set -e
ssh-keygen -q -A
useradd --system other
install -o other -m 600 /dev/null /var/log/auth.log
mkdir -p {CHROOT}/etc {CHROOT}/usr /run/sshd
for directory in usr etc; do mount --bind /$directory {CHROOT}/$directory; done
for directory in lib lib64 bin sbin; do ln -s usr/$directory {CHROOT}/$directory; done
mkdir -p {CHROOT}/dev {CHROOT}/run/sshd {CHROOT}/proc
touch {CHROOT}/dev/null && mount --bind /dev/null {CHROOT}/dev/null
systemctl start ssh.service
systemd-run --quiet --unit=in-chroot chroot {CHROOT} /usr/sbin/sshd -D -p 2222 -o PidFile=none
nft add table inet t
nft add chain inet t in '{{ type filter hook input priority 0; }}'
nft add rule inet t in tcp dport 22 ct count over 50 drop
iptables-legacy -A INPUT -p tcp --dport 22 -m connlimit --connlimit-above 40 -j DROP
"""
CLIENTS = """for port in 22 2222
do
  until exec {one}<>/dev/tcp/127.0.0.1/$port; do sleep 0.1; done
  head -c 4 <&$one >>/run/greeted
done
sleep 600
"""
# What is no longer said without each of the rights that the collector keeps.
NEEDED = {
    "DAC_READ_SEARCH": "",  # the journal has the same lines; without a journal the file is all there is
    "SYS_PTRACE": "pid N runs OpenSSH_N",
    "NET_ADMIN": "nft table inet t",
    "NET_RAW": "iptables table filter",
    "SYSLOG": "",
    "SYS_CHROOT": "[::]:2222: /etc/ssh/ssh_host_",
}
# And what is said instead.
INSTEAD = {
    "DAC_READ_SEARCH": "/var/log/auth.log: EACCES",
    "SYS_PTRACE": "root would show which files sshd has mapped",
    "NET_ADMIN": "the rules may not be seen",
    "NET_RAW": "N rule on ports",
    "SYSLOG": "root would show which processes the kernel has killed",
    "SYS_CHROOT": "sshd does not tell which host keys it has",
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := missing():
        pytest.skip(reason)
    with Machine(tmp_path_factory.mktemp("units"), [UNITS / name for name in unit_names(UNITS)]) as booted:
        done = booted("bash", "-c", SCENE)
        assert done.returncode == 0, done.said
        booted("systemd-run", "--quiet", "bash", "-c", CLIENTS)
        wait_for(lambda: booted("cat", "/run/greeted").stdout == "SSH-SSH-", 60)
        yield booted


def collected(machine: Machine) -> str:
    done = machine("systemctl", "start", COLLECTOR)
    assert done.returncode == 0, done.said + machine.journal(COLLECTOR)
    return machine.file(SNAPSHOT).read_text()


def told(snapshot: str, place: Path) -> set[str]:
    """Return all that is said of a snapshot, without numbers that change, and all that was denied to who collected."""
    place.write_text(snapshot)
    _, said = cli.main(["--snapshot", str(place), "-vv"])
    # The kernel's log is the whole machine's, and other tests have the kernel kill an sshd.
    lines = [line for line in said.splitlines()[1:] if not re.search("pressure:|root of sshd|killed sshd", line)]
    read = json.loads(snapshot)
    denied = {
        f"{path}: {answer['error']}"
        for kind in ("files", "stats", "lists", "links", "commands")
        for path, answer in read[kind].items()
        if answer.get("error") in ("EACCES", "EPERM") and not re.match(r"/proc/\d", path)
    }
    return denied | {re.sub(r"(?<![:\d])\d+(\.\d+)?( [KMGT]iB)?", "N", line) for line in lines}


@pytest.fixture(scope="module")
def whole(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What root sees whom nothing confines."""
    done = machine(PLUGIN, "--collect")
    assert done.returncode == 0, done.said
    return told(done.stdout, tmp_path_factory.mktemp("whole") / "snapshot")


@pytest.mark.real
def test_what_is_confined_says_all_that_root_says(machine: Machine, whole: set[str], tmp_path: Path) -> None:
    found = told(collected(machine), tmp_path / "snapshot")
    text = "\n".join(sorted(whole))
    for seen in (*NEEDED.values(), "N of N from N.N", "in /srv/chroot", "  evidence: /: N of N used"):
        assert seen in text, text
    assert found == whole
    mode = machine("stat", "-c", "%U %G %a", SNAPSHOT, str(Path(SNAPSHOT).parent)).stdout
    assert mode == "root nagios 640\nroot nagios 750\n"


@pytest.mark.real
@pytest.mark.parametrize("capability", NEEDED)
def test_each_right_that_it_keeps_is_needed(machine: Machine, whole: set[str], tmp_path: Path, capability: str) -> None:
    if capability == "SYSLOG" and Path("/proc/sys/kernel/dmesg_restrict").read_text() == "0\n":
        pytest.skip("the kernel shows its log to everybody here: sysctl kernel.dmesg_restrict=1")
    with overridden(machine, COLLECTOR, f"[Service]\nCapabilityBoundingSet=~CAP_{capability}\n"):
        found = told(collected(machine), tmp_path / "snapshot")
    assert NEEDED[capability] in "\n".join(whole - found) if NEEDED[capability] else True
    assert INSTEAD[capability] in "\n".join(found - whole)


@pytest.mark.real
def test_it_keeps_no_right_that_is_not_tried_here(machine: Machine) -> None:
    kept = machine.property(COLLECTOR, "CapabilityBoundingSet").split()
    assert sorted(kept) == sorted(f"cap_{name.lower()}" for name in NEEDED)


@pytest.mark.real
def test_with_a_strict_view_of_the_files_the_root_would_not_be_asked_how_full_it_is(
    machine: Machine, whole: set[str], tmp_path: Path
) -> None:
    with overridden(machine, COLLECTOR, "[Service]\nProtectSystem=strict\n"):
        found = told(collected(machine), tmp_path / "snapshot")
    assert "evidence: /: N of N used" in "\n".join(whole - found)


@pytest.mark.real
def test_a_run_that_fails_leaves_the_snapshot_and_says_why(machine: Machine) -> None:
    before = collected(machine)
    with instead(machine, "echo 'SSHD UNKNOWN - no reason'; exit 3"):
        assert machine("systemctl", "start", COLLECTOR).returncode == 1
        assert machine.property(COLLECTOR, "Result") == "exit-code"
        assert "SSHD UNKNOWN - no reason" in machine.journal(COLLECTOR)
        assert machine.file(SNAPSHOT).read_text() == before


@pytest.mark.real
def test_no_reader_sees_half_of_a_snapshot(machine: Machine) -> None:
    before = collected(machine)
    machine("mkfifo", "/run/go")
    with instead(machine, "printf '{\"half\":'; cat /run/go; echo ' 1}'"):
        machine("systemctl", "start", "--no-block", COLLECTOR)
        new = machine.file("/run/check_sshd_local/snapshot.new")
        wait_for(lambda: new.exists() and new.read_text() == '{"half":', 60)
        assert machine.file(SNAPSHOT).read_text() == before
        assert machine("sh", "-c", "echo >/run/go").returncode == 0
        wait_for(lambda: machine.property(COLLECTOR, "ActiveState") == "inactive", 60)
        assert json.loads(machine.file(SNAPSHOT).read_text()) == {"half": 1}
    assert not new.exists()


@pytest.mark.real
def test_the_timer_collects_and_has_the_metrics_written_too(machine: Machine) -> None:
    collected(machine)
    machine.file(SNAPSHOT).unlink()
    assert machine("systemctl", "enable", "check_sshd_local_textfile.service").returncode == 0
    with overridden(machine, "check_sshd_local.timer", "[Timer]\nOnBootSec=1s\n"):
        assert machine("systemctl", "start", "check_sshd_local.timer").returncode == 0
        wait_for(machine.file("/var/lib/prometheus/node-exporter/sshd_local.prom").exists, 90)
        assert machine.file(SNAPSHOT).exists()
        machine("systemctl", "stop", "check_sshd_local.timer")
    assert machine.property("check_sshd_local.timer", "AccuracyUSec") == "1s"


@pytest.mark.real
def test_systemd_has_nothing_to_say_about_the_units(machine: Machine) -> None:
    paths = [f"/etc/systemd/system/{name}" for name in unit_names(UNITS)]
    done = machine("systemd-analyze", "verify", "--man=no", *paths)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.real
def test_the_readme_works_as_it_stands(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    if absent := [name for name in ("curl", "prometheus-node-exporter") if shutil.which(name) is None]:
        pytest.skip(f"install the Debian package {absent[0]}")
    blocks = re.findall(r"^```\n(.*?)^```$", (UNITS / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    expected = [
        r"SSHD \w+ - .*\| listeners=1",
        r"node_textfile_scrape_error 0\nsshd_local_item_state{",
        "probe_success 1",
    ]
    with Machine(tmp_path, []) as bare:
        first = bare("bash", "-c", "ssh-keygen -q -A; systemctl start ssh.service prometheus-node-exporter.service")
        assert first.returncode == 0, first.said
        wait_for(lambda: bare("curl", "-s", "localhost:9100/metrics").returncode == 0, 60)
        for block, words in zip(blocks, expected, strict=True):
            done = bare("bash", "-c", f"cd {LIBRARY}/plugin/contrib/systemd\n{block}")
            said = "".join(line for line in done.stdout.splitlines(keepends=True) if line[0] != "#")
            assert re.search(words, said), done.said


@pytest.mark.real
@pytest.mark.parametrize("name", EXPOSURE)
def test_each_service_is_as_confined_as_it_says(name: str) -> None:
    if reason := missing():
        pytest.skip(reason)
    words = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE[name]}", "--no-pager"]
    words.append(str(UNITS / name))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def overridden(machine: Machine, unit: str, text: str) -> Iterator[None]:
    """Have a drop-in for a unit, as `systemctl edit` makes them."""
    place = machine.file(f"/run/systemd/system/{unit}.d/test.conf")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    machine("systemctl", "daemon-reload")
    try:
        yield
    finally:
        place.unlink()
        machine("systemctl", "daemon-reload")


@contextmanager
def instead(machine: Machine, script: str) -> Iterator[None]:
    """Have a shell script in the place of the plugin."""
    plugin = machine.file(PLUGIN)
    own = plugin.read_text()
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    try:
        yield
    finally:
        plugin.write_text(own)
        machine("systemctl", "reset-failed")
