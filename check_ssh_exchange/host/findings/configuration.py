"""The item configuration: would sshd start again, does it refuse a monitor, and what its settings mean."""

import re
from collections.abc import Iterator

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Critical, Warn
from ...text import printable
from ..about import About
from ..account import access, account_of, is_absent
from ..answers import key_of
from ..configuration_files import hidden_file
from ..finding import ROOT, Finding, Kind, Lack, Problem, skipped
from ..host import release, restart
from ..keys import HANDED_OVER, NO_KEYS
from ..settings import Settings, client, settings_of, shell_line
from ..snapshot import Output, Snapshot
from ..sshd import Daemon, daemons
from ..trusted import from_here, is_trusted

ITEM = "configuration"
# What `sshd -t` prints and goes on: those lines say nothing of a restart.
HARMLESS = re.compile(
    r"Deprecated option|Unsupported option|^terminating, |^$|^debug|Unable to load host key|^Load key|bad permissions"
    r"|^@|^Permissions \d+ for|^It is required that|^This private key will be ignored"
)
_DIRECTORY = re.compile(r"Missing privilege separation directory: (\S+)")
_WRITABLE = re.compile(r"^(/\S+) must be owned by root and not group or world-writable")
_USER = re.compile(r"Privilege separation user (\S+) does not exist")
_LINE = re.compile(r"\bline \d+:")
_WITHOUT_DROPS = ("silent", "quiet", "fatal", "error")  # log.c; drops are logged at INFO, QUIET is printed as SILENT
_LIMITS = ("PerSourceMaxStartups", "PerSourceNetBlockSize")

Fault = tuple[Problem, str]  # with the command that mends it


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
    if file := hidden_file(seen, daemon):
        right = "CAP_SYS_PTRACE" if seen.is_root else ROOT
        whose = daemon.name if name else "sshd"
        return Finding(ITEM, lacks=(Lack(right, f"the configuration of {whose}, {printable(file, 200)}"),))
    settings = settings_of(seen, daemon)
    faults = [*_restart(seen, daemon)]
    if settings is not None:
        faults += [*_limits(settings), *_refused(seen, about, daemon)]
    account, unseen = _account(seen, about, daemon, settings)
    problems = [*(problem for problem, _ in faults), *account]
    if settings is None and not faults:
        unseen = (*_unknown(seen, daemon), *unseen)
    return Finding(
        ITEM,
        f"{name}{_summary(settings)}" if settings else "",
        tuple(one._replace(sentence=f"{name}{one.sentence}", pid=daemon.pid) for one in problems),
        tuple(f"{name}{sentence}" for sentence in _evidence(seen, about, daemon, settings, problems)),
        tuple(remedy for _, remedy in faults) + (_exempting(about, settings) if settings else ()),
        lacks=unseen,
    )


def _summary(settings: Settings) -> str:
    startups, grace = (printable(settings.get(name), 40) or "unknown" for name in ("MaxStartups", "LoginGraceTime"))
    return f"MaxStartups {startups}, LoginGraceTime {grace} s"


# --- would it start again


def _restart(seen: Snapshot, daemon: Daemon) -> Iterator[Fault]:
    test = seen.command(f"test of {daemon.pid}")
    output = seen.command(key_of(daemon.pid)) if test.is_absent else test
    line = _obstacle(output)
    if not line or NO_KEYS in line:  # that is what the item host_keys says
        return
    deadly = _deadly(seen, daemon, output.err[:65536])
    if deadly:
        sentence, remedy = deadly
        sentence = f"{sentence}: every new connection ends at once"
        yield Problem(Critical, sentence, Cause.SERVER_FAULT, kind=Kind.NO_RESTART), remedy
    else:
        remedy = f"{shell_line(daemon, '-t')}   # says what is wrong; correct it before the next restart"
        if found := _WRITABLE.search(line):
            remedy = _closing(daemon, found[1])
        sentence = f"sshd would not start again: {printable(line, 300).removesuffix('.')}"
        yield Problem(Warn, sentence, Cause.SERVER_FAULT, kind=Kind.NO_RESTART), remedy


def _deadly(seen: Snapshot, daemon: Daemon, said: str) -> tuple[str, str] | None:
    """Return what ends the children of a running listener too, with the command that mends it.

    Observed on 8.4, 9.2, 10.0 and 10.6: without the directory or the user no child of any of them goes on (sshd.c and
    sshd-session.c, privsep_preauth); a directory that others may write to ends those up to 9.7 alone, which run all of
    sshd's main again.
    """
    if found := _DIRECTORY.search(said):
        # Units and init scripts make it before they start sshd, so a restart of this host's own heals as well.
        too = f"   # at once; {restart(seen)} makes it too" if daemon.root == "/" else ""
        return f"{printable(found[1], 200)} is missing", f"install -d -m 0755 {from_here(daemon, found[1])}{too}"
    if found := _USER.search(said):
        return f"the user {printable(found[1], 64)} does not exist", _making(seen, daemon, printable(found[1], 64))
    if (daemon.release or HANDED_OVER) < HANDED_OVER and (found := _WRITABLE.search(said)):
        return f"{printable(found[1], 200)} may be written to by others than root", _closing(daemon, found[1])
    return None


def _closing(daemon: Daemon, directory: str) -> str:
    path = from_here(daemon, directory)
    return f"chown root:root {path} && chmod 0755 {path}"


