"""The options of a parser as a list of definitions in Markdown: what a manual says under OPTIONS."""

import argparse
import re
from collections.abc import Iterator

# Options, and words of the programs, which are typed as they stand.
TYPED = re.compile(r"(?<![\w`.=-])(--?[a-zA-Z][\w.-]*\w|-[a-zA-Z0-9](?!\w)|[a-z0-9]+(?:_[a-z0-9]+)+(?:=[\w.:]+)?)(?!`)")
SPECIAL = re.compile(r"([*_\[\]<>\\])(?![^`]*`)")


def options(parser: argparse.ArgumentParser, joint: str = " ") -> str:
    """Return each option with its help; `joint` stands between a long option and its value."""
    return "\n\n".join(_definition(action, joint) for action in parser._actions)


def words(parser: argparse.ArgumentParser) -> list[str]:
    """Return every spelling of every option."""
    return [word for action in parser._actions for word in action.option_strings]


def _definition(action: argparse.Action, joint: str) -> str:
    return f"{_term(action, joint)}\n:   {' '.join(_sentences(action))}"


def _term(action: argparse.Action, joint: str) -> str:
    value = "" if action.nargs == 0 else value_of(action)
    if not action.option_strings:
        return f"*{value}*"
    named = ", ".join(f"`{word}`" for word in action.option_strings)
    if not value:
        return named
    shown = f"`{value}`" if value in (action.choices or ()) else f"*{_plain(value)}*"
    return f"{named[:-1]}{joint}`{shown}" if joint == "=" and shown[0] == "*" else f"{named}{joint}{shown}"


def value_of(action: argparse.Action) -> str:
    """Return what stands for the value of an option: its metavar, its only choice, or the end of its own name."""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices and len(list(action.choices)) == 1:
        return str(next(iter(action.choices)))
    return re.split(r"[-.]", (action.option_strings or [action.dest])[-1])[-1].upper()


def _sentences(action: argparse.Action) -> Iterator[str]:
    text = (action.help or "").replace("%%", "%").replace("%(prog)s", "the program")
    if not text:
        raise ValueError(f"{action.option_strings} has no help")
    text = text if re.match(r"-|\w+_", text) else text[:1].upper() + text[1:]
    yield marked(text) + "."
    choices = [f"`{choice}`" for choice in action.choices or ()]
    if len(choices) > 1:
        yield f"One of {', '.join(choices[:-1])} or {choices[-1]}."


def marked(text: str) -> str:
    """Return plain text as Markdown, with what is typed marked as code."""
    return SPECIAL.sub(r"\\\1", TYPED.sub(r"`\1`", text))


def _plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text)
