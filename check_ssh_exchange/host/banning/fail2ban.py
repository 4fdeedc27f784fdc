"""fail2ban as its client tells of it (0.11.2 to 1.1.1): the questions, the jails in the answers. Pure.

One client answers all questions, for each start of one costs a Python interpreter. Where its Python was built without
readline it takes no questions (fail2banclient.py: "Readline not available"), and is started for each that matters most.
Its socket speaks pickle: it is reached by root's own client and configuration alone.
"""

import re
from collections.abc import Mapping

from ...values import NamedTuple
from ..snapshot import Snapshot

CLIENT = ("fail2ban-client", "-i")
MORE = "fail2ban-client -i, other jails"
STATUS, BANNED = ("fail2ban-client", "status"), ("fail2ban-client", "banned")
MOST_SINGLE = 5  # jails that a client of their own is started for
PROMPT = "fail2ban> "
GENERAL = ("status", "banned")
# Asked for in any case, so that one run is enough for most hosts; a jail that is not there costs a line.
USUAL = ("sshd", "ssh", "recidive")
OF_A_JAIL = ("status {}", "get {} ignoreip", "get {} ignorecommand", "get {} findtime", "get {} prefregex",
             "get {} journalmatch", "get {} actions")  # fmt: skip
OF_ANOTHER = (*OF_A_JAIL, "get {} failregex")
MOST_JAILS = 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_BANNED = re.compile(r"'([^']{1,64})': \[([^\]]*)\]")
DOWN = ("Is fail2ban running?", "Is it running?", "Connection refused", "No such file or directory")


class Jail(NamedTuple):
    """A jail. `failed` is how many failures it has counted since its start, None where it did not say.

    `has_command`: a command decides whom it ignores, or we were not told that none does.
    """

    name: str
    banned: tuple[str, ...] = ()
    failed: int | None = None
    files: tuple[str, ...] = ()
    journal: str = ""
    ignored: tuple[str, ...] = ()
    has_command: bool = False
    findtime: float = 600.0
    expression: str = ""
    actions: tuple[str, ...] = ()

    @property
    def is_sshds(self) -> bool:
        """Whether it watches sshd: by its name, by what it reads, by what it looks for."""
        return "ssh" in self.name.lower() or "sshd" in self.journal or "ssh.service" in self.journal or (
            "sshd" in self.expression
        )  # fmt: skip

    @property
    def shuts_every_port(self) -> bool:
        """Whether its bans go for sshd's port too, although it watches something else."""
        words = (*self.actions, self.name)
        return any(re.search("allports|^ufw$|^route$|blackhole|hostsdeny|shorewall|^recidive", one) for one in words)


def questions(jails: tuple[str, ...] = USUAL, of_each: tuple[str, ...] = OF_A_JAIL) -> tuple[str, ...]:
    """Return what the client is asked about these jails."""
    return tuple(question.format(jail) for jail in jails for question in of_each)


def first() -> tuple[str, ...]:
    """Return what it is asked first."""
    return (*GENERAL, *questions())


def given(asked: tuple[str, ...]) -> bytes:
    """Return questions as its input."""
    return "".join(f"{question}\n" for question in asked).encode()


def others(seen: Snapshot) -> tuple[str, ...]:
    """Return the jails that must be asked about after the first answers: those of ssh, and those that hold somebody."""
    answers = _answers(seen.command(*CLIENT).out, first())
    names = _names(answers)
    banned = _banned(answers.get("banned", ""))
    has_own = any("ssh" in name for name in names)
    wanted = [name for name in names if name not in USUAL and (not has_own or "ssh" in name or banned.get(name))]
    return tuple(wanted[:MOST_JAILS])


def is_silent(seen: Snapshot) -> bool:
    """Return whether the client ran but gave no answer, and the server is neither down nor closed to us."""
    was_run = not seen.command(*CLIENT).is_absent
    return was_run and not is_told(seen) and not is_down(seen) and not is_denied(seen)


