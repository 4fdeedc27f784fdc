"""check_sshd_local by NRPE with each of its rights: by sudo, from root's snapshot, and with none."""

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import daemons, nagios, nrpe, sudoers
from tests.lab.daemons import CONTRIB, ENVIRONMENT, Printed
from tests.lab.four_servers import READ, broken, reserved
from tests.lab.monitored import need, parsed
from tests.lab.network import Namespace

pytestmark = pytest.mark.real

SERVICE = CONTRIB / "systemd" / "check_sshd_local.service"
RUN = "/run/check_sshd_local"  # where the timer's service writes
SNAPSHOT = "check_sshd_local_snapshot"
DENIED = "command[denied]={} --sudo -p {}"
NOTHING = "command[without]={} -v -p {}"
Asking = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def port(complete_zoo: None, net: Namespace) -> Iterator[int]:
    """Run an OpenSSH whose helper is missing since it was started; return its port."""
    with reserved() as port, broken(net.server, port):
        yield port


@pytest.fixture(scope="module")
def snapshot(plugin: daemons.Installation) -> Path:
    """Return where root's snapshot is."""
    return plugin.home / "run" / "snapshot.json"


@pytest.fixture(scope="module")
def text(plugin: daemons.Installation, port: int, snapshot: Path) -> str:
    """Return the command file: what is shipped for the sshd on this port, and what has fewer rights."""
    shipped = plugin.definition(nrpe.DEFINITION).replace(RUN, str(snapshot.parent))
    shipped = re.sub(r"^(command\[check_sshd_local\w*\]=.*)$", rf"\1 -p {port}", shipped, flags=re.MULTILINE)
    return "\n".join([shipped, *(line.format(plugin.local, port) for line in (DENIED, NOTHING))])


@pytest.fixture(scope="module")
def ask(plugin: daemons.Installation, net: Namespace, text: str) -> Iterator[Asking]:
    """Run NRPE with the sudoers fragment; return what asks it for a command as Nagios does."""
    need({**nrpe.PACKAGES, **sudoers.PACKAGES})
    place, client = (net.server.ipv4[0], nrpe.PORT), net.client.ipv4[0]
    prefix = sudoers.prefix(plugin, inside=net.server.prefix)
    with nrpe.started(plugin, "nrpe-sudo", text, place, client, prefix=prefix):
        yield lambda command: nrpe.ask([*net.client.prefix, *check_nrpe(place[0], command)])


def check_nrpe(address: str, command: str) -> list[str]:
    """Return the words of the command that is shipped for Nagios."""
    return nagios.expanded("check_sshd_local_by_nrpe_command", address, command)


def collect(plugin: daemons.Installation, net: Namespace, snapshot: Path) -> None:
    """Do as root what the timer's service does."""
    unit = dict(re.findall(r"^(ExecStart|UMask|Group)=(.*)$", SERVICE.read_text("utf-8"), re.MULTILINE))
    command = shlex.split(plugin.here(unit["ExecStart"]).replace(RUN, str(snapshot.parent)))
    snapshot.parent.mkdir(exist_ok=True)
    subprocess.run(
        [*net.server.prefix, *command], check=True, env=ENVIRONMENT, timeout=60, cwd=snapshot.parent,
        group=unit["Group"], umask=int(unit["UMask"], 8),
    )  # fmt: skip


def test_sudo_gives_what_root_sees(ask: Asking) -> None:
    code, output = ask("check_sshd_local")
    assert code == 2
    assert Printed(output).text == (
        "SSHD CRITICAL - /usr/lib/openssh/sshd-session is missing: every new connection dies"
    )
    assert "\nnote: looked at as uid 0\n" in output


def test_the_timers_snapshot_gives_the_same_without_sudo(
    ask: Asking, plugin: daemons.Installation, net: Namespace, snapshot: Path
) -> None:
    collect(plugin, net, snapshot)
    assert snapshot.stat().st_mode & 0o777 == 0o640
    code, output = ask(SNAPSHOT)
    by_sudo = ask("check_sshd_local")
    assert (code, Printed(output).text) == (by_sudo[0], Printed(by_sudo[1]).text)
    for out in (output, by_sudo[1]):
        assert set(READ) <= set(parsed(Printed(out).perfdata))
        assert "\nnote: looked at as uid 0\n" in out


def test_a_timer_that_has_stopped_is_critical(
    ask: Asking, plugin: daemons.Installation, net: Namespace, snapshot: Path
) -> None:
    collect(plugin, net, snapshot)
    assert " s old" not in ask(SNAPSHOT)[1]
    old = re.sub(r'"at": [\d.]+', f'"at": {time.time() - 400}', snapshot.read_text(), count=1)
    snapshot.write_text(old)
    code, output = ask(SNAPSHOT)
    assert code == 2
    assert re.match(r"SSHD CRITICAL - the snapshot is 4\d\d s old\b", Printed(output).text), output


def test_without_a_snapshot_nobody_has_looked(ask: Asking, snapshot: Path) -> None:
    snapshot.unlink(missing_ok=True)
    code, output = ask(SNAPSHOT)
    assert (code, output) == (
        3,
        f"SSHD UNKNOWN - cannot read the snapshot {snapshot}: No such file or directory\n",
    )


def test_without_rights_it_says_what_it_could_not_see(ask: Asking) -> None:
    _, output = ask("without")
    assert output.startswith("SSHD ")
    assert re.search(r"^note: looked at as uid [1-9]\d*$", output, re.MULTILINE), output
    assert re.search(r"^note: root, or CAP_NET_ADMIN, would show the rules", output, re.MULTILINE), output


def test_without_the_fragment_sudo_refuses_and_the_sentence_says_so(
    plugin: daemons.Installation, net: Namespace, text: str
) -> None:
    need({**nrpe.PACKAGES, **sudoers.PACKAGES})
    other = net.server.ipv4[1]
    client = net.client.ipv4[0]
    with nrpe.started(plugin, "nrpe-denied", text, (other, nrpe.PORT), client, prefix=net.server.prefix):
        code, output = nrpe.ask([*net.client.prefix, *check_nrpe(other, "denied")])
    assert code == 3
    sentence = f"SSHD UNKNOWN - sudo -n {plugin.local} --collect failed: sudo: a password is required\n"
    assert output == sentence
