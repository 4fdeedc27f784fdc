"""The site's pages on the items of check_sshd_local: what each module says of itself, and its row in the documents."""

import inspect
import re
from pathlib import Path

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.items import DEFAULT_THRESHOLDS, ITEMS, UNITS, Item

from .site_markdown import section

TABLE = Path(__file__).parents[2] / "docs/check_sshd_local.md"


def rows_of_items() -> dict[str, list[str]]:
    """Return the cells of the table of items, by item."""
    table = section(TABLE.read_text("utf-8"), "Items")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {name: row for row in cells for name in re.findall(r"`(\w+)`", row[0])}


def about(item: Item) -> str:
    """Return what an item's module says of itself, without the words that name it."""
    module = inspect.getmodule(item.find)
    text = (inspect.getdoc(module) or "").removeprefix(f"The item {item.name}: ")
    return text[:1].upper() + text[1:]


def index_of_items() -> str:
    """Return the page that lists the items."""
    rows = [(item.name, about(item).split("\n\n")[0].replace("\n", " ")) for item in ITEMS]
    return "\n".join(
        [
            "# Items of check_sshd_local",
            "",
            "What [`check_sshd_local`](../check_sshd_local.md) looks at, one page each. `-v` shows the items that are",
            "wrong, `-vv` every one; `--only` and `--skip` take their names, `--state NAME=ok` changes their state.",
            "",
            "| item | what it looks at |",
            "|---|---|",
            *(f"| [{name}]({name}.md) | {text} |" for name, text in rows),
            "",
        ]
    )


def page_of_item(item: Item) -> str:
    """Return the page of an item: what its module and its row say, and the runbook pages of its causes."""
    _, reads, rights, _, states = rows_of_items()[item.name]
    warning, _, critical = (part.strip() for part in states.partition("/"))
    if not critical and warning == "by threshold (`server_fault`)":
        warning = critical = "by threshold, below"
    lines = [f"# {item.name}", "", about(item), "", f"    check_sshd_local --only {item.name} -v", ""]
    told = {"Reads": reads, "Rights": rights or "none beyond those of any user"}
    told |= {"WARNING": warning or "never by itself", "CRITICAL": critical or "never by itself"}
    lines += [*(f"* **{what}:** {text}" for what, text in told.items()), ""]
    if item.labels:
        lines += ["| figure | unit | WARNING outside of | CRITICAL outside of |", "|---|---|---|---|"]
        for label in item.labels:
            limits = [specs.get(label, "-") for specs in (DEFAULT_THRESHOLDS.warning, DEFAULT_THRESHOLDS.critical)]
            lines.append(f"| `{label}` | {UNITS[label] or 'count'} | {' | '.join(limits)} |")
        lines.append("")
    causes = [word for word in re.findall(r"`(\w+)`", states) if word in tuple(Cause)]
    if causes:
        lines += ["In the runbook: " + ", ".join(f"[{cause}](../runbook/{cause}.md)" for cause in causes) + ".", ""]
    return "\n".join(lines)
