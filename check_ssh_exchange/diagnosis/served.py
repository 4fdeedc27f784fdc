"""What can be wrong with a server that serves every handshake: it is slow, or offers only what nobody takes."""

from ..report import Report, quantile
from .cause import Cause, Confidence
from .diagnosis import Diagnosis

# What OpenSSH 10's client offers unasked (ssh -Q, ssh_config(5)). A server none of whose names in one of these lists
# stands here serves a handshake and no client of today.
_TODAY = {
    "kex": ("mlkem768", "sntrup761", "curve25519-sha256", "ecdh-sha2-nistp", "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group14-sha256", "diffie-hellman-group16-", "diffie-hellman-group18-"),
    "host_key": ("ssh-ed25519", "ecdsa-sha2-nistp", "sk-", "rsa-sha2-"),
    "cipher": ("chacha20-poly1305", "aes128-gcm", "aes256-gcm", "aes128-ctr", "aes192-ctr", "aes256-ctr"),
}  # fmt: skip


def explain_served(report: Report, slow_after: float) -> Diagnosis | None:
    """Return what is wrong although all handshakes completed, None when nothing is."""
    offered = report.algorithms
    if offered is not None:
        for name, known in _TODAY.items():
            names = getattr(offered, name)
            if not any(algorithm.startswith(known) for algorithm in names):
                words = f"its {name.replace('_', ' ')} algorithms are {', '.join(names[:6]) or 'none'}"
                return _diagnosis(report, Cause.INCOMPATIBLE, Confidence.LIKELY, words)
    banners = report.durations("banner")
    middle = quantile(banners, 0.5) if banners else 0.0
    if middle > slow_after:
        return _diagnosis(report, Cause.SLOW, Confidence.CERTAIN, f"the banner took {middle:.3f} s in the median")
    return None


def _diagnosis(report: Report, cause: Cause, confidence: Confidence, sentence: str) -> Diagnosis:
    from .remedies import remedies_for

    alone = [h.banner for h in report.handshakes if h.role == "baseline" and h.banner is not None]
    found = [sentence] + ([f"alone it took {alone[0]:.3f} s"] if alone and cause is Cause.SLOW else [])
    remedies = remedies_for(
        cause, port=report.port, source=report.source or "OUR-ADDRESS", address=report.address or report.host
    )
    return Diagnosis(cause, confidence, tuple(found), remedies=remedies)
