"""What systemd does with the shipped units, by systemd's own programs."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.lab.fake_sshd import HEALTHY, FakeSshd

from .program import ROOT, running

UNITS = ROOT / "contrib" / "systemd"
WORST = 20  # tenths; what systemd calls "OK" begins at 30


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
    configuration = "modules: {default: {exempt: true}}"
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
