"""The result of a probe that found an OpenSSH 10 healthy, made by hand: what its series are is counted."""

from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import Algorithms, Family, Handshake, Report, Role, Server
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.probe_request import Origin
from ssh_exchange_exporter.result import Result

from .simulated_server import BURST

_AT = 1_800_000_000.0
_OFFER = Algorithms(
    kex=("mlkem768x25519-sha256", "sntrup761x25519-sha512", "curve25519-sha256", "ecdh-sha2-nistp256",
         "diffie-hellman-group14-sha256"),
    host_key=("rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-ed25519"),
    cipher=("chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr",
            "aes192-ctr", "aes256-ctr"),
    mac=("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
         "hmac-sha1"),
    compression=("none", "zlib@openssh.com"),
)  # fmt: skip


def healthy(target: str) -> Result:
    """Return the result of a default run in which each handshake completed."""
    report = Report(
        host=target,
        port=22,
        depth=Depth.KEXINIT,
        asked=1 + BURST,
        address="192.0.2.1",
        family=Family.IPV4,
        source="192.0.2.9",
        handshakes=tuple(map(_handshake, range(1 + BURST))),
        server=Server("SSH-2.0-OpenSSH_10.0p2 Debian-7", "2.0", "OpenSSH_10.0p2", "Debian-7"),
        algorithms=_OFFER,
        at=_AT,
    )
    return Result(1, target, "default", Origin.BACKGROUND, _AT, 0.5, evaluate(report, None, Module().expectations()))


def _handshake(number: int) -> Handshake:
    return Handshake(
        number=number,
        role=Role.BURST if number else Role.BASELINE,
        family=Family.IPV4,
        address="192.0.2.1",
        source="192.0.2.9",
        source_port=40_000 + number,
        ending=Ending.COMPLETED,
        started=0.0,
        ended=0.0026123,
        connect=0.0001234,
        banner=0.0012345,
        kexinit=0.0011234,
    )
