"""The page of a history: what it says, that it stands alone, that it is sound."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from graftbench.regression.history import words
from graftbench.regression.history.page import render
from graftbench.regression.history.series import series_of
from graftbench.regression.history.sparkline import HEIGHT, MARGIN, MARKED, WIDTH, sparkline
from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.regression.history.history import HistoryEntry

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KID = (MEASURES["kid"],)
VOID = {"meta", "link", "br", "img"}


class Checker(HTMLParser):
    """Collects ids and references, and fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        if tag not in VOID:
            self.open.append(tag)
        fields = dict(attrs)
        self.ids += [fields["id"] or ""] if "id" in fields else []
        self.wanted += (fields.get("aria-labelledby") or "").split()
        href = fields.get("href") or ""
        self.wanted += [href[1:]] if href.startswith("#") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG that ends at once."""

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag


@pytest.fixture
def history(entry: Callable[..., HistoryEntry]) -> list[HistoryEntry]:
    """Kid gets worse at run 12, the fit gets faster, memory stays."""
    noise = 0.02 * np.random.default_rng(0).standard_normal((20, 2))
    return [
        entry(
            i,
            {"kid": 1 + a + 0.5 * (i >= 12), "fit_seconds": 10 + b - 3 * (i >= 8), "peak_memory_mib": 800},
        )
        for i, (a, b) in enumerate(noise.tolist())
    ]


def test_what_the_page_says(history: list[HistoryEntry]) -> None:
    """Counts, groups in order, latest values, commits of the step, each series with its picture and description."""
    series = series_of(history)
    page = render(history, series, name="nightly")
    assert "<h1>nightly</h1>" in page
    assert "3 series: 1 worse than before, 1 changed otherwise, 0 with too few runs to judge, 1 steady." in page
    order = [page.index(f"<h2 id={name!r}>".replace("'", '"')) for name in ("worse", "changed", "steady", "reading")]
    assert order == sorted(order)
    assert order[0] < page.index(f"{words.share(series[0].lost)} than at its best") < order[1]
    assert page.count("<svg") == page.count("<desc") == 3
    assert "000000000b..000000000c" in page
    assert "20 runs, 2026-01-01 to 2026-01-20; latest commit <code>0000000013</code>" in page


def test_too_few_runs_are_a_group_with_the_raw_change(entry: Callable[..., HistoryEntry]) -> None:
    """From 1 to 1.2 of KID is 0.2 of their mean, 1.1; it is no step, and not steady either."""
    series = series_of([entry(0, {"kid": 1.0}), entry(1, {"kid": 1.2})])
    (one,) = series
    assert (one.too_few, one.changed, one.lost) == (True, False, 0.0)
    assert one.raw_change == pytest.approx(0.2 / 1.1)
    page = render([], series, name="new")
    assert "1 series: 0 worse than before, 0 changed otherwise, 1 with too few runs to judge, 0 steady." in page
    few = page.partition('<h2 id="few">Too few runs to judge</h2>')[2].partition("<h2")[0]
    assert "too few runs to judge: 18 % worse from the first to the latest" in few
    assert words.changes(series_of([entry(0)])[0]) == []


def test_the_page_is_sound_and_stands_alone(history: list[HistoryEntry]) -> None:
    """Tags nest, ids are unique, references lead somewhere; nothing is loaded, nothing runs."""
    page = render(history, series_of(history), name="nightly")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(checker.wanted) <= set(checker.ids)
    assert not re.search(r"<script|<link|https?://|src=|url\(|@import", page)


def test_texts_are_escaped(entry: Callable[..., HistoryEntry]) -> None:
    """Names of methods, commits and hardware are text, never markup."""
    bad = "<b>&"
    entries = [
        entry(i, key=f"{bad}|twemoji->openmoji@32|25|8 kimg", commit=f"{bad}{i}", hardware={"cpu.model": bad})
        for i in range(8)
    ]
    page = render(entries, series_of(entries), name=bad)
    assert bad not in page
    assert "&lt;b&gt;&amp;" in page


def test_an_empty_history() -> None:
    """A page without series says so."""
    page = render([], [], name="new")
    assert "0 series: 0 worse" in page
    assert page.count("None.") == 4


def test_the_picture_of_a_series(history: list[HistoryEntry]) -> None:
    """A mark a run with commit, date, value and seeds; two levels; a triangle that says what happened."""
    (series,) = series_of(history, KID)
    picture = str(sparkline(series, "s0"))
    assert picture.count("<circle") == 20
    assert picture.count('class="last"') == 1
    assert re.search(r"<title>0000000005 · 2026-01-06 · [\d.,]+ \(3 seeds, sd 100\)</title>", picture)
    (levels,) = re.findall(r'class="level" d="([^"]*)"', picture)
    assert levels.count("M") == 2
    assert picture.count('<g class="worse">') == 1
    assert '<desc id="s0-d">20 runs; latest' in picture


def test_everything_is_within_the_picture(history: list[HistoryEntry]) -> None:
    """A wild point is drawn hollow at the edge, and the levels keep their height."""
    ((key, values),) = history[5].series.items()
    wild = {key: values | {"kid": msgspec.structs.replace(values["kid"], mean=1e6)}}
    entries = [*history[:5], msgspec.structs.replace(history[5], series=wild), *history[6:]]
    (found,) = series_of(entries, KID)
    picture = str(sparkline(found, "s0"))
    assert picture.count('class="point beyond"') == 1
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', picture):
        assert MARGIN <= float(x) <= WIDTH - MARGIN
        assert MARGIN <= float(y) <= HEIGHT - MARGIN
    heights = {float(y) for y in re.findall(r"[ML][\d.]+,([\d.]+)", re.findall(r'"level" d="([^"]*)"', picture)[0])}
    assert max(heights) - min(heights) > HEIGHT / 2


def test_one_run_and_a_constant(entry: Callable[..., HistoryEntry]) -> None:
    """Both are drawn, without a division by zero."""
    for n in (1, 9):
        (series,) = series_of([entry(i) for i in range(n)], KID)
        assert str(sparkline(series, "s0")).count("<circle") == n


def test_long_series_have_marks_at_their_newest_runs(entry: Callable[..., HistoryEntry]) -> None:
    """The line shows all runs, so that thousands of long series still make a page."""
    entries = [entry(i, date=f"{2000 + i}-01-01T00:00:00Z") for i in range(300)]
    (series,) = series_of(entries, KID)
    picture = str(sparkline(series, "s0"))
    assert picture.count("<circle") == MARKED
    (line,) = re.findall(r'class="line" d="([^"]*)"', picture)
    assert line.count("L") == 299


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
@pytest.mark.long
@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser(history: list[HistoryEntry], tmp_path: Path, width: int) -> None:
    """Nothing sticks out to the side, every picture is drawn, the console is silent."""
    html = render(history, series_of(history), name="nightly").replace(
        "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
    )
    script = """<script>
    const out = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const drawn = [...document.querySelectorAll('svg')].filter(e => e.getBoundingClientRect().height > 20).length;
    document.title = `drawn=${drawn} beyond=${out}`;
    </script></body>"""
    (tmp_path / "inner.html").write_text(html.replace("</body>", script), "utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe src="inner.html" style="width:{width}px;height:900px;border:0"'
        ' onload="document.body.append(this.contentDocument.title)"></iframe>',
        "utf-8",
    )
    assert BROWSER is not None
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"]
    command += ["--virtual-time-budget=3000", "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "drawn=3 beyond=0" in done.stdout
    assert "CONSOLE" not in done.stderr
