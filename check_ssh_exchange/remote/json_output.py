"""The plugin's JSON: one object, schema 1."""

import json
from collections.abc import Mapping

from ..diagnosis.diagnosis import Diagnosis
from ..perfdata import figures, fixed
from ..report import PHASES, Handshake, Report, quantile
from ..verdict import Verdict
from .status_line import summary

SCHEMA = 1

_QUANTILES = {"min": 0.0, "p50": 0.5, "p90": 0.9, "max": 1.0}


def document(report: Report, diagnosis: Diagnosis, verdict: Verdict) -> Mapping[str, object]:
    """Return a run as the object that `--output-format json` prints; durations are seconds."""
    server = report.server
    ratio = report.early_close_ratio
    startups = diagnosis.startups.likeliest if diagnosis.startups else None
    return {
        "schema": SCHEMA,
        "target": {
            "host": report.host,
            "address": report.address,
            "port": report.port,
            "family": report.family,
            "source": report.source,
        },
        "state": str(verdict.state),
        "summary": summary(report, diagnosis, verdict),
        "server": server._asdict() if server else None,
        "handshakes": [_handshake(handshake) for handshake in report.handshakes],
        "counts": {str(ending): count for ending, count in report.counts.items()},
        "early_close_ratio": None if ratio is None else round(ratio, 6),
        "latency": _latency(report),
        "diagnosis": {
            "cause": str(diagnosis.cause),
            "confidence": str(diagnosis.confidence),
            "self_inflicted": diagnosis.self_inflicted,
            "evidence": [*diagnosis.evidence, *report.notes],
            "alternatives": list(diagnosis.alternatives),
            "remedies": list(diagnosis.remedies),
            "runbook": diagnosis.runbook,
        },
        "perfdata": {figure.label: json.loads(fixed(figure.value)) for figure in figures(report, startups)},
    }


def render(report: Report, diagnosis: Diagnosis, verdict: Verdict) -> str:
    """Return the document as one line of ASCII."""
    return json.dumps(document(report, diagnosis, verdict)) + "\n"


def _handshake(handshake: Handshake) -> Mapping[str, object]:
    return {
        "index": handshake.number,
        "role": handshake.role,
        "family": handshake.family,
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
