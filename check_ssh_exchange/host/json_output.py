"""The JSON of check_sshd_local: one object, schema 1."""

import json
from collections.abc import Mapping

from ..plugin.perfdata import fixed
from ..text import printable
from .judge import Judged, Outcome
from .sshd import Daemon
from .status_line import summary

SCHEMA = 1


def document(outcome: Outcome) -> Mapping[str, object]:
    """Return a run as the object that `--output-format json` prints."""
    return {
        "schema": SCHEMA,
        "program": "check_sshd_local",
        "host": describe(outcome),
        "sshd": [_sshd(daemon) for daemon in outcome.daemons],
        "state": str(outcome.verdict.state),
        "summary": summary(outcome),
        "causes": [
            {"cause": str(one.cause), "confidence": str(one.confidence), "item": one.item} for one in outcome.causes
        ],
        "items": [_item(one) for one in outcome.judged],
        "perfdata": {figure.label: json.loads(fixed(figure.value)) for figure in outcome.figures},
    }


def describe(outcome: Outcome) -> Mapping[str, object]:
    """Return what the host is: name, system, kernel, container, and as whom it was looked at."""
    from .host import container_of, system_of

    host = outcome.seen.document.get("host", {})
    return {
        "name": printable(str(host.get("name", ""))),
        "system": system_of(outcome.seen),
        "kernel": printable(str(host.get("kernel", ""))),
        "container": container_of(outcome.seen),
        "uid": outcome.seen.uid,
    }


def _sshd(daemon: Daemon) -> Mapping[str, object]:
    return {
        "pid": daemon.pid,
        "version": printable(daemon.version),
        "path": printable(daemon.path),
        "ports": list(daemon.ports),
        "addresses": list(dict.fromkeys(socket.address for socket in daemon.listening)),
    }


def _item(one: Judged) -> Mapping[str, object]:
    finding = one.finding
    return {
        "item": finding.item,
        "state": one.word,
        "summary": one.summary,
        "cause": one.cause and str(one.cause),
        "evidence": [*(problem.sentence for problem in one.problems[1:]), *finding.evidence, *finding.unseen],
        "remedies": list(finding.remedies) if one.problems else [],
        "figures": {figure.label: json.loads(fixed(figure.value)) for figure in finding.figures},
    }
