"""What mkdocs does beside building docs/: pages made from the code, and links that lead out of docs/.

Nothing is written into docs/: generated pages exist in the site alone.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

import site_cli
import site_domains
import site_methods
import site_python
import site_toml
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the repository's root -> their place in the site."""

_LINK = re.compile(r"(\]\()(\.\./[^)#\s]+)")
_ROOT_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code, and the files that pages link to outside docs/."""
    for site_path, text in generated().items():
        files.append(File.generated(config, site_path, content=text))
    for path in sorted(linked_outside()):
        files.append(File.generated(config, place_of(path), content=(ROOT / path).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put overviews in place of what has pages of its own; links out of docs/ lead to copies in the site."""
    path = page.file.src_uri
    if path == "methods.md":
        markdown = markdown.replace(
            "This page is made from the registry by `make readme`.", "Each has a page of its own:"
        )
        markdown = re.sub(
            r"<!-- methods -->.*<!-- end -->", lambda _: site_methods.overview(), markdown, flags=re.DOTALL
        )
    if path == "domains.md":
        markdown = markdown.partition("\n## ")[0] + "\n\n" + site_domains.overview() + "\n"
    return _LINK.sub(lambda match: match[1] + _inside(match[2], path), markdown)


@event_priority(-100)
def on_post_build(config: MkDocsConfig, **_: object) -> None:
    """Write the search's index as a script too: the theme asks for it where the site lies on a disk."""
    search = Path(config.site_dir, "search")
    index = (search / "search_index.json").read_text("utf-8")
    (search / "search_index.js").write_text(f"var __index = {index}", "utf-8")


def generated() -> dict[str, str]:
    """Return path in the site -> Markdown, of all that is made from the code."""
    pages = site_methods.pages() | site_domains.pages()
    pages |= {"reference/cli.md": site_cli.page(), "reference/toml.md": site_toml.page()}
    pages["reference/python.md"] = site_python.page()
    return pages | {site_path: _from_root((ROOT / name).read_text("utf-8")) for name, site_path in OUTSIDE.items()}


def linked_outside() -> set[str]:
    """Return the files of the repository, not in docs/, that pages link to."""
    texts = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md")]
    paths = {paths[2].removeprefix("../") for text in texts for paths in _LINK.finditer(text)}
    for name in OUTSIDE:
        targets = {paths[2] for paths in _ROOT_LINK.finditer((ROOT / name).read_text("utf-8"))}
        paths |= {target for target in targets if not target.startswith("docs/")}
    return {path for path in paths if path not in OUTSIDE and path != "README.md" and (ROOT / path).is_file()}


def place_of(path: str) -> str:
    """Return where the site keeps a copy of a file of the repository; as text, which browsers show."""
    return f"source/{path.lstrip('.')}.txt"


def _inside(link: str, page: str) -> str:
    """Return a link out of docs/ as one within the site; one that leads nowhere stays, and mkdocs reports it."""
    path = link.removeprefix("../")
    if path == "README.md":
        target = "index.md"
    elif path in OUTSIDE:
        target = OUTSIDE[path]
    elif (ROOT / path).is_file():
        target = place_of(path)
    else:
        return link
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _from_root(text: str) -> str:
    """Return a page of the root with the links that it has in the site, at whose root it lies."""

    def moved(match: re.Match[str]) -> str:
        link = match[2]
        inside = link.removeprefix("docs/")
        return match[1] + (inside if inside != link else _inside(f"../{link}", "page.md"))

    return _ROOT_LINK.sub(moved, text)
