"""The plugin's own tests on the newest Python, with the oldest nagiosplugin that is supported and with the newest."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.lab import zoo
from tests.lab.front_door import NEVER_SLOW
from tests.lab.newest_python import NAGIOSPLUGINS, NewestPython, missing, newest_python

pytestmark = [
    pytest.mark.real,
    pytest.mark.network,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.timeout(1500),
]

# Unit tests and scripted-server tests, without `wire` and `burst`: long computations on plain numbers and bytes.
# The newest nagiosplugin gets the tests of what uses nagiosplugin only.
OF_THE_PLUGIN = [
    "cli", "endings", "evaluate", "extra_opts", "options", "past", "rules", "run", "server_bytes",
    "state_file", "status", "surroundings", "thresholds", "verdict",
]  # fmt: skip
OF_NAGIOSPLUGIN = ["cli", "status", "thresholds", "verdict"]
# What the chroot lacks: asyncssh, and modules that are found from a working directory that is gone.
NOT_THERE = [
    "tests/test_endings.py::test_a_server_that_floods_before_the_keys_is_bounded_at_depth_kex",
    "tests/test_surroundings.py::test_a_working_directory_that_is_gone_or_closed_to_us_changes_nothing",
]
SELECTED = {"1.3.2": OF_THE_PLUGIN, "newest": OF_NAGIOSPLUGIN}


@pytest.fixture(scope="module")
def python() -> Iterator[NewestPython]:
    with newest_python() as chroot:
        yield chroot


def test_it_is_newer_than_any_python_that_the_other_tests_run_on(python: NewestPython) -> None:
    assert python.version >= (3, 14)


@pytest.mark.parametrize("nagiosplugin", NAGIOSPLUGINS)
def test_the_plugins_own_tests_pass(python: NewestPython, nagiosplugin: str) -> None:
    modules = [f"tests/test_{name}.py" for name in SELECTED[nagiosplugin]]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not real and not timing"]
    options += [f"--deselect={name}" for name in NOT_THERE]
    done = python.run(python.install(nagiosplugin), "-m", "pytest", *options, *modules)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    passed = re.search(r"^(\d+) passed", done.stdout.splitlines()[-1])
    assert passed
    assert int(passed[1]) > (1000 if nagiosplugin == "1.3.2" else 100)


@pytest.mark.parametrize("nagiosplugin", NAGIOSPLUGINS)
def test_a_run_against_a_real_sshd_is_ok(python: NewestPython, nagiosplugin: str) -> None:
    with zoo.server("openssh-9.2", options={"MaxStartups": "100"}) as server:
        target = ["-H", server.address, "-p", str(server.port), *NEVER_SLOW]
        plugin = ["-W", "error", "-m", "check_ssh_exchange", *target]
        text = python.run(python.install(nagiosplugin), *plugin)
        document = python.run(python.install(nagiosplugin), *plugin, "--output-format", "json")
    assert (text.returncode, text.stderr) == (0, "")
    assert re.match(r"SSH OK - OpenSSH_9\.2p1 \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms \| ", text.stdout)
    assert (document.returncode, document.stderr) == (0, "")
    assert json.loads(document.stdout)["counts"]["completed"] == 5
