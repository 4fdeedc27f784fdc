"""contrib/ncpa by NCPA's rules for such a file (it is not in Debian): what it would run, run for real."""

import configparser
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_ssh_exchange.host.options import parse
from tests.lab import daemons, sudoers
from tests.lab.daemons import CONTRIB, ENVIRONMENT, RESULT_SECONDS, USER, Printed
from tests.lab.four_servers import broken, reserved
from tests.lab.monitored import need, parsed
from tests.lab.network import Namespace

FRAGMENT = CONTRIB / "ncpa" / "check_sshd_local.cfg"
SECTION = "plugin directives"
PLUGINS = "/usr/local/ncpa/plugins"
# Of the file that NCPA 3 installs: the fragment is merged with it.
NCPA_CFG = """[listener]
uid = nagios
gid = nagios

[passive]
handlers = None

[plugin directives]
plugin_path = plugins/
.sh = /bin/sh $plugin_name $plugin_args
.py = python3 $plugin_name $plugin_args
"""


def merged(tmp_path: Path, fragment: str = "") -> configparser.ConfigParser:
    """Return what NCPA has read: ncpa.cfg, then the fragments in the order of their names."""
    (tmp_path / "ncpa.cfg").write_text(NCPA_CFG)
    (tmp_path / FRAGMENT.name).write_text(fragment or FRAGMENT.read_text("utf-8"))
    made = configparser.ConfigParser()
    assert len(made.read([tmp_path / "ncpa.cfg", tmp_path / FRAGMENT.name])) == 2
    return made


def command_line(config: configparser.ConfigParser, plugin: str, arguments: str = "") -> list[str]:
    """Return the words that NCPA runs for a file of its plugins directory and the arguments of a caller.

    Its rules: the directive is that of the file's extension, without one there is none; words are split as a shell
    does; $plugin_name is replaced within a word, $plugin_args where it is a word of its own.
    """
    extension = os.path.splitext(plugin)[1]
    directive = config.get(SECTION, extension) if extension else "$plugin_name $plugin_args"
    words = []
    for word in shlex.split(directive):
        if word == "$plugin_args":
            words += shlex.split(arguments)
        else:
            words.append(word.replace("$plugin_name", f"{PLUGINS}/{plugin}"))
    return words


def test_the_fragment_leaves_what_ncpa_has_and_adds_two_commands(tmp_path: Path) -> None:
    before = configparser.ConfigParser()
    before.read_string(NCPA_CFG)
    after = merged(tmp_path)
    assert after.sections() == before.sections()
    added = {name: value for name, value in after[SECTION].items() if name not in before[SECTION]}
    assert sorted(added) == [".sshd_local", ".sshd_snapshot"]
    assert {name: value for name, value in after[SECTION].items() if name not in added} == dict(before[SECTION])


@pytest.mark.parametrize("plugin", ["host.sshd_local", "host.sshd_snapshot"])
def test_a_caller_has_no_say_in_what_is_run(tmp_path: Path, plugin: str) -> None:
    config = merged(tmp_path)
    words = command_line(config, plugin)
    assert words == command_line(config, plugin, "--state-file /etc/passwd; id")
    assert command_line(config, "any.py", "-x")[-1] == "-x"  # elsewhere he has
    assert words[0] == "/usr/lib/nagios/plugins/check_sshd_local"
    options = parse(words[1:], lambda _: None, 1000)  # every option exists
    assert options.about.monitors == ("192.0.2.7",)


def test_the_passive_check_is_a_line_as_ncpa_reads_them(tmp_path: Path) -> None:
    text = FRAGMENT.read_text("utf-8")
    section, line = re.findall(r"^# (\[passive checks\]|%HOSTNAME%.*)$", text, re.MULTILINE)
    config = merged(tmp_path, f"{text}\n{section}\n{line}\n")
    ((name, value),) = config.items("passive checks", raw=True)
    host, service, seconds = name.split("|")
    assert (host, service, int(seconds)) == ("%hostname%", "sshd-local", 60)  # configparser's names are small
    assert value == "plugins/host.sshd_local"
    readme = (CONTRIB / "ncpa/README.md").read_text("utf-8")
    assert value in readme
    assert value in (CONTRIB / "ncpa/nagios.cfg").read_text("utf-8")


@pytest.fixture(scope="module")
def port(complete_zoo: None, net: Namespace) -> Iterator[int]:
    """Run an OpenSSH whose helper is missing since it was started; return its port."""
    with reserved() as port, broken(net.server, port):
        yield port


@pytest.mark.real
def test_what_ncpa_runs_as_its_user_finds_what_is_broken(
    tmp_path: Path, plugin: daemons.Installation, net: Namespace, port: int
) -> None:
    need(sudoers.PACKAGES)
    words = command_line(merged(tmp_path, plugin.definition(FRAGMENT)), "host.sshd_local")
    as_nagios = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    done = subprocess.run(
        [*sudoers.prefix(plugin, inside=net.server.prefix), *as_nagios, *words, "-p", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, cwd="/", timeout=RESULT_SECONDS,
    )  # fmt: skip
    assert done.returncode == 2
    assert Printed(done.stdout).text == (
        "SSHD CRITICAL - /usr/lib/openssh/sshd-session is missing: every new connection dies"
    )
    assert "listeners" in parsed(Printed(done.stdout).perfdata)
    assert "\nnote: looked at as uid 0\n" in done.stdout
