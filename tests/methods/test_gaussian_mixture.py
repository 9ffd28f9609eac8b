"""EM climbs, finds what is there, and with one cluster is the PCA Gaussian."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from graftbench.budget import Meter
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget

if TYPE_CHECKING:
    from collections.abc import Callable

mixtures = importlib.import_module("graftbench.methods.gaussian_mixture")


def points(world: Callable[..., Any], n: int = 300) -> torch.Tensor:
    """Real images at 2×2: float64 n×12."""
    images = world(32).pixels(world(32).target, n).double() / 127.5 - 1
    return torch.nn.functional.avg_pool2d(images, 16).flatten(1)


def fit(world: Callable[..., Any], name: str, images: torch.Tensor, **parameters: Any) -> Any:
    """The sampler of a reference row on these images."""
    cls = registry.methods()[name]
    task = world(32).task(cls)
    task.images = images
    return cls(config_of(cls.Config, parameters, name)).fit(task, Meter(ComputeBudget(kimg=1)))


# --------------------------------------------------------------------------------------------------------------- EM


@pytest.mark.parametrize("clusters", [1, 3, 10])
@pytest.mark.parametrize("prior_images", [0.1, 2.0, 50.0])
def test_the_likelihood_never_falls(world: Callable[..., Any], clusters: int, prior_images: float) -> None:
    """Each step of EM reaches at least what the step before has (tolerance: float64 rounding of a sum of 300)."""
    _, reached = mixtures.expectation_maximisation(points(world), clusters, prior_images, rng())
    steps = torch.tensor(reached, dtype=torch.float64).diff()
    assert (steps > -1e-8 * abs(reached[0])).all()
    assert len(reached) > 1
    if clusters > 1:
        assert reached[-1] > reached[0] + 1


def test_two_clusters_are_recovered() -> None:
    """600 points around (−5, 0) with σ (1, ½) and 200 around (5, 2) with σ (½, 1).

    Of N points around a mean the mean's standard error is σ/√N and the standard deviation's σ/√(2N); the weight's is
    √(¾·¼/800) = 0.015 if it were drawn, but the counts are fixed: the clusters are 10 apart, so no point is in doubt.
    Five standard errors each; the prior weighs as much as 10⁻⁶ points, so nothing.
    """
    noise = torch.randn(800, 2, generator=rng(), dtype=torch.float64)
    large = torch.tensor([-5.0, 0.0]) + noise[:600] * torch.tensor([1.0, 0.5])
    small = torch.tensor([5.0, 2.0]) + noise[600:] * torch.tensor([0.5, 1.0])
    found, _ = mixtures.expectation_maximisation(torch.cat([large, small]), 2, 1e-6, rng())
    order = found.means[:, 0].argsort()
    torch.testing.assert_close(found.weights[order], torch.tensor([0.75, 0.25], dtype=torch.float64), atol=1e-6, rtol=0)
    sigma = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    n = torch.tensor([[600.0], [200.0]], dtype=torch.float64)
    expected = torch.tensor([[-5.0, 0.0], [5.0, 2.0]], dtype=torch.float64)
    assert ((found.means[order] - expected).abs() < 5 * sigma / n.sqrt()).all()
    assert ((found.variances[order].sqrt() - sigma).abs() < 5 * sigma / (2 * n).sqrt()).all()


def test_densities_are_those_of_torch(world: Callable[..., Any]) -> None:
    """The logarithm of the sum over clusters is torch.distributions' mixture's log-probability."""
    x = points(world, 100)
    mixture, _ = mixtures.expectation_maximisation(x, 4, 2.0, rng())
    expected = MixtureSameFamily(
        Categorical(mixture.weights), Independent(Normal(mixture.means, mixture.variances.sqrt()), 1)
    )
    torch.testing.assert_close(mixtures.log_joint(x, mixture).logsumexp(dim=1), expected.log_prob(x))


@pytest.mark.long
def test_agrees_with_scikit_learn(world: Callable[..., Any]) -> None:
    """From the same start and with next to no prior, EM ends where scikit-learn's GaussianMixture does (1e-4)."""
    package = pytest.importorskip("sklearn.mixture")
    x = points(world, 200)
    start = torch.nn.functional.one_hot(mixtures.starting_centres(x, 3, rng()), 3).double()
    spread = x.var(dim=0, correction=0)
    mixture = mixtures.maximise(x, start, spread, 1e-9)
    theirs = package.GaussianMixture(
        3,
        covariance_type="diag",
        weights_init=mixture.weights.numpy(),
        means_init=mixture.means.numpy(),
        precisions_init=(1 / mixture.variances).numpy(),
        reg_covar=0,
        max_iter=25,
        tol=0,
    )
    with pytest.warns(UserWarning, match="converge"):  # 25 steps are what is compared, not where they lead
        theirs.fit(x.numpy())
    for _ in range(25):
        mixture = mixtures.maximise(x, mixtures.log_joint(x, mixture).softmax(dim=1), spread, 1e-9)
    for ours, name in zip(mixture, ("weights_", "means_", "covariances_"), strict=True):
        torch.testing.assert_close(ours, torch.from_numpy(getattr(theirs, name)), rtol=1e-4, atol=1e-6)


