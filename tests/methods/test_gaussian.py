"""The PCA Gaussian has the moments of the training images' principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from graftbench.budget import Meter
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWS = 20_000


def grey_levels(world: Callable[..., Any], n: int) -> torch.Tensor:
    """Real images at 8×8 with their contrast reduced eightfold: 112…143, so that no sample is clipped."""
    images = world(32).pixels(world(32).target, n).float()
    return (torch.nn.functional.avg_pool2d(images, 4) / 8 + 112).round().to(torch.uint8)


def fit(world: Callable[..., Any], images: torch.Tensor, components: int) -> Any:
    """The sampler of a Gaussian on these images."""
    cls = registry.methods()["gaussian"]
    task = world(32).task(cls)
    task.images = images
    return cls(config_of(cls.Config, {"components": components}, "gaussian")).fit(task, Meter(ComputeBudget(kimg=1)))


def test_components_are_those_of_the_covariance(world: Callable[..., Any]) -> None:
    """σ_k² are the largest eigenvalues of numpy's covariance (n − 1), v_k its eigenvectors (float32: 1e-3)."""
    images = grey_levels(world, 100)
    sampler = fit(world, images, 5)
    x = images.flatten(1).double().numpy() / 127.5 - 1
    values, vectors = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose(sampler.scales.square(), values[::-1][:5], rtol=1e-3)
    cosines = np.abs(sampler.components.double().numpy() @ vectors[:, ::-1][:, :5])
    np.testing.assert_allclose(cosines, np.eye(5), atol=1e-3)
    np.testing.assert_allclose(sampler.mean.flatten(), x.mean(axis=0), atol=1e-6)


def test_moments_of_samples(world: Callable[..., Any]) -> None:
    """Mean and covariance of 20,000 samples are the Gaussian's, within five standard errors.

    In grey levels. The mean's standard error is σ/√N per pixel, σ² with 1/12 of rounding. In the components'
    coordinates the variance is σ_k² and its standard error σ_k² √(2/N), that of a covariance σ_j σ_k/√N. Rounding to
    whole levels adds 1/12 to each variance where it is uniform, and never more than ¼ (error ½) per pixel.
    """
    images = grey_levels(world, 100)
    sampler = fit(world, images, 5)
    samples = sampler.sample(DRAWS, torch.Generator().manual_seed(0)).flatten(1).double().numpy()
    assert samples.min() > 0
    assert samples.max() < 255
    mean = (sampler.mean.flatten().double().numpy() + 1) * 127.5
    components, scales = sampler.components.double().numpy(), sampler.scales.double().numpy() * 127.5
    variance = (components.T**2 @ scales**2) + 1 / 12
    # Rounding shifts a mean by less than a level's tenth where the pixel's σ exceeds 0.6 levels; ½ level else.
    shift = np.where(variance > 0.6**2, 0.1, 0.5)
    assert (np.abs(samples.mean(axis=0) - mean) < 5 * np.sqrt(variance / DRAWS) + shift).all()
    projected = (samples - mean) @ components.T
    covariance = np.cov(projected.T)
    assert scales.min() > 5  # so that rounding is small beside every component
    standard_error = np.outer(scales, scales) / np.sqrt(DRAWS) * (1 + (np.sqrt(2) - 1) * np.eye(5))
    assert (np.abs(covariance - np.diag(scales**2)) < 5 * standard_error + 1 / 4).all()
    rest = (samples - mean) - projected @ components
    assert rest.var(axis=0).max() < 1 / 4


@pytest.mark.parametrize(("n", "kept"), [(1, 1), (2, 1), (4, 3), (100, 64)])
def test_no_more_components_than_images(world: Callable[..., Any], n: int, kept: int) -> None:
    """From n images come n − 1 directions at most; a single one is drawn as it is."""
    images = grey_levels(world, n)
    sampler = fit(world, images, 64)
    assert sampler.components.shape == (kept, 192)
    if n == 1:
        assert (sampler.sample(5, torch.Generator().manual_seed(0)) == images).all()


def test_two_images_span_a_line(world: Callable[..., Any]) -> None:
    """Of two images x and y, samples are (x + y)/2 + ε (x − y)/√2: their standard deviation, n − 1 in it."""
    x, y = images = grey_levels(world, 2)
    sampler = fit(world, images, 1)
    assert not torch.equal(x, y)
    expected = (x.double() - y.double()).norm() / 2**0.5 / 127.5
    torch.testing.assert_close(sampler.scales.double(), expected[None], rtol=1e-5, atol=0)


def test_components_below_one() -> None:
    """A Gaussian without components is refused."""
    with pytest.raises(Exception, match="components must be at least 1; found 0"):
        config_of(registry.methods()["gaussian"].Config, {"components": 0}, "gaussian")
