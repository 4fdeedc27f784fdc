"""POST /v1/checker: what the plugin says as a process, the exporter says to Icinga."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from check_ssh_exchange.demo import ThrottlingServer
from check_ssh_exchange.remote.cli import main
from tests.lab.fake_sshd import FIN, HEALTHY, KEXINIT, FakeSshd, Script, pause, send

from .program import NEVER_SLOW, Program, running, wait_for

SECONDS = 60.0
HOST = "127.0.0.1"
PATIENT = {"-w": "banner_p50=60", "-c": "banner_p50=60"}  # no server is slow, however busy the machine is
# A budget that is spent stays spent for longer than a busy machine takes for a few requests.
CONFIGURATION = f"modules: {{default: {{{NEVER_SLOW}}}}}\nbudget: {{per_second: 0.1}}\n"


class Said(NamedTuple):
    """An answer as Icinga reads it."""

    code: int
    text: str
    perfdata: list[str]


def ask(exporter: Program, options: dict[str, Any] | str, name: str = "ssh_exchange") -> Said:
    """The answer to a check."""
    body = options if isinstance(options, str) else json.dumps(options)
    reply = exporter.post(f"/v1/checker?command={quote(name)}", body.encode())
    assert reply.status == 200, reply.text
    ((under, said),) = json.loads(reply.text).items()
    assert under == name
    assert set(said) == {"exitcode", "checkresult", "perfdata"}
    return Said(said["exitcode"], said["checkresult"], said["perfdata"])


def form(text: str) -> str:
    """A text without what changes from run to run."""
    return re.sub(r"\d+\.?\d*", "N", text)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("checker"), CONFIGURATION) as program:
        yield program


@pytest.fixture
def healthy() -> Iterator[int]:
    with FakeSshd(HEALTHY) as server:
        yield server.port


def as_process(*words: str) -> Said:
    """What the plugin prints for these words."""
    code, output = main(list(words))
    first, _, details = output.removesuffix("\n").partition("\n")
    text, _, perfdata = first.partition(" | ")
    return Said(code, "\n".join(filter(None, (text, details))), perfdata.split())


SERVERS: dict[str, tuple[Script, int]] = {
    "healthy": (HEALTHY, 0),
    # Not at once: about a millisecond decides whether hosts.deny could be the cause as well.
    "closing": ([pause(0.05), FIN], 2),
    "not ssh": ([send(b"220 mail.example ESMTP\r\n"), FIN], 2),
    "hostile": ([send(b"SSH-2.0-<b>|a=1 '$(id)\r\n"), send(KEXINIT)], 0),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_the_answer_is_what_the_plugin_prints(exporter: Program, name: str, verbose: int) -> None:
    steps, state = SERVERS[name]
    with FakeSshd(steps) as server:
        port = str(server.port)
        options: dict[str, Any] = {"-H": HOST, "-p": port, "-w": ["banner_p50=50"], "-c": "banner_p50=60"}
        said = ask(exporter, options | {"-v": [True] * verbose})
        printed = as_process("-H", HOST, "-p", port, "-w", "banner_p50=50", "-c", "banner_p50=60", *["-v"] * verbose)
    assert (said.code, printed.code) == (state, state)
    assert form(said.text.split("\n")[0]) == form(printed.text.split("\n")[0])
    lines = {form(line) for line in printed.text.split("\n")[1:]}
    assert {form(line) for line in said.text.split("\n")[1:]} == lines
    # With a memory between runs, as by --state-file, there is the window of early closes besides.
    assert [form(item) for item in said.perfdata if not item.startswith("early_close_window")] == [
        form(item) for item in printed.perfdata
    ]


def test_a_throttled_server_is_told_with_its_cause(exporter: Program) -> None:
    with ThrottlingServer(3, 100, 3) as server:
        said = ask(exporter, {"-H": HOST, "-p": server.port})
    assert said.code in (1, 2)
    assert re.match(r'SSH \w+ - \d of \d+ handshakes turned away: MaxStartups throttling, "Exceeded', said.text)
    assert any(item.startswith("turned_away=") and not item.startswith("turned_away=0") for item in said.perfdata)


def test_json_is_the_whole_answer(exporter: Program, healthy: int) -> None:
    said = ask(exporter, {"-H": HOST, "-p": healthy, "--output-format": "json", **PATIENT})
    document = json.loads(said.text)
    assert (said.code, said.perfdata, document["state"], document["schema"]) == (0, [], "ok", 1)


REFUSED = {
    "--state-file": ("/tmp/x", "the exporter remembers earlier runs without it"),  # noqa: S108
    "--extra-opts=a@/etc/passwd": (True, "give its options themselves"),
    "--known-hosts": ("/etc/ssh/ssh_known_hosts", "give --host-key, or let a module of the exporter read it"),
}


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_that_names_a_file_is_refused(exporter: Program, option: str) -> None:
    value, instead = REFUSED[option]
    said = ask(exporter, {"-H": HOST, "--depth": "hostkey", option: value})
    name = option.partition("=")[0]
    assert said == Said(
        3,
        f"SSH UNKNOWN - {name} names a file, which the exporter neither reads nor writes for others: {instead} "
        "(--help lists the options)",
        [],
    )


def test_a_login_is_refused_for_its_key_file(exporter: Program) -> None:
    said = ask(exporter, {"-H": HOST, "--depth": "login", "--user": "u", "--identity": "/etc/ssh/ssh_host_ed25519_key"})
    assert said.code == 3
    assert "--identity names a file" in said.text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "no host is given: check_ssh_exchange -H HOST (--help lists the options)"),
        ({"-H": HOST, "-x": "y"}, "unrecognized arguments: -x (--help lists the options)"),
        ({"-H": HOST, "-p": "0"}, "argument -p/--port: '0' is not a valid port: use 1 to 65535"),
        ({"-H": HOST, "-n": "1001"}, "the exporter makes at most 1000 handshakes for a check"),
        ({"-H": HOST, "-t": "601"}, "the exporter takes at most 600 s for a check"),
        ({"-H": HOST, "-r": "x" * 5000}, "the command line has more than 4096 characters"),
        ("{", "the body of the request is not valid JSON"),
        ("x" * 70_000, "the body of the request is too large"),
        ({"-H": "nowhere.invalid", "-t": "50"}, "nowhere.invalid does not resolve"),
    ],
)
def test_what_cannot_be_checked_is_unknown_with_a_sentence(exporter: Program, options: Any, sentence: str) -> None:
    said = ask(exporter, options)
    assert said.code == 3
    assert said.text.startswith(f"SSH UNKNOWN - {sentence}")


def test_texts_come_as_the_plugin_prints_them(exporter: Program) -> None:
    assert ask(exporter, {"--version": True}).text.startswith("check_ssh_exchange ")
    assert ask(exporter, {"--help": True, "-H": "h"}).code == 3
    page = ask(exporter, {"--runbook": "banned"})
    assert (page.code, page.text.startswith("# ")) == (0, True)


def test_a_request_without_a_name_is_an_error(exporter: Program) -> None:
    reply = exporter.post("/v1/checker", b"{}")
    assert (reply.status, reply.text) == (400, "parameter command is missing: POST /v1/checker?command=NAME\n")
    assert exporter.get("/v1/checker?command=a").status == 405


def test_a_target_that_is_not_allowed_is_not_probed(tmp_path: Path, healthy: int) -> None:
    with running(tmp_path, "allowed_targets: [192.0.2.0/24]\n") as exporter:
        said = ask(exporter, {"-H": HOST, "-p": healthy})
        assert said == Said(3, f"SSH UNKNOWN - {HOST}:{healthy} is not among the allowed targets", [])
        by_name = ask(exporter, {"-H": "localhost", "-p": healthy, "-4": True})
        assert by_name == Said(3, f"SSH UNKNOWN - localhost:{healthy} is not among the allowed targets", [])
        metrics = exporter.metrics()
        assert metrics.value("ssh_exchange_exporter_target_forbidden_total") == 2
        assert metrics.value("ssh_exchange_exporter_probes_total", origin="check") == 0


# --- what is remembered between runs


def test_early_closes_of_earlier_runs_count_in_the_window(exporter: Program) -> None:
    with FakeSshd([FIN]) as server:
        first = ask(exporter, {"-H": HOST, "-p": server.port, "-n": 2, "--state": "server_fault=ok"})
        again = ask(exporter, {"-H": HOST, "-p": server.port, "-n": 3})
    assert [item for item in first.perfdata if "window" in item] == ["early_close_window=100%;1;;0;100"]
    assert [item for item in again.perfdata if "window" in item] == ["early_close_window=100%;1;;0;100"]


def test_a_change_of_the_server_is_told_as_with_a_state_file(exporter: Program) -> None:
    first, second = ([send(name), send(KEXINIT)] for name in (b"SSH-2.0-First_1.0\r\n", b"SSH-2.0-Second_2.0\r\n"))
    with FakeSshd(*[first] * 5, second) as server:
        options = {"-H": HOST, "-p": server.port, "--exempt": True}
        ask(exporter, options)
        said = ask(exporter, options)
    assert "First_1.0" in said.text
    assert "Second_2.0" in said.text


def test_a_check_over_budget_gets_the_last_result_and_its_age(exporter: Program, healthy: int) -> None:
    options = {"-H": HOST, "-p": healthy, **PATIENT}
    said = [ask(exporter, options) for _ in range(5)]
    assert [one.code for one in said] == [0] * 5
    late = [one.text for one in said if "the budget of handshakes for this server is spent" in one.text]
    assert late
    assert re.search(r"result of \d+ s ago: ", late[0])
    # Other options, the same server: what was measured, by what is expected now.
    strict = ask(exporter, options | {"-r": "Other_1.0"})
    assert strict.code == 2
    assert "result of " in strict.text


# --- many at once


def test_checks_wait_for_their_turn_within_their_own_timeout(tmp_path: Path) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(2)]
        ports = [one.getsockname()[1] for one in silent]
        exporter = stack.enter_context(running(tmp_path, "max_in_flight: 1\n"))
        options = {"-H": HOST, "-p": ports[0], "-t": 300}
        first = exporter.begin_post("/v1/checker?command=a", json.dumps(options).encode())
        wait_for(lambda: exporter.metrics().value("ssh_exchange_exporter_probes_in_flight") == 1, SECONDS)
        said = ask(exporter, {"-H": HOST, "-p": ports[1], "-t": 0.5})
        assert said == Said(
            3, "SSH UNKNOWN - no turn within 0.5 s: the exporter makes 1 probes at once (max_in_flight)", []
        )
        silent[0].close()  # this resets the connections that wait for it, and so ends the first check
        assert json.loads(first.getresponse().read())["a"]["exitcode"] == 2
        first.close()


def test_a_check_whose_client_leaves_is_ended(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as silent, running(tmp_path) as exporter:
        options = {"-H": HOST, "-p": silent.getsockname()[1], "-t": 300}
        client = exporter.begin_post("/v1/checker?command=a", json.dumps(options).encode())
        in_flight = "ssh_exchange_exporter_probes_in_flight"
        wait_for(lambda: exporter.metrics().value(in_flight) == 1, SECONDS)
        client.close()
        wait_for(lambda: exporter.metrics().value(in_flight) == 0, SECONDS)
        # One that another client awaits too goes on.
        clients = [exporter.begin_post("/v1/checker?command=a", json.dumps(options).encode()) for _ in range(2)]
        wait_for(lambda: exporter.metrics().value("ssh_exchange_exporter_probes_shared_total") == 1, SECONDS)
        clients[0].close()
        time.sleep(0.5)
        assert exporter.metrics().value(in_flight) == 1
        clients[1].close()
        wait_for(lambda: exporter.metrics().value(in_flight) == 0, SECONDS)


def test_a_check_at_the_exporters_end_is_answered(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as silent, running(tmp_path) as exporter:
        options = {"-H": HOST, "-p": silent.getsockname()[1], "-t": 300}
        client = exporter.begin_post("/v1/checker?command=a", json.dumps(options).encode())
        wait_for(lambda: exporter.metrics().value("ssh_exchange_exporter_probes_in_flight") == 1, SECONDS)
        exporter.process.terminate()
        said = json.loads(client.getresponse().read())["a"]
        assert (said["exitcode"], said["checkresult"]) == (3, "SSH UNKNOWN - the exporter is stopping")
        client.close()
        assert exporter.process.wait(SECONDS) == 0


# --- /probe in the plugin's words


@pytest.mark.parametrize(("steps", "code"), [(HEALTHY, 0), ([FIN], 2)])
def test_probe_speaks_as_the_plugin(exporter: Program, steps: Script, code: int) -> None:
    with FakeSshd(steps) as server:
        target = f"{HOST}:{server.port}"
        text = exporter.get(f"/probe?target={target}&format=nagios")
        document = exporter.get(f"/probe?target={target}&format=json")
    assert (text.status, text.headers["x-exit-code"]) == (200, str(code))
    assert re.match(r"SSH (OK|CRITICAL) - .* \| handshakes=5;;;0 completed=\d", text.text)
    assert text.text.count("\n") == 1
    assert text.headers["content-type"].startswith("text/plain")
    assert (document.status, document.headers["x-exit-code"]) == (200, str(code))
    assert json.loads(document.text)["target"]["port"] == server.port
    assert document.headers["content-type"].startswith("application/json")


def test_probe_knows_two_formats(exporter: Program) -> None:
    reply = exporter.get(f"/probe?target={HOST}&format=xml")
    assert (reply.status, reply.text) == (400, "format must be nagios or json; without it the response is metrics\n")
