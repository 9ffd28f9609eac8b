"""Test whether a score shows that anything was learnt: it must be better than that of rows which learnt nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.stats import mean

if TYPE_CHECKING:
    from collections.abc import Mapping

BLANK, SOURCE_IMAGES, SOURCE = "blank", "source-images", "source"
"""Reference rows that learnt nothing of the target: white images, images of the source domain, its model as it is."""


def beats(kids: Mapping[int, float], others: Mapping[int, float]) -> bool | None:
    """Return whether the mean KID over the seeds that both have is lower; None where they have no seed in common.

    Args:
        kids: Seed -> KID.
        others: Seed -> KID of a row that learnt nothing, on the same task at the same budgets under the same protocol.
    """
    seeds = kids.keys() & others.keys()
    if not seeds:
        return None
    return mean([kids[seed] for seed in seeds]) < mean([others[seed] for seed in seeds])
