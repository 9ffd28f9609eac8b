"""Plots of one group at one data budget: their title, the names of their files, and which of them there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.groups import titles
from .._tables.text import one_line, plural
from .style import Plot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from .._tables.groups import Group, Row


@dataclass(frozen=True)
class BudgetView:
    """One group at one data budget.

    Attributes:
        group: The group.
        budget: Target training images.
        groups: All groups of the run; of several the names of files tell them apart.
    """

    group: Group
    budget: int
    groups: Sequence[Group]

    @property
    def title(self) -> str:
        """Return the group's title and the data budget."""
        return f"{one_line(titles(self.groups)[self.group.key])}, {plural(self.budget, 'target image')}"

    @property
    def methods(self) -> list[Row]:
        """Return the rows that compete, by label."""
        return [row for row in self.rows if not row.is_reference]

    @property
    def rows(self) -> list[Row]:
        """Return all rows, by label."""
        return sorted((row for row in self.group.rows if row.data_budget == self.budget), key=lambda row: row.label)

    def plot(self, kind: str, caption: str, notes: Sequence[str], draw: Callable[[float], Figure]) -> Plot:
        """Make the plot `curves-n25`, or `curves-1a2b3c4d-n25` where a run has several groups."""
        key = "" if len(self.groups) == 1 else f"-{self.group.key}"
        return Plot(f"{kind}{key}-n{self.budget}", f"{self.title}: {caption}", tuple(notes), draw)


def budget_plots(
    groups: Sequence[Group], make: Callable[[BudgetView], Plot | None], kind: str, reason: str
) -> list[Plot]:
    """Make one plot a group and data budget for which there is one; else the reason why there is none at all."""
    views = [BudgetView(group, budget, groups) for group in groups for budget in group.budgets]
    plots = [plot for view in views if (plot := make(view)) is not None]
    return plots or [Plot(kind, reason)]
