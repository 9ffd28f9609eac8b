"""Fidelity to content: hand-computed cases, closed forms, and scikit-image as another's implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from graftbench.metrics.catalogue import EVERY_METRIC, FIDELITY, METRICS, SETS
from graftbench.metrics.fidelity import feature_distance, fidelity, psnr, ssim


def noise(n: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    """Random images: uint8 n×3×side×side."""
    return torch.randint(256, (n, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def flat(*levels: int) -> torch.Tensor:
    """Images of one level each: uint8 n×3×16×16."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()


def test_psnr_of_known_errors() -> None:
    """An error of 255 everywhere is 0 dB, of 25.5 would be 20: of 51 it is 20·log10(5)."""
    assert psnr(flat(0, 100), flat(255, 151)) == pytest.approx([0.0, 20 * math.log10(5)], abs=1e-12)


def test_psnr_of_the_truth_is_that_of_rounding() -> None:
    """10·log10(255²·12) = 58.9 dB: finite, and no single differing pixel level scores above it."""
    image = noise(1)
    assert psnr(image, image) == pytest.approx([10 * math.log10(255**2 * 12)], abs=1e-12)
    other = image.clone()
    other[0, 0, 0, 0] ^= 1
    assert psnr(image, other) <= psnr(image, image)


def test_psnr_is_scikit_images() -> None:
    """The same formula in float64: equal to 1e-10 dB."""
    x, y = noise(5), noise(5, seed=1)
    expected = [peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=255) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y) == pytest.approx(expected, abs=1e-10)


def test_ssim_of_flat_images() -> None:
    """Without variance only the luminance is left: (2ab + C₁) / (a² + b² + C₁); rounding of moments is 1e-9 of C₂."""
    a, b, c1 = 100, 180, (0.01 * 255) ** 2
    assert ssim(flat(a), flat(b)) == pytest.approx([(2 * a * b + c1) / (a * a + b * b + c1)], abs=1e-9)


def test_ssim_of_the_truth_is_one_and_symmetric() -> None:
    """Identity and symmetry, to rounding; a negative has less than noise against itself."""
    x, y = noise(3), noise(3, seed=1)
    assert ssim(x, x) == pytest.approx(1.0, abs=1e-12)
    assert ssim(x, y) == pytest.approx(ssim(y, x), abs=1e-12)
    assert (ssim(x, 255 - x) < 0).all()


@pytest.mark.parametrize("side", [11, 16, 33])
def test_ssim_is_scikit_images(side: int) -> None:
    """With Wang et al.'s settings: the same window, moments and margin; float64 on both sides, 1e-10."""
    x = noise(3, side)
    y = (x.float() * 0.7 + noise(3, side, seed=1).float() * 0.3).to(torch.uint8)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [
        structural_similarity(a.numpy(), b.numpy(), channel_axis=0, **settings) for a, b in zip(x, y, strict=True)
    ]
    assert ssim(x, y) == pytest.approx(expected, abs=1e-10)


def test_feature_distance_of_known_directions() -> None:
    """Equal directions 0 whatever their lengths, a right angle 1, opposite 2, and a vector of zeros 1."""
    x = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], dtype=np.float32)
    y = np.array([[3, 0], [0, 2], [-1, 0], [1, 0]], dtype=np.float32)
    assert feature_distance(x, y) == pytest.approx([0, 1, 2, 1], abs=1e-12)


def test_estimates_are_means_with_students_interval() -> None:
    """Of three images: mean, s/√3 and 4.3027 standard errors (t of 2 degrees of freedom) on both sides."""
    found = fidelity(flat(0, 0, 0), flat(10, 20, 30), np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    assert [estimate.name for estimate in found] == list(FIDELITY)
    values = psnr(flat(0, 0, 0), flat(10, 20, 30))
    first = found[0]
    assert first.value == pytest.approx(values.mean())
    error = values.std(ddof=1) / math.sqrt(3)
    assert first.standard_error == pytest.approx(error)
    assert first.interval == pytest.approx((values.mean() - 4.30265 * error, values.mean() + 4.30265 * error), rel=1e-5)
    assert (first.n_generated, first.n_reference) == (3, 0)


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    """A reason, not a number of another window."""
    small = noise(2, side=8)
    found = {e.name: e for e in fidelity(small, small, np.ones((2, 4), np.float32), np.ones((2, 4), np.float32))}
    assert found["ssim"].value is None
    assert found["ssim"].undefined == "its window is 11 px wide, the image less"
    assert found["psnr"].value is not None


def test_one_image_has_no_error() -> None:
    """A mean of one has no standard error."""
    (score, *_) = fidelity(flat(0), flat(9), np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    assert (score.standard_error, score.interval, score.method) == (None, None, "")


def test_no_protocol_asks_for_them() -> None:
    """They need a truth, stand in no set, and `all` means what it meant: ids of protocols stay as they are."""
    assert all(metric.needs == ("truth",) for metric in FIDELITY.values())
    assert not FIDELITY.keys() & {name for members in SETS.values() for name in members}
    assert list(EVERY_METRIC) == [*METRICS, *FIDELITY]
    labels = [metric.label for metric in EVERY_METRIC.values()]
    assert len(set(labels)) == len(labels)
