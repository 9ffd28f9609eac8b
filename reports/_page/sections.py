"""What the page shows of each group of comparable cells, as plain values; the template only arranges them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._figures.cost import declared_note, unmeasured_note
from .._tables.groups import named, titles
from .._tables.origins import legend
from .._tables.scores import Lead, ScoreLine, ScoreTable, leads, score_tables
from .._tables.text import one_line
from .cost import CostLine, cost_headings, cost_lines, cost_marks
from .panels import PanelSection, panel_sections
from .row_keys import Key, row_keys
from .setting import Heading, PageSetting, settings
from .words import judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._tables.groups import Group
    from .pictures import Pictures


@dataclass(frozen=True)
class Section:
    """All that the page says about one group.

    Attributes:
        anchor: Begins the ids of its headings.
        title: Its heading.
        judge: The network that scores.
        settings: What is shown at each number of training images.
        leads: The lead in detail.
        keys: (label, data budget) -> what its rows are filtered and sorted by.
        table: Scores: caption, marks of the reference rows, footnotes.
        panels: Its tables, the headline first.
        cost_note: What has no counter, and what is declared.
        cost_headings: Columns of the cost table.
        cost: Its rows.
        cost_marks: What the letters in it mean.
        row_marks: What the letters after names mean.
    """

    anchor: str
    title: str
    judge: str
    settings: tuple[PageSetting, ...]
    leads: tuple[Lead, ...]
    keys: Mapping[tuple[str, int], Key]
    table: ScoreTable
    panels: tuple[PanelSection, ...]
    cost_note: str
    cost_headings: tuple[str, ...]
    cost: tuple[CostLine, ...]
    cost_marks: tuple[str, ...]
    row_marks: tuple[str, ...]

    def seeds_of(self, line: ScoreLine) -> int | None:
        """Count the cells that ended well of a row of scores; None for the floor."""
        key = self.keys.get((line.label, line.data_budget or 0))
        return None if key is None else key.seeds


def sections(groups: Sequence[Group], pictures: Pictures, held: Mapping[str, int]) -> list[Section]:
    """Make one section a group.

    Args:
        groups: The groups.
        pictures: Makes the samples.
        held: Id of a cell -> its place among those that the page holds.
    """
    names, short_names = titles(groups), chosen_names(groups)
    made = []
    for i, (group, table) in enumerate(zip(groups, score_tables(groups), strict=True), start=1):
        anchor, keys = f"set-{i}", row_keys(group, held)
        title = one_line(group.task_title if len(groups) == 1 else _heading(group, groups))
        made.append(
            Section(
                anchor=anchor,
                title=one_line(names[group.key]),
                judge=judge(group),
                settings=settings(group, Heading(anchor, title, short_names[group.key]), keys, pictures),
                leads=tuple(leads(group)),
                keys=keys,
                table=table,
                panels=panel_sections(table, anchor),
                cost_note=" ".join(filter(None, [unmeasured_note(group), declared_note(group)])),
                cost_headings=cost_headings(group),
                cost=cost_lines(group),
                cost_marks=cost_marks(group),
                row_marks=legend(group.rows),
            )
        )
    return made


def _conditions(group: Group, groups: Sequence[Group]) -> str:
    """Return what tells a group from others of its task: compute budget, protocol, or its key."""
    alike = [other for other in groups if other.task == group.task]
    parts = [
        *([str(group.compute_budget)] if len({str(other.compute_budget) for other in alike}) > 1 else []),
        *([group.protocol.label] if len({other.protocol.label for other in alike}) > 1 else []),
    ]
    titles_alike = Counter((str(other.compute_budget), other.protocol.label) for other in alike)
    if titles_alike[str(group.compute_budget), group.protocol.label] > 1:
        parts.append(f"set {group.key}")
    return ", ".join(parts)


def _heading(group: Group, groups: Sequence[Group]) -> str:
    return ", ".join(filter(None, [group.task_title, _conditions(group, groups)]))


def chosen_names(groups: Sequence[Group]) -> dict[str, str]:
    """Return key -> the task as briefly as tells it from the others: by its target, where that is enough."""
    targets = Counter(
        (group.task.target, group.task.resolution, group.task.kind)
        for group in {str(g.task): g for g in groups}.values()
    )
    names = {}
    for group in groups:
        task = group.task
        alone = targets[task.target, task.resolution, task.kind] == 1 and task.kind == "generate"
        sizes = {other.task.resolution for other in groups}
        name = f"→ {task.target}" if alone and task.source != "none" else named(task)
        name += f" at {task.resolution} px" if len(sizes) > 1 else ""
        names[group.key] = one_line(", ".join(filter(None, [name, _conditions(group, groups)])))
    return names
