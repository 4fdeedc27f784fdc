"""packaging/oci: the Containerfile keeps the rules, the health check tells the truth, the documents agree with both.

`make image-check` builds the image and runs it: tests/containers.
"""

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ruamel.yaml import YAML

from tests.exporter.certificates import authority, certificate
from tests.exporter.program import running
from tests.lab.container import FOLDER, HARDENED, ROOT
from tests.lab.oci_rules import complaints, instructions

CONTAINERFILE = (FOLDER / "Containerfile").read_text("utf-8")
README = (ROOT / "packaging" / "README.md").read_text("utf-8")
HEALTHCHECK = FOLDER / "healthcheck.py"
CONFIGURATION = "/etc/ssh_exchange_exporter/config.yml"
SECONDS = 60.0


def test_the_containerfile_keeps_the_rules() -> None:
    assert complaints(CONTAINERFILE) == []


WRONG = {
    "USER nobody": ("USER 65534:65534", "the user is not a number"),
    "USER 0:0": ("USER 65534:65534", "the user is root"),
    "": ("USER 65534:65534\n", "the user is root"),
    "ARG BASE=python:latest": ("ARG BASE=python:3.13-slim", "the base has no version"),
    "ARG BASE=python": ("ARG BASE=python:3.13-slim", "the base has no version"),
    "ARG BASE=registry.example/python:3": ("ARG BASE=python:3.13-slim", "the base names a registry"),
    "FROM python:3.13-slim": ("FROM ${BASE}\nARG", "a stage is not from BASE"),
    'ENTRYPOINT "ssh_exchange_exporter"': ('ENTRYPOINT ["ssh_exchange_exporter"]', "ENTRYPOINT needs a shell"),
    "CMD python3 -I": (
        'CMD ["python3", "-I", "/opt/ssh_exchange_exporter/healthcheck.py"]',
        "HEALTHCHECK needs a shell",
    ),
    "HEALTHCHECK NONE\n#": ("HEALTHCHECK --interval", "HEALTHCHECK needs a shell"),
    "RUN apt-get install curl\nEXPOSE": ("EXPOSE", "RUN needs a shell"),
    'RUN ["rm", "x"]\nEXPOSE': ("EXPOSE", "the last stage runs something"),
    "ADD packaging/config.yml": ("COPY packaging/config.yml", "ADD instead of COPY"),
    "COPY . /\nENV": ("ENV", "the last stage copies the source"),
    '"--only-binary=:all:",': ('"--require-hashes", "--only-binary=:all:",', "libraries without hashes"),
    "STOPSIGNAL SIGKILL": ("STOPSIGNAL SIGTERM", "the exporter cannot stop"),
    "org.opencontainers.image.name": ("org.opencontainers.image.title", "no label title"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_broken_rule_is_found(wrong: str) -> None:
    right, complaint = WRONG[wrong]
    assert right in CONTAINERFILE
    if right == "FROM ${BASE}\nARG":
        wrong += "\nARG"
    assert complaint in complaints(CONTAINERFILE.replace(right, wrong))


def test_the_build_gets_what_it_copies_and_nothing_private() -> None:
    ignored = FOLDER.joinpath("Containerfile.dockerignore").read_text().splitlines()
    assert {".*", "tests", "dist", "**/__pycache__"} <= set(ignored)
    for _, words in (found for found in instructions(CONTAINERFILE) if found[0] == "COPY"):
        source = words.split()[0]
        if not source.startswith("--from"):
            assert (ROOT / source).exists()
            assert source.split("/")[0] not in ignored
    assert not {"check_ssh_exchange", "exporter", "contrib", "docs", "packaging"} & set(ignored)


# The health check.


def health(url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", HEALTHCHECK],
        env={"HEALTHCHECK_URL": url},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.returncode, done.stdout


def test_an_exporter_that_runs_is_healthy_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        url = f"http://127.0.0.1:{program.port}/-/healthy"
        assert health(url) == (0, f"{url}: 200\n")
        assert health(f"http://127.0.0.1:{program.port}/nowhere")[0] == 1
    assert health(url)[0] == 1
    for nonsense in ("", "http://", "http://127.0.0.1:x/", "//"):
        assert health(nonsense)[0] == 1


def test_an_exporter_with_users_and_tls_is_healthy(tmp_path: Path) -> None:
    certificate(tmp_path, "server", authority(tmp_path), "DNS:exporter.example")
    secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
    (tmp_path / "web.yml").write_text(f"{tls}basic_auth_users:\n  a: {secret}\n")
    with running(tmp_path, None, f"--web.config.file={tmp_path / 'web.yml'}") as program:
        assert health(f"https://127.0.0.1:{program.port}/-/healthy")[1].endswith(": 401\n")
        assert health(f"https://127.0.0.1:{program.port}/-/healthy")[0] == 0
        assert health(f"http://127.0.0.1:{program.port}/-/healthy")[0] == 1


def test_a_server_that_accepts_and_says_nothing_is_not_healthy_in_time() -> None:
    found = re.search(r"--timeout=(\d+)s", CONTAINERFILE)
    bound = re.search(r"^SECONDS = ([\d.]+)", HEALTHCHECK.read_text(), re.MULTILINE)
    assert found
    assert bound
    assert float(bound[1]) < float(found[1])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert health(f"http://127.0.0.1:{silent.getsockname()[1]}/")[0] == 1


# What other files say of it.


def test_kubernetes_starts_what_the_image_has() -> None:
    documents = list(YAML(typ="safe").load_all((ROOT / "contrib/kubernetes/exporter.yml").read_text("utf-8")))
    pod: Any = next(found for found in documents if found["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    said = dict(instructions(CONTAINERFILE))
    assert said["ENTRYPOINT"] == f'["{container["command"][0]}"]'
    assert said["CMD"] == f'["{container["args"][0]}"]'
    assert container["args"][0] == f"--config.file={CONFIGURATION}"
    assert said["USER"] == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert said["EXPOSE"] == str(container["ports"][0]["containerPort"])


def test_the_readme_and_the_quadlet_have_the_same_rights() -> None:
    (run,) = re.findall(r"^    podman run (.*?[^\\])$", README, re.MULTILINE | re.DOTALL)
    assert set(HARDENED) <= set(run.split())
    directory = CONFIGURATION.rpartition("/")[0]
    assert f"{directory}:{directory}:ro" in run
    quadlet = (FOLDER / "ssh-exchange-exporter.container").read_text()
    for line in ("ReadOnly=true", "DropCapability=all", "NoNewPrivileges=true", "ReadOnlyTmpfs=false"):
        assert f"\n{line}\n" in quadlet
    assert f"\nVolume={directory}:{directory}:ro\n" in quadlet
    name = re.search(r"^Image=(.*)$", quadlet, re.MULTILINE)
    assert name
    assert README.count(name[1]) == 3
    health = re.search(r"^HealthCmd=(.*)$", quadlet, re.MULTILINE)
    assert health
    assert f"CMD {health[1]}" in CONTAINERFILE


def test_the_configuration_that_packages_begin_with_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "packaging" / "config.yml").read_text()
    meant = re.sub(r"^#(?=[a-z]|  - |    interval)", "", text, flags=re.MULTILINE)  # what is there as an example too
    for number, configuration in enumerate((text, meant)):
        file = tmp_path / f"{number}.yml"
        file.write_text(configuration)
        command = [sys.executable, "-m", "ssh_exchange_exporter", "--config.check", f"--config.file={file}"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT}/exporter"},
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert "\nallowed_targets:" in meant
    assert "\nbackground:\n  - targets:" in meant
