"""contrib/checkmk: the lines and the script, run as Checkmk's agent runs them, and read by the rules of its parsers.

There is no package of Checkmk here. The rules are those of its agent (how a line of mrpe.cfg and a local check are run)
and of its sections `mrpe` and `local` (how a service is read out of what they print).
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from tests.lab.daemons import CONTRIB, PLUGIN_DIRECTORY
from tests.lab.front_door import ROOT
from tests.lab.monitored import HOST, LINES, SHOWN, STATES, parsed

FOLDER = CONTRIB / "checkmk"
SCRIPT = FOLDER / "ssh_exchange"
MODULES = {"check_ssh_exchange": "check_ssh_exchange", "check_sshd_local": "check_ssh_exchange.host"}
SECONDS = 120
HANGING, HANG_SECONDS = 12, 8.0
# The agent reads the name and the rest of a line, takes the options in parentheses off, and has its shell run what is
# left. Line ends become \1, for a section has one line for each service.
AGENT = """
while read -r name rest; do
  output=$(eval "${rest#(*) }"); state=$?
  printf '(program) %s %s %s' "$name" "$state" "$output" | tr '\\n' '\\1'
  printf '\\n%s\\0' "$output"
done
"""


class Service(NamedTuple):
    """What Checkmk shows: the metrics are value, warning, critical, minimum and maximum."""

    state: int
    summary: str
    details: str
    metrics: dict[str, tuple[float | None, ...]]


@pytest.fixture
def plugins(tmp_path: Path) -> str:
    """A directory with both plugins, as a command line names it."""
    for name, module in MODULES.items():
        made = tmp_path / name
        made.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m {module} "$@"\n')
        made.chmod(0o755)
    return f"{tmp_path}/"


def lines(name: str) -> list[str]:
    """Return the lines of a shipped file that are no comments."""
    return [line for line in (FOLDER / name).read_text("utf-8").splitlines() if not re.match(r"\s*(#|$)", line)]


def where(servers: dict[str, int], kind: str) -> str:
    return f"-H {HOST} -p {servers[kind]}" + (" -t 3" if kind == "silent" else "")


# --- the rules


def number(text: str) -> float | None:
    """Return a number with a unit behind it, None for what is none."""
    found = re.match(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text)
    return float(found[0]) if found else None


def mrpe(line: str) -> tuple[str, Service]:
    """Read a line of the section: a program in parentheses, name, state, output; the character 1 for line ends."""
    _, name, state, *rest = line.split()  # runs of blanks become one
    first, *further = " ".join(rest).split("\1")
    summary, _, perfdata = first.partition("|")
    assert not any("|" in line for line in further), "perfdata would begin there"
    metrics = {}
    for item in perfdata.split():
        label, value = item.split("=", 1)
        fields = [field.rpartition(":")[2] for field in value.split(";")]  # of a range, the upper end
        value_, *levels = [*fields, "", "", "", ""][:5]
        assert number(value_) is not None
        metrics[label] = (number(value_), *(number(level) for level in levels))
    return unquote(name), Service(int(state), summary.strip(), "\n".join(further), metrics)


def local(line: str) -> tuple[str, Service]:
    """Read a line of the section: state, name, metrics or -, text; a backslash and n for line ends."""
    found = re.fullmatch(r'([0-3P]) (?:"([^"\']+)"|([^ "\']+)) ([^ ]+)(?: +(.*))?', line)
    assert found, line
    metrics: dict[str, tuple[float | None, ...]] = {}
    for entry in [] if found[4] == "-" else found[4].split("|"):
        label, value, *levels = re.split("[=;]", entry)
        assert re.fullmatch(r"[A-Za-z]\w*", label, re.ASCII)
        assert re.fullmatch(r"-?\d+(\.\d+)?", value)  # a unit would be cut off
        metrics[label] = (float(value), *(number(level) for level in levels))
    summary, _, details = (found[5] or "").replace(r"\n", "\n").partition("\n")
    return found[2] or found[3], Service(int(found[1]), summary, details, metrics)


# --- MRPE


def by_mrpe(text: str) -> list[tuple[str, Service, str]]:
    """Have the agent run lines; return name, service and what the plugin printed."""
    done = subprocess.run(["bash", "-c", AGENT], input=text, capture_output=True, text=True, timeout=SECONDS)
    assert done.stderr == ""
    found = []
    for record in done.stdout.split("\0")[:-1]:
        line, _, output = record.partition("\n")
        found.append((*mrpe(line), output))
    return found


@pytest.mark.parametrize("kind", STATES)
def test_by_mrpe_every_word_and_every_figure_arrives(servers: dict[str, int], plugins: str, kind: str) -> None:
    line = lines("mrpe.cfg")[0].replace(PLUGIN_DIRECTORY, plugins).replace("-H bastion.example", where(servers, kind))
    ((name, service, output),) = by_mrpe(f"{line}\n")
    assert (name, service.state) == ("SSH bastion.example", STATES[kind])
    assert re.fullmatch(LINES[kind].replace("  ", " "), service.summary, re.ASCII)
    printed, _, long_text = output.partition("\n")
    assert service.details.split() == long_text.split()
    items = parsed(printed.partition(" | ")[2])
    assert list(service.metrics) == list(items)
    for label, item in items.items():
        value, warn, crit, low, high = service.metrics[label]
        assert value == float(item.value)
        upper = [number(text.rpartition(":")[2]) for text in (item.warn, item.crit)]
        assert [warn, crit] == upper
        assert (low, high) == (0, 100 if item.unit == "%" else None)


def test_by_mrpe_the_servers_own_side_arrives(plugins: str) -> None:
    ((name, service, output),) = by_mrpe(lines("mrpe.cfg")[1].replace(PLUGIN_DIRECTORY, plugins) + "\n")
    assert name == "SSHD"
    assert output.startswith(f"SSHD {('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')[service.state]} - ")
    assert list(service.metrics) == [item.partition("=")[0] for item in output.split("\n")[0].split(" | ")[1].split()]
    # 10: is a lower end, of which nothing is kept; 90 is an upper one.
    assert service.metrics["memory_available"][1:] == (None, None, 0, 100)
    assert service.metrics["disk_used"][1:] == (90, 98, 0, 100)


def test_the_agent_can_run_every_line_in_the_background() -> None:
    found = lines("mrpe.cfg")
    assert len(found) == len(MODULES)
    for line, program in zip(found, MODULES, strict=True):
        assert re.match(rf"[\w.%]+ \(interval=\d+\) {PLUGIN_DIRECTORY}{program} ", line)
        assert "'" not in line  # the agent puts the command between some


# --- the local check


def by_script(directory: Path, text: str) -> dict[str, Service]:
    """Have the agent run the local check with this configuration."""
    (directory / "ssh_exchange.cfg").write_text(text)
    return said(directory)


def said(directory: Path) -> dict[str, Service]:
    environment = {"MK_CONFDIR": str(directory), "PATH": os.environ["PATH"], "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)], capture_output=True, timeout=SECONDS, env=environment, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return dict(local(line) for line in done.stdout.decode("utf-8").removesuffix("\n").split("\n"))


def test_the_script_has_a_line_for_every_server_with_all_its_figures(
    servers: dict[str, int], plugins: str, tmp_path: Path
) -> None:
    line = lines("ssh_exchange.cfg")[0].replace(PLUGIN_DIRECTORY, plugins)
    made = [
        line.replace("SSH bastion.example", f"the {kind} one", 1).replace("-H bastion.example", where(servers, kind))
        for kind in STATES
    ]
    found = by_script(tmp_path, "\n".join(made))
    assert list(found) == [f"the {kind} one" for kind in STATES]
    for kind, state in STATES.items():
        service = found[f"the {kind} one"]
        printed = subprocess.run(
            [f"{plugins}check_ssh_exchange", *where(servers, kind).split()],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        ).stdout
        assert service.state == state
        assert re.fullmatch(LINES[kind].partition(" - ")[2], service.summary, re.ASCII)
        assert bool(service.details) == (state != 0)
        assert list(service.metrics) == list(parsed(printed.strip().partition(" | ")[2]))
    closed = found["the closed one"]
    assert closed.metrics["handshakes"] == closed.metrics["refused"] == (5,)
    assert "nothing listens" in closed.summary
    assert len(closed.details.split("\n")) > 2  # evidence and remedies
    assert SHOWN in found["the hostile one"].summary
    assert 0 < (found["the healthy one"].metrics["banner_p50"][0] or 0) < 10


def test_the_script_says_what_the_servers_own_side_finds(plugins: str, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    with snapshot.open("w") as file:  # one for both: this host's servers come and go
        subprocess.run([f"{plugins}check_sshd_local", "--collect"], check=True, stdout=file, timeout=SECONDS)
    command = f"{lines('ssh_exchange.cfg')[1].replace(PLUGIN_DIRECTORY, plugins)} --snapshot {snapshot}"
    (service,) = by_script(tmp_path, command).values()
    words = [*command.split()[1:], "--output-format", "json"]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, timeout=SECONDS).stdout)
    assert ("ok", "warning", "critical", "unknown")[service.state] == told["state"]
    assert list(service.metrics) == list(told["perfdata"])
    wrong = [one for one in told["items"] if one["state"] in ("warning", "critical", "unknown")]
    assert [f"{one['item']}: " for one in wrong if f"{one['item']}: " not in service.details] == []


def test_what_cannot_be_checked_is_unknown_with_the_reason(plugins: str, tmp_path: Path) -> None:
    (tmp_path / "nothing").write_text("#!/bin/sh\n")
    (tmp_path / "nothing").chmod(0o755)
    found = by_script(
        tmp_path,
        f"""
