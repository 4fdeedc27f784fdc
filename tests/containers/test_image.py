"""`make image-check`: a real engine builds the image, which runs with the rights that packaging/README.md gives it."""

import errno
import http.client
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from check_ssh_exchange import __version__
from tests.exporter.program import Reply, Samples, wait_for
from tests.lab import container, zoo
from tests.lab.container import IMAGE, ROOT, Container, Engine

pytestmark = [
    pytest.mark.real,
    pytest.mark.network,
    pytest.mark.skipif(container.missing() is not None, reason=container.missing() or ""),
    pytest.mark.timeout(600),
]

CONFIGURATION = "/etc/ssh_exchange_exporter"
SECONDS = 60.0
# Exit code: the error number of the attempt to write.
WRITE = "import sys\ntry: open(sys.argv[1], 'w')\nexcept OSError as error: sys.exit(error.errno)"
SHELLS = ("/usr/bin/dash", "/usr/bin/sh", "/bin/sh")


class Running(NamedTuple):
    """A container and how to speak to it."""

    container: Container
    port: int
    configuration: Path

    def get(self, path: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Reply(response.status, {}, response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine")) as made:
        made.build(ROOT)
        yield made


@pytest.fixture(scope="module")
def exporter(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Running:
    configuration = tmp_path_factory.mktemp("configuration") / "config.yml"
    configuration.write_text("allowed_targets: [127.0.0.1]\n")
    configuration.chmod(0o644)
    configuration.parent.chmod(0o755)
    port = zoo.free_port("127.0.0.1")
    options = [f"--volume={configuration.parent}:{CONFIGURATION}:ro"]
    options.append(f"--env=HEALTHCHECK_URL=http://127.0.0.1:{port}/-/healthy")
    # Whatever is a shell in the image cannot be run: nothing needs one.
    options.append(f"--volume=/dev/null:{SHELLS[0]}:ro")
    flags = [f"--config.file={CONFIGURATION}/config.yml", f"--web.listen-address=127.0.0.1:{port}"]
    made = engine.run("exporter", options, *flags)
    running = Running(made, port, configuration)
    wait_for(lambda: "msg=started" in made.log or not made.state["Running"], SECONDS)
    assert made.state["Running"], made.log
    return running


def test_the_image_says_what_it_is(engine: Engine) -> None:
    image = engine.inspect("image", IMAGE)
    config = image["Config"]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["User"] == "65534:65534"
    assert image["Healthcheck"]["Test"][0] == "CMD"
    assert image["Size"] < 250 * 1024 * 1024


@pytest.mark.parametrize("program", ["ssh_exchange_exporter", "check_ssh_exchange"])
def test_the_image_has_the_programs(engine: Engine, program: str) -> None:
    option = {"ssh_exchange_exporter": "--version", "check_ssh_exchange": "-V"}[program]
    flags = ["--rm", "--network=none", "--no-healthcheck", *container.LIMITS, *container.HARDENED]
    command = engine.command("run", *flags, f"--entrypoint={program}", IMAGE, option)
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout == f"{program} {__version__}\n", done.stderr


def test_nothing_of_the_source_or_of_the_build_is_in_the_image(exporter: Running) -> None:
    for place in ("/source", "/pip", "/opt/ssh_exchange_exporter/bin/pip", "/opt/ssh_exchange_exporter/share/doc"):
        done = exporter.container.python("import os, sys; sys.exit(os.path.exists(sys.argv[1]))", place)
        assert done.returncode == 0, place


def test_it_has_no_rights(exporter: Running) -> None:
    status = dict(re.findall(r"^(\w+):\t(.*)$", (exporter.container.process / "status").read_text(), re.MULTILINE))
    assert (status["Uid"], status["Gid"]) == ("65534\t65534\t65534\t65534",) * 2
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("path", ["/x", "/tmp/x", f"{CONFIGURATION}/config.yml", "/opt/ssh_exchange_exporter/x"])  # noqa: S108
def test_it_can_write_nowhere(exporter: Running, path: str) -> None:
    assert exporter.container.python(WRITE, path).returncode == errno.EROFS


def test_no_shell_can_be_run_in_it(exporter: Running) -> None:
    program = "import subprocess, sys; subprocess.run([sys.argv[1], '-c', 'exit'])"
    for shell in SHELLS:
        assert "Permission" in exporter.container.python(program, shell).stderr


def test_it_probes_a_real_server_and_refuses_others(exporter: Running) -> None:
    with zoo.server("openssh-10.0") as server:
        reply = exporter.get(f"/probe?target=127.0.0.1:{server.port}")
    assert reply.status == 200
    assert Samples(reply.text).value("probe_success") == 1
    assert exporter.get("/probe?target=192.0.2.1").status == 403


def test_its_health_check_finds_it(exporter: Running) -> None:
    assert exporter.get("/-/healthy").text == "Healthy\n"
    assert exporter.container.health()[0] == 0


def test_sighup_reads_the_mounted_configuration(exporter: Running) -> None:
    assert "vantage: fra" not in exporter.get("/config").text
    exporter.configuration.write_text("allowed_targets: [127.0.0.1]\nvantage: fra\n")
    exporter.container.signal("HUP")
    wait_for(lambda: "vantage: fra" in exporter.get("/config").text, SECONDS)


def test_its_health_check_misses_it_where_it_does_not_answer(engine: Engine) -> None:
    port = zoo.free_port("127.0.0.1")
    options = [f"--env=HEALTHCHECK_URL=http://127.0.0.1:{port}/-/healthy"]
    other = zoo.free_port("127.0.0.1")
    made = engine.run("elsewhere", options, f"--web.listen-address=127.0.0.1:{other}")
    wait_for(lambda: "msg=started" in made.log, SECONDS)
    assert made.health()[0] == 1


def test_sigterm_ends_it_by_itself(exporter: Running) -> None:
    assert exporter.container.stop(60) == 0
    assert "msg=stopped" in exporter.container.log


def test_podman_makes_a_service_of_the_quadlet() -> None:
    done = container.quadlet(container.FOLDER)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"(?i)unsupported|error|warn", done.stderr), done.stderr
    (start,) = re.findall(r"^ExecStart=(.*)$", done.stdout, re.MULTILINE)
    words = shlex.split(start)
    assert set(container.HARDENED) <= set(" ".join(words).replace("--cap-drop all", "--cap-drop=all").split())
    assert words[words.index("-v") + 1] == f"{CONFIGURATION}:{CONFIGURATION}:ro"
    assert words[-1].startswith("localhost/ssh-exchange-exporter:")
