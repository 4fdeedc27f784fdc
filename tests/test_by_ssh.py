"""check_sshd_local by check_by_ssh: a real login, the forced command of the README, the shipped Nagios files."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab import by_ssh, daemons, nagios
from tests.lab.by_ssh import CHECK_BY_SSH, LOGIN, PACKAGES, Login
from tests.lab.daemons import ENVIRONMENT, RESULT_SECONDS, USER, Printed
from tests.lab.four_servers import READ, reserved
from tests.lab.monitored import need, parsed
from tests.lab.network import Namespace

pytestmark = pytest.mark.real

(FORCED,) = re.findall(r"^restrict,command=.*$", (nagios.SHIPPED / "README.md").read_text("utf-8"), re.MULTILINE)
HOME = "/var/lib/nagios/.ssh"  # of user nagios, in the definitions
FILES = ("commands.cfg", "services.cfg", "sshd_local_by_ssh.cfg")
HEALTHY = r"SSHD OK - OpenSSH_[\w.]+ on 192\.0\.2\.2:\d+, \d of 100-100 startups(, .*)?"


@pytest.fixture(scope="module")
def login(plugin: daemons.Installation, net: Namespace) -> Iterator[Login]:
    need(PACKAGES)
    line = plugin.here(FORCED).replace("ssh-ed25519 AAAA... nagios@monitor", "{}")
    with reserved() as port:
        looks_at = line.replace("--monitor 192.0.2.7", f"--monitor {net.client.ipv4[0]} -p {port}")
        assert line != looks_at
        with by_ssh.server(plugin, net.server, port, looks_at) as made:
            yield made


def command_line(login: Login) -> list[str]:
    """Return the words of the command that is shipped for Nagios, with its macros filled in."""
    words = nagios.expanded("check_sshd_local_by_ssh", login.address, str(login.port))
    return [word.replace(HOME, str(login.directory)) for word in words]


def ask(net: Namespace, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run check_by_ssh as Nagios does: as user nagios on the monitoring host."""
    as_nagios = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return subprocess.run(
        [*net.client.prefix, *as_nagios, *words], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=RESULT_SECONDS, cwd="/",
    )  # fmt: skip


def assert_healthy(out: str) -> None:
    assert re.fullmatch(HEALTHY, Printed(out).text), out
    assert set(READ) <= set(parsed(Printed(out).perfdata))
    assert "\nnote: looked at as uid 0\n" in out  # by sudo, as the user that logged in


def test_a_login_runs_the_forced_command_with_the_rights_of_root(net: Namespace, login: Login) -> None:
    done = ask(net, command_line(login))
    assert (done.returncode, done.stderr) == (0, "")
    assert_healthy(done.stdout)


def test_whatever_the_client_asks_for_the_forced_command_is_what_runs(net: Namespace, login: Login) -> None:
    words = command_line(login)
    assert words[-2:] == ["-C", "check_sshd_local"]
    done = ask(net, [*words[:-1], "cat /etc/shadow; id"])
    assert done.returncode == 0
    assert_healthy(done.stdout)
    assert "uid=" not in done.stdout


def test_another_key_does_not_get_in_and_that_is_unknown(net: Namespace, login: Login) -> None:
    other = login.directory / "other"
    by_ssh.keygen(other)
    subprocess.run(["chown", USER, other], check=True)
    words = [str(other) if word == f"{login.directory}/sshd_local" else word for word in command_line(login)]
    done = ask(net, words)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(f"SSH connection failed: {LOGIN}@{login.address}: Permission denied")


def test_a_server_that_does_not_let_it_in_is_unknown(net: Namespace, login: Login) -> None:
    with net.server.rule("iptables", "INPUT", "-p", "tcp", "--dport", str(login.port), "-j", "REJECT"):
        done = ask(net, command_line(login))
    assert done.returncode == 3, done


def test_nagios_stores_what_the_server_says_of_itself_by_ssh(
    plugin: daemons.Installation, net: Namespace, login: Login
) -> None:
    need({**nagios.PACKAGES, CHECK_BY_SSH: PACKAGES[CHECK_BY_SSH]})
    texts = [text.replace(HOME, str(login.directory)) for text in nagios.shipped(plugin, *FILES)]
    host = {"host_name": "server", "address": login.address, "hostgroups": "+sshd-local-by-ssh"}
    texts.append(nagios.site({**host, "_SSH_PORT": login.port, "active_checks_enabled": 0}))
    made = nagios.configured(plugin, "nagios", texts, interval_length=600)
    with nagios.started(made, net.client.prefix) as running:
        keys = [("server", name) for name in ("ssh-exchange", "sshd-local")]
        stored = running.await_results(keys)
    assert [stored[key]["current_state"] for key in keys] == ["0", "0"]
    fields = stored["server", "sshd-local"]
    assert re.fullmatch(HEALTHY, fields["plugin_output"]), fields
    assert set(READ) <= set(parsed(fields["performance_data"]))
    assert "looked at as uid 0" in fields["long_plugin_output"]
    assert LOGIN in made.config.with_name("objects.cfg").read_text()
