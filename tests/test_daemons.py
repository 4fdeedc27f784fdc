"""The plugin under Nagios Core and NRPE: what they show is what it printed, and the definitions work."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from check_ssh_exchange.plugin.output import MAX_OUTPUT
from tests.lab import daemons, nagios
from tests.lab import nrpe as nrpe_daemon
from tests.lab.front_door import check
from tests.lab.monitored import HOST, LINES, STATES, assert_in_order, installation, need, parsed

pytestmark = pytest.mark.real

OTHER_HOST = "127.77.0.1"  # an address on which nothing listens


def test_a_plugin_that_a_daemon_left_behind_is_ended_with_the_installation(servers: dict[str, int]) -> None:
    with installation() as installed:
        command = [str(installed.plugin), "-H", HOST, "-p", str(servers["silent"]), "-t", "3600"]
        left = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while not is_probing(left.pid) and time.monotonic() < until:  # no sooner: its files go away with the rest
            time.sleep(0.02)
    assert left.wait(10) == -9
    assert not installed.home.exists()


def is_probing(pid: int) -> bool:
    """Return whether a plugin has come to its event loop."""
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # closed since it was listed
            found.append(str(link.readlink()))
    return any("eventpoll" in what for what in found)


# --- Nagios Core


Stored = dict[str, tuple[dict[str, str], daemons.Printed]]
EXAMPLES = re.findall(r"^# (check_ssh_exchange\S*(?: \S+)*)   ", nagios.DEFINITION.read_text("utf-8"), re.MULTILINE)


def reserved(place: tuple[str, int]) -> socket.socket | None:
    """Return a socket that is bound to an address without listening; None if it is in use."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of another test's connections, TIME_WAIT is left
    try:
        holder.bind(place)
    except OSError:
        holder.close()
        return None
    return holder


@pytest.fixture(scope="module")
def stored(plugin: daemons.Installation, servers: dict[str, int]) -> Iterator[Stored]:
    """Return what Nagios stored of each service, and what the plugin wrote."""
    need(nagios.PACKAGES)
    services = {name: (HOST, f"check_ssh_exchange_port!{servers[name]}") for name in STATES}
    words = {name: f"-p {servers[name]}" for name in STATES}
    words["silent"] += " -t 3"
    words["warning"] = f"-p {servers['fake']} -n 3 -w banner_p50=0 --state slow=ok"
    for name in ("silent", "warning"):
        services[name] = (HOST, f"check_ssh_exchange_args!{words[name]}")
    with ExitStack() as stack:
        holders = [reserved((OTHER_HOST, port)) for port in (22, 2222)]
        for holder in filter(None, holders):
            stack.enter_context(holder)
        if all(holders):
            services |= {example: (OTHER_HOST, example) for example in EXAMPLES}
        status = stack.enter_context(nagios.nagios(plugin, services))
        printed = {name: plugin.printed(["-v", "-H", HOST, *words[name].split()]) for name in words}
        yield {name: (status[name], printed.get(name, daemons.Printed(""))) for name in services}


@pytest.mark.parametrize("name", STATES)
def test_nagios_stores_the_state_and_every_word_that_the_plugin_printed(stored: Stored, name: str) -> None:
    fields, printed = stored[name]
    assert int(fields["current_state"]) == STATES[name]
    assert re.fullmatch(LINES[name], printed.text, re.ASCII)
    assert fields["plugin_output"] == printed.text.replace(";", ":")  # for its own log is separated by semicolons
    assert fields["performance_data"] == printed.perfdata
    assert printed.long_text
    # How status.dat writes a line end and a backslash.
    assert fields["long_plugin_output"] == printed.long_text.replace("\\", r"\\").replace("\n", r"\n")


@pytest.mark.parametrize("name", STATES)
def test_nagios_has_all_perfdata_in_order_and_nothing_else(stored: Stored, name: str) -> None:
    items = parsed(stored[name][0]["performance_data"])
    assert_in_order(list(items))
    assert all(value.low == "0" and value.high == ("100" if value.unit == "%" else "") for value in items.values())
    assert ("early_close" in items) == (name != "closed")


