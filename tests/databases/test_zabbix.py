"""A real Zabbix imports the shipped templates, reads every item, and has a problem while a real fault is there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host import openmetrics
from faults.holding import held
from tests.exporter.program import ROOT, Program, running
from tests.lab import zabbix, zoo
from tests.lab.zabbix import TEMPLATES, ApiError, Monitored, Problem, Site, eventually
from tests.lab.zoo import Server

pytestmark = pytest.mark.real

EXCHANGE, LOCAL = TEMPLATES
WARNING, AVERAGE, HIGH = 2, 3, 4  # severities as numbers of the API
# No load makes a server slow; and a server that stays silent is known as such before Zabbix asks again.
CONFIGURATION = """
modules:
  default: &all
    thresholds: {warning: {banner_p50: "60"}, critical: {banner_p50: "60"}}
  keys: {<<: *all, depth: hostkey}
  quick: {<<: *all, timeout: 2s}
"""
# Results every two seconds, and problems after five, instead of every minute and after five minutes.
QUICK = {"{$SSH_EXCHANGE.INTERVAL}": "2s", "{$SSH_EXCHANGE.NODATA}": "30s", "{$SSH_EXCHANGE.TIME}": "5s"}
QUICK |= {f"{{$SSH_EXCHANGE.TIME:{cause}}}": "5s" for cause in ("slow", "server_fault", "banned", "access_denied")}
QUICK_LOCAL = {"{$SSHD_LOCAL.INTERVAL}": "1s", "{$SSHD_LOCAL.TIME:startups}": "3s", "{$SSHD_LOCAL.TIME}": "3s"}
# They compare the last two values, and there is only one.
NEED_TWO = r"has changed$"


class Lab(NamedTuple):
    """Zabbix, the exporter that it asks, and the servers that the exporter probes."""

    site: Site
    exporter: Program
    chroot: zoo.Chroot
    healthy: Server
    stopped: Server
    refused: Monitored

    def host(self, name: str, server: Server, module: str = "default") -> Monitored:
        """Make a host of the template that asks the exporter."""
        return exchange_host(self.site, self.exporter, name, server, module)


def exchange_host(site: Site, exporter: Program, name: str, server: Server, module: str) -> Monitored:
    own = {"URL": f"http://127.0.0.1:{exporter.port}", "PORT": str(server.port), "MODULE": module}
    macros = {f"{{$SSH_EXCHANGE.{key}}}": value for key, value in own.items()}
    return site.api.make_host(name, EXCHANGE, QUICK | macros)


def unsure(host: Monitored) -> list[str]:
    """The triggers that Zabbix cannot evaluate, without those that need two values."""
    names = [trigger["description"] for trigger in host.triggers() if trigger["state"] != "0"]
    return [name for name in names if not re.search(NEED_TWO, name)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := zabbix.missing() or zoo.missing():
        pytest.skip(reason)
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="zabbix-"))  # a short path, for the sockets in it
        stack.callback(shutil.rmtree, home)
        home.chmod(0o755)
        site = stack.enter_context(zabbix.zabbix(home))
        for file in TEMPLATES.values():
            site.api.import_template(file.read_text("utf-8"))
        exporter = stack.enter_context(running(tmp_path_factory.mktemp("exporter"), CONFIGURATION))
        healthy, stopped = (
            stack.enter_context(zoo.server("openssh-9.2", options={"MaxStartups": "100"})) for _ in range(2)
        )
        # The longest wait of all: half a minute without a result, while the other tests run.
        refused = exchange_host(site, exporter, "refused", healthy, "other")
        yield Lab(site, exporter, stack.enter_context(zoo.copy("openssh-9.2")), healthy, stopped, refused)


# --- the import


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_what_zabbix_itself_would_export_and_a_second_import_changes_nothing(lab: Lab, name: str) -> None:
    text, api = TEMPLATES[name].read_text("utf-8"), lab.site.api
    assert api.differences(text) == []
    before = api.exported(name)
    api.import_template(text)
    assert api.exported(name) == before
    assert before.count("uuid: ") == text.count("uuid: ")


def test_zabbix_would_not_accept_a_wrong_one(lab: Lab) -> None:
    text = TEMPLATES[EXCHANGE].read_text("utf-8")
    for right, wrong, error in (
        (r"nodata\(", "nodatum(", "nodatum"),
        (r'\{ending="closed"\}', '{ending="closed"', "invalid Prometheus pattern"),
        (r"(      items:\n +- uuid: '.{12})4", r"\g<1>5", "UUIDv4 is expected"),
    ):
        changed, count = re.subn(right, wrong, text)
        assert count == 1, right
        with pytest.raises(ApiError, match=error):
            lab.site.api.import_template(changed)


# --- what the exporter sees


def opened(host: Monitored, name: str) -> Problem:
    """Wait for a problem, and return it."""
    return eventually(host.problems, lambda found: name in found)[name]


def closed(host: Monitored) -> None:
    """Wait until the host has no problem."""
    eventually(host.problems, lambda found: not found)


def assert_page_opens(lab: Lab, host: Monitored, name: str, page: str) -> None:
    (number,) = [one["triggerid"] for one in host.triggers() if one["description"] == f"SSH exchange: {name}"]
    (url,) = lab.site.api.links(number)
    assert urlsplit(url).path == f"/runbook/{page}"
    assert urlsplit(url).port == lab.exporter.port
    assert lab.exporter.get(f"/runbook/{page}").status == 200


def test_a_healthy_server_has_a_value_in_every_item_and_no_problem(lab: Lab) -> None:
    host = lab.host("healthy", lab.healthy, "keys")
    kept = eventually(host.values, lambda found: {"ssh_exchange.phase[hostkey,max]"} <= found.keys())
    kept = eventually(host.values, lambda found: {"ssh_exchange.host_key[ssh-ed25519]"} <= found.keys())
    items = host.items()
    assert [item for item in items.values() if item["error"]] == []
    assert items.keys() - kept.keys() == {"ssh_exchange.get"}
    assert {key: kept[f"ssh_exchange.{key}"] for key in ("state", "cause", "success", "early_close")} == {
        "state": "0",
        "cause": "healthy",
        "success": "1",
        "early_close": "0",
    }
    counts = {ending: kept[f"ssh_exchange.handshakes[{ending}]"] for ending in Ending}
    assert counts == dict.fromkeys(Ending, "0") | {Ending.COMPLETED: "5"}
    assert kept["ssh_exchange.server[software]"].startswith("OpenSSH_9.2p1")
    assert kept["ssh_exchange.server[protocol]"] == "2.0"
    quantiles = [float(kept[f"ssh_exchange.phase[banner,{word}]"]) for word in ("p50", "p90", "max")]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2] < 60
    keys = {key: value for key, value in kept.items() if key.startswith("ssh_exchange.host_key[")}
    assert keys.keys() == {
        f"ssh_exchange.host_key[{kind}]" for kind in ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256")
    }
    assert all(re.fullmatch(r"SHA256:[\w+/]{43}", value) for value in keys.values())
    assert host.problems() == {}
    assert unsure(host) == []


def test_a_throttled_server_is_a_problem_until_it_is_not(lab: Lab) -> None:
    with lab.chroot.server(options={"MaxStartups": "2:100:2"}) as throttled:
        host = lab.host("throttled", throttled)
        problem = opened(host, "SSH exchange: MaxStartups throttling (for 5s)")
        assert problem.severity == AVERAGE
        assert re.fullmatch(
            r"Cause: MaxStartups throttling \(maxstartups\), state: (WARNING \(1\)|CRITICAL \(2\))", problem.opdata
        )
        assert set(host.problems()) == {problem.name}
        assert_page_opens(lab, host, "MaxStartups throttling", "maxstartups")
        values = host.values()
        assert float(values["ssh_exchange.early_close"]) > 0
        assert int(values["ssh_exchange.handshakes[turned_away]"]) > 0
    with lab.chroot.server(port=throttled.port):
        closed(host)
        assert eventually(host.values, lambda found: found["ssh_exchange.cause"] == "healthy")


def test_a_stopped_server_is_one_problem_that_names_its_cause(lab: Lab) -> None:
    host = lab.host("stopped", lab.stopped, "quick")
    eventually(host.values, lambda found: found.get("ssh_exchange.cause") == "healthy")
    os.kill(lab.stopped.pid, signal.SIGSTOP)
    try:
        problem = opened(host, "SSH exchange: the server accepts and stays silent (for 5s)")
        assert problem.severity == HIGH
        assert_page_opens(lab, host, "the server accepts and stays silent", "stalled")
        assert_page_opens(lab, host, "No SSH handshake completes", "stalled")  # it knows the last cause
        # Nobody gets in either, which the first problem says.
        eventually(host.values, lambda found: found["ssh_exchange.success"] == "0")
        assert set(host.problems()) == {problem.name}
    finally:
        os.kill(lab.stopped.pid, signal.SIGCONT)
    closed(host)


# --- what check_sshd_local sees


def write(file: Path, server: Server, age: int = 0, drops: int = 0) -> None:
    """Have check_sshd_local look at this server, and write what it says; or what it would have written some time ago.

    No log of this host has lines of this server, so the counters that come of a log are added.
    """
    command = [
        sys.executable,
        "-m",
        "check_ssh_exchange.host",
        "--output-format",
        "openmetrics",
        "--port",
        str(server.port),
    ]
    state = ["--state-file", str(file.with_suffix(".state"))]
    done = subprocess.run([*command, *state], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("# HELP"), done
    text = re.sub(r"^sshd_local_drops_total.*\n", "", done.stdout, flags=re.MULTILINE)
    text = re.sub(r"(?<=timestamp_seconds )[\d.]+", lambda at: f"{float(at[0]) - age:.3f}", text)
    text += "".join(f'sshd_local_drops_total{{reason="{reason}"}} {drops}\n' for reason in openmetrics._DROPS.values())
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def test_the_host_side_is_read_by_the_agent_and_is_a_problem_while_it_is_one(lab: Lab) -> None:
    file = lab.site.home / "sshd_local.prom"
    with lab.chroot.server(options={"MaxStartups": "4:50:8"}) as server:
        write(file, server)
        macros = QUICK_LOCAL | {"{$SSHD_LOCAL.FILE}": str(file)}
        host = lab.site.api.make_host("local", LOCAL, macros, lab.site.agent_port)
        eventually(host.values, lambda found: "sshd_local.item[startups]" in found)
        values = eventually(host.values, lambda found: "sshd_local.drops.rate[maxstartups]" in found)
        assert [item for item in host.items().values() if item["error"]] == []
        assert [values[f"sshd_local.startups{part}"] for part in ("", ".begin", ".full")] == ["0", "4", "8"]
        assert values["sshd_local.item[daemon]"] == "0"
        assert 0 <= float(values["sshd_local.age"]) < 100
        assert values["sshd_local.causes"]
        assert unsure(host) == []
        with held(server, 3):
            write(file, server)
            problem = opened(host, "SSH daemon: sshd is near MaxStartups (over 50% for 3s)")
            assert (problem.severity, problem.opdata) == (WARNING, "Startups: 3 of 4")
        write(file, server)
        eventually(host.problems, lambda found: problem.name not in found)
        write(file, server, age=1000)
        late = opened(host, "SSH daemon: check_sshd_local has not run (for more than 300s)")
        assert late.severity == WARNING
        write(file, server, drops=600)
        eventually(host.problems, lambda found: late.name not in found)
        drops = opened(host, "SSH daemon: sshd drops connections, reason maxstartups (over 0/s)")
        assert drops.severity == AVERAGE
        eventually(host.problems, lambda found: drops.name not in found)


def test_the_readme_ends_in_a_check_that_works(lab: Lab) -> None:
    file = lab.site.home / "readme.prom"
    write(file, lab.healthy)
    readme = (TEMPLATES[LOCAL].parent / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    for shown, real in (
        (":10922/", f":{lab.exporter.port}/"),
        ("127.0.0.1:22'", f"127.0.0.1:{lab.healthy.port}'"),
        ("/var/lib/prometheus/node-exporter/sshd_local.prom", str(file)),
    ):
        assert shown in block
        block = block.replace(shown, real)
    for line in block.splitlines():
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), line
        assert re.match(r"ssh_exchange_state 0|sshd_local_last_run_timestamp_seconds \d", done.stdout)


# --- without a result


def test_an_exporter_that_refuses_is_a_problem_until_it_answers(lab: Lab) -> None:
    host = lab.refused
    problem = opened(host, "SSH exchange: No result from the exporter (for 30s)")
    assert problem.severity == AVERAGE
    assert "400" in host.items()["ssh_exchange.get"]["error"]
    assert_page_opens(lab, host, "No result from the exporter", "")
    host.macro("{$SSH_EXCHANGE.MODULE}", "default")
    closed(host)
