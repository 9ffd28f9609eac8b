"""What a run's suite.toml says of samples that were added to the run: they stay when its suite is run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from graftbench.matrix import place_of_samples
from graftbench.suite import parse_task

if TYPE_CHECKING:
    from graftbench.suite import Suite


def keep_samples(planned: Suite, there: Suite | None) -> Suite:
    """The suite that was planned, with the samples that the run's suite has besides.

    Args:
        planned: As resolved.
        there: What the run folder says so far; None where it says nothing. Its samples of cells of which `planned` has
            samples itself, and of tasks that `planned` does not have, are left out.
    """
    if there is None:
        return planned
    tasks = [parse_task(task) for task in planned.tasks]
    taken = {place_of_samples(entry, planned) for entry in planned.samples}
    kept = [
        entry
        for entry in there.samples
        if parse_task(entry.task) in tasks and place_of_samples(entry, planned) not in taken
    ]
    samples, cells = [*planned.samples, *kept], planned.cells + len(kept)
    return msgspec.structs.replace(planned, samples=samples, cells=cells)
