"""The causes a diagnosis can name: one word each, with the phrase that the status line shows."""

from enum import StrEnum


class Cause(StrEnum):
    """Why handshakes end as they do; the value is the label in JSON, metrics, options and runbook file names."""

    HEALTHY = "healthy"
    MAXSTARTUPS = "maxstartups"
    PER_SOURCE_LIMIT = "per_source_limit"
    PENALTY = "penalty"
    RATE_LIMIT = "rate_limit"
    BANNED = "banned"
    FILTERED = "filtered"
    NOT_LISTENING = "not_listening"
    ACCESS_DENIED = "access_denied"
    SERVER_FAULT = "server_fault"
    STALLED = "stalled"
    SLOW = "slow"
    PROXY = "proxy"
    TARPIT = "tarpit"
    NOT_SSH = "not_ssh"
    ADDRESS_FAMILY = "address_family"
    UNREACHABLE = "unreachable"
    NAME_RESOLUTION = "name_resolution"
    INCOMPATIBLE = "incompatible"
    HOST_KEY = "host_key"
    UNEXPLAINED = "unexplained"

    @property
    def phrase(self) -> str:
        """Return the cause as the status line says it."""
        return PHRASES[self]


class Confidence(StrEnum):
    """`certain`: the wire says it literally or by a unique mark."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


PHRASES: dict[Cause, str] = {
    Cause.HEALTHY: "healthy",
    Cause.MAXSTARTUPS: "MaxStartups throttling",
    Cause.PER_SOURCE_LIMIT: "a limit on connections per source address",
    Cause.PENALTY: "an OpenSSH penalty against our address",
    Cause.RATE_LIMIT: "a rate limit on new connections",
    Cause.BANNED: "our address is banned by a firewall",
    Cause.FILTERED: "a firewall drops the packets, or the host is down",
    Cause.NOT_LISTENING: "nothing listens on that port",
    Cause.ACCESS_DENIED: "hosts.deny or another access rule",
    Cause.SERVER_FAULT: "sshd accepts and its child dies at once",
    Cause.STALLED: "the server accepts and stays silent",
    Cause.SLOW: "the server is slow",
    Cause.PROXY: "a proxy or load balancer answers instead of an SSH server",
    Cause.TARPIT: "a tarpit of endless lines",
    Cause.NOT_SSH: "another service answers on that port",
    Cause.ADDRESS_FAMILY: "only one address family works",
    Cause.UNREACHABLE: "the host cannot be reached",
    Cause.NAME_RESOLUTION: "the name does not resolve",
    Cause.INCOMPATIBLE: "a protocol or algorithms that no client of today can use",
    Cause.HOST_KEY: "the host key is not the one expected",
    Cause.UNEXPLAINED: "no rule explains it",
}
