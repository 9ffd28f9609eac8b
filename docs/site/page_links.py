"""Do links lead somewhere? Checked without a network: paths, anchors and pictures; addresses only for their form."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from pymdownx.slugs import slugify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_SLUG = slugify(case="lower")
_HTML = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"']+)["']""")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?")


def dead_links(page: Path, root: Path, generated: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the links of a Markdown file that lead nowhere.

    Args:
        page: The file.
        root: Folder out of which no link may lead.
        generated: Paths in docs/ that the site has and the repository has not: pages made from the code.
    """
    for link in links(page.read_text("utf-8")):
        if reason := _dead(link, page, root, generated):
            yield f"{page.relative_to(root)}: {link}: {reason}"


def _dead(link: str, page: Path, root: Path, generated: frozenset[str]) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return malformed(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_relative_to(root):
        return "leads out of the repository"
    if not target.exists():
        path = posixpath.relpath(target.as_posix(), (root / "docs").as_posix())
        return "" if path in generated else "there is no such file"
    if parts.fragment and target.suffix == ".md" and unquote(parts.fragment) not in anchors(target):
        return f"there is no such heading in {target.name}"
    return ""


def malformed(link: str) -> str:
    """Say what is wrong with the form of an address; empty if nothing is."""
    parts = urlsplit(link)
    if parts.scheme in ("mailto", "data"):
        return ""
    if parts.scheme not in ("http", "https"):
        return f"an address begins with https:, not {parts.scheme}:"
    if not _HOST.fullmatch(parts.netloc.lower()) or " " in link:
        return "this is no address"
    return ""


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a Markdown text, those in HTML too."""
    targets: list[str] = []
    for token in _all(_MARKDOWN.parse(text)):
        target = token.attrs.get("href") or token.attrs.get("src")
        if target:
            targets.append(str(target))
        elif token.type in ("html_block", "html_inline"):
            targets += _HTML.findall(token.content)
    return targets


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as the site and GitHub make them."""
    tokens = _MARKDOWN.parse(page.read_text("utf-8"))
    slugs: list[str] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = _SLUG(text, "-")
            slugs.append(f"{slug}_{slugs.count(slug)}" if slug in slugs else slug)
    return frozenset(slugs)


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


class _Page(HTMLParser):
    """Ids and links of a page of the site, and what it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, links to and loads."""
        values = {name: value for name, value in attrs if value}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        loads = tag in ("script", "img", "iframe", "source") or (
            tag == "link" and values.get("rel") in ("stylesheet", "icon", "preconnect", "preload")
        )
        for name in ("href", "src"):
            if name in values:
                (self.loaded if loads else self.links).append(values[name])


def dead_links_of_site(site: Path) -> Iterator[str]:
    """Yield links and pictures of a built site that lead nowhere, and all that it would load from another host."""
    pages = {path: _Page() for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        page.feed(path.read_text("utf-8"))
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                reason = f"{link} is loaded from elsewhere" if link in page.loaded else malformed(link)
                if reason and parts.scheme != "data":
                    yield f"{path.relative_to(site)}: {link}: {reason}"
                continue
            yield from _dead_in_site(path, parts.path, unquote(parts.fragment), site, pages)


def _dead_in_site(path: Path, to: str, fragment: str, site: Path, pages: dict[Path, _Page]) -> Iterator[str]:
    target = (path.parent / unquote(to)).resolve() if to else path
    if target.is_dir():
        target /= "index.html"
    if path.name == "404.html" and to.startswith("/"):  # the one page that knows no place of its own
        return
    if not target.exists():
        yield f"{path.relative_to(site)}: {to}: there is no such file"
    elif fragment and target in pages and fragment not in pages[target].ids:
        yield f"{path.relative_to(site)}: {to}#{fragment}: there is no such anchor"
