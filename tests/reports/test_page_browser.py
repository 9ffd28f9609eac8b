"""index.html in a real browser, where there is one: drawn whole, sorted, filtered, opened, by mouse and by keyboard."""

from __future__ import annotations

import importlib.util
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from report_parts import Make

    from graftbench.records.record import Record


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
window.all = (selector, from = document) => [...from.querySelectorAll(selector)];
window.unfold = () => { all("details").forEach(d => d.open = true); document.body.getBoundingClientRect(); };
window.scores = () => document.querySelector("#set-1-scores").parentElement.querySelector("table");
window.names = table => all("tr[data-row]", table)
  .filter(shown).map(r => r.querySelector(".name").textContent + " " + r.cells[1].textContent);
window.placed = () => all(".place").filter(shown).map(p => p.querySelector(".name").textContent);
window.place = name => all(".place").filter(shown).find(p => p.querySelector(".name").textContent === name);
window.head = (table, text) => [...table.tHead.rows[0].cells].find(c => c.textContent.startsWith(text));
window.tick = (name, value) => all(`[name=${name}]`).filter(box => box.value === value).forEach(box => box.click());
window.settled = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
window.words = () => document.body.innerText.split(/\\s+/).filter(Boolean).length;
window.beyond = () => all("body *").filter(e => e.checkVisibility() && !e.closest("svg, .hint, .skip, pre"))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
  .map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40));
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


def test_the_first_screen_says_it_all(tab: Tab) -> None:
    """At 1280 px, unscrolled: the verdict, real images, the first methods with their samples, the reference lines."""
    tab.open(width=1280)
    in_sight = "(e => shown(e) && e.getBoundingClientRect().bottom <= 900)"
    assert tab(f"{in_sight}(document.querySelector('.verdict'))")
    assert tab(f"all('.place').filter(shown).filter({in_sight}).map(p => p.querySelector('.name').textContent)")[
        :4
    ] == [*("oracle", "freezed", "finetune", "gatys")]
    assert tab(f"all('.line-text').filter({in_sight}).map(t => t.textContent.replace(/[◂▸ ]+/g, ' ').trim())") == [
        *("real images", "copies", "before transfer", "Gaussian")
    ]
    assert tab("all('.place img').filter(shown).every(i => i.complete && i.naturalWidth > 0)")


@pytest.mark.slow
def test_few_words_stand_before_the_details(tab: Tab, browser: Any, tmp_path: Path) -> None:
    """At most 900 with everything folded, on this run and on the committed ones; those pages weigh under 3 MB."""
    assert 200 < tab("words()") <= 900
    page = import_module("graftbench.reports.page").Page()
    for name in ("quick", "results"):
        from graftbench.records.run import read_run

        run = read_run(Path(__file__).parents[2] / "docs" / name)
        (file,) = page.write(run, tmp_path)
        assert file.stat().st_size < 3_000_000
        other = Tab(browser, file)
        other.open(width=1280)
        assert 200 < other("words()") <= 900, name


PRESS = """(async () => {
  const done = new Set();
  for (let round = 0; round < 4; round += 1) {
    const fresh = all("summary, button, .chip input, .pick input, .settings a")
      .filter(e => !done.has(e) && e.type !== "reset" && shown(e) && !e.closest("dialog"));
    for (const e of fresh) { done.add(e); e.click(); await settled();
      if (document.getElementById("viewer").open) {
        const strip = all("#viewer .strip button");
        strip.at(-1).click(); await settled();
        const out = beyond(); if (out.length) return out;
        document.querySelector("#viewer .close").click();
      }
      if (e.matches(".chip input")) e.click();
    }
  }
  await settled();
  return [done.size, ...beyond()];
})()"""
"""Presses every control, each once; returns how many, then what sticks out of the window."""


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280, 1600])
def test_every_control_can_be_pressed_and_nothing_sticks_out(width: int, tab: Tab) -> None:
    """Whatever is unfolded, sorted, opened or enlarged: no part of the page is wider than the window."""
    tab.open(width=width)
    assert tab("beyond()") == []
    pressed, *out = tab(PRESS)
    assert out == []
    assert pressed > 60
    assert tab("document.documentElement.scrollWidth - innerWidth") <= 0
    tab("unfold(); settled()")
    assert tab("beyond()") == []
    assert tab("all('.scroll').filter(shown).every(box => box.scrollWidth <= box.clientWidth + 1)")


