"""What systemd does with the shipped units, by systemd's own programs."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fake_sshd import HEALTHY, FakeSshd
from tests.lab.systemd import Machine, missing

from .program import NEVER_SLOW, ROOT, Samples, running, wait_for

UNITS = ROOT / "contrib" / "systemd"
WORST = 11  # tenths; what systemd calls "OK" begins at 30


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is missing: apt-get install systemd")
    return found


def test_a_socket_of_systemd_is_served_from_its_first_connection_on(tmp_path: Path) -> None:
    activate = need("systemd-socket-activate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listening = (activate, "-l", f"127.0.0.1:{port}", "-E", "PYTHONPATH")
    configuration = f"modules: {{default: {{exempt: true, {NEVER_SLOW}}}}}"
    with (
        FakeSshd(HEALTHY) as server,
        running(tmp_path, configuration, "--web.systemd-socket", prefix=listening, connect_to=port) as program,
    ):
        assert program.port == port
        assert program.probe(f"127.0.0.1:{server.port}").cause == "healthy"
        assert program.stop() == 0


def test_the_service_is_confined() -> None:
    unit = UNITS / "ssh_exchange_exporter.service"
    done = subprocess.run(
        [need("systemd-analyze"), "security", "--offline=yes", f"--threshold={WORST}", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# --- booted

SERVICE = "ssh_exchange_exporter.service"
LOGIN = f"login: {{user: prober, identity_file: /run/credentials/{SERVICE}/id}}"
MODULES = f"""modules:
  default: {{exempt: true, timeout: 60s, {NEVER_SLOW}}}
  kex: {{exempt: true, timeout: 60s, depth: kex, {NEVER_SLOW}}}
  login: {{exempt: true, timeout: 60s, depth: login, {LOGIN}, {NEVER_SLOW}}}
"""
SCENE = """
set -e
ssh-keygen -q -A
useradd --create-home --home-dir /home/prober prober
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh_exchange_exporter/id
install -d -o prober -m 700 /home/prober/.ssh
install -o prober -m 600 /etc/ssh_exchange_exporter/id.pub /home/prober/.ssh/authorized_keys
systemctl start ssh.service
"""
GET = (
    "import sys, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:10922' + sys.argv[1]).read().decode())"
)
WRITABLE_CODE = """
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("denied")
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := missing():
        pytest.skip(reason)
    units = [UNITS / SERVICE, UNITS / "ssh_exchange_exporter.socket"]
    machine = Machine(tmp_path_factory.mktemp("exporter"), units)
    unit = (UNITS / SERVICE).read_text()
    assert "\n#LoadCredential=" in unit
    machine.write(f"etc/systemd/system/{SERVICE}", unit.replace("\n#LoadCredential=", "\nLoadCredential="))
    machine.write("etc/ssh_exchange_exporter/config.yml", MODULES)
    with machine:
        done = machine("bash", "-c", SCENE)
        assert done.returncode == 0, done.said
        done = machine("systemctl", "start", SERVICE)  # Type=notify: it returns when the exporter is ready
        assert done.returncode == 0, done.said + machine.journal(SERVICE)
        yield machine


def got(machine: Machine, path: str) -> str:
    done = machine("/usr/bin/python3", "-c", GET, path)
    assert done.returncode == 0, done.said + machine.journal(SERVICE)
    return done.stdout


@pytest.mark.real
@pytest.mark.parametrize(("module", "phase"), [("default", "kexinit"), ("kex", "kex"), ("login", "login")])
def test_the_confined_service_probes_to_every_depth(machine: Machine, module: str, phase: str) -> None:
    samples = Samples(got(machine, f"/probe?target=127.0.0.1&module={module}"))
    assert (samples.cause, samples.value("probe_success")) == ("healthy", 1)
    assert samples.value("ssh_exchange_phase_seconds_count", phase=phase) == 5


@pytest.mark.real
def test_the_service_has_no_right_and_is_no_user_of_the_system(machine: Machine) -> None:
    pid = machine.property(SERVICE, "MainPID")
    status = dict(line.split(":\t", 1) for line in machine("cat", f"/proc/{pid}/status").stdout.splitlines())
    assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["Uid"].split()[0]) >= 61184  # of DynamicUser's range
    words = [f"--property={line}" for line in (UNITS / SERVICE).read_text().splitlines() if line.startswith("Memory")]
    assert words == ["--property=MemoryDenyWriteExecute=yes"]
    script = ["/usr/bin/python3", "-c", WRITABLE_CODE]
    assert machine("systemd-run", "--quiet", "--wait", "--pipe", *words, *script).stdout == "denied\n"
    assert machine("systemd-run", "--quiet", "--wait", "--pipe", *script).stdout == ""


@pytest.mark.real
def test_systemd_reloads_it_and_a_faulty_file_leaves_it_as_it_was(machine: Machine) -> None:
    file = machine.file("/etc/ssh_exchange_exporter/config.yml")
    success = "ssh_exchange_exporter_config_last_reload_successful"
    pid = machine.property(SERVICE, "MainPID")
    for text, value in (("modules: 1\n", 0), (MODULES, 1)):
        file.write_text(text)
        assert machine("systemctl", "reload", SERVICE).returncode == 0

        def has_read_it(value: int = value) -> bool:
            return Samples(got(machine, "/metrics")).value(success) == value

        wait_for(has_read_it, 60)
    assert machine.property(SERVICE, "MainPID") == pid


@pytest.mark.real
def test_with_the_socket_unit_a_restart_refuses_nobody(machine: Machine) -> None:
    machine("systemctl", "stop", SERVICE)
    assert machine.property(SERVICE, "Result") == "success"
    place = machine.file(f"/run/systemd/system/{SERVICE}.d/socket.conf")
    place.parent.mkdir(parents=True)
    start = next(line for line in (UNITS / SERVICE).read_text().splitlines() if line.startswith("ExecStart="))
    place.write_text(f"[Service]\nExecStart=\n{start} --web.systemd-socket\n")
    machine("systemctl", "daemon-reload")
    done = machine("systemctl", "start", "ssh_exchange_exporter.socket")
    assert done.returncode == 0, done.said
    assert machine.property(SERVICE, "ActiveState") == "inactive"
    assert Samples(got(machine, "/probe?target=127.0.0.1")).cause == "healthy"
    assert machine("systemctl", "restart", "--no-block", SERVICE).returncode == 0
    assert "ssh_exchange_exporter_build_info" in got(machine, "/metrics")


@pytest.mark.real
def test_systemd_has_nothing_to_say_about_the_units(machine: Machine) -> None:
    paths = [f"/etc/systemd/system/ssh_exchange_exporter.{kind}" for kind in ("service", "socket")]
    done = machine("systemd-analyze", "verify", "--man=no", *paths)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