def test_maximisation_by_hand() -> None:
    """Points 0 and 2 in cluster A, 10 half in A and half in B; 2 imagined points of variance 1 in each.

    A counts 2.5, its mean is 7/2.5 = 2.8 and its variance (2.8² + 0.8² + ½·7.2²)/2.5 = 13.76; with the imagined points
    (2.5·13.76 + 2)/4.5. B counts ½, its mean is 10 and its variance 0; with the imagined points 2/2.5.
    """
    x = torch.tensor([[0.0], [2.0], [10.0]], dtype=torch.float64)
    shares = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    found = mixtures.maximise(x, shares, torch.ones(1, dtype=torch.float64), 2.0)
    assert found.weights.tolist() == pytest.approx([2.5 / 3, 0.5 / 3])
    assert found.means.flatten().tolist() == pytest.approx([2.8, 10])
    assert found.variances.flatten().tolist() == pytest.approx([(2.5 * 13.76 + 2) / 4.5, 2 / 2.5])


def test_a_cluster_of_one_point_falls_back_on_the_spread_of_all() -> None:
    """Its variances are ν s / (1 + ν): near the spread of all points where the prior is heavy, never 0."""
    x = torch.cat([torch.randn(30, 2, generator=rng(), dtype=torch.float64), torch.full((1, 2), 50.0)]).double()
    found, _ = mixtures.expectation_maximisation(x, 2, 4.0, rng())
    lone = found.weights.argmin()
    assert float(found.weights[lone]) == pytest.approx(1 / 31)
    torch.testing.assert_close(found.variances[lone], x.var(dim=0, correction=0) * 4 / 5)


def test_starting_centres_are_far_apart() -> None:
    """k-means++ never draws the same point twice while others differ: three distinct points, three clusters."""
    x = torch.tensor([[0.0], [0.0], [0.0], [1.0], [5.0]], dtype=torch.float64)
    for seed in range(20):
        assert len(mixtures.starting_centres(x, 3, rng(seed)).unique()) == 3


@pytest.mark.parametrize("clusters", [1, 3])
def test_equal_points(clusters: int) -> None:
    """Points that do not differ are a mixture without a NaN, all of it at that point."""
    found, reached = mixtures.expectation_maximisation(torch.full((5, 2), 3.0).double(), clusters, 2.0, rng())
    assert math.isfinite(reached[-1])
    torch.testing.assert_close(found.weights @ found.means, torch.full((2,), 3.0, dtype=torch.float64))
    assert all(torch.isfinite(part).all() for part in found)


# ------------------------------------------------------------------------------------------------------- the method


@pytest.mark.parametrize("n", [1, 2, 100])
def test_one_cluster_is_the_gaussian(world: Callable[..., Any], n: int) -> None:
    """Same mean, same standard deviations (float32: 1e-4), so the same images for the same noise, to a grey level."""
    images = world(32).pixels(world(32).target, n)
    gaussian, mixture = fit(world, "gaussian", images), fit(world, "gaussian-mixture", images, clusters=1)
    assert torch.equal(mixture.mean, gaussian.mean)
    assert torch.equal(mixture.components, gaussian.components)
    torch.testing.assert_close(mixture.centres, torch.zeros_like(mixture.centres), atol=1e-4, rtol=0)
    torch.testing.assert_close(mixture.scales[0], gaussian.scales, rtol=1e-4, atol=1e-5)
    difference = mixture.sample(50, rng()).float() - gaussian.sample(50, rng()).float()
    assert difference.abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "clusters"), [(1, 1), (19, 1), (20, 2), (250, 25), (600, 40)])
def test_few_images_few_clusters(world: Callable[..., Any], n: int, clusters: int) -> None:
    """Ten images to a cluster on average, forty clusters at most."""
    sampler = fit(world, "gaussian-mixture", world(32).pixels(world(32).target, n))
    assert len(sampler.weights) == len(sampler.centres) == len(sampler.scales) == clusters
    assert float(sampler.weights.sum()) == pytest.approx(1, abs=1e-5)
    assert sampler.sample(3, rng()).shape == (3, 3, 32, 32)


def test_clusters_keep_the_mean_of_all(world: Callable[..., Any]) -> None:
    """Weights times means is the mean of all images, 0 in these coordinates: EM keeps first moments."""
    sampler = fit(world, "gaussian-mixture", world(32).pixels(world(32).target, 200))
    assert (sampler.weights @ sampler.centres).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"components": 0}, "at least 1"),
        ({"clusters": 0}, "at least 1"),
        ({"images_per_cluster": 0}, "at least 1"),
        ({"prior_images": 0.0}, "positive and finite; found 0"),
        ({"prior_images": float("inf")}, "positive and finite; found inf"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(mixtures.Config, parameters, "[parameters.gaussian-mixture]")
