"""What the page shows of each group of comparable cells, as plain values; the template only arranges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._figures.cost import declared_note, unmeasured_note
from .._figures.samples import SampleStrip, alt_text, strips
from .._tables.finding import finding
from .._tables.groups import titles
from .._tables.origins import legend
from .._tables.scores import Lead, ScoreLine, ScoreTable, leads, score_tables
from .._tables.text import one_line
from .cost import CostLine, cost_headings, cost_lines, cost_marks
from .figures import Figure, data_uri, figures, too_many
from .panels import PanelSection, panel_sections
from .ranking import PageRanking, rankings
from .row_keys import Key, row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .._tables.groups import Group


@dataclass(frozen=True)
class Section:
    """All that the page says about one group.

    Attributes:
        anchor: Id of its heading.
        title: Its heading.
        task: Task as printed; what the filter names.
        headline: The finding at each data budget, in one sentence, as (text, is a name) pieces.
        rankings: The methods by KID, one ranking a data budget.
        leads: The lead in detail.
        keys: (label, data budget) -> what its rows are filtered and sorted by.
        table: Scores: caption, marks of the reference rows, footnotes.
        panels: Its tables, the headline first.
        not_drawn: Why there are no figures; empty where there are.
        quality: Figures of quality.
        cost_figures: Figures of cost.
        cost_note: What has no counter, and what is drawn hollow.
        cost_headings: Columns of the cost table.
        cost: Its rows.
        cost_marks: What the letters in it mean.
        row_marks: What the letters after names mean.
        samples: (strip, data URI of its picture or empty, alternative text).
    """

    anchor: str
    title: str
    task: str
    headline: tuple[tuple[str, bool], ...]
    rankings: tuple[PageRanking, ...]
    leads: tuple[Lead, ...]
    keys: Mapping[tuple[str, int], Key]
    table: ScoreTable
    panels: tuple[PanelSection, ...]
    not_drawn: str
    quality: tuple[Figure, ...]
    cost_figures: tuple[Figure, ...]
    cost_note: str
    cost_headings: tuple[str, ...]
    cost: tuple[CostLine, ...]
    cost_marks: tuple[str, ...]
    row_marks: tuple[str, ...]
    samples: tuple[tuple[SampleStrip, str, str], ...]

    def seeds_of(self, line: ScoreLine) -> int | None:
        """Count the cells that ended well of a row of scores; None for the floor."""
        key = self.keys.get((line.label, line.data_budget or 0))
        return None if key is None else key.seeds

    def key_of_strip(self, strip: SampleStrip) -> Key | None:
        """Return the key of a strip of samples. That of real images is called so, and not by its method."""
        label = "oracle" if strip.label == "real images" else strip.label
        return self.keys.get((label, strip.budget))


def sections(groups: Sequence[Group], folder: Path, held: Mapping[str, int]) -> list[Section]:
    """Make one section a group.

    Args:
        groups: The groups.
        folder: The run's, for the sample sheets.
        held: Id of a cell -> its place among those that the page holds.
    """
    names = titles(groups)
    tables = {table.group.key: table for table in score_tables(groups)}
    quality, costs = figures(groups)
    return [
        Section(
            anchor=f"set-{i}",
            title=one_line(names[group.key]),
            task=one_line(group.task_title),
            headline=finding(group),
            rankings=rankings(group),
            leads=tuple(leads(group)),
            keys=row_keys(group, held),
            table=tables[group.key],
            panels=panel_sections(tables[group.key], f"set-{i}"),
            not_drawn=too_many(group),
            quality=quality[group.key],
            cost_figures=costs[group.key],
            cost_note=" ".join(filter(None, [unmeasured_note(group), declared_note(group)])),
            cost_headings=cost_headings(group),
            cost=cost_lines(group),
            cost_marks=cost_marks(group),
            row_marks=legend(group.methods),
            samples=tuple((strip, data_uri(strip), alt_text(strip)) for strip in strips(group, folder)),
        )
        for i, group in enumerate(groups, start=1)
    ]
