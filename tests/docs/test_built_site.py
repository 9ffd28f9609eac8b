"""The site as it is built: without a warning, without a dead link, and as a browser shows it from a disk."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_links import dead_links_of_site

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "first-run.html", "methods/freezed.html", "reference/cli.html", "reference/toml.html")

pytestmark = [pytest.mark.docs, pytest.mark.xdist_group("site")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "excluded from the built site" not in done.stderr
    return folder


@pytest.fixture
def tab() -> Iterator[Any]:
    """A headless browser."""
    specification = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    assert specification is not None
    assert specification.loader is not None
    screenshots = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(screenshots)
    if screenshots.browser_path() is None:
        pytest.skip("needs a browser")
    with screenshots.browser() as opened:
        yield opened


def test_links_and_pictures_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Of every page, those made from the code too."""
    assert list(dead_links_of_site(site)) == []
    assert (site / "methods" / "freezed.html").is_file()
    assert (site / "domains" / "twemoji.html").is_file()


def test_a_dead_link_in_a_site_is_noticed(tmp_path: Path) -> None:
    """A missing page, a missing anchor, and a script of another host."""
    text = "<a href='gone.html'>1</a><a href='#none'>2</a><a id='x' href='#x'>3</a><script src='https://a.org/b.js'></script>"
    (tmp_path / "index.html").write_text(text, "utf-8")
    told = list(dead_links_of_site(tmp_path))
    assert [line.partition(": ")[2] for line in told] == [
        "gone.html: there is no such file",
        "#none: there is no such anchor",
        "https://a.org/b.js: https://a.org/b.js is loaded from elsewhere",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_from_a_disk_without_an_error_and_fit_a_telephone(site: Path, tab: Any, scheme: str) -> None:
    """No message on the console; nothing wider than 360 pixels; the colours that the reader's system asks for."""
    for page in PAGES:
        tab.window(360, 800, scheme=scheme)
        tab.open((site / page).as_uri())
        assert tab.console == []
        assert tab.evaluate("document.documentElement.scrollWidth") == 360, page
        shade = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)")
        assert (sum(shade) < 3 * 128) is (scheme == "dark")


def test_the_search_finds_words_without_a_server(site: Path, tab: Any) -> None:
    """Typed into the search of a page that lies on a disk."""
    tab.window(1300, 900)
    tab.open((site / "index.html").as_uri())
    tab.evaluate("document.querySelector('.md-search__input').focus()")
    tab.call("Input.insertText", text="nested subset")
    wait = """new Promise(resolve => { let left = 100; const look = () => {
        document.querySelector('.md-search__input').dispatchEvent(new KeyboardEvent('keyup', { bubbles: true }))
        const text = document.querySelector('.md-search-result').innerText
        if (/matching/.test(text) || !left--) resolve(text); else setTimeout(look, 100) }; look() })"""
    assert "Budgets and fairness" in tab.evaluate(wait)
    assert tab.console == []
