"""The item configuration: would sshd start again, does it refuse a monitor, and what its settings mean."""

import re
from collections.abc import Iterator

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...text import printable
from ..about import About
from ..account import access, account_of
from ..finding import Finding, Problem, skipped
from ..host import restart
from ..settings import Settings, key_of, settings_of
from ..snapshot import Output, Snapshot
from ..sshd import Daemon, daemons
from ..trusted import is_trusted

ITEM = "configuration"
# What `sshd -t` prints and goes on: those lines say nothing of a restart.
_HARMLESS = re.compile(
    r"Deprecated option|Unsupported option|^terminating, |^$|^debug|Unable to load host key|^Load key|bad permissions"
    r"|^@|^Permissions \d+ for|^It is required that|^This private key will be ignored"
)
_DIRECTORY = re.compile(r"Missing privilege separation directory: (\S+)")
_NO_KEYS = "no hostkeys available"
_WITHOUT_DROPS = ("silent", "quiet", "fatal", "error")  # log.c; drops are logged at INFO, QUIET is printed as SILENT
_TOLD = ("MaxSessions", "UseDNS", "PerSourceMaxStartups", "PerSourceNetBlockSize", "PerSourcePenalties",
         "PerSourcePenaltyExemptList", "LogLevel")  # fmt: skip


def find(seen: Snapshot, about: About) -> Finding:
    """Return what the listeners' own binaries say of their configuration."""
    every = daemons(seen, about.ports)
    if not every:
        return skipped(ITEM, "no sshd listens")
    found = [_of(seen, about, daemon, f"{daemon.name}: " if len(every) > 1 else "") for daemon in every]
    summaries = [one.summary for one in found if one.summary]
    return Finding(
        ITEM,
        "; ".join(summaries),
        tuple(problem for one in found for problem in one.problems),
        tuple(sentence for one in found for sentence in one.evidence),
        tuple(dict.fromkeys(remedy for one in found for remedy in one.remedies)),
        lacks=tuple(dict.fromkeys(lack for one in found for lack in one.lacks)),
        is_skipped=not summaries and not any(one.problems or one.evidence or one.lacks for one in found),
    )


def _of(seen: Snapshot, about: About, daemon: Daemon, name: str) -> Finding:
    if daemon.is_foreign:
        return Finding(ITEM, evidence=(f"{name}it runs in a container, whose programs are not run from here",))
    if not is_trusted(seen, daemon):
        return Finding(ITEM, evidence=(f"{name}its binary is not root's, so it was not asked for its settings",))
    settings = settings_of(seen, daemon)
    problems = [*_restart(seen, daemon)]
    if settings is None:
        lacks = () if problems else _unknown(seen, daemon)
        return Finding(ITEM, problems=_named(problems, name), remedies=_remedies(seen, daemon, problems), lacks=lacks)
    problems += [*_limits(settings), *_refused(seen, about, daemon)]
    account, unseen = _account(seen, about, daemon, settings)
    problems += account
    return Finding(
        ITEM,
        f"{name}{_summary(settings)}",
        _named(problems, name),
        tuple(f"{name}{sentence}" for sentence in _evidence(seen, about, daemon, settings)),
        _remedies(seen, daemon, problems) + _exempting(about, settings),
        lacks=unseen,
    )


def _summary(settings: Settings) -> str:
    startups, grace = (printable(settings.get(name), 40) or "unknown" for name in ("MaxStartups", "LoginGraceTime"))
    return f"MaxStartups {startups}, LoginGraceTime {grace} s"


def _named(problems: list[Problem], name: str) -> tuple[Problem, ...]:
    return tuple(one._replace(sentence=f"{name}{one.sentence}") for one in problems)


# --- would it start again


def _restart(seen: Snapshot, daemon: Daemon) -> Iterator[Problem]:
    test = seen.command(f"test of {daemon.pid}")
    output = seen.command(key_of(daemon.pid)) if test.is_absent else test
    line = _obstacle(output)
    if line and (missing := _DIRECTORY.search(output.err[:65536])):
        # Units and init scripts make it before they start sshd, so a restart heals; but without it the children of
        # a running listener end at once (sshd.c, privsep_preauth's chroot), on every release from 8.4 to 10.6.
        path = printable(missing[1], 200)
        sentence = f"{path} is missing: every new connection ends at once"
        yield Problem(Critical, sentence, Cause.SERVER_FAULT)
    elif line and _NO_KEYS not in line:  # that is what the item host_keys says
        yield Problem(Warn, f"sshd would not start again: {printable(line, 300)}", Cause.SERVER_FAULT)


def _obstacle(output: Output) -> str:
    """Return the line for which sshd ended, "" where it did not, or where only our rights were missing."""
    if output.code in (None, 0) or output.error:
        return ""
    lines = [line.strip() for line in output.err.splitlines()[:256]]
    if any("Permission denied" in line for line in lines):
        return ""
    return next((line for line in lines if not _HARMLESS.search(line)), "")


