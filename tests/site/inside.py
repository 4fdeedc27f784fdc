"""`python -m tests.site.inside`: a scene of the server's own commands, in a process namespace of its own.

check_sshd_local looks at every sshd of its machine; here it finds that of the scene, and none of another test's or the
host's. Standard input is a JSON document of what to run, standard output one of what was printed.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab.network import ROOT, Host

from .place import Place
from .scenes import SCENES, entered

SECONDS = 300.0  # for all blocks of a scene, on a busy machine
APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def outputs(place: Place, scene: str, blocks: list[list[str]]) -> list[list[str]]:
    """Run the commands of blocks in a scene; return what each command printed."""
    if not SCENES[scene].is_on_server:
        return entered(place, scene, blocks)
    document = {"hosts": [place.monitor, place.server], "home": str(place.home), "scene": scene, "blocks": blocks}
    done = subprocess.run(
        [*APART, sys.executable, "-m", "tests.site.inside"], input=json.dumps(document), cwd=ROOT,
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"scene {scene}: {done.stderr}")
    printed: list[list[str]] = json.loads(done.stdout)
    return printed


def main(document: dict[str, Any]) -> list[list[str]]:
    """Run what the document says, here."""
    monitor, server = (Host(*fields) for fields in document["hosts"])
    return entered(Place(monitor, server, Path(document["home"])), document["scene"], document["blocks"])


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