def test_a_table_without_room_becomes_cards_that_keep_their_roles(tab: Tab) -> None:
    """Each number beside the name of its score; where there is room it is a table."""
    tab.open(width=1280)
    tab("unfold(); settled()")
    assert not tab("scores().classList.contains('cards')")
    tab.open(width=360)
    tab("unfold(); settled()")
    assert tab("scores().classList.contains('cards')")
    cell = "scores().querySelector('tr[data-row] td:nth-of-type(3)')"
    assert tab(f"[{cell}.dataset.label, {cell}.getAttribute('role')]") == ["KID×10³ ↓", "cell"]


BY_KID = ["freezed 25", "finetune 25", "gatys 25", "vae 25", "dcgan 25"]


def test_a_column_sorts_best_first_then_reversed_then_as_it_was(tab: Tab) -> None:
    """Within each data budget; a method without a value stays last, reference rows stay below as they are."""
    tab("unfold(); settled()")
    before = tab("names(scores())")
    assert before[:5] == BY_KID
    click = "head(scores(), 'IS').querySelector('button').click(); names(scores())"
    values = "all('tr[data-row]', scores().tBodies[0]).map(r => Number(r.cells[4].dataset.value ?? 'NaN'))"
    first = tab(click)
    assert tab("head(scores(), 'IS').getAttribute('aria-sort')") == "descending"  # more is better
    found = tab(values)[:4]
    assert found == sorted(found, reverse=True)
    assert first[4] == "dcgan 25"
    second = tab(click)
    assert tab("head(scores(), 'IS').getAttribute('aria-sort')") == "ascending"
    assert tab(values)[:4] == found[::-1]
    assert second[10:] == before[10:]
    assert tab(click) == before
    assert tab("document.querySelectorAll('[aria-sort]').length") == 0


def test_another_comparison_is_one_click_away(tab: Tab) -> None:
    """Its verdict and ranking take the place of the first's; the address leads there again."""
    assert tab("all('.setting').filter(shown).length") == 1
    tab("document.querySelectorAll('.settings a')[1].click()")
    assert tab("all('.setting').filter(shown).map(s => s.id)") == ["set-1-n400"]
    assert tab("document.activeElement.id") == "set-1-n400"
    assert tab("location.hash") == "#at=set-1-n400"
    tab.open("at=set-1-n400")
    assert tab("all('.setting').filter(shown).map(s => s.id)") == ["set-1-n400"]
    assert tab("document.querySelector('[aria-current]').dataset.at") == "set-1-n400"
    tab.open("set-1-n400")
    assert tab("all('.setting').filter(shown).map(s => s.id)") == ["set-1-n400"]


def test_methods_are_left_out_everywhere_and_counted(tab: Tab) -> None:
    """In ranking, charts, tables, failures; reference rows stay; the count is announced, and the address keeps it."""
    assert tab("document.getElementById('shown').textContent") == "5 of 5 methods shown"
    tab("['dcgan', 'gatys'].forEach(name => tick('method', name)); unfold()")
    assert tab("placed()") == ["oracle", "freezed", "finetune", "vae", "memorizer", "source", "gaussian"]
    assert [name for name in tab("names(scores())") if name.endswith(" 25")][:3] == [
        "freezed 25",
        "finetune 25",
        "vae 25",
    ]
    assert tab("all('.failure').filter(shown).length") == 0
    assert tab("all('.frame [data-method=dcgan]').filter(e => getComputedStyle(e).display !== 'none').length") == 0
    assert tab("document.getElementById('shown').textContent") == "3 of 5 methods shown"
    assert tab("document.getElementById('shown').getAttribute('aria-live')") == "polite"
    address = tab("location.hash")
    assert address == "#hide=dcgan&hide=gatys"
    tab.open(address[1:])
    assert tab("placed()") == ["oracle", "freezed", "finetune", "vae", "memorizer", "source", "gaussian"]
    tab("document.querySelector('[type=reset]').click(); new Promise(done => setTimeout(done, 50))")
    assert len(tab("placed()")) == 9
    assert tab("location.hash") == ""


def test_scores_can_be_chosen(tab: Tab) -> None:
    """Columns go, tables without a column go with their heading."""
    tab("unfold(); tick('metric', 'kid'); tick('metric', 'recall')")
    heads = "all('#main th[data-metric]').filter(shown).map(h => h.dataset.metric)"
    assert tab(f"[...new Set({heads})]") == ["kid", "recall"]
    assert tab("all('h4[id^=set-1-scores]').filter(shown).map(h => h.textContent)") == [
        *("Scores", "Fidelity and diversity")
    ]
    tab.open(tab("location.hash")[1:])
    tab("unfold(); settled()")
    assert tab(f"[...new Set({heads})]") == ["kid", "recall"]


