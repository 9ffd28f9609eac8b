"""Which of a domain's training images a cell is given."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.images.prepared import ImageSet


def shots(target: ImageSet, data_budget: int, seed: int) -> list[int]:
    """Return the positions of the images that a data budget draws, ascending: the order in which a fit sees them.

    Raises:
        GraftbenchError: The training split has fewer images, or fewer than one was asked for.
    """
    pool = target.positions("train")
    drawn = nested_subset([target.ids[i] for i in pool], data_budget, seed)
    return sorted(int(pool[i]) for i in drawn)


def nested_subset(ids: Sequence[str], n: int, seed: int) -> list[int]:
    """Return the positions of the n ids that a data budget of n draws.

    Ids are ranked by the hash of (seed, id), so for one seed the 25 are among the 100, whatever the order of `ids`,
    and adding an image to the domain changes a subset by one image at most.

    Raises:
        GraftbenchError: n is below 1 or above the number of ids.
    """
    if not 1 <= n <= len(ids):
        raise GraftbenchError(f"A data budget of {n} images was asked for; the training split has {len(ids)}.")
    rank = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}/{ids[i]}".encode()).digest())
    return rank[:n]