def singles(seen: Snapshot) -> tuple[tuple[str, ...], ...]:
    """Return the commands about single jails, sshd's first."""
    names = _names({"status": seen.command(*STATUS).out})
    ordered = sorted(names, key=lambda name: ("ssh" not in name.lower(), name not in USUAL))
    return tuple((*STATUS, name) for name in ordered[:MOST_SINGLE])


def is_told(seen: Snapshot) -> bool:
    """Return whether its server told its jails."""
    return "Jail list:" in seen.command(*CLIENT).out or "Jail list:" in seen.command(*STATUS).out


def said(seen: Snapshot) -> str:
    """Return what the client said in place of an answer."""
    for output in (seen.command(*STATUS), seen.command(*CLIENT)):
        if not output.is_absent and (words := output.err.strip() or output.out.strip() or output.error):
            return words
    return ""


def jails(seen: Snapshot) -> list[Jail]:
    """Return every jail, the usual ones and the interesting ones with all that is known of them."""
    answers = _answers(seen.command(*CLIENT).out, first())
    answers |= _answers(seen.command(MORE).out, questions(others(seen), OF_ANOTHER))
    if not _names(answers):
        answers = {" ".join(words[1:]): seen.command(*words).out for words in (STATUS, BANNED, *singles(seen))}
    banned = _banned(answers.get("banned", ""))
    return [_jail(name, answers, banned.get(name, ())) for name in _names(answers)]


def is_down(seen: Snapshot) -> bool:
    """Return whether the client found no server."""
    errors = seen.command(*CLIENT).err + seen.command(*STATUS).err
    return not is_told(seen) and any(words in errors for words in DOWN)


def is_denied(seen: Snapshot) -> bool:
    """Return whether the client had no right to the server's socket."""
    return "Permission denied" in seen.command(*CLIENT).err + seen.command(*STATUS).err


def _answers(out: str, asked: tuple[str, ...]) -> dict[str, str]:
    """Return each question's answer; each stands behind a prompt, in their order."""
    answers = out.split(PROMPT)[1:]
    return {question: answer.strip() for question, answer in zip(asked, answers, strict=False)}


def _names(answers: Mapping[str, str]) -> list[str]:
    found = re.search(r"Jail list:\s*(.*)", answers.get("status", ""))
    names = re.split(r"[,\s]+", found[1].strip()) if found else []
    return [name for name in names if _NAME.fullmatch(name)]


def _banned(answer: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(re.findall(r"'([^']{1,64})'", rest)) for name, rest in _BANNED.findall(answer)}


def _jail(name: str, answers: Mapping[str, str], banned: tuple[str, ...]) -> Jail:
    status = answers.get(f"status {name}", "")
    listed = tuple(_field(status, "Banned IP list").split())
    failed = _field(status, "Total failed")
    findtime = answers.get(f"get {name} findtime", "")
    command = answers.get(f"get {name} ignorecommand")
    return Jail(
        name=name,
        banned=tuple(dict.fromkeys((*banned, *listed))),
        failed=int(failed) if failed.isdecimal() and len(failed) < 20 else None,
        files=tuple(_field(status, "File list").split()),
        journal=_field(status, "Journal matches") or _match(answers.get(f"get {name} journalmatch", "")),
        ignored=tuple(re.findall(r"^[|`]- (\S+)", answers.get(f"get {name} ignoreip", ""), re.MULTILINE)),
        has_command=command not in ("", "None"),
        findtime=float(findtime) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", findtime) else 600.0,
        expression=answers.get(f"get {name} prefregex", "") + answers.get(f"get {name} failregex", ""),
        actions=tuple(re.split(r"[,\s]+", answers.get(f"get {name} actions", "").partition("\n")[2].strip())),
    )


def _field(status: str, name: str) -> str:
    found = re.search(rf"{name}:[ \t]*(.*)", status)
    return found[1].strip() if found else ""


def _match(answer: str) -> str:
    return "" if answer.startswith("No journal match") else answer.partition("\n")[2].strip(" `|-")