usage {plugins}check_ssh_exchange --no-such-option  # a remark
"no name" {plugins}check_ssh_exchange -H no.such.host.invalid
absent {plugins}absent
nothing {plugins}nothing
""",
    )
    assert {
        name: (service.state, service.metrics) for name, service in found.items() if name != "no name"
    } == dict.fromkeys(("usage", "absent", "nothing"), (3, {}))
    assert "unrecognized arguments: --no-such-option" in found["usage"].summary
    assert found["no name"].state == 3
    assert "does not resolve" in found["no name"].summary
    assert found["absent"].summary == "the plugin cannot be run: No such file or directory"
    assert found["nothing"].summary == "the plugin printed nothing"


def test_a_configuration_that_cannot_be_read_is_a_service_of_its_own(tmp_path: Path) -> None:
    assert "No such file or directory" in said(tmp_path)["SSH exchange"].summary
    for text in ("alone\n", '"it\'s" command\n', '"open\n'):
        (service,) = by_script(tmp_path, text).values()
        assert service.state == 3
        assert "ssh_exchange.cfg: " in service.summary


def test_a_plugin_that_does_not_end_is_killed_and_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "hang").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "hang").chmod(0o755)
    (tmp_path / "ssh_exchange.cfg").write_text(f"hang {tmp_path}/hang\n")
    script = loaded()
    monkeypatch.setattr(script, "SECONDS", 0.2)
    monkeypatch.setattr(script, "CONFIGURATION", str(tmp_path / "ssh_exchange.cfg"))
    script.main()
    assert capfdbinary.readouterr().out == b'3 "hang" - the plugin did not end within 0 s\n'


def test_plugins_that_hang_are_waited_for_together_and_hold_up_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    told = {"state": "ok", "summary": "x" * 200_000, "perfdata": {}}  # more than a pipe holds until somebody reads
    (tmp_path / "told.json").write_text(json.dumps(told))
    # A child of what hangs holds its output open, also when that is killed.
    programs = {"hang": 'sleep 600 &\necho $! >"$0.$$"\nexec sleep 600', "tell": f"cat {tmp_path}/told.json"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    lines = [f"hang{number} {tmp_path}/hang" for number in range(HANGING)] + [f"told {tmp_path}/tell"]
    (tmp_path / "ssh_exchange.cfg").write_text("\n".join(lines))
    script = loaded()
    monkeypatch.setattr(script, "SECONDS", HANG_SECONDS)
    monkeypatch.setattr(script, "CONFIGURATION", str(tmp_path / "ssh_exchange.cfg"))
    began = time.monotonic()
    try:
        script.main()
    finally:
        for file in tmp_path.glob("hang.*"):
            os.kill(int(file.read_text()), signal.SIGKILL)
    assert time.monotonic() - began < HANG_SECONDS * HANGING / 2  # one after the other they take twice that
    found = dict(local(line) for line in capfdbinary.readouterr().out.decode().splitlines())
    assert [service.state for service in found.values()] == [3] * HANGING + [0]
    assert list(found) == [line.split()[0] for line in lines]
    assert found["told"].summary == told["summary"]


def test_no_text_of_a_plugin_breaks_a_line() -> None:
    name, service = local(loaded().judged("x", "SSH UNKNOWN - a\\nb\" ' | c=1\nsecond"))
    assert (name, service.summary, service.details, service.metrics) == ("x", "SSH UNKNOWN - a/nb\" '", "", {})
    told = {"state": "ok", "summary": "fine", "perfdata": {"tiny": 1e-06, "large": 12345678.0}}
    assert local(loaded().judged("x", json.dumps(told)))[1].metrics == {"tiny": (1e-06,), "large": (12345678.0,)}


def loaded() -> ModuleType:
    """Return the script as a module, without writing a compiled one beside it."""
    module = ModuleType("local_check")
    exec(compile(SCRIPT.read_text("utf-8"), str(SCRIPT), "exec"), module.__dict__)  # noqa: S102 - what we ship
    return module


def test_the_script_is_run_as_it_is() -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert SCRIPT.read_text("utf-8").startswith("#!/usr/bin/python3 -I\n")
