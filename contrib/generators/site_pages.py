"""mkdocs' hook: the pages of the site that are kept elsewhere in the repository, each in one place only.

It adds the runbook, READMEs and lists as pages, resolves links between them as they are written for the repository, and
puts a section of another file where a page says `<!-- include: FILE#Heading -->`.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.items import ITEMS
from contrib.generators.site_items import index_of_items, page_of_item
from contrib.generators.site_markdown import indented, outside_of_code, section

ROOT = Path(__file__).parents[2]
RUNBOOK = "check_ssh_exchange/runbook"

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_INCLUDE = re.compile(r"^<!-- include: ([^#\n]+)#([^\n]+?) -->$", re.MULTILINE)
_CODE = re.compile(r"^<!-- code: (\S+) -->$", re.MULTILINE)
_DRAWING = re.compile(r"^<!-- drawing: (\S+) -->$", re.MULTILINE)
_MARKER = re.compile(r"^ *<!-- (?:run|from|checked): [^\n]* -->\n", re.MULTILINE)


def kept_elsewhere() -> dict[str, str]:
    """Return the pages that the repository has in other places: path on the site, path in the repository."""
    pages = {
        "exporter.md": "exporter/README.md",
        "contributing.md": "CONTRIBUTING.md",
        "changes.md": "CHANGELOG.md",
        "figures.md": "bench/RESULTS.md",
        "runbook/index.md": f"{RUNBOOK}/README.md",
        "contrib/index.md": "contrib/README.md",
    }
    pages |= {f"runbook/{cause}.md": f"{RUNBOOK}/{cause}.md" for cause in Cause}
    for readme in sorted((ROOT / "contrib").rglob("*/README.md")):
        folder = readme.parent.relative_to(ROOT).as_posix()
        pages[f"{folder}.md"] = f"{folder}/README.md"
    return pages


OUTSIDE = "links_elsewhere.txt"
ELSEWHERE = kept_elsewhere()
# README is the front door of the repository; the site has pages for what it says.
MOVED = {"README.md": "index.md", "README.md#install": "start/by_hand.md"}
ON_SITE = {source: page for page, source in ELSEWHERE.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder in the place of `FOLDER/*` in the navigation."""
    config.nav = expanded(config.nav)
    return config


def expanded(nav: Any) -> Any:
    """Return a part of the navigation with all its pages."""
    if isinstance(nav, dict):
        return {title: expanded(part) for title, part in nav.items()}
    if not isinstance(nav, list):
        return nav
    pages = [*ELSEWHERE, "items/index.md", *(f"items/{item.name}.md" for item in ITEMS)]
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and entry.endswith("/*"):
            found += [page for page in pages if page.startswith(entry.removesuffix("*"))]
        else:
            found.append(expanded(entry))
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are kept elsewhere, and those of the items of check_sshd_local."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "items/index.md", content=index_of_items()))
    for item in ITEMS:
        files.append(File.generated(config, f"items/{item.name}.md", content=page_of_item(item)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put included sections in their places, and make links of the repository into links of the site."""
    site = page.file.src_uri
    source = ELSEWHERE.get(site, f"docs/{site}")
    markdown = _INCLUDE.sub(lambda found: included(found, site), markdown)
    markdown = _CODE.sub(lambda found: shown(found[1]), markdown)
    # In the page itself, so that a drawing has the colours of its theme.
    markdown = _DRAWING.sub(lambda found: drawn(found[1]), markdown)
    return indented(outside_of_code(_MARKER.sub("", markdown), lambda text: relinked(text, source, site)))


def on_post_build(config: MkDocsConfig) -> None:
    """List the links to other sites: no test opens them."""
    site = Path(config.site_dir)
    lines = []
    for page in sorted(site.rglob("*.html")):
        links = re.findall(r'<a\b[^>]*\bhref="(https?:[^"]+)"', page.read_text("utf-8"))
        lines += [f"{page.relative_to(site)} {link}\n" for link in dict.fromkeys(links)]
    (site / OUTSIDE).write_text("".join(lines), "utf-8")


def included(found: re.Match[str], site: str) -> str:
    """Return the section of a file that an include names, its links as the page needs them."""
    source, heading = found[1].strip(), found[2].strip()
    text = section((ROOT / source).read_text("utf-8"), heading)
    if not text:
        raise ValueError(f"{site}: {source} has no section {heading}")
    # The page's own links are resolved from docs/; a link of the section is written for its own folder.
    folder = os.path.dirname(source)
    back = os.path.relpath(folder or ".", os.path.dirname(ELSEWHERE.get(site, f"docs/{site}")) or ".")

    def moved(link: re.Match[str]) -> str:
        target = link[3]
        return link[0] if is_outside(target) else f"{link[1]}[{link[2]}]({os.path.normpath(f'{back}/{target}')})"

    return outside_of_code(text, lambda part: _LINK.sub(moved, part))


def shown(source: str) -> str:
    """Return a file of the repository as a block of code."""
    language = {".yml": "yaml", ".yaml": "yaml"}.get(os.path.splitext(source)[1], "text")
    return f"```{language}\n{(ROOT / source).read_text('utf-8').rstrip()}\n```"


def drawn(source: str) -> str:
    """Return a drawing of the repository as HTML that a narrow window can scroll."""
    return f'<div class="scroll">{(ROOT / source).read_text("utf-8").strip()}</div>'


def is_outside(target: str) -> bool:
    """Return whether a link leaves the repository, or stays on its page."""
    return bool(re.match(r"[a-z]+:|#", target))


def relinked(text: str, source: str, site: str) -> str:
    """Make links to files of the repository into links of the site, and into plain text where the site lacks them."""

    def link(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        path, _, anchor = target.partition("#")
        if is_outside(target):
            return found[0]
        whole = os.path.normpath(os.path.join(os.path.dirname(source), path))
        readme = f"{whole}/README.md"
        if moved := MOVED.get(f"{whole}#{anchor}" if anchor else whole):
            return f"[{label}]({relative(moved, site)})"
        if on_site := ON_SITE.get(whole) or ON_SITE.get(readme):
            return f"[{label}]({relative(on_site, site)}{f'#{anchor}' if anchor else ''})"
        if whole.startswith("docs/"):
            return f"{mark}[{label}]({relative(whole.removeprefix('docs/'), site)}{f'#{anchor}' if anchor else ''})"
        # A link to a file that is not a page becomes plain text. One to nothing stays a link, and fails the build.
        return label if (ROOT / whole).exists() else found[0]

    return _LINK.sub(link, text)


def relative(page: str, site: str) -> str:
    """Return the link from one page of the site to another."""
    return os.path.relpath(page, os.path.dirname(site) or ".")