def _unknown(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    output = seen.command(key_of(daemon.pid))
    if seen.is_root:
        lines = [line.strip() for line in output.err[:65536].splitlines() if line.strip()]
        reason = lines[-1] if lines else output.error or f"it ended with {output.code}"
        return (f"{printable(daemon.path, 200)} does not tell its settings: {printable(reason, 200)}",)
    return ("root would show the settings of sshd, and whether it would start again",)


# --- what the settings mean


def _limits(settings: Settings) -> Iterator[Problem]:
    setting = settings.maxstartups()
    if setting is not None and setting.start > setting.full:
        # servconf.c of 10.1 and 10.2 takes the single number N as 10:30:N; sshd.c divides by full - start.
        sentence = (
            f"MaxStartups {setting}: drops begin above the limit, sshd can crash; 10.1 and 10.2 read N as 10:30:N"
        )
        yield Problem(Warn, sentence, Cause.SERVER_FAULT, Confidence.LIKELY)
    if settings.seconds("LoginGraceTime") == 0:
        sentence = "LoginGraceTime 0: clients that never log in hold their places in MaxStartups for ever"
        yield Problem(Warn, sentence, Cause.MAXSTARTUPS, Confidence.POSSIBLE)


def _refused(seen: Snapshot, about: About, daemon: Daemon) -> Iterator[Problem]:
    for monitor in about.monitors:
        settings = settings_of(seen, daemon, monitor)
        if settings is not None and settings.yes("RefuseConnection"):
            sentence = f"RefuseConnection refuses the monitor {monitor} once it asks to log in"
            yield Problem(Warn, sentence, Cause.ACCESS_DENIED)


def _account(seen: Snapshot, about: About, daemon: Daemon, settings: Settings) -> tuple[list[Problem], tuple[str, ...]]:
    if not about.login_user:
        return [], ()
    name = printable(about.login_user, 64)
    account = account_of(seen, daemon)
    if account is not None:
        found = access(seen, daemon, account, settings)
        return [Problem(Warn, fault, Cause.ACCESS_DENIED) for fault in found.faults[:4]], found.unseen
    if seen.command(f"account at {daemon.root}").code == 2:  # getent(1): one or more keys could not be found
        return [Problem(Warn, f"there is no user {name}", Cause.ACCESS_DENIED)], ()
    return [], (f"the user {name} could not be looked up with getent",)


def _evidence(seen: Snapshot, about: About, daemon: Daemon, settings: Settings) -> Iterator[str]:
    for name in _TOLD:
        if value := settings.get(name):
            yield f"{name} {printable(value, 400)}"
    if settings.get("LogLevel").lower() in _WITHOUT_DROPS:
        yield f"with LogLevel {printable(settings.get('LogLevel'), 20)} dropped connections leave no line in the log"
    if settings.yes("UseDNS"):
        yield "UseDNS yes: each connection waits for the look-up of its address"
    running, setting = daemon.startups, settings.maxstartups()
    if running and setting and (running.begin, running.full) != (setting.start, setting.full):
        yield f"the listener runs with {running.begin}-{running.full} startups: it was not reloaded since"
    if setting and daemon.release in ((10, 1), (10, 2)) and setting[:2] == (10, 30) and setting.full != 100:
        yield f"10.1 and 10.2 read MaxStartups {setting.full} as {setting}"
    for monitor in _penalised(about, settings):
        yield f"PerSourcePenalties are on, and the monitor {monitor} is not in PerSourcePenaltyExemptList"
    if _NO_KEYS in seen.command(f"test of {daemon.pid}").err:
        yield "sshd would not start again without host keys"


# --- penalties


def _penalised(about: About, settings: Settings) -> list[str]:
    """Return the monitors that a penalty can hit."""
    if settings.penalties() is None:
        return []
    exempt = [part for part in settings.get("PerSourcePenaltyExemptList").split(",") if part.lower() != "none"]
    return [monitor for monitor in about.monitors if not _is_in(monitor, exempt)]


def _is_in(address: str, networks: list[str]) -> bool:
    """Return whether an address is in a list of addresses and networks; addrmatch.c, addr_match_cidr_list."""
    import ipaddress

    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return False
    for network in networks[:1024]:
        try:
            if wanted in ipaddress.ip_network(network.strip(), strict=False):
                return True
        except (ValueError, TypeError):
            continue
    return False


def _exempting(about: About, settings: Settings) -> tuple[str, ...]:
    monitors = _penalised(about, settings)
    if not monitors:
        return ()
    old = settings.get("PerSourcePenaltyExemptList")
    entries = [*([printable(old, 400)] if old and old.lower() != "none" else []), *monitors]
    return (f"PerSourcePenaltyExemptList {','.join(entries)}   # in sshd_config: no penalty for the monitors",)


def _remedies(seen: Snapshot, daemon: Daemon, problems: list[Problem]) -> tuple[str, ...]:
    found = []
    path = printable(daemon.path, 200)
    for problem in problems:
        if problem.state is Critical:
            directory = problem.sentence.partition(" ")[0]
            found.append(f"install -d -m 0755 {directory}   # at once; {restart(seen)} makes it too")
        elif problem.cause is Cause.SERVER_FAULT:
            found.append(f"{path} -t   # says what is wrong; correct it before the next restart")
        elif problem.cause is Cause.MAXSTARTUPS:
            found.append("LoginGraceTime 30   # in sshd_config")
        elif problem.sentence.startswith("RefuseConnection"):
            found.append(f"{path} -T -C user=USER,host=ADDRESS,addr=ADDRESS   # shows it; it is in a Match block")
    return tuple(found)
