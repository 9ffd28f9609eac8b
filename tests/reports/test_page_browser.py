"""index.html in a real browser, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.contracts import Run

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Open a page and end."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)


def probe(page: Path, tmp_path: Path, width: int) -> str:
    """The page in a frame of this width, measured by a script from outside it: what is drawn and what sticks out."""
    html = page.read_text("utf-8").replace(
        "default-src 'none'; img-src data:;", "default-src 'none'; img-src data:; script-src 'unsafe-inline';"
    )
    script = """<script>
    const drawn = e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().height > 20;
    const seen = s => [...document.querySelectorAll(s)].filter(drawn).length;
    const pictures = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
    const out = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const lines = document.querySelectorAll('svg path').length;
    document.title = `tables=${seen('table')} figures=${seen('svg')} pictures=${pictures} paths=${lines} beyond=${out}`;
    </script></body>"""
    inner = tmp_path / "inner.html"
    inner.write_text(html.replace("</body>", script), encoding="utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe src="inner.html" style="width:{width}px;height:900px;border:0"'
        ' onload="document.body.append(this.contentDocument.title)"></iframe>',
        encoding="utf-8",
    )
    done = browse(
        outer,
        tmp_path / f"profile-{width}",
        "--allow-file-access-from-files",
        "--virtual-time-budget=3000",
        "--dump-dom",
    )
    found = re.search(r"tables=.*beyond=-?\d+", done.stdout)
    assert found, done.stdout[-500:]
    return found.group()


@pytest.fixture(scope="module")
def page(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the finished quick run on disk."""
    (path,) = import_module("graftbench.reports.page").Page().write(quick_run, tmp_path_factory.mktemp("page"))
    return path


def test_the_console_stays_silent(page: Path, tmp_path: Path) -> None:
    """No error and no refused fetch; the parser keeps every table and figure."""
    done = browse(page, tmp_path / "profile", "--dump-dom")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert (done.stdout.count("<table"), done.stdout.count("<svg"), done.stdout.count("<img")) == (8, 5, 13)


@pytest.mark.parametrize("width", [1200, 420])
def test_everything_is_drawn_and_nothing_sticks_out(width: int, page: Path, tmp_path: Path) -> None:
    """Five open tables (the intervals are folded), five figures and thirteen strips, within the window's width."""
    found = dict(pair.split("=") for pair in probe(page, tmp_path, width).split())
    assert (found["tables"], found["figures"], found["pictures"]) == ("5", "5", "13")
    assert int(found["paths"]) > 100
    assert int(found["beyond"]) <= 0
