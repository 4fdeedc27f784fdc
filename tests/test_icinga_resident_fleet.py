"""A fleet by resident.conf: Icinga has no limit for checks that start no process, so the exporter must hold its own."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import daemons, icinga_lan, icinga_newest, processes
from tests.lab.exporter import wait_for
from tests.lab.icinga_nodes import FILES, Node, Site, need_nodes
from tests.lab.icinga_resident import CURL, Resident, answering, results, until, workers
from tests.lab.network import Host

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

NODE, ZONE = "fleet.example", "master"
SERVICES, INTERVAL = 1000, 20  # seconds: fifty checks a second keep a core busy
CROWD = 300
SECONDS = 50  # a check's own; waiting for its turn counts
FLEET = """
object Host "fleet" {{ check_command = "dummy" }}
template Service "member" {{
	import "ssh-exchange-service"
	host_name = "fleet"
	check_command = "ssh_exchange_resident"
	check_interval = {interval}
	retry_interval = {interval}
	check_timeout = {seconds} + 10
	vars.ssh_exchange_port = {port}
	vars.ssh_exchange_timeout = {seconds}
	vars.ssh_exchange_verbose = false
}}
"""
MEMBER = 'object Service "s{number}" {{ import "member"; vars.ssh_exchange_address = "127.20.{block}.{place}" }}\n'


@pytest.fixture(scope="module")
def host(plugin: daemons.Installation) -> Iterator[Host]:
    need_nodes({CURL: "curl"})
    if reason := icinga_lan.missing() or icinga_newest.missing():
        pytest.skip(reason)
    with icinga_lan.namespace("fleet", "127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def node(plugin: daemons.Installation, host: Host) -> Node:
    made = Site(plugin, "fleet", icinga_newest.release(plugin)).node(NODE, ZONE, host)
    for name in ("commands.conf", "resident.conf", "services.conf"):
        made.put(FILES / name, "zones.d", ZONE)
    return made


@pytest.fixture(scope="module")
def port(host: Host) -> Iterator[int]:
    with answering(host) as found:
        yield found


@pytest.fixture(scope="module")
def resident(plugin: daemons.Installation, node: Node, host: Host) -> Iterator[Resident]:
    made = Resident(node, host, plugin.home / "exporter-fleet")
    made.start()
    yield made
    made.stop()


def fleet(node: Node, port: int, services: int) -> None:
    """Write the services, each with a server of its own, on an address of its own."""
    text = FLEET.format(interval=INTERVAL, port=port, seconds=SECONDS)
    for n in range(services):
        text += MEMBER.format(number=n, block=n // 250, place=n % 250 + 1)
    node.write(text, "zones.d", ZONE, "fleet.conf")


def assert_all_well(said: dict[str, dict[str, Any]]) -> None:
    """Every server is healthy, and no check has waited longer than it may."""
    assert {(one["state"], one["output"].split(" (")[0]) for one in said.values()} == {(0, "SSH OK - OpenSSH_9.2p1")}
    took = sorted(one["execution_end"] - one["execution_start"] for one in said.values())
    print(f"{len(took)} checks, seconds: median {took[len(took) // 2]:.2f}, 99 % {took[len(took) * 99 // 100]:.2f}")
    assert took[-1] < SECONDS


def assert_at_rest(resident: Resident) -> None:
    """Nothing is under way in the exporter, no connection was too many, and its log tells of nothing wrong."""
    wait_for(lambda: resident.value("probes_in_flight") == 0, SECONDS)
    assert resident.value("connections_lost_total") == 0
    assert [line for line in resident.log if line["level"] in ("error", "warn")] == []


def test_three_hundred_checks_at_once_are_all_made_though_icinga_is_reloaded(
    node: Node, port: int, resident: Resident
) -> None:
    fleet(node, port, CROWD)
    with node.started() as running:
        before = until(running, lambda: one if len(one := workers(running)) == 1 else [])
        asked = running.api.check_now("Service")
        running.process.send_signal(signal.SIGHUP)
        until(running, lambda: len(now := workers(running)) == 1 and now != before)
        reloaded = time.time()
        # What the old process did not hear of before its end, the new one has checked within the interval.
        said = until(running, lambda: found if len(found := results(running, asked)) == CROWD else {})
    again = sum(one["execution_end"] > reloaded for one in said.values())
    print(f"of {CROWD} results the reloaded Icinga got {again}")
    assert again
    assert_all_well(said)
    assert_at_rest(resident)


def test_a_thousand_services_icinga_killed_amid_their_checks(node: Node, port: int, resident: Resident) -> None:
    fleet(node, port, SERVICES)
    started = time.time()
    with node.started() as running:
        assert_all_well(until(running, lambda: found if len(found := results(running, started)) > SERVICES / 4 else {}))
        processes.kill(processes.started_from, node.home / "run")
        killed = time.time()
    with node.started() as running:
        said = until(running, lambda: found if len(found := results(running, killed)) == SERVICES else {})
        print(f"all checked {time.time() - killed:.1f} s after the kill")
    assert_all_well(said)
    assert_at_rest(resident)