def _making(seen: Snapshot, daemon: Daemon, name: str) -> str:
    """Return the command that creates the privilege separation user, without a login shell."""
    if release(seen).get("ID") == "alpine" and daemon.root == "/":
        return f"adduser -S -D -H -h /var/empty -s /sbin/nologin {name}   # at once"
    root = "" if daemon.root == "/" else f"-R {from_here(daemon, '')} "
    return f"useradd {root}-r -M -d /run/sshd -s /usr/sbin/nologin {name}   # at once"


def names_line(text: str) -> bool:
    """Return whether sshd names a line of a file: `/etc/ssh/sshd_config: line 7: Bad configuration option: x`."""
    return bool(_LINE.search(text))


def _obstacle(output: Output) -> str:
    """Return the line for which sshd ended, "" where it did not, or where only our rights were missing."""
    if output.code in (None, 0) or output.error:
        return ""
    lines = [line.strip() for line in output.err.splitlines()[:256]]
    if any("Permission denied" in line for line in lines):
        return ""
    return next((line for line in lines if not HARMLESS.search(line)), "")


def _unknown(seen: Snapshot, daemon: Daemon) -> tuple[Lack, ...]:
    output = seen.command(key_of(daemon.pid))
    if seen.is_root:
        lines = [line.strip() for line in output.err[:65536].splitlines() if line.strip()]
        reason = lines[-1] if lines else output.error or f"it ended with {output.code}"
        return (Lack("", f"{printable(daemon.path, 200)} does not tell its settings: {printable(reason, 200)}"),)
    return (Lack(ROOT, "the settings of sshd, and whether it would start again"),)


# --- what the settings mean


def _limits(settings: Settings) -> Iterator[Fault]:
    setting = settings.maxstartups()
    if setting is not None and setting.start > setting.full:
        # servconf.c of 10.1 and 10.2 takes the single number N as 10:30:N; sshd.c divides by full - start.
        sentence = (
            f"MaxStartups {setting}: drops begin above the limit, sshd can crash; 10.1 and 10.2 read N as 10:30:N"
        )
        yield Problem(Warn, sentence, Cause.SERVER_FAULT, Confidence.LIKELY), "MaxStartups 10:30:100   # in sshd_config"
    if settings.seconds("LoginGraceTime") == 0:
        sentence = "LoginGraceTime 0: clients that never log in hold their places in MaxStartups for ever"
        yield Problem(Warn, sentence, Cause.MAXSTARTUPS, Confidence.POSSIBLE), "LoginGraceTime 30   # in sshd_config"


def _refused(seen: Snapshot, about: About, daemon: Daemon) -> Iterator[Fault]:
    for monitor in about.monitors:
        settings = settings_of(seen, daemon, monitor)
        if settings is not None and settings.yes("RefuseConnection"):
            sentence = f"RefuseConnection refuses the monitor {monitor} once it asks to log in"
            asked = shell_line(daemon, "-T", "-C", client(seen, daemon, monitor))
            remedy = f"{asked}   # says refuseconnection yes until its Match block spares {monitor}"
            yield Problem(Critical, sentence, Cause.ACCESS_DENIED), remedy


def _account(
    seen: Snapshot, about: About, daemon: Daemon, settings: Settings | None
) -> tuple[list[Problem], tuple[Lack, ...]]:
    if not about.login_user:
        return [], ()
    name = printable(about.login_user, 64)
    if is_absent(seen, daemon):
        return [Problem(Warn, f"user {name} does not exist", Cause.ACCESS_DENIED)], ()
    account = account_of(seen, daemon)
    if account is None:
        return [], (Lack("", f"the user {name} could not be looked up with getent"),)
    if settings is None:
        return [], ()
    found = access(seen, daemon, account, settings)
    return [Problem(Warn, fault, Cause.ACCESS_DENIED) for fault in found.faults[:4]], found.unseen


def _evidence(
    seen: Snapshot, about: About, daemon: Daemon, settings: Settings | None, problems: list[Problem]
) -> Iterator[str]:
    if NO_KEYS in seen.command(f"test of {daemon.pid}").err:
        yield "sshd would not start again without host keys"
    if settings is None:
        return
    if problems:  # where nothing is wrong, it is the summary
        yield _summary(settings)
    yield from _limits_by_source(about, settings)
    if settings.get("LogLevel").lower() in _WITHOUT_DROPS:
        yield f"with LogLevel {printable(settings.get('LogLevel'), 20)} dropped connections leave no line in the log"
    if settings.yes("UseDNS"):
        yield "UseDNS yes: each connection waits for the look-up of its address"
    running, setting = daemon.startups, settings.maxstartups()
    if running and setting and (running.begin, running.full) != (setting.start, setting.full):
        yield f"the listener runs with {running.begin}-{running.full} startups: it was not reloaded since"
    if setting and daemon.release in ((10, 1), (10, 2)) and setting[:2] == (10, 30) and setting.full != 100:
        yield f"10.1 and 10.2 read MaxStartups {setting.full} as {setting}"


def _limits_by_source(about: About, settings: Settings) -> Iterator[str]:
    if settings.get("PerSourceMaxStartups").lower() not in ("", "none"):
        yield ", ".join(f"{name} {printable(settings.get(name), 40)}" for name in _LIMITS if settings.get(name))
    for monitor in _penalised(about, settings):
        yield f"PerSourcePenalties are on, and the monitor {monitor} is not in PerSourcePenaltyExemptList"


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
