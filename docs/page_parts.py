"""Write the generated parts of pages: what stands between `<!-- NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def filled(text: str, parts: Mapping[str, str], where: str) -> str:
    """Return the text of a page with each part between its marks.

    Args:
        text: The page.
        parts: Name -> Markdown.
        where: The page's name.

    Raises:
        SystemExit: The page has no part of a name, or several.
    """
    for name, content in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda match, content=content: f"{match[1]}\n{content}\n\n{match[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{where} has {count} parts '{name}'; expected 1.")
    return text


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Write each part between its marks in a file.

    Raises:
        SystemExit: The page has no part of a name, or several.
    """
    page.write_text(filled(page.read_text("utf-8"), parts, page.name), "utf-8")