@pytest.mark.slow
def test_what_the_page_does_not_offer_is_passed_over(tab: Tab) -> None:
    """In an address that somebody wrote."""
    tab.open("at=nowhere&hide=nobody&sort=99.1.up&cell=none&%E0%A4%A=1")
    assert len(tab("placed()")) == 9
    tab.open("failures")
    assert tab("location.hash") == "#failures"


def test_a_method_that_is_pointed_at_is_lit_in_every_chart(tab: Tab) -> None:
    """The others are dimmed, until the pointer leaves."""
    tab("place('freezed').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    assert tab("new Set(all('.lit').map(e => e.dataset.method)).size") == 1
    assert tab("document.querySelector('.frame g.lit').dataset.method") == "freezed"
    tab("new Promise(done => setTimeout(done, 300))")
    assert float(tab("getComputedStyle(place('vae')).opacity")) < 0.5
    tab("document.querySelector('h1').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    assert tab("all('.lit').length") == 0


def test_a_row_opens_its_trainings_and_each_its_facts(tab: Tab, folder: Path) -> None:
    """Seeds with scores; then parameters, links to files, scores, cost and the command of `graftbench show`."""
    from graftbench.records.cell_view import view_cell
    from graftbench.records.run import read_run

    tab("place('freezed').querySelector('button.trainings').click()")
    rows = tab("all('.cells tbody tr').map(r => [...r.cells].map(c => c.textContent))")
    assert [row[0] for row in rows] == ["0", "1"]
    assert all(row[2] == "ok" and row[3] != "—" for row in rows)
    tab("document.querySelector('button.cell').click()")
    (sheet,) = tab("all('.view a').map(a => decodeURI(a.href))")
    assert sheet == (folder / "cells" / rows[0][1] / "samples.png").as_uri()
    assert Path(sheet.removeprefix("file://")).is_file()
    assert tab("all('.view pre').at(-1).textContent") == view_cell(read_run(folder), rows[0][1]).command
    words = tab("document.querySelector('.view').innerText")
    for expected in (
        "fit_seconds",
        "compute budget",
        "30 kimg",
        "To make it again",
        "AuthPct",
        "2 January 2026, 03:25 UTC",
    ):
        assert expected in words, expected
    address = tab("location.hash")
    assert address == f"#cell={rows[0][1]}"
    tab.open(address[1:])
    assert tab("document.querySelector('button.cell[aria-expanded=true]').textContent") == rows[0][1]
    tab("place('freezed').querySelector('button.trainings').click()")
    assert tab("document.querySelectorAll('.cells').length") == 0


def test_a_failed_training_shows_the_end_of_its_log(tab: Tab) -> None:
    """With its status and reason, paths cut."""
    tab("place('dcgan').querySelector('button.trainings').click()")
    tab("document.querySelector('button.cell').click()")
    words = tab("document.querySelector('.view').innerText")
    assert "diverged: Generator loss left the finite numbers." in words
    assert "…/training.py" in words


@pytest.mark.slow
def test_a_sample_is_enlarged_with_its_nearest_training_images(
    browser: Any, record: Make, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """By the mouse the one that was chosen, by keys the first; arrows go on; Escape closes and gives the focus back."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    sheet = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8))
    text = PngInfo()
    text.add_text("distances", json.dumps([[1.25 + i, 2.5, 3.0] for i in range(8)]))
    (tmp_path / "cells").mkdir()
    sheet.save(tmp_path / "cells" / "near.png", pnginfo=text)
    losses = [{"images_seen": i, "seconds": 1.0, "losses": {"g": 1.0 / (i + 1), "d": 0.5}} for i in range(9)]
    import msgspec

    from graftbench.records.record import CurvePoint

    curve = msgspec.convert(losses, list[CurvePoint])
    records = [record(name, artifacts={"neighbors": "cells/near.png"}, curve=curve) for name in ("vae", "finetune")]
    (page,) = import_module("graftbench.reports.page").Page().write(a_run(records), tmp_path)
    tab = Tab(browser, page)
    tab.open(width=1280)
    tab("document.querySelector('button.enlarge').focus()")
    tab.browser.press("Enter", "\r")
    assert tab("document.getElementById('viewer').open")
    assert tab("all('#viewer figcaption').map(c => c.textContent)") == [
        *("generated", "nearest training image, distance 1.25", "second training image, distance 2.50"),
        "third training image, distance 3.00",
    ]
    tab("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))")
    assert tab("document.getElementById('viewer-title').textContent").endswith(": number 2")
    assert tab("all('#viewer figcaption')[1].textContent") == "nearest training image, distance 2.25"
    tab("document.getElementById('viewer').close()")
    assert tab("document.activeElement.className") == "enlarge"
    tab("document.querySelector('button.trainings').click(); document.querySelector('button.cell').click()")
    assert tab("all('.losses .name').map(n => n.textContent)") == ["g", "d"]
    assert browser.console == []


def test_keys_do_what_the_mouse_does(tab: Tab) -> None:
    """Buttons are reached by focus and pressed with Enter or a space."""
    tab("place('freezed').querySelector('button.trainings').focus()")
    tab.browser.press("Enter", "\r")
    assert tab("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert tab("document.getElementById(document.activeElement.getAttribute('aria-controls')).className") == "cells"
    tab("unfold(); head(scores(), 'FID').querySelector('button').focus()")
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
    """At least 4.5:1 (WCAG 2.2, 1.4.3), with all unfolded and a training open."""
    tab.open(scheme=scheme)
    tab("unfold(); place('freezed').querySelector('button.trainings').click()")
    tab("document.querySelector('button.cell').click()")
    dark = tab("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    assert dark == (scheme == "dark")
    texts = "p, th, td, button, select, summary, label, dt, dd, pre, h4, h5, figcaption, .name, .note, .spread, .tick"
    assert tab(CONTRAST + f"('{texts}, .line-text, .settings span')") > 4.5


def test_every_picture_control_and_chart_has_a_name(tab: Tab) -> None:
    """For a screen reader: pictures have texts, buttons words, charts labels, regions headings; ids are unique."""
    tab("unfold(); all('button.trainings').filter(shown).forEach(b => b.click())")
    assert tab("all('img').every(i => i.alt)")
    assert tab("all('button, summary').every(b => b.textContent.trim() || b.getAttribute('aria-label'))")
    assert tab("all('[role=img]').every(e => e.getAttribute('aria-label'))")
    named = "(e => e.matches('dialog') || document.getElementById(e.getAttribute('aria-labelledby')))"
    assert tab(f"all('[aria-labelledby]').every(e => Boolean({named}(e)))")
    assert tab("all('svg').every(e => e.closest('[aria-hidden=true], [role=img]'))")
    assert tab("new Set(all('[id]').map(e => e.id)).size === all('[id]').length")


def test_on_paper_the_controls_are_gone_and_the_rest_is_there(tab: Tab) -> None:
    """Filters, choices and opening buttons are for screens; all comparisons stand, and what is folded is printed."""
    tab.open(media="print")
    assert not tab("all('#filters, nav, button.trainings').some(shown)")
    assert tab("all('thead th').every(h => h.textContent.trim())")
    assert tab("all('.setting').filter(shown).length") == 2
    assert tab("all('table').filter(shown).length") == 8


NASTY = ("<script>alert(1)</script>", "a_b%c\\d{e}$", '"onclick="x', "</script><b>", "n" * 300)


@pytest.mark.slow
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
    assert tab("beyond()") == []
    tab("all('button.trainings').forEach(b => b.click()); all('button.cell').forEach(b => b.click()); settled()")
    assert tab("document.querySelectorAll('.view h4').length") >= 6
    assert tab("document.querySelectorAll('b, [onclick]').length + document.scripts.length") == 2
    tab("unfold(); settled()")
    assert tab("beyond()") == []
    for name in NASTY:
        tab("document.querySelector('[type=reset]').click(); new Promise(done => setTimeout(done, 20))")
        for other in (*NASTY, "failed"):
            if other != name:
                tab(f"tick('method', {json.dumps(other)})")
        tab.open(tab("location.hash")[1:])
        assert tab("placed()") == [name]
    assert browser.console == []


def one_method(make: Make) -> list[Record]:
    """Nothing to compare it with."""
    return [make(seed=seed, full=True) for seed in (0, 1, 2)]


def one_seed(make: Make) -> list[Record]:
    """Two methods, no spread."""
    return [make(name, full=True) for name in ("finetune", "vae", "source")]


def all_failed(make: Make) -> list[Record]:
    """Each in another way."""
    return [make("vae", seed=i, status=status) for i, status in enumerate(Status) if status != Status.OK]


def forty_methods(make: Make) -> list[Record]:
    """Long names among them."""
    return [
        make(f"method-{'long-' * (i % 9)}{i}", seed=s, kid=0.01 + i / 900 + s / 2000)
        for i in range(40)
        for s in (0, 1, 2)
    ]


def missing_metrics(make: Make) -> list[Record]:
    """One without scores, one with a single one, one without costs."""
    whole = make("finetune", full=True)
    return [whole, make("vae", scores=[]), make("dcgan", scores=whole.scores[:1], resources=None)]


def two_protocols(make: Make) -> list[Record]:
    """Two sections."""
    return [make(name, protocol=Protocol(extractor=by)) for name in ("vae", "dcgan") for by in ("lite0", "vgg16")]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "case",
    [one_method, one_seed, all_failed, forty_methods, missing_metrics, two_protocols],
    ids=lambda case: case.__name__,
)
def test_odd_runs_are_readable(
    case: Callable[[Make], list[Record]], width: int, browser: Any, record: Make, tmp_path: Path
) -> None:
    """A verdict stands there, nothing sticks out with all unfolded and opened, and nothing is printed as nan."""
    (page,) = import_module("graftbench.reports.page").Page().write(Run("odd", case(record), tmp_path), tmp_path)
    tab = Tab(browser, page)
    tab.open(width=width)
    assert len(tab("document.querySelector('.verdict').innerText")) > 30
    tab("unfold(); all('button.trainings').forEach(b => b.click()); all('button.cell').slice(-1)[0].click(); settled()")
    assert tab("beyond()") == []
    tab("window.numbers = all('.setting .value, .setting .note, .tick').map(e => e.textContent).join(' ')")
    assert not tab("/(^|\\W)(NaN|nan|undefined|Infinity)(\\W|$)/.test(numbers)")
    assert browser.console == []


def test_without_the_script_all_is_readable(tab: Tab) -> None:
    """No control stands there that does nothing, and the page says where the trainings are."""
    tab.browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open()
        assert not tab("shown(document.getElementById('filters'))")
        assert tab("document.querySelectorAll('button:not([type=reset])').length") == 0
        assert tab("all('.setting').filter(shown).length") == 2
        assert "graftbench show RUN ID" in tab("document.querySelector('noscript').textContent")
    finally:
        tab.browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("has_script", [True, False])
def test_the_page_alone_is_whole(tab: Tab, tmp_path: Path, *, has_script: bool) -> None:
    """As an archive's preview opens it: one file without its run folder, with the script and without.

    Verdict and ranking are read, every sample is a picture, and nothing is asked for from outside the file.
    """
    import zipfile

    with zipfile.ZipFile(tmp_path / "report.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tab.page, "report/index.html")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        page = Path(archive.extract("report/index.html", tmp_path / "preview"))
    assert list(page.parent.iterdir()) == [page]
    tab.browser.call("Emulation.setScriptExecutionDisabled", value=not has_script)
    try:
        tab.open(page=page)
        assert "comes first" in tab("document.querySelector('.verdict').innerText")
        assert tab("placed()")[:4] == ["oracle", "freezed", "finetune", "gatys"]
        assert tab("all('.place img').filter(shown).length") >= 8
        assert tab("all('img').every(i => i.src.startsWith('data:') && i.complete && i.naturalWidth > 0)")
        assert tab("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    finally:
        tab.browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.slow
def test_two_runs_stand_on_one_page(browser: Any, folder: Path, tmp_path: Path) -> None:
    """Two folders given together: one ranking, each row with the samples of its own folder and links into it."""
    import shutil

    from graftbench.records.run import read_run, read_runs
    from graftbench.records.store import append

    whole = read_run(folder)
    for name, chosen in (("one", ("finetune", "oracle")), ("two", ("freezed", "source"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "suite.toml").write_text(f'name = "{name}"\n')
        for each in whole.records:
            if each.cell.method in chosen and each.cell.data_budget == 25:
                append(tmp_path / name / "records.jsonl", each)
                shutil.copytree(folder / "cells" / each.id, tmp_path / name / "cells" / each.id)
    run = read_runs([tmp_path / "one", tmp_path / "two"])
    out = tmp_path / "one" / "report"
    out.mkdir()
    (page,) = import_module("graftbench.reports.page").Page().write(run, out)
    tab = Tab(browser, page)
    tab.open(width=1280)
    assert tab("document.querySelector('h1').textContent") == "one + two"
    assert tab("placed()") == ["oracle", "freezed", "finetune", "source"]
    assert tab("all('.place img').filter(shown).length") == 4
    for name, run_name in (("freezed", "two"), ("finetune", "one")):
        tab(f"place('{name}').querySelector('button.trainings').click()")
        tab("document.querySelector('button.cell').click()")
        sheet = Path(tab("decodeURI(all('.view a').at(-1).href)").removeprefix("file://"))
        assert sheet.is_file()
        assert sheet.is_relative_to(tmp_path / run_name)
        tab(f"place('{name}').querySelector('button.trainings').click()")
    assert tab("beyond()") == []
    assert browser.console == []
