"""index.html: what it says, that nothing in the records can break it, that it fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Resources, Score, Status

if TYPE_CHECKING:
    from report_parts import Make, MakeRun

    from graftbench.records.run import Run


VOID = {"meta", "br", "img", "link", "input", "hr"}
EVIL = "<script>alert(1)</script>\"'&amp;"


class Outline(HTMLParser):
    """Tags, ids, references and visible text of a page; complains about tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what opens."""
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "xlink:href"} and (value or "").startswith("#"):
                self.targets.append((value or "")[1:])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what opens and closes at once."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close what is open."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text.append(data)

    @property
    def words(self) -> str:
        """Visible text, whitespace folded."""
        return " ".join(" ".join(self.text).split())


def render(run: Run) -> str:
    """The page."""
    return import_module("graftbench.reports.page").render(run)


@pytest.fixture(scope="module")
def quick_html(quick_run: Run) -> str:
    """The page of the finished quick run."""
    return render(quick_run)


@pytest.mark.slow
def test_the_verdict_is_the_finding_at_each_budget(quick_html: str, quick_run: Run) -> None:
    """Sentence for sentence that of table.md; what was compared stands above it in plain words."""
    groups = import_module("graftbench.reports._tables.groups").groups
    verdict = import_module("graftbench.reports._tables.finding").verdict
    (group,) = groups(quick_run)
    verdicts = re.findall(r'<p class="verdict">(.*?)</p>', quick_html, re.DOTALL)
    shown = [Outline(f"<p>{re.sub('</?strong>', '', text)}</p>").words for text in verdicts]
    assert shown == [" ".join("".join(t for t, _ in pieces) for pieces in verdict(group, n)) for n in (25, 400)]
    assert "<strong>freezed</strong>" in quick_html
    (first, _) = re.findall(r'<p class="compared">(.*?)</p>', quick_html)
    assert first == (
        "5 methods learn to draw openmoji at 32×32 pixels from 25 training images; those that transfer start from a "
        "generator of twemoji. Each training is shown 30,000 images and is repeated 2 times (seeds)."
    )


def test_no_riddle_stands_on_the_page(quick_html: str) -> None:
    """Neither the words of those who wrote it, nor raw times; the judge's exact name is in the details alone."""
    words = Outline(quick_html).words
    for riddle in ("out of competition", "looks at the scoring network", "mark the scale", "have a record"):
        assert riddle not in words
    assert not re.search(r"\d{4}-\d\d-\d\dT\d\d", words)
    above = Outline(quick_html.partition('<section aria-labelledby="failures">')[0] + "</main></body></html>").words
    assert "lite0" not in above
    assert "36 results; 34 ended well, 2 diverged." in above
    assert "2 January 2026." in above


def test_the_ranking_has_samples_in_order_of_rank_between_reference_rows(quick_html: str) -> None:
    """Real images first, then the methods by KID, then copies, source and the others, which have no rank."""
    ranking = quick_html.partition('<ol class="rows" aria-label="Ranking')[2].partition("</ol>")[0]
    rows = re.findall(r'<li class="row place.*?</li>', ranking, re.DOTALL)
    names = [re.findall(r'<span class="name">(.*?)</span>', row)[0] for row in rows]
    assert names == ["oracle", "freezed", "finetune", "gatys", "vae", "dcgan", "memorizer", "source", "gaussian"]
    ranks = [re.findall(r'<span class="rank">(.*?)</span>', row) for row in rows]
    assert ranks == [[], ["1"], ["2"], ["3"], ["4"], [], [], [], []]
    assert [row.count("<img ") for row in rows] == [1, 1, 1, 1, 1, 0, 1, 1, 1]
    assert "not ranked: 2 of 2 diverged" in rows[5]


def test_it_has_every_part(quick_html: str) -> None:
    """Tables with captions, charts with names, samples, failures with their log, environment, licences, command."""
    page = Outline(quick_html)
    assert page.tags.count("h1") == 1
    # 3 tables of scores, 3 of intervals, cost, claims
    assert page.tags.count("table") == page.tags.count("caption") == 8
    # At each of two budgets: KID against images, and against seconds.
    assert quick_html.count('class="frame" role="img" aria-label="') == 4
    assert page.tags.count("img") == 17
    assert all(re.search(r'alt="8 samples of [^"]+"', tag) for tag in re.findall(r"<img [^>]*>", quick_html))
    for words in (
        "2 of 2 diverged",
        "Generator loss left the finite numbers.",
        "Diverged: generator loss is not finite",
        "no counter",
        "KID leads, FID follows",
        "generic x86-64, 2 cores",
        "license: CC-BY-SA-4.0",
        "graftbench run quick",
        "what copying buys",
        "EfficientNet-Lite0, ImageNet-1k (protocol lite0@96)",
    ):
        assert words in page.words, words


