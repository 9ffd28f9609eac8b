"""Links of the documentation lead somewhere, in the repository and in the site; nothing is fetched to find out."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_links import anchors, dead_links, links, malformed

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_links_are_found_in_text_tables_pictures_and_html() -> None:
    """Every form of a link counts; what stands in code does not."""
    text = "[a](x.md) ![b](y.png)\n\n| c |\n| --- |\n| [d](z.md#e) |\n\n<img src='w.png'>\n\n`[no](no.md)`\n"
    assert links(text) == ["x.md", "y.png", "z.md#e", "w.png"]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    """A missing file, a missing heading, a path out of the repository and a mistyped address; the good ones pass."""
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text(
        "# One thing: `two`\n[1](page.md#one-thing-two) [2](#three) [3](gone.md) [4](../../x) [5](https://)\n"
        "[6](made.md)\n"
        "[7](https://arxiv.org/abs/1706.08500)\n",
        "utf-8",
    )
    told = list(dead_links(page, tmp_path, frozenset({"made.md"})))
    assert [line.split(": ")[1] for line in told] == ["#three", "gone.md", "../../x", "https://"]


def test_a_heading_that_stands_twice_has_two_anchors(tmp_path: Path) -> None:
    """Letters such as é stay, signs go, and the second of two equal headings is numbered."""
    page = tmp_path / "page.md"
    page.write_text("# Fréchet, KID×10³?\n## Use\n## Use\n", "utf-8")
    assert anchors(page) == {"fréchet-kid10³", "use", "use_1"}


def test_an_address_has_a_host() -> None:
    """The form is all that is looked at."""
    assert malformed("https://example.org/x") == ""
    assert malformed("https:/example.org")
    assert malformed("htp://example.org")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path, generated: frozenset[str]) -> None:
    """Relative links, anchors and pictures in the repository resolve, or the site has what they name."""
    assert list(dead_links(page, ROOT, generated)) == []


@pytest.fixture(scope="session")
def generated() -> frozenset[str]:
    """Pages that the site has and the repository has not."""
    from graftbench.plugins.registry import domains, methods

    found = {f"methods/{name}.md" for name in methods().classes} | {f"domains/{name}.md" for name in domains().classes}
    references = {f"reference/{name}.md" for name in ("cli", "toml", "python")}
    return frozenset(found | references | {"contributing.md", "changelog.md"})
