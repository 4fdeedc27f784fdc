"""The install of docs/start/by_hand.md: its lines install the programs, in another place than they name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.site.blocks import DOCS, ROOT, blocks_of

(BLOCK,) = (block for block in blocks_of(DOCS / "start/by_hand.md") if block.kind == "checked")
SHARED = ("check_ssh_exchange", "exporter", "contrib", "docs", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")


@pytest.mark.network
@pytest.mark.timeout(600)  # the package index may be slow
def test_the_lines_install_the_programs(tmp_path: Path) -> None:
    checkout, place, plugins, local = (tmp_path / name for name in ("checkout", "place", "plugins", "local"))
    for directory in (checkout, local / "bin", local / "share"):
        directory.mkdir(parents=True)
    for name in SHARED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, checkout)
    others = {"/opt/check_ssh_exchange": place, "/usr/lib/nagios/plugins": plugins, "/usr/local": local}
    script = BLOCK.body.replace("/usr/bin/python3", "python3")  # the one of the tests, where Debian's is too old
    for name, other in others.items():
        assert name in script
        script = script.replace(name, str(other))
    assert not re.search(r"/(?:opt|usr)/", script)
    done = subprocess.run(["bash", "-e"], input=script, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for directory in (plugins, local / "bin"):
        for program in ("check_ssh_exchange", "check_sshd_local"):
            told = subprocess.run([directory / program, "--version"], capture_output=True, text=True)
            assert (told.returncode, told.stdout.split()[0], told.stderr) == (3, program, "")
    assert sorted(path.name for path in plugins.iterdir()) == ["check_ssh_exchange", "check_sshd_local"]
    told = subprocess.run([local / "bin/ssh_exchange_exporter", "--version"], capture_output=True, text=True)
    assert (told.returncode, told.stdout.split()[0]) == (0, "ssh_exchange_exporter")
    for page in ("man1/check_ssh_exchange.1", "man5/ssh_exchange_exporter.yml.5", "man8/check_sshd_local.8"):
        assert (local / "share/man" / page).is_file()
    # [all] has what each part of it says that it needs.
    asked = "import asyncssh, rich, aiohttp, bcrypt, pydantic, prometheus_client, ruamel.yaml"
    subprocess.run([place / "bin/python", "-c", asked], check=True)
    assert (place / "share/doc/check_ssh_exchange/contrib/nagios/services.cfg").is_file()
