"""JSON for github-action-benchmark, tool `customBiggerIsBetter`: the new run's values where higher is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.regression.formats import action_benchmark

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison


def render(comparison: Comparison) -> str:
    """Render an array with one object a row."""
    return action_benchmark.render(comparison, 1)
