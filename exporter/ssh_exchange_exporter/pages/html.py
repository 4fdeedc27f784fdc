"""HTML as values: all text that is not Markup is escaped."""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping

from .stylesheet import STYLESHEET

NAME = "SSH exchange exporter"
_VOID = frozenset({"input", "link", "meta", "br"})
# A browser reads these as code or style, which the policy below forbids: an attribute of this kind is a bug.
_FORBIDDEN = ("style", "on", "srcdoc")
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' "
    "rx='3' fill='%230f6e6e'/%3E%3Cpath d='M3 5h7M3 8h10M3 11h4' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
)


class Markup(str):
    """Text that is HTML already; only `tag`, `escape` and `join` make it."""

    __slots__ = ()


Child = str | int | None
Attributes = Mapping[str, str | int | None]


def escape(text: str) -> Markup:
    r"""Return text escaped for HTML; unprintable characters (controls, bidirectional marks) become `\u202e`."""
    if isinstance(text, Markup):
        return text
    if not text.isprintable():
        text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return Markup(html.escape(text, quote=True))


def join(parts: Iterable[Child]) -> Markup:
    """Return the parts joined, each escaped unless it is Markup."""
    return Markup("".join([part if type(part) is Markup else _escaped(part) for part in parts]))


def _escaped(child: Child) -> str:
    return "" if child is None else escape(str(child) if isinstance(child, int) else child)


def tag(name: str, attributes: Attributes | None = None, *children: Child) -> Markup:
    """Return an element; an attribute with the value None is left out, one with "" has no value.

    Raises ValueError for attributes that the content security policy forbids (style, on...).
    """
    written = ""
    for key, value in attributes.items() if attributes else ():
        if key.startswith(_FORBIDDEN):
            raise ValueError(f"the attribute {key} is not allowed")
        if value is not None:
            written += f' {key}="{_escaped(value)}"' if value != "" else f" {key}"
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def link(href: str, *children: Child) -> Markup:
    """Return a link to a relative URL or an anchor of the same page."""
    return tag("a", {"href": href}, *children)


def table(caption: str, headings: Iterable[str], rows: Iterable[Markup], name: str) -> Markup:
    """Return a table in a scrolling container; `name` is its class, `rows` are `tr` elements."""
    head = tag("tr", None, *(tag("th", {"scope": "col"}, heading) for heading in headings))
    whole = tag(
        "table", {"class": name}, tag("caption", None, caption), tag("thead", None, head), tag("tbody", None, *rows)
    )
    return tag("div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": 0}, whole)


def badge(word: str) -> Markup:
    """Return a state as a coloured word."""
    return tag("span", {"class": f"badge is-{word.replace(' ', '-')}"}, word)


def frame(title: str, body: Markup, *, depth: int) -> str:
    """Return a complete page; `depth` is the number of folders between it and the landing page."""
    up = "../" * depth
    pages = [("metrics", "Metrics"), ("config", "Configuration"), ("runbook/", "Runbook"), ("-/healthy", "Health")]
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("title", None, f"{title} - {NAME}"),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("link", {"rel": "icon", "href": _ICON}),
        tag("style", None, Markup(STYLESHEET)),
    )
    top = tag(
        "header",
        None,
        tag("a", {"class": "home", "href": up or "./"}, NAME),
        tag("nav", {"aria-label": "Exporter"}, *(link(up + path, name) for path, name in pages)),
    )
    skip = tag("a", {"class": "skip", "href": "#content"}, "Skip to content")
    main = tag("main", {"id": "content"}, body)
    return f"<!doctype html>\n{tag('html', {'lang': 'en'}, head, tag('body', None, skip, top, main))}\n"


CONTENT_SECURITY_POLICY: str = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLESHEET.encode()).digest()).decode()}'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
