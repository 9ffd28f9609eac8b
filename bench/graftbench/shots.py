"""Which of a domain's training images a cell is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.budget import nested_subset

if TYPE_CHECKING:
    from graftbench.imageset import ImageSet


def shots(target: ImageSet, data_budget: int, seed: int) -> list[int]:
    """Positions in the domain of the images that a data budget draws, ascending: the order in which a fit sees them.

    Raises:
        GraftbenchError: The training split has fewer images, or fewer than one was asked for.
    """
    pool = target.positions("train")
    drawn = nested_subset([target.ids[i] for i in pool], data_budget, seed)
    return sorted(int(pool[i]) for i in drawn)
