"""index.html in a real browser, where there is one: drawn whole, sorted, filtered, opened, by mouse and by keyboard."""

from __future__ import annotations

import importlib.util
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from report_parts import Make

    from graftbench.records.run import Run


def _load() -> ModuleType:
    """The driver that also takes the documentation's pictures."""
    file = Path(__file__).parents[2] / "docs" / "screenshots.py"
    spec = importlib.util.spec_from_file_location("graftbench_docs_screenshots", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCREENSHOTS = _load()
pytestmark = pytest.mark.skipif(SCREENSHOTS.browser_path() is None, reason="no chromium or google-chrome on the PATH")

HELPERS = """
window.shown = e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().height > 0;
window.scores = () => document.querySelector("#set-1-scores").parentElement.querySelector("table");
window.names = table => [...table.querySelectorAll("tr[data-row]")]
  .filter(shown).map(r => r.querySelector(".name").textContent + " " + (r.dataset.budget ?? ""));
window.head = (table, text) => [...table.tHead.rows[0].cells].find(c => c.textContent.startsWith(text));
window.pick = (name, value) => {
  for (const field of document.querySelectorAll(`[name=${name}]`)) {
    if (field.type === "checkbox") { if (field.value === value) field.click(); }
    else { field.value = value; field.dispatchEvent(new Event("input", {bubbles: true})); }
  }
};
"""


class Tab:
    """The page in a tab."""

    def __init__(self, browser: Any, page: Path) -> None:
        self.browser = browser
        self.page = page

    def open(self, view: str = "", *, page: Path | None = None, width: int = 1200, **media: str) -> None:
        """Load it anew, in a window of this width."""
        self.browser.window(width, 900, **media)
        self.browser.open((page or self.page).as_uri() + (f"#{view}" if view else ""))
        self.browser.evaluate(HELPERS)

    def __call__(self, expression: str) -> Any:
        """The value of an expression."""
        return self.browser.evaluate(expression)


@pytest.fixture(scope="module")
def folder(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of its own, with the page where `graftbench report` writes it."""
    import shutil

    from graftbench.plugins.registry import PluginIndex
    from graftbench.records.run import read_run
    from graftbench.report import write_reports

    folder = tmp_path_factory.mktemp("browser") / "quick"
    shutil.copytree(quick_run.folder, folder)
    page = import_module("graftbench.reports.page").Page
    write_reports(read_run(folder), folder / "report", PluginIndex("report", {"page": page}))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    with SCREENSHOTS.browser() as found:
        yield found


@pytest.fixture
def tab(browser: Any, folder: Path) -> Iterator[Tab]:
    """The page of the finished quick run, open; no test leaves a word on its console."""
    tab = Tab(browser, folder / "report" / "index.html")
    tab.open()
    yield tab
    assert browser.console == []


def test_everything_is_there(tab: Tab) -> None:
    """The parser keeps every table, figure and strip of samples; all pictures are drawn."""
    count = "['table', 'svg', 'img'].map(name => document.querySelectorAll(name).length)"
    assert tab(count) == [11, 5, 13]
    assert tab("[...document.images].filter(i => i.complete && i.naturalWidth > 0).length") == 13
    assert tab("[...document.querySelectorAll('table')].filter(shown).length") == 8  # the intervals are folded
    assert tab("document.querySelectorAll('svg path').length") > 100


@pytest.mark.parametrize("width", [1200, 420, 360])
def test_nothing_sticks_out(width: int, tab: Tab) -> None:
    """Wide tables scroll within themselves, also with filters unfolded and a cell open."""
    tab.open(width=width)
    tab("document.querySelector('tr[data-counted] button.open').click()")
    tab("document.querySelector('button.cell').click()")
    tab("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert tab("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert tab("innerWidth") == width


BY_KID = ["freezed 25", "finetune 25", "gatys 25", "vae 25", "dcgan 25"]


def test_a_column_sorts_best_first_then_reversed_then_as_it_was(tab: Tab) -> None:
    """Within each data budget; a method without a value stays last, reference rows stay below as they are."""
    before = tab("names(scores())")
    assert before[:5] == BY_KID
    click = "head(scores(), 'IS').querySelector('button').click(); names(scores())"
    values = (
        "[...scores().tBodies[0].querySelectorAll('tr[data-row]')].map(r => Number(r.cells[4].dataset.value ?? 'NaN'))"
    )
    first = tab(click)
    assert tab("head(scores(), 'IS').getAttribute('aria-sort')") == "descending"  # more is better
    found = tab(values)[:4]
    assert found == sorted(found, reverse=True)
    assert first[4] == "dcgan 25"
    second = tab(click)
    assert tab("head(scores(), 'IS').getAttribute('aria-sort')") == "ascending"
    assert tab(values)[:4] == found[::-1]
    assert second[4] == "dcgan 25"
    assert second[10:] == before[10:]
    assert tab(click) == before
    assert tab("document.querySelectorAll('[aria-sort]').length") == 0


def test_names_sort_as_text_and_budgets_sort_the_groups(tab: Tab) -> None:
    """The references stay at the end."""
    by_name = tab("head(scores(), 'Method').querySelector('button').click(); names(scores())")
    assert by_name[:5] == ["dcgan 25", "finetune 25", "freezed 25", "gatys 25", "vae 25"]
    tab("head(scores(), 'Training').querySelector('button').click()")
    by_budget = tab("head(scores(), 'Training').querySelector('button').click(); names(scores())")
    assert [name.split()[1] for name in by_budget[:10]] == ["400"] * 5 + ["25"] * 5
    assert tab("scores().tBodies[2].hasAttribute('data-fixed')")
    assert tab("names(document.querySelector('[data-ranking] table')).length") == 4


def test_filters_hold_for_tables_samples_and_failures_and_are_counted(tab: Tab) -> None:
    """Budget, family and method together; what has no row left goes with its heading; the count is announced."""
    assert tab("document.getElementById('shown').textContent") == "18 of 18 rows of scores are shown."
    tab("pick('budget', '25'); pick('method', 'vae'); pick('method', 'freezed')")
    assert tab("names(scores())") == ["freezed 25", "vae 25", "floor "]
    assert tab("document.getElementById('shown').textContent") == "2 of 18 rows of scores are shown."
    assert tab("document.getElementById('shown').getAttribute('aria-live')") == "polite"
    samples = (
        "[...document.querySelectorAll('.samples tr')].filter(shown).map(r => r.querySelector('.name').textContent)"
    )
    assert tab(samples) == ["freezed", "vae"]
    assert tab("[...document.querySelectorAll('[data-ranking] table')].filter(shown).length") == 1
    assert tab("[...document.querySelectorAll('.failure')].filter(shown).length") == 0
    assert tab("document.querySelector('.pick .count').textContent") == "2 of 9"
    tab("pick('family', 'vae')")
    assert tab("names(scores())") == ["vae 25", "floor "]
    assert tab("document.querySelectorAll('[name=task]').length") == 0  # one task is no choice


def test_scores_can_be_chosen(tab: Tab) -> None:
    """Columns go, tables without a column go with their heading, so does a figure of another score."""
    tab("pick('metric', 'kid'); pick('metric', 'recall')")
    heads = "[...document.querySelectorAll('#main th[data-metric]')].filter(shown).map(h => h.dataset.metric)"
    assert tab(heads) == ["kid", "recall"]
    panels = "[...document.querySelectorAll('h3[id^=set-1-scores]')].filter(shown).map(h => h.textContent)"
    assert tab(panels) == ["Scores", "Fidelity and diversity"]
    assert tab("[...document.querySelectorAll('figure[data-metric]')].filter(shown).length") == 1
    assert tab("[...scores().rows].filter(shown).every(r => [...r.cells].filter(shown).length <= 5)")


def test_everything_comes_back(tab: Tab) -> None:
    """The button undoes filters and sorting, and empties the address."""
    before = tab("names(scores())")
    tab("pick('budget', '400'); pick('method', 'vae'); pick('metric', 'fid')")
    tab("head(scores(), 'FID').querySelector('button').click()")
    tab("document.querySelector('[type=reset]').click(); new Promise(done => setTimeout(done, 50))")
    assert tab("names(scores())") == before
    assert tab("document.querySelectorAll('[aria-sort]').length") == 0
    assert tab("location.hash") == ""


def test_the_address_shows_the_same_view_again(tab: Tab) -> None:
    """Filters, sorting and the open cell; what the page does not offer is passed over."""
    tab("pick('budget', '25'); pick('method', 'vae'); pick('method', 'gatys')")
    tab("head(scores(), 'FID').querySelector('button').click(); head(scores(), 'FID').querySelector('button').click()")
    tab("document.querySelector('tr[data-counted]:not([hidden]) button.open').click()")
    cell = tab("const cell = document.querySelector('button.cell'); cell.click(); cell.textContent")
    address, names = tab("location.hash"), tab("names(scores())")
    assert names == ["vae 25", "gatys 25", "floor "]
    tab.open(address[1:])
    assert tab("location.hash") == address
    assert tab("names(scores())") == names
    assert tab("document.querySelector('button.cell[aria-expanded=true]').textContent") == cell
    tab.open("budget=31&method=nobody&sort=99.1.up&cell=none&%E0%A4%A=1")
    assert len(tab("names(scores())")) == 19  # the floor too
    tab.open("failures")
    assert tab("location.hash") == "#failures"


def test_a_row_opens_its_cells_and_a_cell_its_facts(tab: Tab, folder: Path) -> None:
    """Seeds with scores; then parameters, links to files, scores, cost and the command of `graftbench show`."""
    from graftbench.records.cell_view import view_cell
    from graftbench.records.run import read_run

    tab("[...scores().rows].find(r => r.textContent.includes('freezed')).querySelector('button.open').click()")
    rows = tab("[...document.querySelectorAll('.cells tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert [row[0] for row in rows] == ["0", "1"]
    assert all(row[2] == "ok" and row[4] != "—" for row in rows)
    tab("document.querySelector('button.cell').click()")
    (sheet,) = tab("[...document.querySelectorAll('.view a')].map(a => decodeURI(a.href))")
    assert sheet == (folder / "cells" / rows[0][1] / "samples.png").as_uri()
    assert Path(sheet.removeprefix("file://")).is_file()
    shown = tab("[...document.querySelectorAll('.view pre')].at(-1).textContent")
    assert shown == view_cell(read_run(folder), rows[0][1]).command
    words = tab("document.querySelector('.view').innerText")
    for expected in ("fit_seconds", "compute budget", "30 kimg", "To make it again", "AuthPct"):
        assert expected in words, expected
    tab("document.querySelector('tr.cells').previousElementSibling.querySelector('button.open').click()")
    assert tab("document.querySelectorAll('tr.cells').length") == 0


def test_an_open_row_stays_below_its_row(tab: Tab) -> None:
    """Sorting moves both; a filter hides both."""
    tab("document.querySelector('tr[data-counted] button.open').click()")
    for _ in range(3):
        tab("head(scores(), 'KID').querySelector('button').click()")
        assert tab("document.querySelector('tr.cells').previousElementSibling.textContent").strip()[:7] == "freezed"
    tab("pick('method', 'vae')")
    assert not tab("shown(document.querySelector('tr.cells'))")


def test_a_failed_cell_shows_the_end_of_its_log(tab: Tab) -> None:
    """With its status and reason, paths cut."""
    tab("[...scores().rows].find(r => r.textContent.includes('dcgan')).querySelector('button.open').click()")
    tab("document.querySelector('button.cell').click()")
    words = tab("document.querySelector('.view').innerText")
    assert "diverged: Generator loss left the finite numbers." in words
    assert "…/training.py" in words


def test_keys_do_what_the_mouse_does(tab: Tab) -> None:
    """Buttons are reached by focus and pressed with Enter or a space."""
    tab("document.querySelector('tr[data-counted] button.open').focus()")
    tab.browser.press("Enter", "\r")
    assert tab("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert tab("document.getElementById(document.activeElement.getAttribute('aria-controls')).className") == "cells"
    tab("head(scores(), 'FID').querySelector('button').focus()")
    tab.browser.press(" ", " ")
    assert tab("head(scores(), 'FID').getAttribute('aria-sort')") == "ascending"
    tab.browser.press("Tab")
    assert tab("document.activeElement.closest('th').dataset.metric") == "kid"


CONTRAST = """(selector => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
  const found = [...document.querySelectorAll(selector)].filter(shown).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05); });
  return Math.min(...found);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_light_and_dark_paper(scheme: str, tab: Tab) -> None:
    """At least 4.5:1 (WCAG 2.2, 1.4.3) for whatever is new on the page too."""
    tab.open(scheme=scheme)
    tab("document.querySelector('tr[data-counted] button.open').click()")
    tab("document.querySelector('button.cell').click()")
    dark = tab("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    assert dark == (scheme == "dark")
    assert (
        tab(CONTRAST + "('p, th, td, button, select, summary, label, dt, dd, pre, h4, h5, .open-mark, .family')") > 4.5
    )


def test_on_paper_the_controls_are_gone_and_the_rest_is_there(tab: Tab) -> None:
    """Filters, contents and opening buttons are for screens; heads stay, and what is folded is printed."""
    tab.open(media="print")
    assert not tab("[...document.querySelectorAll('#filters, nav, button.open')].some(shown)")
    assert tab("[...document.querySelectorAll('thead th')].every(h => h.textContent.trim())")
    assert tab("[...document.querySelectorAll('table')].filter(shown).length") == 11


NASTY = ("<script>alert(1)</script>", "a_b%c\\d{e}$", '"onclick="x', "</script><b>", "n" * 300)


def test_nasty_names_filter_sort_and_open_as_any_other(
    browser: Any, record: Make, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Nothing in a name becomes markup, an address or a selector, in the page or in what its script makes."""
    texts = {"reason": NASTY[3], "log_tail": NASTY[0]}
    records = [record(name, 25, seed, kid=0.01 * (i + 1)) for i, name in enumerate(NASTY) for seed in (0, 1)]
    records += [record("failed", status=Status.ERROR, notes=[NASTY[0]], parameters={NASTY[2]: NASTY[3]}, **texts)]
    (page,) = import_module("graftbench.reports.page").Page().write(a_run(records), tmp_path)
    tab = Tab(browser, page)
    tab.open(width=360)
    tab("window.alert = () => document.body.remove()")
    assert tab("document.documentElement.scrollWidth - innerWidth") <= 0
    tab("document.querySelectorAll('button.open').forEach(b => b.click())")
    tab("document.querySelectorAll('button.cell').forEach(b => b.click())")
    assert tab("document.querySelectorAll('.view h4').length") >= 6
    assert tab("document.querySelectorAll('b, [onclick]').length + document.scripts.length") == 2
    assert tab("document.documentElement.scrollWidth - innerWidth") <= 0
    for name in NASTY:
        tab(f"document.querySelector('[type=reset]').click(); pick('method', {json.dumps(name)})")
        tab.open(tab("location.hash")[1:])
        assert f"{name} 25" in tab("names(scores())")
        assert len([row for row in tab("names(scores())") if row.endswith(" 25")]) == 1
    assert browser.console == []


def test_without_the_script_all_is_readable(tab: Tab) -> None:
    """No control stands there that does nothing, and the page says where the cells are."""
    tab.browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open()
        assert not tab("shown(document.getElementById('filters'))")
        assert tab("document.querySelectorAll('button:not([type=reset])').length") == 0
        assert "graftbench show RUN ID" in tab("document.querySelector('noscript').textContent")
    finally:
        tab.browser.call("Emulation.setScriptExecutionDisabled", value=False)
