"""Reference row: a mixture of Gaussians on the principal components of the training images' pixels.

Between one Gaussian (`gaussian`) and a copy of the training images (`memorizer`): clusters, each with its own mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec
import torch
from torch import Tensor

from graftbench.bounds import Count, Positive
from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.samplers import PcaMixtureSampler, principal_components

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task

STEPS = 200
"""Most steps of EM; it is over earlier when the likelihood stands still."""

STANDSTILL = 1e-6
"""Gain in log-likelihood per image and step that ends EM."""

SMALLEST_VARIANCE = 1e-12
"""Of a direction in which images do not differ (pixels in [−1, 1])."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Size of the mixture.

    Attributes:
        components: Principal components kept, fewer where there are fewer images; as in `gaussian`.
        clusters: Gaussians at most. The published code has 200 at its first level.
        images_per_cluster: There are no more clusters than leave so many images to each on average. The published code
            splits clusters down to 400 images, of 200,000.
        prior_images: As many imagined images, spread as all images are, are added to each cluster's variances: a
            cluster of few images falls back on the spread of all.
    """

    components: Count = 64
    clusters: Count = 40
    images_per_cluster: Count = 10
    prior_images: Positive = 2.0


class GaussianMixture(Method):
    """Richardson, Weiss, NeurIPS 2018."""

    name = "gaussian-mixture"
    family: ClassVar[Family] = "reference"
    title = "Mixture of Gaussians in pixel space"
    reference = cited("richardson2018gans")
    trains = "principal components, and weights, means and variances of the clusters on them"
    differs = (
        "axes are shared by all clusters and the noise outside them is left out, where the paper's mixture of factor "
        "analyzers has 10 axes per cluster, which a few hundred images cannot tell; EM instead of gradient descent"
    )
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Run EM from k-means++ centres; variances with n − 1, so that one cluster is `gaussian`."""
        config: Config = self.config
        mean, components, coordinates = principal_components(task.images, config.components)
        n = len(coordinates)
        budget.spend(n)
        clusters = max(1, min(config.clusters, n // config.images_per_cluster))
        mixture = expectation_maximisation(coordinates.double(), clusters, config.prior_images, task.generator)[0]
        scales = (mixture.variances * (n / max(1, n - 1))).sqrt()
        parts = (mean, components, mixture.weights.float(), mixture.means.float(), scales.float())
        task.log.parameters_total = task.log.parameters_trained = sum(part.numel() for part in parts)
        return PcaMixtureSampler(*parts)


class GaussianClusters(NamedTuple):
    """Weights C, means C×K and variances C×K of a mixture with diagonal covariances, float64."""

    weights: Tensor
    means: Tensor
    variances: Tensor


def expectation_maximisation(
    x: Tensor, clusters: int, prior_images: float, generator: torch.Generator
) -> tuple[GaussianClusters, list[float]]:
    """Fit a mixture to points.

    Args:
        x: Points, float64 n×K.
        clusters: How many Gaussians.
        prior_images: Weight of the prior on variances, in points (see `maximise`).
        generator: Draws the first centres.

    Returns:
        The mixture, and what each step reached, which never falls: log-likelihood plus the prior's logarithm.
    """
    spread = x.var(dim=0, correction=0).clamp(min=SMALLEST_VARIANCE)
    centres = starting_centres(x / spread.sqrt(), clusters, generator)
    responsibilities = torch.nn.functional.one_hot(centres, clusters).double()
    reached: list[float] = []
    while True:
        mixture = maximise(x, responsibilities, spread, prior_images)
        joint = log_joint(x, mixture)
        prior = -0.5 * prior_images * (mixture.variances.log() + spread / mixture.variances).sum()
        reached.append(float(joint.logsumexp(dim=1).sum() + prior))
        stands = len(reached) > 1 and reached[-1] - reached[-2] < STANDSTILL * len(x)
        if stands or len(reached) == STEPS:
            return mixture, reached
        responsibilities = joint.softmax(dim=1)


def starting_centres(x: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Assign each point n×K to the nearest of k-means++'s centres (Arthur, Vassilvitskii, SODA 2007): n.

    Each further centre is a point drawn with its squared distance to the nearest centre so far as weight.
    """
    first = torch.randint(len(x), (1,), generator=generator)
    distances = (x - x[first]).square().sum(dim=1, keepdim=True)
    for _ in range(1, clusters):
        nearest = distances.amin(dim=1).clamp(min=1e-30)  # all 0 where points are fewer than centres
        chosen = torch.multinomial(nearest, 1, generator=generator)
        distances = torch.cat([distances, (x - x[chosen]).square().sum(dim=1, keepdim=True)], dim=1)
    return distances.argmin(dim=1)


def maximise(x: Tensor, responsibilities: Tensor, spread: Tensor, prior_images: float) -> GaussianClusters:
    """Return the mixture that is most probable a posteriori, given how far each point belongs to each cluster, n×C.

    The prior on a variance is the inverse gamma density ∝ v^(−ν/2) exp(−ν s / 2v) with s the spread K of all points:
    the update counts ν imagined points of that variance. It keeps a cluster from shrinking onto one point.
    """
    counts = responsibilities.sum(dim=0)
    shares = responsibilities / counts.clamp(min=1e-12)
    means = shares.T @ x
    scatter = torch.stack([weights @ (x - mean).square() for weights, mean in zip(shares.T, means, strict=True)])
    variances = (counts[:, None] * scatter + prior_images * spread) / (counts[:, None] + prior_images)
    return GaussianClusters(counts / len(x), means, variances)


def log_joint(x: Tensor, mixture: GaussianClusters) -> Tensor:
    """Return log(weight · density) of each of n points under each of C clusters: n×C."""
    precisions = 1 / mixture.variances
    squares = x.square() @ precisions.T - 2 * x @ (mixture.means * precisions).T
    squares = squares + (mixture.means.square() * precisions).sum(dim=1)
    constants = mixture.variances.log().sum(dim=1) + x.shape[1] * math.log(2 * math.pi)
    return mixture.weights.clamp(min=1e-300).log() - 0.5 * (squares + constants)
