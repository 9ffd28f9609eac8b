"""Fidelity of each image to the one that it should be: PSNR, SSIM, and the distance of the extractor's features.

Defined where the true image of each generated one is known. Every score is a mean over images, and so has a standard
error; FID and KID see a set of images alone.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from graftbench.metrics.estimate import Estimate, student_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PEAK = 255.0
ROUNDING = 1 / 12
"""Mean squared error of rounding to whole grey levels (uniform within ±1/2): what uint8 cannot tell from 0."""

WINDOW, SIGMA = 11, 1.5
STABILISERS = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
"""C₁ and C₂ of SSIM."""

BATCH = 256
"""Images that SSIM looks at at once, which bounds its memory."""


def psnr(images: Tensor, truths: Tensor) -> NDArray[np.float64]:
    """Return 10 log₁₀(255² / MSE) of each image in dB, the error over pixels and channels of uint8 n×3×H×W: float64 n.

    An image that is its truth would have infinitely many; an error below that of rounding (1/12) counts as 1/12, so
    58.9 dB is the most. Others average the error over all images before the logarithm, which gives less.
    """
    parts = zip(images.split(BATCH), truths.split(BATCH), strict=True)
    errors = torch.cat([(x.double() - y.double()).square().flatten(1).mean(dim=1) for x, y in parts])
    return (10 * torch.log10(PEAK**2 / errors.clamp(min=ROUNDING))).numpy()


def ssim(images: Tensor, truths: Tensor) -> NDArray[np.float64]:
    """Return each image's structural similarity, the mean over positions and R, G, B: uint8 n×3×H×W to float64 n.

    Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004, equation 13 and section III.C: Gaussian window of 11 px, σ = 1.5,
    K = 0.01 and 0.03, moments divided by the window's weight (no n − 1), the windows that lie within the image. As
    scikit-image with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis`. The authors take
    the luma of a colour image instead.

    Args:
        images: Sides of at least 11 px.
        truths: As many, of the same size.
    """
    parts = zip(images.split(BATCH), truths.split(BATCH), strict=True)
    return torch.cat([_ssim(x.double(), y.double()) for x, y in parts]).numpy()


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = STABILISERS
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).flatten(1).mean(dim=1)


def _blur(x: Tensor) -> Tensor:
    """Return Gaussian means of the windows that lie within the image: n×3×H×W -> n×3×(H−10)×(W−10)."""
    offsets = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    weights = (weights / weights.sum()).expand(3, 1, 1, WINDOW)
    return F.conv2d(F.conv2d(x, weights, groups=3), weights.transpose(2, 3), groups=3)


def feature_distance(features: NDArray[np.float32], true: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 − cosine of each image's features N×D and its truth's: float64 N, 0 to 2. A vector of zeros is at 1.

    LPIPS (Zhang et al., arXiv 1801.03924) compares maps position by position with learnt weights; these are the pooled
    features that FID and KID see, so a shift of the image costs little.
    """
    x, y = features.astype(np.float64), true.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return 1 - (x * y).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)


def fidelity(
    images: Tensor, truths: Tensor, features: NDArray[np.float32], true: NDArray[np.float32]
) -> list[Estimate]:
    """Compute PSNR, SSIM and feature distance, in the catalogue's order.

    Args:
        images: uint8 n×3×H×W, n ≥ 1.
        truths: The image that each should be, likewise.
        features: Pooled features of the images, n×D.
        true: Pooled features of the truths, n×D.
    """
    if min(images.shape[2:]) < WINDOW:
        reason = f"its window is {WINDOW} px wide, the image less"
        similarity = Estimate(name="ssim", undefined=reason, n_generated=len(images))
    else:
        similarity = _mean("ssim", ssim(images, truths), low=-1.0, high=1.0)
    distance = _mean("feature_distance", feature_distance(features, true), low=0.0, high=2.0)
    return [_mean("psnr", psnr(images, truths)), similarity, distance]


def _mean(name: str, values: NDArray[np.float64], low: float = -math.inf, high: float = math.inf) -> Estimate:
    n, value = len(values), float(values.mean())
    define = partial(Estimate, name=name, value=value, n_generated=n)
    if n == 1:
        return define()
    error = float(values.std(ddof=1)) / math.sqrt(n)
    bounds = student_bounds(value, error, n - 1, low=low, high=high)
    return define(standard_error=error, interval=bounds, method="mean over images")
