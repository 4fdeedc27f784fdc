"""The runbook: one Markdown page for each cause, installed as package data beside this module.

The plugin imports it only for `--runbook` and for JSON.
"""

import os

from ..diagnosis.cause import Cause

NAMES = tuple(str(cause) for cause in Cause)

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def path(cause: str) -> str:
    """Return the absolute path of the page of a cause; raises KeyError for a name that is not a cause."""
    if cause not in NAMES:
        raise KeyError(cause)
    return os.path.join(_FOLDER, f"{cause}.md")


def page(cause: str) -> str:
    """Return the page of a cause as Markdown; raises KeyError for a name that is not a cause."""
    return _text(path(cause))


def index() -> str:
    """Return the index of the pages as Markdown: the causes, the confidences, and where a system keeps its logs."""
    return _text(os.path.join(_FOLDER, "README.md"))


def _text(file: str) -> str:
    with open(file, encoding="utf-8") as opened:
        return opened.read()
