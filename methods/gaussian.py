"""Reference row: a Gaussian on the principal components of the training images' pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from graftbench.bounds import Count
from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.samplers import PcaGaussianSampler, principal_components

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`components`: principal components kept, fewer where there are fewer images."""

    components: Count = 64


class Gaussian(Method):
    """A Gaussian with the pixels' mean and covariance: what second-order statistics alone give."""

    name = "gaussian"
    family: ClassVar[Family] = "reference"
    title = "PCA Gaussian in pixel space"
    reference = cited("tipping1999probabilistic")
    trains = "mean and principal components"
    differs = "the noise outside the kept components is left out"
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Compute an exact PCA; standard deviations with n − 1."""
        mean, components, coordinates = principal_components(task.images, self.config.components)
        budget.spend(len(coordinates))
        scales = coordinates.norm(dim=0) / max(1, len(coordinates) - 1) ** 0.5
        task.log.parameters_total = task.log.parameters_trained = mean.numel() + components.numel() + len(scales)
        return PcaGaussianSampler(mean, components, scales)
