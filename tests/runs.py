"""Runs made by hand: a word of one letter for each handshake's ending makes a Report."""

from check_ssh_exchange.ending import NOT_ACCEPTED, Depth, Ending
from check_ssh_exchange.report import Family, Handshake, Report, Role, Server

OURS, OTHER, TARGET, ROUTER = "192.0.2.9", "192.0.2.10", "192.0.2.1", "192.0.2.254"
EXCEEDED, NOT_ALLOWED = "Exceeded MaxStartups", "Not allowed at this time"

# One letter an ending, so that a run reads as a word.
LETTERS = {
    "S": Ending.COMPLETED,
    "c": Ending.CLOSED,
    "r": Ending.RESET,
    "t": Ending.TURNED_AWAY,
    "b": Ending.CLOSED_AFTER_BANNER,
    "q": Ending.BANNER_TIMEOUT,
    "k": Ending.KEXINIT_TIMEOUT,
    "R": Ending.REFUSED,
    "i": Ending.REJECTED,
    "u": Ending.UNREACHABLE,
    "x": Ending.CONNECT_TIMEOUT,
    "n": Ending.NOT_SSH,
    "p": Ending.PROTOCOL_ERROR,
}
SERVERS = {
    "6.6": "OpenSSH_6.6.1",
    "8.4": "OpenSSH_8.4p1",
    "9.2": "OpenSSH_9.2p1",
    "10.0": "OpenSSH_10.0p2",
    "dropbear": "dropbear_2022.83",
}


def server(name: str) -> Server:
    return Server(f"SSH-2.0-{SERVERS[name]}", "2.0", SERVERS[name], "")


def shake(number: int, letter: str, after: float = 0.0001, text: str | None = None, **changed: object) -> Handshake:
    ending = LETTERS[letter]
    made = Handshake(
        number=number,
        role=Role.BURST if number else Role.BASELINE,
        family=Family.IPV4,
        address=TARGET,
        source=OURS,
        source_port=40000 + number,
        ending=ending,
        started=0.0,
        ended=after + (0.0 if ending in NOT_ACCEPTED else 0.00002),
        connect=None if ending in NOT_ACCEPTED else 0.00001,
        text=text if ending is not Ending.COMPLETED else None,
    )
    return made._replace(**changed)  # type: ignore[arg-type]


def run(
    ours: str,
    recheck: str = "",
    *,
    second: str = "",
    again: str = "",
    asked: str = "",
    says: str | None = None,
    answers: str | None = None,
    by: str = "",
    after: float = 0.0001,
    icmp: tuple[int, int, str] | None = None,
    **changed: object,
) -> Report:
    """Return a run: `ours`, then `second` from the second source, `recheck` alone, `again` and
    one that spoke first.

    The server says `says` in each that failed.
    """
    shakes = [shake(number, letter, after, says, icmp=icmp) for number, letter in enumerate(ours)]
    if second:
        shakes.append(shake(len(shakes), second, after, says, role=Role.RECHECK, source=OTHER, is_second_source=True))
    if recheck:
        shakes.append(shake(len(shakes), recheck, after, says, role=Role.RECHECK))
    for letter in again:
        shakes.append(shake(len(shakes), letter, after, says, role=Role.RECHECK, wave=2))
    if asked:
        shakes.append(shake(len(shakes), asked, after, answers, role=Role.RECHECK, spoke_first=True))
    report = Report(
        host="host.example",
        port=22,
        depth=Depth.KEXINIT,
        asked=len(ours),
        address=TARGET,
        family=Family.IPV4,
        source=OURS,
        handshakes=tuple(shakes),
        server=server(by) if by else None,
    )
    return report._replace(**changed)  # type: ignore[arg-type]
