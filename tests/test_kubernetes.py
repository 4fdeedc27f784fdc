"""contrib/kubernetes: valid by Kubernetes' own schemas and prometheus-operator's, and what they name is there."""

import copy
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.exporter.program import ROOT, Program, running
from tests.lab import kubernetes, network
from tests.lab.network import Host, Namespace

FOLDER = ROOT / "contrib" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yml"))
# The pod's rights, as the kernel gives them.
RIGHTS = ("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
READ_ONLY = """set -e
mount --make-rprivate /
awk '$5 != "/proc" && $5 !~ "^/(proc|sys|dev)(/|$)" { print $5 }' /proc/self/mountinfo | while read -r place; do
    mount -o remount,bind,ro "$place"
done
exec "$@"
"""
# Exit code 0 if the file cannot be made because nothing can.
IS_READ_ONLY = """
import errno, sys
try:
    open(sys.argv[1], "w")
except OSError as error:
    sys.exit(error.errno != errno.EROFS)
sys.exit(1)
"""
WRONG: tuple[tuple[str, str, Any], ...] = (
    ("Deployment", "spec.template.spec.containers.0.livenessprobe", {}),
    ("Deployment", "spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem", "yes"),
    ("Deployment", "spec.replicas", "one"),
    ("Deployment", "spec.selector", None),
    ("Service", "spec.ports.0.port", "http"),
    ("Service", "spec.port", 10922),
    ("ConfigMap", "data.config.yml", {"modules": {}}),
    ("Probe", "spec.prober.ur1", "exporter:10922"),
    ("Probe", "spec.prober.url", None),
    ("Probe", "spec.prober.scheme", "ftp"),
    ("Probe", "spec.interval", "1 minute"),
    ("Probe", "spec.targets.static", ["bastion.example:22"]),
    ("Probe", "metadata.label", {}),
    ("ServiceMonitor", "spec.endpoints", None),
    ("ServiceMonitor", "spec.endpoints.0.relabelings.0.action", "rename"),
    ("ServiceMonitor", "spec.endpoints.0.relabelings.0.target_label", "job"),
    ("PrometheusRule", "spec.groups.0.rules.0.expr", None),
    ("PrometheusRule", "spec.groups.1.rules.0.for", "five minutes"),
    ("PrometheusRule", "spec.groups.1.rules.0.severity", "critical"),
    ("PrometheusRule", "spec.groups.0.name", None),
)


def documents(name: str) -> list[dict[str, Any]]:
    return [dict(one) for one in YAML(typ="safe").load_all((FOLDER / name).read_text("utf-8"))]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (one for name in FILES for one in documents(name) if one["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def schemas() -> None:
    """Have the schemas, before the time of the first test counts."""
    kubernetes.environment()


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The document of a kind with another value at a path, or without one."""
    document = copy.deepcopy(of_kind(kind))
    *steps, last = path.split(".", 1) if path.startswith("data.") else path.split(".")
    place: Any = document
    for step in steps:
        place = place[int(step) if step.isdecimal() else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.network
@pytest.mark.usefixtures("schemas")
@pytest.mark.parametrize("version", [kubernetes.OLDEST, kubernetes.LATEST])
def test_every_document_is_valid(version: str) -> None:
    every = [document for name in FILES for document in documents(name)]
    assert {document["kind"] for document in every} == {
        "ConfigMap", "Deployment", "Service", "Probe", "ServiceMonitor", "PrometheusRule"
    }  # fmt: skip
    assert kubernetes.complaints(every, version) == [[]] * len(every)


@pytest.mark.network
@pytest.mark.usefixtures("schemas")
def test_every_wrong_field_is_refused() -> None:
    said = kubernetes.complaints([changed(*wrong) for wrong in WRONG])
    assert [wrong for wrong, found in zip(WRONG, said, strict=True) if not found] == []


def test_what_one_document_says_of_another_is_so() -> None:
    deployment, service = of_kind("Deployment"), of_kind("Service")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (port,) = service["spec"]["ports"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert port["targetPort"] in {one["name"] for one in container["ports"]}
    assert container["livenessProbe"]["httpGet"]["port"] == port["targetPort"]
    (volume,) = pod["spec"]["volumes"]
    assert volume["configMap"]["name"] == of_kind("ConfigMap")["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"]}

    monitor = of_kind("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == [port["name"]]
    address = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
    assert of_kind("Probe")["spec"]["prober"]["url"] == address
    labels = {rule["targetLabel"]: rule["replacement"] for rule in monitor["endpoints"][0]["relabelings"]}
    assert labels == {"job": "ssh_exchange_exporter", "instance": address}
    for job in (labels["job"], of_kind("Probe")["spec"]["jobName"]):
        assert re.fullmatch("ssh_exchange.*", job)  # as the rules know them
    assert {one["metadata"]["namespace"] for name in FILES for one in documents(name)} == {"monitoring"}


def test_the_pod_has_no_privileges() -> None:
    """What the pod security standard `restricted` asks for, and nothing to write to."""
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("hostPath" not in volume for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@pytest.mark.network
@pytest.mark.usefixtures("schemas")
def test_the_readme_says_that_there_is_no_image_and_ends_in_a_check() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "no published image yet" in readme
    assert container["image"] in readme
    assert container["image"].startswith("registry.example/")
    assert readme.rstrip().endswith("```")
    (block,) = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    program, *arguments = block.split()
    assert program == "kubernetes-validate"
    command = [sys.executable, "-m", "kubernetes_validate", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=kubernetes.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed") == len(documents("exporter.yml"))


# --- the exporter as the pod runs it


def pod_prefix(host: Host) -> tuple[str, ...]:
    """The words before a command that is to have the pod's user, its rights, and nothing to write to."""
    security = of_kind("Deployment")["spec"]["template"]["spec"]["securityContext"]
    user = (f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}")
    return (*host.prefix, "unshare", "--mount", "sh", "-c", READ_ONLY, "sh", "setpriv", *user, *RIGHTS)


@pytest.fixture(scope="module")
def pod() -> Iterator[tuple[Program, Host]]:
    """The exporter with the arguments and the configuration of the manifest."""
    if reason := network.missing():
        pytest.skip(reason)
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    # Not below pytest's own directory, which only we can enter.
    with tempfile.TemporaryDirectory() as directory, Namespace() as net:
        place = Path(directory)
        place.chmod(0o755)
        (place / "config.yml").write_text(of_kind("ConfigMap")["data"]["config.yml"])
        arguments = [argument.replace(mount["mountPath"], directory) for argument in container["args"]]
        assert f"--config.file={directory}/config.yml" in arguments
        prefix = pod_prefix(net.client)
        imported = "import aiohttp, sys; sys.path[:0] = sys.argv[1:]; import check_ssh_exchange"
        if subprocess.run([*prefix, sys.executable, "-c", imported, ROOT], capture_output=True).returncode != 0:
            pytest.skip("the pod's user cannot read this Python and this checkout: put them where every user can")
        # As root, so that only the mount refuses it.
        as_root = prefix[: prefix.index("setpriv")]
        refused = (*as_root, sys.executable, "-c", IS_READ_ONLY, str(place / "new"))
        subprocess.run(refused, check=True)
        with running(place, None, *arguments, prefix=prefix, env={"PYTHONDONTWRITEBYTECODE": "1"}) as exporter:
            yield exporter, net.client


ASK = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.write(opener.open(sys.argv[1], timeout=20).read().decode())
"""


@pytest.mark.real
def test_the_exporter_runs_with_the_rights_of_the_pod(pod: tuple[Program, Host]) -> None:
    exporter, host = pod
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    (port,) = (one["containerPort"] for one in container["ports"])
    for probe in ("livenessProbe", "readinessProbe"):
        host.run(sys.executable, "-c", ASK, f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}")
    metrics = host.run(sys.executable, "-c", ASK, f"http://127.0.0.1:{port}/metrics")
    assert 'target="build.example:22"' in metrics
    assert 'site="fra"' in metrics
    answer = host.run(sys.executable, "-c", ASK, f"http://127.0.0.1:{port}/probe?target=127.0.0.1:1")
    assert 'ssh_exchange_cause{cause="not_listening"} 1.0' in answer
    assert "level=error" not in exporter.log