def test_each_panel_says_how_to_read_it(quick_html: str) -> None:
    """Headings in order, a sentence on each trap, what the columns say, the floor with its mark."""
    assert re.findall(r'<h4 id="set-1-scores[-\d]*">(.*?)</h4>', quick_html) == [
        *("Scores", "Fidelity and diversity", "Memorisation")
    ]
    words = Outline(quick_html).words
    for sentence in (
        "equal distributions have 0.969 at these numbers of images (null coverage)",
        "new real images have what the floor says, not 100",
        "C_T: around 0 for new real images, far below 0 for copies",
        "1 is as far off as new real images are",
        "Nothing is ranked here",
        "floor what as many real held-out images score",
        "kernel distance of all pairs; unbiased; lower is better (arXiv 1801.01401)",
        "The floor is what real images score",
        "Two kinds of 95 % interval.",
    ):
        assert sentence in words, sentence


def interval_rows(html: str) -> dict[str, list[str]]:
    """Name -> cells of the first table of intervals."""
    table = html.partition("<summary>95 % intervals</summary>")[2].partition("</table>")[0]
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
    rows = [re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row) for row in found]
    return {re.sub("<[^>]*>", "", row[0]): row[1:] for row in rows}


@pytest.mark.slow
def test_intervals_over_seeds_and_within_a_cell_stand_together(record: Make, a_run: MakeRun) -> None:
    """KIDs of 0.010 and 0.014: 12 ± 12.7·2 (Student, one degree of freedom); the lowest seed's own is 9 to 11."""
    records = [record("finetune", 25, seed, kid=kid, full=True) for seed, kid in ((0, 0.010), (1, 0.014))]
    _, _, kid, _ = interval_rows(render(a_run(records)))["finetune"]
    assert kid == '−13.4 to 37.4 (n=2)<span class="within">seed 0: 9.0 to 11.0</span>'


def test_with_one_seed_the_interval_within_the_cell_stands_alone(record: Make, a_run: MakeRun) -> None:
    """Where there is neither, the cell says that it stands on one value; an undefined score has a dash."""
    records = [record("finetune", kid=0.01, full=True), record("vae", kid=0.02), record("freezed", kid=None)]
    found = interval_rows(render(a_run(records)))
    assert found["finetune"][2] == '<span class="within">seed 0: 9.0 to 11.0</span>'
    assert found["vae"][2] == "none (n=1)"
    assert found["freezed"][2] == "—"


def test_a_record_of_an_interval_without_a_finite_end_shows_none(record: Make, a_run: MakeRun) -> None:
    """No infinity is printed, whatever a record holds."""
    score = Score(
        name="kid", value=0.01, interval=(0.0, math.inf), n_generated=600, n_reference=620, protocol="lite0@96"
    )
    html = render(a_run([record("finetune", scores=[score])]))
    assert interval_rows(html)["finetune"][1] == "none (n=1)"
    assert "inf" not in Outline(html).words.split()


def test_the_markup_is_whole(quick_html: str) -> None:
    """Tags close in order, ids are unique, links lead to ids that are there."""
    page = Outline(quick_html)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.targets) <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", quick_html)) <= set(page.ids)


def scripts(html: str) -> list[tuple[str, str]]:
    """(attributes, text) of each script element."""
    return re.findall(r"<script\b([^>]*)>(.*?)</script>", html, re.DOTALL)


def test_nothing_is_fetched_and_only_our_own_script_runs(quick_html: str) -> None:
    """Nothing but links to headings, pictures inline, and a policy that lets the page's one script run by its hash."""
    page = Outline(quick_html)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert set(re.findall(r'(?:src|href|action)="([^#d"][^"]*)"', quick_html)) == set()
    (data, _), (code, script) = scripts(quick_html)
    assert (data, code) == (' type="application/json" id="cells-data"', "")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', quick_html)
    assert policy.split("; ") == [
        *("default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"),
        *(f"script-src 'sha256-{digest}'", "form-action 'none'", "base-uri 'none'"),
    ]
    assert not re.search(r"fetch|XMLHttpRequest|innerHTML|eval|import\(|document\.write", script)
    assert all(src.startswith("data:image/png;base64,") for src in re.findall(r'src="([^"]*)"', quick_html))


def test_figures_follow_the_colour_scheme(quick_html: str) -> None:
    """Inside the figures colours are variables and the text's own colour, so they read on light and dark."""
    figures = "".join(re.findall(r"<svg.*?</svg>", quick_html, re.DOTALL))
    assert set(re.findall(r"var\(--(\w+)\)", figures)) >= {"c1", "c3"}
    assert not re.findall(r"(?:fill|stroke)[=:]\W*#\w+", figures)
    assert "prefers-color-scheme: dark" in quick_html
    assert "@media print" in quick_html


