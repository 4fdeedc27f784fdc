"""What Kubernetes says of a document, without a cluster: by its own schemas, and by prometheus-operator's.

Both come in Python packages: kubernetes-validate has the schemas of every version of Kubernetes, and cloudcoil's models
are generated from the CustomResourceDefinitions of prometheus-operator. They live in a directory of their own, not in
the environment of the tests: together they are 130 MB, and cloudcoil brings a plugin that every pytest would load.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.lab import chroots
from tests.lab.chroots import cache, locked

# A version of the models is a version of prometheus-operator.
REQUIREMENTS = ("cloudcoil-models-prometheus-operator==0.80.1.0", "kubernetes-validate==1.37.0")
DIRECTORY = cache() / "modules" / f"kubernetes-cp{sys.version_info.major}{sys.version_info.minor}"
INSTALL_SECONDS = 600  # 30 MB from the package index
RUN_SECONDS = 100
FILE = "prometheus_operator.json"
OLDEST, LATEST = "oldest", "latest"

# Writes the schemas of prometheus-operator, once: the import of the models takes five seconds. A field that a schema
# does not name becomes an error, as it is for kubectl; these schemas leave that to the API server.
SCHEMAS = """
import json, sys
from cloudcoil.models.prometheus_operator import v1

def strict(schema):
    if isinstance(schema, dict):
        made = {key: strict(value) for key, value in schema.items()}
        return {"additionalProperties": False, **made} if isinstance(made.get("properties"), dict) else made
    return [strict(one) for one in schema] if isinstance(schema, list) else schema

kinds = (v1.Probe, v1.ServiceMonitor, v1.PrometheusRule)
with open(sys.argv[1], "w") as file:
    json.dump({kind.__name__: strict(kind.model_json_schema(by_alias=True)) for kind in kinds}, file)
"""
# Reads documents, writes what there is to say of each.
JUDGE = """
import json, sys
import jsonschema, kubernetes_validate
from kubernetes_validate.utils import all_versions

schemas = json.load(open(sys.argv[1]))
version = all_versions()[0 if sys.argv[2] == "oldest" else -1]

def judge(document):
    if document["apiVersion"] == "monitoring.coreos.com/v1":
        validator = jsonschema.Draft202012Validator(schemas[document["kind"]])
        return [error.message for error in validator.iter_errors(document)]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []

print(json.dumps([judge(document) for document in json.load(sys.stdin)]))
"""


def environment() -> dict[str, str]:
    """The environment of a Python that has the packages, after installing them if necessary. Raises ChrootError."""
    with locked(DIRECTORY.with_suffix(".lock")):
        if not DIRECTORY.exists():
            part = DIRECTORY.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", f"--target={part}"]
            chroots.run(*command, *REQUIREMENTS, seconds=INSTALL_SECONDS)
            where = f"PYTHONPATH={part}"
            chroots.run("env", where, sys.executable, "-c", SCHEMAS, str(part / FILE), seconds=RUN_SECONDS)
            part.rename(DIRECTORY)
    return {**os.environ, "PYTHONPATH": str(DIRECTORY)}


def complaints(documents: Sequence[dict[str, Any]], version: str = LATEST) -> list[list[str]]:
    """What a Kubernetes of this version, with prometheus-operator, would say against each document."""
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, DIRECTORY / FILE, version],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=environment(),
        cwd="/",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found
