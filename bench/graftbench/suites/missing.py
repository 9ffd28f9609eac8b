"""Sets of images that a suite names and that are not here: which they are, and the cells that so cannot be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.suites.domains import named_domains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.records.cell_spec import TaskSpec
    from graftbench.suites.suite import Suite


@dataclass(frozen=True)
class MissingSet:
    """A set of images that could not be had.

    Attributes:
        name: The domain as the suite names it.
        resolution: Side of the images.
        source: Where the set comes from, as the domain says.
        reason: What was expected where, and how to get it: the domain's own sentences.
    """

    name: str
    resolution: int
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}@{self.resolution}: {self.reason}"


@dataclass(frozen=True)
class UncountedTask:
    """A task whose cells are known by the suite alone, as its images are not here.

    Attributes:
        task: The task as the suite writes it.
        methods: Those that have cells on it.
        data_budgets: Target training images; whether the training split has so many is not known.
        compute_budgets: As a suite writes them in words.
        seeds: The seeds.
        missing: The sets that are not here: `ffhq@256`.
    """

    task: str
    methods: tuple[str, ...]
    data_budgets: tuple[int, ...]
    compute_budgets: tuple[str, ...]
    seeds: tuple[int, ...]
    missing: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Return the most cells that it may have: one that replays held-out images has none where these are too few."""
        return len(self.methods) * len(self.data_budgets) * len(self.compute_budgets) * len(self.seeds)


class MissingImagesError(GraftbenchError):
    """Sets of images that a suite needs are not here; all of them are named.

    Attributes:
        missing: The sets.
    """

    def __init__(self, missing: Sequence[MissingSet]) -> None:
        self.missing = tuple(missing)
        lines = [f"{len(missing)} sets of images cannot be had:", *map(str, missing)]
        super().__init__(missing[0].reason if len(missing) == 1 else "\n".join(lines))


def uncounted_tasks(
    suite: Suite, serving: Mapping[TaskSpec, Iterable[str]], missing: Iterable[MissingSet]
) -> list[UncountedTask]:
    """Return the tasks that need a missing set, in the order of the suite.

    Args:
        suite: The suite.
        serving: Task -> the methods that have cells on it.
        missing: The sets that are not here.
    """
    absent = {(missing_set.name, missing_set.resolution) for missing_set in missing}
    return [
        UncountedTask(
            task=str(task),
            methods=tuple(methods),
            data_budgets=tuple(suite.budgets_of(str(task))),
            compute_budgets=tuple(map(str, suite.compute_budgets)),
            seeds=tuple(suite.seeds),
            missing=tuple(f"{name}@{side}" for name, side in lacking),
        )
        for task, methods in serving.items()
        if (lacking := [domain for domain in named_domains([task]) if domain in absent])
    ]
