"""Check result files: what a Nagios reads, what happens while it does not, and a real one that reads a thousand."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ssh_exchange_exporter.schedulers.spool import MAX_IN_FILE, MAX_UNREAD, Passive, Spool, text_of
from tests.lab import nagios
from tests.lab.daemons import USER
from tests.lab.daemons import running as daemon_running
from tests.lab.fake_sshd import FIN, HEALTHY, FakeSshd
from tests.lab.monitored import need

from .program import NEVER_SLOW, running, wait_for

SECONDS = 100.0
HOSTILE = 'SSH OK - "\\x1b[2J\\\\name" <b> ; $HOSTNAME$ | a=1;2;3 b=2s\nevidence: C:\\new\\ttext\nlast'


def passive(number: int = 1, output: str = "SSH OK - x | a=1", code: int = 0) -> Passive:
    return Passive(f"host{number}", "SSH exchange", 1_800_000_000.0, 1_800_000_000.5, code, output)


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_a_file_holds_many_results_and_its_ok_stands_beside_it(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for number in range(3):
        spool.put(passive(number))
    assert spool.write() == 3
    name, mark = files(tmp_path)
    assert re.fullmatch(r"c[A-Za-z0-9]{6}", name)  # the core reads files of seven characters
    assert mark == f"{name}.ok"
    text = (tmp_path / name).read_text()
    assert text.count("host_name=") == 3
    assert "host_name=host1\nservice_description=SSH exchange\ncheck_type=1\n" in text
    assert "start_time=1800000000.000000\nfinish_time=1800000000.500000\n" in text
    assert "return_code=0\noutput=SSH OK - x | a=1\n\nhost_name=" in text
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    assert spool.write() == 0
    assert len(files(tmp_path)) == 2


def test_an_output_is_one_line_and_its_backslashes_come_back() -> None:
    text = text_of([passive(output="a\\nb\nc")])
    assert "output=a\\\\nb\\nc\n" in text


def test_while_nobody_reads_the_newest_result_of_each_service_waits(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for _ in range(MAX_UNREAD + 5):
        spool.put(passive(1))
        spool.put(passive(2))
        spool.write()
    assert len(files(tmp_path)) == 2 * MAX_UNREAD
    assert spool.error == "nobody reads the results in it"
    # A newer one replaces the one that waits, again and again; nothing grows.
    assert (len(spool._waiting), spool.replaced) == (2, 8)
    spool.put(passive(1, "SSH CRITICAL - newest", 2))
    for path in tmp_path.iterdir():
        path.unlink()
    assert spool.write() == 2
    assert spool.error == ""
    (name,) = [name for name in files(tmp_path) if not name.endswith(".ok")]
    assert "newest" in (tmp_path / name).read_text()


def test_a_large_fleet_is_written_in_several_files(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for number in range(2 * MAX_IN_FILE + 1):
        spool.put(passive(number))
    assert spool.write() == 2 * MAX_IN_FILE + 1
    assert len(files(tmp_path)) == 6


def test_a_directory_that_is_gone_loses_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "spool"
    spool = Spool(str(place))
    spool.put(passive())
    assert (spool.write(), spool.write()) == (0, 0)
    assert [record.message for record in caplog.records] == ["results not written"]
    assert spool.error == "No such file or directory"
    place.mkdir()
    assert spool.write() == 1


@pytest.mark.real
def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", place], check=True)
    try:
        spool = Spool(str(place))
        for number in range(500):
            spool.put(passive(number, "SSH OK - " + "x" * 200))
        assert spool.write() == 0
        assert spool.error == "No space left on device"
        assert files(place) == []
        subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)
        assert spool.write() == 500
    finally:
        subprocess.run(["umount", place], check=True)


def test_background_results_are_fed_with_their_host_and_their_state(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    with FakeSshd(HEALTHY) as healthy, FakeSshd([FIN]) as closing:
        background = [
            {"targets": [f"127.0.0.1:{healthy.port}"], "interval": "2s", "labels": {"host": "web"}},
            {"targets": [f"localhost:{closing.port}"], "interval": "2s"},
        ]
        feeds = [{"nagios": {"check_result_directory": "spool", "service": "SSH exchange"}}]
        text = f"modules: {{default: {{{NEVER_SLOW}}}}}\nbackground: {json.dumps(background)}\n"
        text += f"feeds: {json.dumps(feeds)}\n"
        with running(tmp_path, text) as exporter:

            def told() -> dict[str, str]:
                text = "".join(path.read_text() for path in spool.iterdir())
                found = re.findall(r"^host_name=(.*)\n(?:.*\n)*?return_code=(\d)\noutput=(.*)$", text, re.MULTILINE)
                return {host: f"{code} {output}" for host, code, output in found}

            wait_for(lambda: len(told()) == 2, SECONDS)
            assert told()["web"].startswith("0 SSH OK - FakeSSH_1.0 ")
            assert " | handshakes=5;;;0 " in told()["web"]
            assert told()["localhost"].startswith("2 SSH CRITICAL - 5 of 5 handshakes closed")
            assert exporter.metrics().value("ssh_exchange_exporter_results_fed_total") >= 2
            assert exporter.metrics().value("ssh_exchange_exporter_feeds_failed") == 0


# --- a real Nagios

SERVICES = 1000
FRESH = 20  # seconds


def objects(home: Path, hosts: list[str]) -> str:
    """A passive service on each host, stale after FRESH seconds."""
    always = {"check_period": "always", "notification_period": "always", "contacts": "nobody"}
    every = always | {"notification_interval": 0, "max_check_attempts": 1}
    once = {"check_interval": 3600, "retry_interval": 3600}
    never: dict[str, object] = dict.fromkeys(("host_notifications_enabled", "service_notifications_enabled"), 0)
    never |= dict.fromkeys(("host_notification_options", "service_notification_options"), "n")
    never |= dict.fromkeys(("host_notification_commands", "service_notification_commands"), "stale")
    never |= dict.fromkeys(("host_notification_period", "service_notification_period"), "always")
    days = dict.fromkeys(nagios.DAYS, "00:00-24:00")
    made = [
        nagios.definition("command", command_name="stale", command_line="/bin/echo STALE"),
        nagios.definition("timeperiod", timeperiod_name="always", alias="always", **days),
        nagios.definition("contact", contact_name="nobody", **never),
    ]
    for host in hosts:
        made.append(nagios.definition("host", host_name=host, address="192.0.2.1", active_checks_enabled=0, **every))
        passive_service = {"active_checks_enabled": 0, "check_freshness": 1, "freshness_threshold": FRESH}
        names = {"host_name": host, "service_description": "SSH exchange", "check_command": "stale"}
        made.append(nagios.definition("service", **names, **passive_service, **once, **every))
    return "".join(made)


@contextmanager
def core(home: Path, hosts: list[str]) -> Iterator[Path]:
    """Run a Nagios that reads results from `home/results`; yield its status.dat."""
    for name in ("results", "rw", "log_archive_path"):
        (home / name).mkdir()
    (home / "objects.cfg").write_text(objects(home, hosts))
    names = ("log_file", "object_cache_file", "precached_object_file", "status_file", "lock_file", "temp_file")
    own = {name: home / name for name in (*names, "state_retention_file", "log_archive_path")}
    own |= {"cfg_file": home / "objects.cfg", "temp_path": home, "check_result_path": home / "results"}
    own |= {"command_file": home / "rw/nagios.cmd", "query_socket": home / "rw/nagios.qh"}
    by_others = {
        "accept_passive_service_checks": 1,
        "check_service_freshness": 1,
        "service_freshness_check_interval": 2,
    }
    settings = nagios.SETTINGS | own | by_others | {"nagios_user": USER, "nagios_group": USER}
    config = home / "nagios.cfg"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for path in (home, *home.iterdir()):
        shutil.chown(path, USER, USER)
    with daemon_running([nagios.PROGRAM, config], home / "output"):
        yield own["status_file"]


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that user nagios reaches."""
    need(nagios.PACKAGES)
    place = Path(tempfile.mkdtemp(prefix="check-ssh-spool-", dir="/var/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.real
def test_a_real_nagios_takes_a_thousand_services_and_tells_when_no_more_come(home: Path) -> None:
    hosts = [f"host{number}" for number in range(SERVICES)]
    with core(home, hosts) as status:
        spool = Spool(str(home / "results"))

        def put(code: int, output: str) -> None:
            now = time.time()  # the core reckons the age of a result from it
            for number in range(SERVICES):
                spool.put(passive(number, output, code)._replace(begun=now, ended=now + 0.5))
            assert spool.write() == SERVICES
            for path in (home / "results").iterdir():
                with suppress(FileNotFoundError):  # the core reads a file and removes both as soon as it may
                    shutil.chown(path, USER, USER)

        def states() -> list[dict[str, str]]:
            text = status.read_text("utf-8", "surrogateescape") if status.exists() else ""
            blocks = re.findall(r"^servicestatus \{\n(.*?)^\t\}", text, re.DOTALL | re.MULTILINE)
            return [dict(line[1:].split("=", 1) for line in block.split("\n") if "=" in line) for block in blocks]

        wait_for(lambda: len(states()) == SERVICES, SECONDS)
        put(1, HOSTILE)
        wait_for(lambda: [one["current_state"] for one in states()] == ["1"] * SERVICES, SECONDS)
        first, *_ = states()
        # As for a plugin that it runs itself: ; becomes :, and status.dat writes a backslash twice in long output.
        assert first["plugin_output"] == HOSTILE.split(" | ", maxsplit=1)[0].replace(";", ":")
        assert first["long_plugin_output"] == "evidence: C:\\\\new\\\\ttext\\nlast"
        assert first["performance_data"] == "a=1;2;3 b=2s"
        assert first["check_type"] == "1"
        assert files(home / "results") == []  # read and removed
        wait_for(lambda: all(one["plugin_output"] == "STALE" for one in states()), SECONDS)
        put(0, "SSH OK - again")
        wait_for(lambda: [one["current_state"] for one in states()] == ["0"] * SERVICES, SECONDS)
