"""contrib/: what is generated is what the options are, and the monitoring systems accept the rest."""

import subprocess
from pathlib import Path

import pytest

from contrib import generate
from tests.lab import nagios
from tests.lab.daemons import CONTRIB
from tests.lab.monitored import need

ALWAYS = {"check_period": "24x7", "notification_period": "24x7"}
NOTIFIES = {
    f"{kind}_notification_{key}": value
    for kind in ("host", "service")
    for key, value in (("commands", "check_ssh_exchange"), ("period", "24x7"), ("options", "n"))
}
OF_NAGIOS = "".join(
    (
        nagios.definition("timeperiod", timeperiod_name="24x7", alias="always", monday="00:00-24:00"),
        nagios.definition("contact", contact_name="nobody", **NOTIFIES),
        nagios.definition("contactgroup", contactgroup_name="admins", alias="admins", members="nobody"),
        nagios.definition(
            "host", host_name="server", address="192.0.2.1", hostgroups="ssh-servers", max_check_attempts=1,
            contact_groups="admins", **ALWAYS,
        ),
    )
)  # fmt: skip


def test_what_is_generated_is_what_the_options_are() -> None:
    for name, made in generate.FILES.items():
        assert (CONTRIB / name).read_text("utf-8") == made(), "make contrib"


def test_a_file_that_differs_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "icinga2").mkdir()
    old = tmp_path / "icinga2/commands.conf"
    old.write_text((CONTRIB / "icinga2/commands.conf").read_text("utf-8").replace('"--port"', '"--sport"', 1))
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "contrib/icinga2/commands.conf is not what the options are: make contrib\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert old.read_text("utf-8") == (CONTRIB / "icinga2/commands.conf").read_text("utf-8")


@pytest.mark.parametrize("folder", [path.name for path in CONTRIB.iterdir() if path.is_dir() and path.name[0] != "_"])
def test_every_file_of_a_folder_is_named_in_a_readme(folder: str) -> None:
    readme = CONTRIB / folder / "README.md"
    text = (readme if readme.exists() else CONTRIB / "README.md").read_text("utf-8")
    names = {path.name for path in (CONTRIB / folder).iterdir()} - {"README.md"}
    assert [name for name in sorted(names) if name not in text] == []


@pytest.mark.real
def test_nagios_accepts_the_commands_and_the_services(tmp_path: Path) -> None:
    need(nagios.PACKAGES)
    files = [CONTRIB / "nagios/commands.cfg", CONTRIB / "nagios/services.cfg", tmp_path / "site.cfg"]
    files[-1].write_text(OF_NAGIOS)
    settings = [f"cfg_file={file}" for file in files]
    settings += ["nagios_user=root", "nagios_group=root", "illegal_macro_output_chars=`~$&|'\"<>"]
    settings += [f"{name}={tmp_path / name}" for name in ("log_file", "status_file", "lock_file", "command_file")]
    results = tmp_path / "results"
    results.mkdir()
    settings += [f"check_result_path={results}", f"temp_path={tmp_path}", f"temp_file={tmp_path / 'temp'}"]
    config = tmp_path / "nagios.cfg"
    config.write_text("\n".join(settings) + "\n")
    done = subprocess.run([nagios.PROGRAM, "-v", config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Checked 2 services" in done.stdout
    assert "Total Errors:   0" in done.stdout
