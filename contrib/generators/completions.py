"""Completions of bash and zsh: shtab writes them from the parsers, and here is what no parser says.

That is: which values are files, users, hosts or words of the programs; that bash parts a line at = and :, as in
--depth=kex; and that zsh wants options spelled with = where they take it. Nothing of it starts Python at a TAB.
"""

import argparse
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.host.items import LABELS as LOCAL_LABELS
from check_ssh_exchange.host.items import NAMES
from check_ssh_exchange.host.options import WORDS as LOCAL_WORDS
from check_ssh_exchange.host.options import parser as local_parser
from check_ssh_exchange.plugin.states import WORDS as STATES
from check_ssh_exchange.remote.options import WORDS
from check_ssh_exchange.remote.options import parser as remote_parser
from ssh_exchange_exporter.flags import parser as flags_parser

from . import completions_bash, completions_zsh
from .completions_words import Words

FILES_OF = ("state_file", "identity", "known_hosts", "snapshot", "config_file", "web_config")
USERS_OF = ("user", "login_user")
HOSTS_OF = ("hostname", "host")


class Program(NamedTuple):
    """A program: its parser, and the words that values of its options are made of."""

    parser: Callable[[], argparse.ArgumentParser]
    words: dict[str, Words]


def _judged(labels: Iterable[str], words: Iterable[str]) -> dict[str, Words]:
    ranges = Words(tuple(labels), is_list=True, values=())
    return {"warning": ranges, "critical": ranges, "state": Words(tuple(words), is_list=True, values=tuple(STATES))}


PROGRAMS: dict[str, Program] = {
    "check_ssh_exchange": Program(remote_parser, _judged(LABELS, WORDS) | {"runbook": Words(tuple(map(str, Cause)))}),
    "check_sshd_local": Program(
        local_parser,
        _judged(LOCAL_LABELS, LOCAL_WORDS) | {name: Words(NAMES, is_list=True) for name in ("only", "skip")},
    ),
    "ssh_exchange_exporter": Program(flags_parser, {}),
}
# Functions that every script of shtab has under the same name: in one shell the last one that is loaded wins, be it of
# another program and of another release of shtab.
SHARED = re.compile(
    r"(?<![\w$])(_set_parser_defaults|_set_new_action|_shtab_compgen_files|_shtab_compgen_dirs|_shtab_replace_nonword)\b"
)
HEAD = """# Completion of {program} for {shell}: `make contrib` writes it with shtab, https://github.com/tqdm/shtab
# (Apache License 2.0). README.md beside it says where it goes.
"""
SHTABS_HEAD = re.compile(r"# AUTOMATICALLY GENERATED .*\n(?:#.*\n)*")


def bash(program: str) -> str:
    """Return the completion of a program for bash."""
    import shtab  # a dev extra, which only rendering needs

    parser, words = _prepared(program, "bash")
    made = shtab.complete(parser, "bash", preamble=completions_bash.preamble(program, words))
    entry = f"complete -o bashdefault -F _shtab_{program} {program}"
    if made.count(entry) != 1:
        raise ValueError(f"shtab no longer ends in: {entry}")
    made = made.replace(entry, f"complete -o bashdefault -F _{program} {program}")
    return _finished(SHARED.sub(rf"_{program}\1", made), program, "bash")


def zsh(program: str) -> str:
    """Return the completion of a program for zsh."""
    import shtab

    parser, words = _prepared(program, "zsh")
    completions_zsh.spell(parser)
    made = shtab.complete(parser, "zsh", preamble=completions_zsh.preamble(program, words))
    return _finished(made, program, "zsh")


def _prepared(program: str, shell: str) -> tuple[argparse.ArgumentParser, dict[str, Words]]:
    """Return the parser with what completes each value, and the words that need a function."""
    parser, words = PROGRAMS[program].parser(), PROGRAMS[program].words
    known = {**dict.fromkeys(FILES_OF, "files"), **dict.fromkeys(USERS_OF, "users"), **dict.fromkeys(HOSTS_OF, "hosts")}
    dests = {action.dest for action in parser._actions}
    if missing := words.keys() - dests:
        raise ValueError(f"{program} has no option for {missing}")
    for action in parser._actions:
        kind = known.get(action.dest) or (action.dest if action.dest in words else "")
        if kind:
            action.complete = {shell: _function(program, shell, kind)}  # type: ignore[attr-defined]
    return parser, words


def _function(program: str, shell: str, kind: str) -> str:
    own = completions_zsh.OF_ZSH if shell == "zsh" else {}
    return own.get(kind) or f"_{program}_{kind}"


def _finished(made: str, program: str, shell: str) -> str:
    """Return a script with our head, without blanks at ends of lines and without more than one empty line."""
    made, heads = SHTABS_HEAD.subn(lambda _: HEAD.format(program=program, shell=shell), made, count=1)
    if not heads:
        raise ValueError("shtab's head is not where it was")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", made, flags=re.MULTILINE)).rstrip("\n") + "\n"


FILES = {
    **{f"completions/{program}.bash": partial(bash, program) for program in PROGRAMS},
    **{f"completions/_{program}": partial(zsh, program) for program in PROGRAMS},
}
