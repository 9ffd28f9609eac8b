"""quality and cost as .svg, .png and .pdf, and samples.png; and figures in the widths of a paper's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report
from graftbench.plotting import style

from ._figures.average_ranks import rank_plots
from ._figures.cost import cost_figure, cost_plots
from ._figures.curves import curve_plots
from ._figures.drawn_rows import drawable, left_out
from ._figures.heatmap import heatmap_plots
from ._figures.interpolation import interpolation_plots
from ._figures.memorization import memorization_plots
from ._figures.neighbors import neighbor_plots
from ._figures.pareto import pareto_plots
from ._figures.progress import progress_plots
from ._figures.quality import group_looks, quality_figure
from ._figures.sample_grid import grid_plots
from ._figures.samples import grid_image, strips
from ._figures.style import PRINT_SIZE, WIDTHS, save
from ._tables.groups import groups, mixed_protocols, titles
from ._tables.tasks import not_beating
from ._tables.text import markdown, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.records.run import Run

    from ._figures.style import Plot


class Figures(Report):
    """KID and FID against training images, cost per method, and a grid of samples.

    A method has one colour and one marker throughout. The axes span the methods; a reference row that lies beyond is
    named at the edge with its value. Fonts are embedded, dates left out.
    """

    name = "figures"
    title = "Figures (SVG, PNG, PDF)"
    formats = (".svg", ".png", ".pdf")
    on_request = ("*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write quality.*, cost.* and samples.png."""
        all_groups = groups(run)
        drawn_groups = drawable(all_groups)
        with style():
            paths = save(quality_figure(all_groups), out / "quality")
            paths += save(cost_figure(drawn_groups, group_looks(drawn_groups)), out / "cost")
        names = titles(all_groups)
        samples = out / "samples.png"
        grid_image([(names[group.key], strips(group, run.folder)) for group in drawn_groups]).save(samples)
        return [*paths, samples]


class PaperFigures(Report):
    """Ranks, curves, costs, Pareto fronts, memorisation, transfer and pictures, one and two columns wide.

    Each is STEM-1col (3.4 in) and STEM-2col (7 in) as .svg, .png and .pdf, text at 7 points when printed at its
    own size. figures.md has their captions, and says what is left out and why.
    """

    name = "paper"
    title = "Figures for a paper, one and two columns wide"
    formats = (".svg", ".png", ".pdf", ".md")
    on_request = ("*",)
    for_paper = True

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write *-1col.*, *-2col.* and figures.md."""
        all_groups = groups(run)
        drawn_groups = drawable(all_groups)
        palette = group_looks(drawn_groups)
        plots = [
            *rank_plots(drawn_groups, palette),
            *curve_plots(drawn_groups, palette),
            *cost_plots(drawn_groups, palette),
            *pareto_plots(drawn_groups, palette),
            *memorization_plots(drawn_groups, palette),
            *heatmap_plots(drawn_groups),
            *grid_plots(drawn_groups, run.folder),
            *progress_plots(drawn_groups, run.folder),
            *neighbor_plots(drawn_groups, run.folder),
            *interpolation_plots(drawn_groups, run.folder),
        ]
        captions = out / "figures.md"
        names = titles(all_groups)
        beyond = [
            f"{names[group.key]}: not drawn, and not ranked, are {less}."
            for group in all_groups
            if (less := left_out(group))
        ]
        failing = [
            f"{names[group.key]}, {plural(budget, 'image')}: {clause}, by the mean KID over the seeds that both have."
            for group in drawn_groups
            for budget in group.method_budgets
            for clause in not_beating(group, budget)
        ]
        notes = [note for note in (mixed_protocols(all_groups), *beyond, *failing) if note]
        captions.write_text(captions_of(plots, notes), "utf-8", newline="\n")
        return [captions, *(path for plot in plots for path in _save(plot, out))]


def _save(plot: Plot, folder: Path) -> list[Path]:
    if plot.draw is None:
        return []
    paths = []
    for ending, width in WIDTHS.items():
        with style(size=PRINT_SIZE):
            paths += save(plot.draw(width), folder / f"{plot.stem}-{ending}")
    return paths


def captions_of(plots: Sequence[Plot], notes: Sequence[str] = ()) -> str:
    """Write Markdown: a section a figure with its caption and what is left out; then what is not drawn at all.

    Args:
        plots: Drawn or not.
        notes: On all of them; they come first.
    """
    sections = [
        "# Figures",
        f"Each is there one and two columns wide ({', '.join(WIDTHS)}), in each format that was asked for.",
    ]
    sections += map(markdown, notes)
    for plot in plots:
        if plot.draw is not None:
            sections += [f"## {plot.stem}", markdown(plot.caption), *(markdown(note) for note in plot.notes)]
    absent = [f"- {plot.stem}: {markdown(plot.caption)}." for plot in plots if plot.draw is None]
    if absent:
        sections += ["## Not drawn", "\n".join(absent)]
    return "\n\n".join(sections) + "\n"