def test_whatever_the_records_say_is_text(record: Make, a_run: MakeRun) -> None:
    """Names, reasons, logs, notes, protocols and environments with markup in them stay text everywhere."""
    protocol = Protocol(extractor=EVIL, reference=EVIL)
    environment = {EVIL: EVIL, "domains": {"twemoji": {EVIL: EVIL}}, "command": EVIL}
    records = [
        record(EVIL, protocol=protocol, notes=[EVIL], environment=environment),
        record("oracle", protocol=protocol, environment=environment),
        record(f"{EVIL}2", protocol=protocol, status=Status.ERROR, reason=EVIL, log_tail=EVIL, environment=environment),
    ]
    html = render(a_run(records))
    assert len(re.findall("<script", html, re.IGNORECASE)) == 2
    assert len(scripts(html)) == 2
    assert json.loads(scripts(html)[0][1])["cells"]
    page = Outline(html)
    assert page.words.count("<script>alert(1)</script>") > 10


@pytest.mark.parametrize("name", ["a_b%", "a|b", "{{ 7 * 7 }}", "$x^2$", "\\alpha"])
def test_names_are_printed_as_they_are(name: str, record: Make, a_run: MakeRun) -> None:
    """No name is taken for a template, a formula or markup, in the text and in the figures."""
    page = Outline(render(a_run([record(name, kid=0.02), record("other", kid=0.03)])))
    assert page.words.count(name) >= 5
    assert "49" not in re.findall(r"\d+", page.words)


def test_absolute_paths_are_cut_to_their_last_part(quick_html: str, quick_run: Run) -> None:
    """Neither the run's folder nor a home folder in a log or in the environment gets into the page."""
    assert str(quick_run.folder) not in quick_html
    assert "/home/" not in quick_html
    assert "…/training.py" in quick_html
    assert "…/python" in quick_html


def test_a_run_without_failures_says_none(record: Make, a_run: MakeRun) -> None:
    """The section stays, so that its absence is never a doubt."""
    assert "None: every result ended well." in render(a_run([record()]))


def test_a_run_in_which_all_failed_names_no_leader(record: Make, a_run: MakeRun) -> None:
    """The page is made all the same, and says why it has no scores."""
    words = Outline(render(a_run([record(status=Status.OOM, log_tail="")]))).words
    assert "No method has a score: 1 of 1 training failed." in words
    assert "1 result; 0 ended well, 1 oom." in words
    assert "1 of 1 oom" in words
    assert "nan" not in words.lower().split()


def test_a_lone_method_leads_nobody(record: Make, a_run: MakeRun) -> None:
    """It is the only one with a KID, and the page says that instead."""
    assert "is the only method with a score" in Outline(render(a_run([record()]))).words


def test_the_cost_table_tells_counters_from_their_absence(record: Make, a_run: MakeRun) -> None:
    """Energy with its counter's name or "no counter"; memory with its kind where two meet; shared timings counted."""
    on_gpu = Resources(
        device="NVIDIA H200",
        fit_seconds=2.0,
        images_seen=30_000,
        peak_memory_mib=2048.0,
        memory_kind="device",
        energy_joules=512.0,
        energy_source="nvml",
        parameters_total=1_234_567,
        flops_per_image=4.1e8,
        timing_shared=True,
    )
    words = Outline(render(a_run([record("finetune", resources=on_gpu), record("vae")]))).words
    for expected in ("512 (nvml)", "no counter", "2,048 device", "resident", "1.23 M", "0.410", "1 of 1"):
        assert expected in words, expected


def test_environments_that_differ_are_told_with_their_counts(record: Make, a_run: MakeRun) -> None:
    """Two torch versions in one run are a thing to see."""
    records = [
        record(seed=seed, environment={"packages": {"torch": v}}) for seed, v in enumerate(("2.11", "2.14", "2.14"))
    ]
    assert "packages.torch 2.11 (1 cell); 2.14 (2 cells)" in Outline(render(a_run(records))).words


def test_licences_that_no_record_names_are_not_made_up(record: Make, a_run: MakeRun) -> None:
    """The page says that the records do not tell."""
    assert "openmoji not in the records" in Outline(render(a_run([record(environment={})]))).words


def test_two_protocols_have_two_sections_and_a_warning(record: Make, a_run: MakeRun) -> None:
    """Their numbers never share a table."""
    html = render(a_run([record(), record(protocol=Protocol(size=None, extractor="dinov2"))]))
    assert "scored under 2 protocols" in html
    assert re.findall(r'<details class="fold" id="(set-\d)"', html) == ["set-1", "set-2"]
    assert re.findall(r'data-at="([^"]*)"', html) == ["set-1-n25", "set-2-n25"]
    page = Outline(html)
    assert len(page.ids) == len(set(page.ids))
