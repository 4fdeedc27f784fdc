"""The budget across scrapes: real servers never turn against the exporter, however many ask."""

import threading
import time
from pathlib import Path

import pytest

from tests.lab import zoo
from tests.lab.fake_sshd import HEALTHY, FakeSshd

from .program import NEVER_SLOW, Program, Samples, running, wait_for

EVERY = 1.0  # seconds between two scrapes of one Prometheus; ten times the pace that must do no harm
SCRAPES = 12
SECONDS = 60.0
MODULES = f"""
modules:
  default: {{{NEVER_SLOW}}}
  banner: {{depth: banner, {NEVER_SLOW}}}
  fifteen: {{handshakes: 15, concurrency: 14}}
  exempt: {{exempt: true, handshakes: 8}}
"""


def scrape(program: Program, target: str, module: str, found: list[Samples]) -> threading.Thread:
    def work() -> None:
        for _ in range(SCRAPES):
            found.append(program.probe(target, module))
            time.sleep(EVERY)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-10.0", "openssh-10.6"])
def test_two_prometheis_and_a_background_probe_earn_no_penalty(name: str, tmp_path: Path) -> None:
    with zoo.server(name) as server:
        target = f"{server.address}:{server.port}"
        background = f"background: [{{targets: ['{target}'], module: banner, interval: 2s}}]\n"
        with running(tmp_path, MODULES + background) as program:
            answers: list[Samples] = []
            for thread in [scrape(program, target, module, answers) for module in ("default", "default")]:
                thread.join()
            own = program.metrics()
        log = server.log()
    assert "penalty" not in log.lower(), log
    assert "Not allowed at this time" not in log
    assert len(answers) == 2 * SCRAPES
    assert {answer.cause for answer in answers} == {"healthy"}
    assert all(answer.value("probe_success") == 1 for answer in answers)
    ages = [answer.value("ssh_exchange_result_age_seconds") for answer in answers]
    # More was asked for than the budget gives: it was answered with what was known, and said so.
    assert sum(age > 0 for age in ages) > SCRAPES / 2
    assert sum(age == 0 for age in ages) >= 3
    handshakes = own.value("ssh_exchange_handshakes_total", target=target, ending="completed")
    assert handshakes >= 5
    assert own.value("ssh_exchange_probes_deferred_total", target=target) > 0
    assert own.value("ssh_exchange_exporter_probes_deferred_total", origin="probe") > 0


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_dropbear_serves_scrapes_one_after_the_other_and_never_sees_more_than_five(tmp_path: Path) -> None:
    with zoo.server("dropbear-2025.89") as server:
        target = f"{server.address}:{server.port}"
        five = f"{{handshakes: 6, concurrency: 5, timeout: 20s, {NEVER_SLOW}}}"
        modules = f"modules: {{default: {{{NEVER_SLOW}}}, five: {five}, other: {{timeout: 20s, {NEVER_SLOW}}}}}"
        with running(tmp_path, modules) as program:
            answers: list[Samples] = []
            threads = [
                threading.Thread(target=lambda module=module: answers.append(program.probe(target, module)))
                for module in ("default", "other", "five", "five")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            again = [program.probe(target, "five") for _ in range(3)]
    for answer in (*answers, *again):
        assert answer.cause == "healthy", answer.text
        assert answer.value("ssh_exchange_early_close_ratio") == 0
    assert {answer.value("ssh_exchange_result_age_seconds") for answer in again} == {0.0}


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_login_costs_no_budget(tmp_path: Path) -> None:
    with zoo.server("openssh-10.6") as server:
        target = f"{server.address}:{server.port}"
        login = f"{{user: {server.user}, identity_file: {server.identity}, known_hosts_file: {server.known_hosts}}}"
        module = f"{{depth: login, handshakes: 4, timeout: 30s, login: {login}, {NEVER_SLOW}}}"
        with running(tmp_path, f"modules: {{login: {module}}}") as program:
            answers = [program.probe(target, "login") for _ in range(5)]
        log = program.log
    for answer in answers:
        assert answer.cause == "healthy", log
        assert answer.value("ssh_exchange_handshakes", ending="completed") == 4, log
        assert answer.value("ssh_exchange_result_age_seconds") == 0
        assert answer.value("ssh_exchange_phase_seconds_count", phase="login") == 4
    assert "level=error" not in log


def test_fifteen_handshakes_and_then_the_last_result_until_the_budget_is_back(tmp_path: Path) -> None:
    # Ten seconds until there are five handshakes again: a busy machine asks three times before.
    with FakeSshd(HEALTHY) as server, running(tmp_path, f"{MODULES}budget: {{per_second: 0.5}}\n") as program:
        target = f"{server.address}:{server.port}"
        first = program.probe(target, "fifteen")
        second = program.probe(target, "fifteen")
        other = program.probe(target, "default")
        assert len(server.peers) == 15
        assert first.value("ssh_exchange_result_age_seconds") == 0
        for held in (second, other):
            assert held.value("ssh_exchange_result_age_seconds") > 0
            assert held.value("ssh_exchange_handshakes", ending="completed") == 15
        wait_for(lambda: program.probe(target, "default").value("ssh_exchange_result_age_seconds") == 0, SECONDS)
        assert len(server.peers) == 20
        assert program.probe(target, "exempt").value("ssh_exchange_handshakes", ending="completed") == 8
        assert len(server.peers) == 28


def test_names_and_addresses_of_one_server_share_its_budget(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server, running(tmp_path, f"{MODULES}budget: {{per_second: 0.001}}\n") as program:
        program.probe(f"{server.address}:{server.port}", "fifteen")
        held = program.probe(f"localhost:{server.port}", "default")
        assert len(server.peers) == 15
        assert held.value("ssh_exchange_result_age_seconds") > 0


def test_requests_at_the_same_time_share_one_probe(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server, running(tmp_path, MODULES) as program:
        found: list[Samples] = []
        target = f"{server.address}:{server.port}"
        threads = [threading.Thread(target=lambda: found.append(program.probe(target))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        # Those that came after the first had ended found two thirds of the budget left, or its result.
        assert len(server.peers) in (5, 10, 15)
        own = program.metrics()
        assert own.value("ssh_exchange_exporter_probes_shared_total") >= 4
