"""What the completions for zsh have besides shtab's: spellings of options, and functions for values."""

import argparse
from collections.abc import Iterator, Mapping

from .completions_words import Words

# What zsh itself completes.
OF_ZSH = {"files": "_files", "users": "_users", "hosts": "_hosts"}


def spell(parser: argparse.ArgumentParser) -> None:
    """Write options as _arguments wants them: `--port=` and `-p+` take their value in the same word or in the next."""
    for action in parser._actions:
        if isinstance(action.metavar, str):
            action.metavar = action.metavar.replace(":", r"\:")  # else _arguments would read an action behind it
        if action.nargs != 0:
            action.option_strings = [
                f"{word}=" if word.startswith("--") else f"{word}+" for word in action.option_strings
            ]


def preamble(program: str, words: Mapping[str, Words]) -> str:
    """Return the functions of a program."""
    return "\n".join(
        [
            # Its options have no subcommands, for which shtab would add a first word.
            f"_shtab_{program}_defaults_added=1",
            *(line for kind, one in words.items() for line in _function(program, kind, one)),
        ]
    )


def _function(program: str, kind: str, one: Words) -> Iterator[str]:
    yield f"\n_{program}_{kind}() {{"
    head = f"  _values -s , '{kind}'" if one.is_list else f"  _values '{kind}'"
    if one.values is None:
        rest = "".join(f" {word}" for word in one.words)
    else:
        action = f"({' '.join(one.values)})" if one.values else " "
        rest = "".join(f" '{word}:value:{action}'" for word in one.words)
    yield f"{head}{rest}"
    yield "}"