def test_nagios_passes_options_from_a_service(stored: Stored) -> None:
    fields, printed = stored["warning"]
    assert int(fields["current_state"]) == 1
    assert re.fullmatch(
        r"SSH WARNING - the server is slow, banner_p50 is [\d.]+ s \(outside 0\), "
        r"FakeSSH_1\.0 \(protocol 2\.0\), 3/3 handshakes, banner [\d.]+ ms",
        printed.text,
        re.ASCII,
    )
    assert parsed(fields["performance_data"])["banner_p50"][2:] == ("0", "5", "0", "")


def test_the_examples_in_the_definitions_work_as_they_stand(stored: Stored) -> None:
    assert [example.partition("!")[0] for example in EXAMPLES] == [
        "check_ssh_exchange",
        *(f"check_ssh_exchange_{word}" for word in ("port", "args")),
    ]
    if EXAMPLES[0] not in stored:
        pytest.skip(f"something listens at {OTHER_HOST}, or on its ports of every address")
    said = [(stored[example][0]["current_state"], stored[example][0]["plugin_output"]) for example in EXAMPLES]
    refused = "SSH CRITICAL - {0} of {0} handshakes refused: nothing listens on that port"
    assert said == [("2", refused.format(asked)) for asked in (5, 5, 3)]


# --- NRPE


@pytest.fixture(scope="module")
def commands(plugin: daemons.Installation, servers: dict[str, int]) -> dict[str, list[str]]:
    """Return the arguments of each command: those of contrib/nrpe, another port, the whole wire."""
    (line,) = re.findall(
        r"^command\[check_ssh_exchange\w*\]=(.*)$", plugin.definition(nrpe_daemon.DEFINITION), re.MULTILINE
    )
    path, *arguments = line.split()
    assert path == str(plugin.plugin)
    made = {name: [*arguments, "-p", str(servers[name]), "-vvv"] for name in STATES}
    made["silent"] += ["-t", "3"]
    made["large"] = [*arguments, "-p", str(servers["fake"]), "-vvv", "-n", "50", "--concurrency", "49", "--exempt"]
    made["as it is"] = [*arguments, "-p", str(servers["healthy"])]
    return made


@pytest.fixture(scope="module")
def nrpe(plugin: daemons.Installation, commands: dict[str, list[str]]) -> Iterator[nrpe_daemon.Nrpe]:
    need(nrpe_daemon.PACKAGES)
    lines = [f"command[{name}]={plugin.plugin} {' '.join(arguments)}" for name, arguments in commands.items()]
    with nrpe_daemon.nrpe(plugin, lines) as running:
        yield running


def form(output: str) -> str:
    """Return an output without what changes from run to run."""
    return re.sub(r"\d+\.?\d*", "N", output)


@pytest.mark.parametrize("name", [*STATES, "as it is"])
def test_nrpe_hands_on_the_code_and_every_byte(
    nrpe: nrpe_daemon.Nrpe, plugin: daemons.Installation, commands: dict[str, list[str]], name: str
) -> None:
    code, output = nrpe.ask(name)
    printed = plugin.printed(commands[name])
    kind = "healthy" if name == "as it is" else name
    assert (code, output) == (STATES[kind], printed.out)
    assert re.fullmatch(LINES[kind], printed.text, re.ASCII)
    assert_in_order(list(parsed(printed.perfdata)))
    if name == "as it is":
        direct = check(*commands[name])
        assert (direct.code, direct.err, form(direct.out)) == (code, "", form(output))


def test_the_largest_output_passes_nrpe_whole(
    nrpe: nrpe_daemon.Nrpe, plugin: daemons.Installation, commands: dict[str, list[str]]
) -> None:
    code, output = nrpe.ask("large")
    assert code == 0
    assert output == plugin.printed(commands["large"]).out
    assert MAX_OUTPUT - 5000 < len(output) < 65_505
    assert output.endswith("\n(cut: more than a monitoring agent carries)\n")
