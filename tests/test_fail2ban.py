"""What a real fail2ban makes of our handshakes, by the log of a real sshd (README: how not to be banned)."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from faults.ban import Fail2ban
from faults.network import PORT
from faults.package import program
from faults.scenario import Skip

from .lab import network, zoo
from .lab.front_door import NEVER_SLOW, PLUGIN, check, wait_until
from .lab.network import Namespace

pytestmark = pytest.mark.real


@contextmanager
def watched(home: Path, mode: str) -> Iterator[tuple[Namespace, zoo.Server, Fail2ban]]:
    """A real sshd in a namespace and a fail2ban with a jail of this mode."""
    if reason := network.missing() or zoo.missing():
        pytest.skip(reason)
    try:
        program("fail2ban-server")
    except Skip as reason:
        pytest.skip(str(reason))
    if not shutil.which("iptables"):
        pytest.skip("iptables is not installed")
    with ExitStack() as stack:
        pair = stack.enter_context(Namespace())
        host = pair.server
        server = stack.enter_context(zoo.server("openssh-9.2", prefix=host.prefix, address=host.ipv4[0], port=PORT))
        jail = Fail2ban(pair, home, mode)
        stack.callback(jail.stop)
        jail.start()
        yield pair, server, jail


def probe(pair: Namespace, *options: str) -> int:
    command = (*pair.client.prefix, *PLUGIN)
    return check("-H", pair.server.ipv4[0], "-p", str(PORT), *NEVER_SLOW, *options, command=command).code


def logged(server: zoo.Server, words: str, times: int) -> str:
    """Return the server's log when it has said so that often: its children write after we have gone."""
    wait_until(lambda: server.log().count(words) >= times)
    log = server.log()
    assert log.count(words) == times
    return log


def test_mode_normal_counts_none_of_our_handshakes(tmp_path: Path) -> None:
    with watched(tmp_path, "normal") as (pair, server, jail):
        assert [probe(pair) for _ in range(4)] == [0] * 4
        log = logged(server, "Received disconnect from", 20)
        assert f"Found {pair.client.ipv4[0]}" not in jail.output_after(log)


def test_mode_aggressive_bans_a_default_run_as_the_readme_says(tmp_path: Path) -> None:
    with watched(tmp_path, "aggressive") as (pair, server, jail):
        assert probe(pair) == 0
        jail.read(logged(server, "Disconnected from", 5))
        assert probe(pair, "-t", "3") == 2


def test_a_login_is_safe_in_mode_aggressive(tmp_path: Path) -> None:
    with watched(tmp_path, "aggressive") as (pair, server, jail):
        login = ("--depth", "login", "--user", server.user, "--identity", str(server.identity))
        assert [probe(pair, *login) for _ in range(3)] == [0] * 3
        log = logged(server, "Accepted publickey", 15)
        assert f"Found {pair.client.ipv4[0]}" not in jail.output_after(log)
