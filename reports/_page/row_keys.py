"""What the page's script filters and sorts by: of each row its family, budget, numbers and cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import Metric, metric_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.records.cell_spec import Origin

    from .._tables.groups import Group, Row


@dataclass(frozen=True)
class Key:
    """A row of a table.

    Attributes:
        family: Its family.
        data_budget: Target training images.
        seeds: Number of cells that ended well.
        values: Score, or `fit_seconds` -> mean over seeds as printed, unrounded.
        cells: Places of its cells among those that the page holds, with a space between them.
        origin: Who made its generators: the suite (empty), a foreign program, or somebody elsewhere.
    """

    family: str
    data_budget: int
    seeds: int
    values: Mapping[str, float]
    cells: str
    origin: Origin = ""


def row_keys(group: Group, held: Mapping[str, int]) -> dict[tuple[str, int], Key]:
    """Return (label, data budget) -> key, for every row of a group.

    Args:
        group: The rows.
        held: Id of a cell -> its place among those that the page holds.
    """
    names = sorted({score.name for record in group.records for score in record.scores})
    metrics = [metric_named(name) or Metric(name=name, label=name, title="", better=0) for name in names]
    return {(row.label, row.data_budget): _key(row, metrics, held) for row in group.rows}


def _key(row: Row, metrics: Sequence[Metric], held: Mapping[str, int]) -> Key:
    summaries = {metric.name: row.summary(metric) for metric in metrics} | {"fit_seconds": row.cost("fit_seconds")}
    return Key(
        family=row.family,
        data_budget=row.data_budget,
        seeds=len(row.ok),
        values={name: summary.mean for name, summary in summaries.items() if summary is not None},
        cells=" ".join(str(held[record.id]) for record in row.records if record.id in held),
        origin=row.origin,
    )


@dataclass(frozen=True)
class Choices:
    """What the filters offer.

    Attributes:
        families: Of the rows that compete, by name.
        methods: Labels of the rows that compete, by name.
        metrics: (name, label) in the order of the tables.
    """

    families: tuple[str, ...]
    methods: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]

    @property
    def any(self) -> bool:
        """Return whether there is more than one method to choose from."""
        return len(self.methods) > 1


def choices(groups: Sequence[Group], metrics: Sequence[Metric]) -> Choices:
    """Gather the choices of all groups.

    Args:
        groups: The groups.
        metrics: Columns of all tables of scores, repeated or not.
    """
    rows = [row for group in groups for row in group.methods]
    return Choices(
        families=tuple(sorted({row.family for row in rows})),
        methods=tuple(sorted({row.label for row in rows})),
        metrics=tuple(dict.fromkeys((metric.name, metric.label) for metric in metrics)),
    )
