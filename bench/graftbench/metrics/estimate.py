"""The result of a metric: a value, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graftbench.errors import GraftbenchError


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One metric's value with what is known about its precision.

    Attributes:
        name: `fid`, `kid`, `inception_score`, …
        value: The estimate, finite; None where the metric is undefined.
        undefined: Why there is no value; empty where there is one.
        standard_error: Estimated standard deviation of `value` if both sets of images were drawn again; None where no
            valid one is known.
        spread: Standard deviation over subsets or splits as other tools print it after ±. Not a standard error: subsets
            overlap, and a split is smaller than the set. None for metrics without either.
        n_generated: Number of generated images.
        n_reference: Number of reference images; 0 for a metric that needs none.

    Raises:
        GraftbenchError: Neither or both of a finite value and a reason are given.
    """

    name: str
    value: float | None
    undefined: str = ""
    standard_error: float | None = None
    spread: float | None = None
    n_generated: int
    n_reference: int = 0

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.undefined):
            raise GraftbenchError(
                f"An estimate of {self.name} has either a value or a reason why it is undefined; "
                f"found value {self.value} and reason '{self.undefined}'."
            )
        if self.value is not None and not math.isfinite(self.value):
            raise GraftbenchError(f"An estimate of {self.name} must be finite; found {self.value}.")
