"""CMMD: maximum mean discrepancy of CLIP embeddings under a Gaussian kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, matrix, too_few
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.mmd import discrepancy, estimate_of

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix

_BANDWIDTH = 10.0  # σ, of the paper
_SCALE = 1000.0


def _unit(values: FeatureMatrix, what: str) -> Array:
    array = matrix(values, what)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    if not lengths.all():
        raise GraftbenchError(f"CMMD compares directions; row {int(lengths.argmin())} of the {what} is zero.")
    return array / lengths


def _gaussian_kernel(x: Array, y: Array) -> Array:
    """Return exp(−‖x−y‖²/(2σ²)) − 1 for unit vectors: M×D and N×D give M×N.

    The constant changes no discrepancy, and without it the kernel's values (0.98 to 1) keep two digits more.
    """
    return np.expm1((x @ y.T - 1.0) / _BANDWIDTH**2)


def cmmd(generated: FeatureMatrix, real: FeatureMatrix, *, biased: bool = False) -> Estimate:
    """Return CMMD of generated to real images: 1000 × MMD² of unit embeddings, Gaussian kernel with σ = 10.

    Ours is the unbiased U-statistic, which compares at any numbers of images. The authors' code computes the biased
    V-statistic, larger by about 1000·(1 − mean kernel)·(1/M + 1/N); `biased=True` gives that number, for comparison
    with published ones, which moreover are of CLIP ViT-L/14 at 336 pixels (`clip-vit-l-14-336px`).

    Args:
        generated: Embeddings M×D, of any length (they are scaled to 1).
        real: Embeddings N×D.
        biased: The V-statistic; it has no standard error here.

    Returns:
        A value, slightly negative at times where it is unbiased; undefined below 2 images on a side. Standard error and
        interval need 4 images on each.

    Raises:
        GraftbenchError: Widths differ, entries are NaN or infinite, or an embedding is zero.

    References:
        Jayasumana et al. 2024 (arXiv 2401.09603), section 4.
    """
    x, y = _unit(generated, "generated features"), _unit(real, "reference features")
    check_widths(x.shape[1], y.shape[1])
    name, m, n = "cmmd_biased" if biased else "cmmd", len(x), len(y)
    if reason := too_few(2, m, n, "an unbiased kernel distance"):
        return Estimate(name=name, undefined=reason, n_generated=m, n_reference=n)
    mmd = discrepancy(x, y, _gaussian_kernel, 0.0)
    if biased:
        return Estimate(name=name, value=_SCALE * mmd.biased, n_generated=m, n_reference=n)
    return estimate_of(name, mmd, m, n, _SCALE)
