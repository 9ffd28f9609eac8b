"""Reference row of colourisation and style: a tone curve per channel that gives inputs the target's histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.translation import ContentSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.records.cell_spec import Kind

LEVELS = 256


def tone_curves(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return curves that carry the inputs' histograms over to the targets': uint8 3×256, one row a channel.

    Level v becomes the target level whose share of smaller or equal pixels is that of v, read between the levels that
    the targets have by linear interpolation and rounded. As scikit-image's `match_histograms`, for levels that the
    inputs have.

    Args:
        inputs: uint8 n×3×h×w, all pixels of all images together.
        targets: uint8 m×3×H×W.
    """
    curves = [_curve(_counts(inputs[:, channel]), _counts(targets[:, channel])) for channel in range(3)]
    return torch.from_numpy(np.stack(curves))


def _counts(pixels: torch.Tensor) -> NDArray[np.int64]:
    return torch.bincount(pixels.flatten().long(), minlength=LEVELS).numpy()


def _curve(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.uint8]:
    shares = source.cumsum() / source.sum()
    levels = np.flatnonzero(target)
    quantiles = target.cumsum()[levels] / target.sum()
    return np.rint(np.interp(shares, quantiles, levels)).astype(np.uint8)


class CurvesSampler(ContentSampler):
    """Looks every pixel up in its channel's curve, uint8 3×256."""

    kind: ClassVar[str] = "tone-curves"

    def __init__(self, contents: torch.Tensor, curves: torch.Tensor) -> None:
        super().__init__(contents)
        self.curves = curves

    def translate(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Apply the curves: uint8 n×3×R×R -> the same shape."""
        del generator
        return torch.stack([self.curves[channel][inputs[:, channel].long()] for channel in range(3)], dim=1)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return contents and curves."""
        return {"contents": self.contents.images, "curves": self.curves}, {}


class HistogramMatching(Method):
    """Histogram specification, Gonzalez and Fittes, 1977."""

    name = "histogram-matching"
    family: ClassVar[Family] = "reference"
    title = "Histogram matching"
    reference = cited("gonzalez1977gray")
    trains = "three tone curves of 256 levels, counted and not optimised"
    differs = (
        "one curve a channel for all images together, so that an image's answer does not hang on a target image that is"
        " drawn for it"
    )
    kinds: ClassVar[tuple[Kind, ...]] = ("colorize", "stylize")

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Count the inputs' levels (all source images for `stylize`) and the target images'."""
        del budget
        inputs = (task.source_images if task.kind == "stylize" else task.pairs[0]).cpu()
        return CurvesSampler(inputs, tone_curves(inputs, task.images.cpu()))
