"""The manual pages: prose of manuals/, and between it what follows from parsers, models and tables of the code."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from check_ssh_exchange import __version__
from check_ssh_exchange.diagnosis.cause import PHRASES
from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.diagnosis.verdict import DEFAULT_THRESHOLDS
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host.items import DEFAULT_THRESHOLDS as LOCAL_THRESHOLDS
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.host.items import LABELS as LOCAL_LABELS
from check_ssh_exchange.host.options import parser as local_parser
from check_ssh_exchange.plugin.extra_opts import DIRECTORIES
from check_ssh_exchange.plugin.thresholds import Thresholds
from check_ssh_exchange.remote.options import parser as remote_parser
from check_ssh_exchange.runbook import page as runbook
from ssh_exchange_exporter.flags import parser as flags_parser

from .manual_keys import keys
from .manual_options import options
from .manual_roff import escaped, roff

HERE = Path(__file__).parent / "manuals"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
PAGES = ("check_ssh_exchange.1", "check_sshd_local.8", "ssh_exchange_exporter.8", "ssh_exchange_exporter.yml.5")
HEAD = r""".\" `make contrib` writes this page from contrib/generators/manuals/{page}.md and the code.
.TH {title} {section} "{date}" "check_ssh_exchange {version}"
.nh
.ad l
"""
PLACE = re.compile(r"^\{\{ (\w+)(?: ([\w.\[\]]+))? \}\}$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
NAMES = ("sshd", "hosts.")  # these do not become capital
TERM = re.compile(r"^`([^`\n]+)`\n:   ((?:.+\n?)+)", re.MULTILINE)


def page(name: str) -> str:
    """Return a manual page; raises ValueError where its prose does not describe what the code has."""
    title, _, section = name.rpartition(".")
    source = (HERE / f"{name}.md").read_text("utf-8")
    head = HEAD.format(
        page=name, title=escaped(title.upper()), section=section, date=released(__version__), version=__version__
    )
    return head + roff(PLACE.sub(lambda found: PLACES[found[1]](*filter(None, [found[2]])), source))


def released(version: str, changelog: str | None = None) -> str:
    """Return the date of a release as its heading in CHANGELOG has it; nothing for one that is not out yet.

    The date of the day would make every build another one.
    """
    text = CHANGELOG.read_text("utf-8") if changelog is None else changelog
    found = re.search(rf"^## {re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)$", text, re.MULTILINE)
    return found[1] if found else ""


def described(name: str, words: Iterable[str]) -> dict[str, str]:
    """Return what a list of definitions says of each word; raises ValueError unless these are its words, in order."""
    found = {term: " ".join(text.split()) for term, text in TERM.findall((HERE / f"{name}.md").read_text("utf-8"))}
    if list(found) != (wanted := list(words)):
        missing = [word for word in wanted if word not in found]
        raise ValueError(f"manuals/{name}.md does not describe {missing or 'in the order of the code'}: {list(found)}")
    return found


def _listed(entries: Mapping[str, str]) -> str:
    return "\n\n".join(f"`{term}`\n:   {text}" for term, text in entries.items())


def _figures(name: str, labels: Iterable[str], thresholds: Thresholds) -> str:
    entries = described(name, labels)
    for label in entries:
        pairs = (("warning", thresholds.warning), ("critical", thresholds.critical))
        ranges = [f"{word} `{found[label]}`" for word, found in pairs if label in found]
        entries[label] += f" Default range: {', '.join(ranges)}." if ranges else ""
    return _listed(entries)


def _items() -> str:
    entries = described("items", [item.name for item in ITEMS])
    for item in ITEMS:
        labels = ", ".join(f"`{label}`" for label in item.labels)
        entries[item.name] += f" Figures: {labels}." if labels else ""
    return _listed(entries)


def _keys(prefix: str = "") -> str:
    """Return the keys below a prefix; without one, those that are in no section of the page."""
    found = keys()
    texts = described("keys", found)
    sections = ("modules.", "background[].", "gearman.", "feeds[].", "budget.", "series.")
    chosen = [path for path in found if (path.startswith(prefix) if prefix else not path.startswith(sections))]
    return "\n\n".join(f"`{path}`\n:   {texts[path]}\n\n    {found[path]}" for path in chosen)


def _causes() -> str:
    """Return each cause with its phrase, and how its page in the runbook begins."""
    return _listed({cause: f"{_sentence(phrase)} {_beginning(runbook(cause))}" for cause, phrase in PHRASES.items()})


def _sentence(phrase: str) -> str:
    return f"{phrase if phrase.startswith(NAMES) else phrase[:1].upper() + phrase[1:]}."


def _beginning(text: str) -> str:
    found = re.search(r"^## What it means\n\n(.+?\.)(?=\s)", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"a page of the runbook does not say what it means: {text[:80]}")
    return " ".join(LINK.sub(r"\1", found[1]).split())


PLACES: dict[str, Callable[..., str]] = {
    "options": lambda: options(remote_parser()),
    "local_options": lambda: options(local_parser()),
    "flags": lambda: options(flags_parser(), "="),
    "endings": lambda: _listed(described("endings", Ending)),
    "causes": _causes,
    "figures": lambda: _figures("figures", LABELS, DEFAULT_THRESHOLDS),
    "local_figures": lambda: _figures("local_figures", LOCAL_LABELS, LOCAL_THRESHOLDS),
    "items": _items,
    "keys": _keys,
    "ini_files": lambda: "\n".join(f"* `{path}`" for path in DIRECTORIES),
}

FILES = {f"../docs/man/{name}": partial(page, name) for name in PAGES}
