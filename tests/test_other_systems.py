"""docs/other_systems.md: its lines run with our programs, and by the rules of the systems that read what they print.

Those systems are not packaged here. Their rules are those of their sources: how each takes an output apart.
"""

import http.server
import math
import os
import re
import subprocess
import sys
import threading
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

from check_ssh_exchange.host import options as host_options
from check_ssh_exchange.remote import options as remote_options
from tests.exporter.program import Samples, running
from tests.lab.daemons import PLUGIN_DIRECTORY
from tests.lab.fake_sshd import HEALTHY, FakeSshd
from tests.lab.front_door import ROOT, Answer, check
from tests.lab.monitored import HOST, LINES, SHOWN, STATES, Value, parsed
from tests.lab.systemd import Machine, interpreter, missing

PAGE = ROOT / "docs" / "other_systems.md"
PARSERS = {"check_ssh_exchange": remote_options.parser, "check_sshd_local": host_options.parser}
HOST_SIDE = (sys.executable, "-m", "check_ssh_exchange.host")
# What the two collectors ask for.
TELEGRAF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
COLLECTOR = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, language
    return found


def telegraf() -> dict[str, list[dict[str, Any]]]:
    """Return Telegraf's inputs."""
    inputs: dict[str, list[dict[str, Any]]] = {}
    for block in blocks("toml"):
        inputs |= tomllib.loads(block)["inputs"]
    return inputs


def yaml() -> list[Any]:
    return [document for block in blocks("yaml") for document in YAML(typ="safe").load_all(block)]


def sensu() -> list[dict[str, Any]]:
    return [document["spec"] for document in yaml() if document.get("type") == "CheckConfig"]


def commands() -> list[str]:
    """Return every command that the page has a system run."""
    of_telegraf = [command for section in telegraf()["exec"] for command in section["commands"]]
    of_sensu = [spec["command"] for spec in sensu()]
    (of_kuma,) = re.findall(r"^output=\$\((.*)\)$", blocks("sh")[0], re.MULTILINE)
    return [*of_telegraf, *of_sensu, of_kuma]


@cache
def parser_of(program: str) -> ArgumentParser:
    return PARSERS[program]()


def where(servers: dict[str, int], kind: str) -> list[str]:
    return ["-H", HOST, "-p", str(servers[kind]), *(["-t", "3"] if kind == "silent" else [])]


# --- the rules of others


