"""The series of what a server offers and shows: its host keys, their certificates, post-quantum, refused clients.

The names are the same at `/probe` and at `/metrics`; there every line carries the target's labels too.
"""

from collections.abc import Iterator
from functools import lru_cache

from check_ssh_exchange.diagnosis.clients import is_post_quantum, refused
from check_ssh_exchange.report import Algorithms, HostKey, Report

from .library import label_text

FAMILIES = {
    "ssh_exchange_host_key": ("info", "Host keys that the server has shown (depth hostkey and beyond)."),
    "ssh_exchange_host_certificate_expiry_timestamp_seconds": (
        "gauge",
        "When a host certificate runs out, in seconds since the epoch.",
    ),
    "ssh_exchange_post_quantum": ("gauge", "1 if the server offers a hybrid, post-quantum key exchange."),
    "ssh_exchange_refused_clients": ("info", "Clients that share no algorithm of some kind with the server."),
}


def offer(report: Report, labels: str = "") -> Iterator[tuple[str, str]]:
    """Yield the lines of each family that has a value; `labels` are more of them, as written between the braces."""
    keys = report.host_keys
    if keys:
        name = "ssh_exchange_host_key"
        shown = dict.fromkeys(_joined(_key_labels(key), labels) for key in keys)  # a key may have two certificates
        yield name, "".join(f"{name}_info{{{one}}} 1\n" for one in shown)
        yield from _expiries(keys, labels)
    if report.algorithms is not None:
        is_hybrid, clients = _offered(report.algorithms)
        name = "ssh_exchange_post_quantum"
        yield name, f"{name}{{{labels}}} {int(is_hybrid)}\n" if labels else f"{name} {int(is_hybrid)}\n"
        name = "ssh_exchange_refused_clients"
        lines = "".join(f"{name}_info{{{_joined(client, labels)}}} 1\n" for client in clients)
        yield from [(name, lines)] if lines else []


def _expiries(keys: tuple[HostKey, ...], labels: str) -> Iterator[tuple[str, str]]:
    name = "ssh_exchange_host_certificate_expiry_timestamp_seconds"
    ends: dict[str, int] = {}
    for key in keys:
        end = key.certificate.valid_before if key.certificate else None
        if end is not None:
            ends[key.type] = min(end, ends.get(key.type, end))
    if ends:
        yield name, "".join(f"{name}{{{_joined(_type(kind), labels)}}} {end}\n" for kind, end in ends.items())


@lru_cache(4096)
def _key_labels(key: HostKey) -> str:
    return label_text({"type": key.type, "fingerprint": key.fingerprint})


@lru_cache(64)
def _type(kind: str) -> str:
    return label_text({"type": kind})


@lru_cache(256)  # servers of a fleet offer the same
def _offered(algorithms: Algorithms) -> tuple[bool, tuple[str, ...]]:
    return is_post_quantum(algorithms.kex), tuple(label_text({"client": name}) for name in refused(algorithms))


def _joined(own: str, labels: str) -> str:
    return f"{own},{labels}" if labels else own
