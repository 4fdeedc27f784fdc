"""The plugin's JSON: one object, schema 1."""

import json
from collections.abc import Mapping

from .. import runbook
from ..diagnosis.clients import is_post_quantum, refused
from ..diagnosis.evaluate import Outcome
from ..ending import Depth
from ..plugin.perfdata import fixed
from ..report import PHASES, Algorithms, Handshake, HostKey, Report, Server, quantile
from .status_line import summary

SCHEMA = 1
SHOWING_KEYS = (Depth.HOSTKEY, Depth.KEX, Depth.LOGIN)

_QUANTILES = {"min": 0.0, "p50": 0.5, "p90": 0.9, "max": 1.0}


def document(outcome: Outcome) -> Mapping[str, object]:
    """Return a run as the object that `--output-format json` prints; durations are seconds."""
    report = outcome.report
    server = report.server
    ratio = report.early_close_ratio
    return {
        "schema": SCHEMA,
        "target": {
            "host": report.host,
            "address": report.address,
            "port": report.port,
            "family": report.family,
            "source": report.source,
        },
        "state": str(outcome.verdict.state),
        "summary": summary(outcome),
        "server": _server(server, report) if server else None,
        "handshakes": [_handshake(handshake) for handshake in report.handshakes],
        "counts": {str(ending): count for ending, count in report.counts.items()},
        "early_close_ratio": None if ratio is None else round(ratio, 6),
        "latency": _latency(report),
        "diagnosis": _diagnosis(outcome),
        "perfdata": {figure.label: json.loads(fixed(figure.value)) for figure in outcome.figures},
    }


def _diagnosis(outcome: Outcome) -> Mapping[str, object]:
    diagnosis = outcome.diagnosis
    return {
        "cause": str(diagnosis.cause),
        "confidence": str(diagnosis.confidence),
        "self_inflicted": diagnosis.self_inflicted,
        "evidence": [*diagnosis.evidence, *outcome.notes],
        "alternatives": list(diagnosis.alternatives),
        "remedies": [str(remedy) for remedy in diagnosis.remedies],
        "runbook": runbook.path(diagnosis.cause),
    }


def _handshake(handshake: Handshake) -> Mapping[str, object]:
    return {
        "index": handshake.number,
        "role": str(handshake.role),
        "family": str(handshake.family),
        "address": handshake.address,
        "source": handshake.source or None,
        "source_port": handshake.source_port,
        "ending": str(handshake.ending),
        "text": handshake.text,
        "detail": handshake.detail,
        "connect": handshake.connect,
        "banner": handshake.banner,
        "kexinit": handshake.kexinit,
        "ended": handshake.ended,
    }


def _latency(report: Report) -> dict[str, dict[str, float]]:
    latency = {}
    for phase in PHASES:
        ordered = report.durations(phase)
        if ordered:
            latency[phase] = {name: round(quantile(ordered, fraction), 9) for name, fraction in _QUANTILES.items()}
    return latency


def _server(server: Server, report: Report) -> dict[str, object]:
    parts = {name: getattr(server, name) for name in ("identification", "protocol", "software", "comments")}
    return {
        **parts,
        "speaks_first": report.speaks_first,
        **(_offer(report.algorithms) if report.algorithms else {}),
        **({"host_keys": [_host_key(key) for key in report.host_keys]} if report.depth in SHOWING_KEYS else {}),
    }


def _offer(offered: Algorithms) -> dict[str, object]:
    return {
        "algorithms": {name: list(names) for name, names in offered._asdict().items()},
        "post_quantum": is_post_quantum(offered.kex),
        "refused_clients": list(refused(offered)),
    }


def _host_key(key: HostKey) -> dict[str, object]:
    found = key.certificate
    certificate = found and {
        "key_id": found.key_id,
        "serial": found.serial,
        "principals": list(found.principals),
        "valid_after": found.valid_after,
        "valid_before": found.valid_before,
        "ca_fingerprint": found.ca_fingerprint,
    }
    return {"type": key.type, "fingerprint": key.fingerprint, "certificate": certificate}
