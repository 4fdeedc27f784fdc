"""The install of docs/start/by_hand.md: its lines install the programs, in another place than they name."""

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
    checkout, place, plugins = tmp_path / "checkout", tmp_path / "place", tmp_path / "plugins"
    checkout.mkdir()
    for name in SHARED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, checkout)
    script = BLOCK.body.replace("/opt/check_ssh_exchange", str(place)).replace("/usr/lib/nagios/plugins", str(plugins))
    assert script.count(str(place)) == 4
    done = subprocess.run(["bash", "-e"], input=script, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for program in ("check_ssh_exchange", "check_sshd_local"):
        told = subprocess.run([plugins / program, "--version"], capture_output=True, text=True)
        assert (told.returncode, told.stdout.split()[0], told.stderr) == (3, program, "")
    # [all] has what each part of it says that it needs.
    asked = "import asyncssh, rich, aiohttp, bcrypt, pydantic, prometheus_client, ruamel.yaml"
    subprocess.run([place / "bin/python", "-c", asked], check=True)
    assert (place / "share/doc/check_ssh_exchange/contrib/nagios/services.cfg").is_file()
