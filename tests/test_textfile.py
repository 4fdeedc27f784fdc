"""What check_sshd_local writes for node_exporter, read by Debian's node_exporter from where the units put it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exporter.program import Samples, wait_for
from tests.lab.systemd import ROOT, Machine, missing, unit_names

UNITS = ROOT / "contrib" / "systemd"
NODE_EXPORTER = Path("/usr/bin/prometheus-node-exporter")
DIRECTORY = "/var/lib/prometheus/node-exporter"
DOCUMENT = f"{DIRECTORY}/sshd_local.prom"
TEXTFILE = "check_sshd_local_textfile.service"
SCRAPE = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
# An sshd that serves two at a time; the third is dropped, and so is everybody behind it until one of the two has gone.
SETTINGS = "MaxStartups 2:100:2\nLoginGraceTime 600\n"
SCENE = """
set -e
ssh-keygen -q -A
systemctl enable --quiet check_sshd_local_textfile.service
systemctl start ssh.service prometheus-node-exporter.service
"""
HOLD = "exec 3<>/dev/tcp/127.0.0.1/22 4<>/dev/tcp/127.0.0.1/22; head -c 4 <&3; head -c 4 <&4; echo; sleep 600"
TURN_AWAY = "exec 3<>/dev/tcp/127.0.0.1/22; head -c 20 <&3"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := missing():
        pytest.skip(reason)
    if not NODE_EXPORTER.exists():
        pytest.skip("install the Debian package prometheus-node-exporter")
    machine = Machine(tmp_path_factory.mktemp("textfile"), [UNITS / name for name in unit_names(UNITS)])
    machine.write("etc/ssh/sshd_config.d/test.conf", SETTINGS)
    with machine:
        done = machine("bash", "-c", SCENE)
        assert done.returncode == 0, done.said
        wait_for(lambda: machine("/usr/bin/python3", "-c", SCRAPE).returncode == 0, 60)
        yield machine


def scraped(machine: Machine) -> Samples:
    """Return what node_exporter answers after another snapshot."""
    file = machine.file(DOCUMENT)
    before = file.stat().st_mtime_ns if file.exists() else 0
    # systemd refuses to start a unit a sixth time within ten seconds, which a fast machine asks for: reset the count.
    machine("systemctl", "reset-failed")
    done = machine("systemctl", "start", "check_sshd_local.service")
    assert done.returncode == 0, done.said
    wait_for(lambda: file.exists() and file.stat().st_mtime_ns != before, 60)
    return Samples(machine("/usr/bin/python3", "-c", SCRAPE).stdout)


def turn_away(machine: Machine, times: int) -> None:
    for _ in range(times):
        assert "Exceeded MaxStartups" in machine("bash", "-c", TURN_AWAY).stdout


def has_ended(machine: Machine) -> bool:
    """Return whether sshd has said that it drops no more; it does at a connection that finds both slots free."""
    if "exited MaxStartups throttling" in machine.journal("ssh.service"):
        return True
    machine("bash", "-c", TURN_AWAY)
    return False


def read_errors(samples: Samples) -> float:
    return samples.value("node_textfile_scrape_error")


@pytest.mark.real
def test_node_exporter_has_every_sample_as_it_was_written(machine: Machine) -> None:
    read = scraped(machine)
    written = Samples(machine.file(DOCUMENT).read_text())
    assert read_errors(read) == 0
    ours = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in written.all}
    theirs = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in read.all}
    assert ours.items() <= theirs.items()
    assert {"sshd_local_drops_total", "sshd_local_host_key_info", "sshd_local_startups_full"} <= {
        sample.name for sample in written.all
    }
    assert read.value("sshd_local_startups_full") == 2
    assert "# TYPE sshd_local_drops_total counter\n" in read.text
    assert machine("stat", "-c", "%U %a", DOCUMENT).stdout == "root 644\n"


@pytest.mark.real
def test_the_counters_go_on_and_count_each_connection_once(machine: Machine) -> None:
    def drops() -> float:
        return scraped(machine).value("sshd_local_drops_total", reason="maxstartups")

    assert drops() == 0
    machine("systemd-run", "--quiet", "--unit=holding", "bash", "-c", HOLD)
    wait_for(lambda: machine.journal("holding").count("SSH-") == 2, 60)
    turn_away(machine, 3)
    wait_for(lambda: "drop connection" in machine.journal("ssh.service"), 60)
    assert drops() == 1  # sshd names the first, and tells how many they were when it is over
    assert drops() == 1  # the line is in the snapshot still
    turn_away(machine, 2)
    machine("systemctl", "stop", "holding")
    wait_for(lambda: has_ended(machine), 60)
    said = re.findall(r"(\d+) connections dropped", machine.journal("ssh.service"))
    assert drops() == int(said[0]) >= 5


@pytest.mark.real
def test_a_document_that_it_cannot_make_leaves_the_one_before_it(machine: Machine) -> None:
    read = scraped(machine)
    old = machine.file(DOCUMENT).read_text()
    machine.file("/run/check_sshd_local/snapshot.json").write_text("{}")
    assert machine("systemctl", "start", TEXTFILE).returncode == 1
    assert "SSHD UNKNOWN - this is not a snapshot" in machine.journal(TEXTFILE)
    assert machine.file(DOCUMENT).read_text() == old
    again = Samples(machine("/usr/bin/python3", "-c", SCRAPE).stdout)
    assert read_errors(again) == 0
    last = "sshd_local_last_run_timestamp_seconds"
    assert again.value(last) == read.value(last)
    assert scraped(machine).value(last) > read.value(last)


@pytest.mark.real
def test_an_error_in_the_document_would_be_seen(machine: Machine) -> None:
    scraped(machine)
    other = machine.file(f"{DIRECTORY}/other.prom")
    other.write_text(machine.file(DOCUMENT).read_text().replace("} 0", "} none", 1))
    assert read_errors(Samples(machine("/usr/bin/python3", "-c", SCRAPE).stdout)) == 1
    other.unlink()


@pytest.mark.real
def test_its_memory_is_roots_alone(machine: Machine) -> None:
    scraped(machine)
    assert json.loads(machine.file("/var/lib/check_sshd_local/textfile").read_text())["counters"] is not None
    assert machine("stat", "-c", "%U %a", "/var/lib/check_sshd_local").stdout == "root 700\n"