def by_telegraf(output: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return figure -> fields and tags, and the text, as the parser of data format `nagios` takes an output apart."""
    first, *further = output.split("\n")
    parts = first.split("|")
    assert len(parts) <= 2, "illegal output format"
    assert not any("|" in line for line in further), "more perfdata"
    figures: dict[str, dict[str, Any]] = {}
    for item in re.findall(r"[^=]+=\S+", parts[1] if len(parts) == 2 else ""):
        level, plain = r"([\d.\-+eE:~@]+)?", r"([\d.\-+eE]+)?"
        found = re.match(rf"([^=]+)=([\d.\-+eE]+)([\w/%]*);?{level};?{level};?{plain};?{plain};?\s*", item.strip())
        assert found, item
        fields: dict[str, Any] = {"value": float(found[2])}
        for name, text in (("warning", found[4]), ("critical", found[5])):
            if text:
                low, _, high = text.rpartition(":")
                fields[f"{name}_lt"] = float(low or 0)
                fields[f"{name}_gt"] = float(high) if high else math.inf
        fields |= {name: float(text) for name, text in (("min", found[6]), ("max", found[7])) if text}
        figures[found[1].strip("'")] = fields | ({"unit": found[3]} if found[3] else {})
    return figures, parts[0].strip()


def by_sensu(output: str) -> dict[str, float]:
    """Return the figures that the parser of nagios_perfdata finds; what it would log as an error fails."""
    parts = output.split("|")
    assert len(parts) == 2, "nagios perfdata format requires at least one performance data metric"
    figures = {}
    for metric in filter(None, parts[1].strip().split(" ")):
        words = metric.split(";")[0].split("=")
        assert len(words) == 2, f"invalid nagios perfdata metric: {metric!r}"
        figures[words[0]] = float(re.sub(r"[^-\d.]", "", words[1]))
    return figures


def by_kuma(query: dict[str, list[str]]) -> tuple[str, str, float | None]:
    """Return up or down, the message and the milliseconds that the push address keeps; a ping that is none fails."""
    (status,), (message,) = query.get("status", ["up"]), query.get("msg", ["OK"])
    ping = float(query["ping"][0]) if "ping" in query else None
    assert ping is None or 0 <= ping <= 86_400_000
    return "up" if status == "up" else "down", message, ping


# --- the page


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_of_ours_with_options_that_it_has(command: str) -> None:
    program, *words = command.split()
    assert program.startswith(PLUGIN_DIRECTORY)
    read = parser_of(program.removeprefix(PLUGIN_DIRECTORY)).parse_args(words)
    assert not read.verbose  # Sensu would take further lines for perfdata


def test_every_command_has_the_time_that_it_may_take() -> None:
    seconds = [section["timeout"] for section in (*telegraf()["exec"], *telegraf()["prometheus"])]
    assert all(float(text.removesuffix("s")) >= 15 for text in seconds)
    assert all(spec["timeout"] >= 15 and spec["interval"] > spec["timeout"] for spec in sensu())


def test_telegraf_tells_servers_apart() -> None:
    sections = telegraf()["exec"]
    assert all(len(section["commands"]) == 1 and section["data_format"] == "nagios" for section in sections)
    assert len({section["tags"]["target"] for section in sections}) == len(sections)


# --- what the plugins print


def assert_all_survive(answer: Answer) -> None:
    """Fail unless both parsers have every figure, and Telegraf every threshold and the text too."""
    perfdata = answer.out.split("\n")[0].partition(" | ")[2]
    items = parsed(perfdata)
    assert items
    figures, text = by_telegraf(answer.out)
    assert text == answer.line
    assert list(figures) == list(items)
    for label, item in items.items():
        assert figures[label] == fields(item), label
    assert by_sensu(answer.out) == {label: float(item.value) for label, item in items.items()}


def fields(item: Value) -> dict[str, Any]:
    """Return what Telegraf should have of an item of perfdata."""
    made: dict[str, Any] = {"value": float(item.value)} | ({"unit": item.unit} if item.unit else {})
    for name, text in (("warning", item.warn), ("critical", item.crit)):
        low, colon, high = text.rpartition(":")
        if text:
            made |= {f"{name}_lt": float(low) if colon else 0.0, f"{name}_gt": float(high) if high else math.inf}
    return made | {name: float(text) for name, text in (("min", item.low), ("max", item.high)) if text}


@pytest.mark.parametrize("kind", STATES)
def test_every_figure_of_a_server_survives(servers: dict[str, int], kind: str) -> None:
    answer = check(*where(servers, kind))
    assert answer.code == STATES[kind]
    assert re.fullmatch(LINES[kind], answer.line, re.ASCII)
    assert_all_survive(answer)


def test_every_figure_of_the_servers_own_side_survives(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.write_text(check("--collect", command=HOST_SIDE).out)
    command = telegraf()["exec"][1]["commands"][0].replace("/run/check_sshd_local/snapshot.json", str(snapshot))
    answer = check(*command.split()[1:], command=HOST_SIDE)
    assert answer.out.startswith("SSHD ")
    assert_all_survive(answer)


def test_with_further_lines_sensu_would_find_figures_that_are_none(servers: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="invalid nagios perfdata metric"):
        by_sensu(check("-v", *where(servers, "closed")).out)


# --- what the exporter answers


@pytest.mark.parametrize("accept", [TELEGRAF, COLLECTOR], ids=["telegraf", "collector"])
def test_the_exporter_answers_what_is_asked_for(tmp_path: Path, accept: str) -> None:
    (section,) = telegraf()["prometheus"]
    with (
        FakeSshd(HEALTHY) as server,
        FakeSshd(HEALTHY, address="::1") as six,
        running(tmp_path, "modules: {default: {exempt: true}}") as program,
    ):
        for url in section["urls"]:
            split = urlsplit(url)
            assert split.netloc == "127.0.0.1:10922"
            query = split.query.replace("bastion.example:22", f"127.0.0.1:{server.port}")
            query = query.replace("%5B2001:db8::22%5D:22", f"%5B::1%5D:{six.port}")
            reply = program.get(f"{split.path}?{query}" if query else split.path, {"Accept": accept})
            assert reply.status == 200, reply.text
            kind = "text/plain; version=0.0.4" if accept == TELEGRAF else "application/openmetrics-text; version=1.0.0"
            assert reply.headers["content-type"].startswith(kind)
            if query:
                assert Samples(reply.text.replace("# EOF\n", "")).value("probe_success") == 1
            else:
                assert "ssh_exchange_exporter_build_info" in reply.text
        assert server.peers
        assert six.peers


def test_prometheus_takes_the_scrape_configuration_of_the_collector(tmp_path: Path) -> None:
    (page,) = [document for document in yaml() if "receivers" in document]
    assert page["service"]["pipelines"]["metrics"] == {
        "receivers": ["prometheus"],
        "exporters": list(page["exporters"]),
    }
    assert "$" not in str(page)  # the collector would take it for a variable
    configuration = tmp_path / "prometheus.yml"
    with configuration.open("w") as file:
        YAML(typ="safe").dump(page["receivers"]["prometheus"]["config"], file)
    if which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(["promtool", "check", "config", configuration], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# --- Uptime Kuma


class Kuma(http.server.BaseHTTPRequestHandler):
    """Takes pushes as Uptime Kuma does."""

    pushed: list[str] = []

    def do_GET(self) -> None:
        self.pushed.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ok":true}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def kuma() -> Iterator[tuple[int, list[str]]]:
    """Run a server that takes pushes; yield its port and the paths that were asked for."""
    Kuma.pushed = []
    with http.server.ThreadingHTTPServer((HOST, 0), Kuma) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], Kuma.pushed
        finally:
            server.shutdown()
            thread.join()


def script(words: list[str]) -> str:
    """Return the shipped script, checking this server."""
    plugin = f"{sys.executable} -m check_ssh_exchange {' '.join(words)}"
    text = blocks("sh")[0]
    assert text.count(f"{PLUGIN_DIRECTORY}check_ssh_exchange -H bastion.example") == 1
    return text.replace(f"{PLUGIN_DIRECTORY}check_ssh_exchange -H bastion.example", plugin)


def push(place: Path, port: int, words: list[str]) -> tuple[int, str]:
    """Run the script; return its exit code and all that it wrote."""
    (configuration,) = re.findall(r'^url = ".*"$', PAGE.read_text("utf-8"), re.MULTILINE)
    (place / "ssh_exchange_push").write_text(configuration.replace("https://kuma.example", f"http://{HOST}:{port}"))
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(place), "no_proxy": "*"}
    done = subprocess.run(
        ["sh", "-c", script(words)], capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", STATES)
def test_uptime_kuma_has_state_text_and_time(servers: dict[str, int], tmp_path: Path, kind: str) -> None:
    if which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    with kuma() as (port, pushed):
        assert push(tmp_path, port, where(servers, kind)) == (0, "")
    (path,) = pushed
    assert urlsplit(path).path == "/api/push/TOKEN"
    status, message, ping = by_kuma(parse_qs(urlsplit(path).query, strict_parsing=False))
    assert status == ("up" if STATES[kind] < 2 else "down")
    assert re.fullmatch(LINES[kind], message, re.ASCII)
    assert (ping is not None) == (kind in ("healthy", "throttled", "odd"))
    if kind == "hostile":
        assert SHOWN in message
    said = re.search(r"banner ([\d.]+) ms", message)
    if said and ping is not None:
        # A busy server's is a whole number in the text: 3.1 ms and 150 ms.
        assert ping == pytest.approx(float(said[1]), abs=0.06 if "." in said[1] else 0.6)


def test_a_push_that_is_not_taken_fails(tmp_path: Path) -> None:
    if which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    with FakeSshd(HEALTHY) as server:
        code, said = push(tmp_path, server.port, ["-H", HOST, "-p", str(server.port)])
    assert code != 0
    assert said.startswith("curl: ")


@pytest.mark.real
def test_the_timer_pushes_under_systemd(tmp_path: Path) -> None:
    if reason := missing() or (None if which("curl") else "install the Debian package curl"):
        pytest.skip(reason)
    service, timer = blocks("ini")
    machine = Machine(tmp_path, [])
    machine.write("usr/local/sbin/ssh_exchange_push", blocks("sh")[0].replace("bastion.example", HOST), 0o755)
    machine.write("etc/ssh_exchange_push", f'url = "http://{HOST}:3001/api/push/TOKEN"\n', 0o600)
    machine.write("etc/systemd/system/ssh_exchange_push.service", service)
    machine.write("etc/systemd/system/ssh_exchange_push.timer", timer.replace("OnBootSec=1min", "OnBootSec=1s"))
    listener = (
        "import socket; s = socket.create_server(('127.0.0.1', 3001)); open('/run/ready', 'w'); c, _ = s.accept(); "
        "print(c.recv(65536).decode().split()[1], flush=True); c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')"
    )
    with machine:
        paths = [f"/etc/systemd/system/ssh_exchange_push.{kind}" for kind in ("service", "timer")]
        done = machine("systemd-analyze", "verify", "--man=no", *paths)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        machine("bash", "-c", "ssh-keygen -q -A; systemctl start ssh.service")
        machine("systemd-run", "--quiet", "--unit=kuma", interpreter(), "-c", listener)
        done = machine(
            "bash", "-c", "until [ -e /run/ready ]; do sleep 0.1; done; systemctl start ssh_exchange_push.timer"
        )
        assert done.returncode == 0, done.said
        done = machine("bash", "-c", "until journalctl -o cat -u kuma | grep /api; do sleep 0.1; done")
    status, message, ping = by_kuma(parse_qs(urlsplit(done.stdout.split()[0]).query))
    assert (status, message[:16]) == ("up", "SSH OK - OpenSSH")
    assert ping
