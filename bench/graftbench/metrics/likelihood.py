"""Feature likelihood divergence: how likely real images are under Gaussians around the generated ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.arrays import Array, check_widths, matrix, pair, too_few
from graftbench.metrics.catalogue import Metric
from graftbench.metrics.distances import squared_distances
from graftbench.metrics.estimate import Estimate, jackknife_variance, student_bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "fld",
        "FLD",
        "how much less likely reference images are under Gaussians around generated than around training images; "
        "copies score high",
        better=-1,
        needs=("reference", "train"),
        paper="2302.04440",
        sets=("likelihood",),
        panel="Memorisation",
        text="**FLD** (Jiralerspong et al. 2023). A Gaussian around each generated image, its variance fitted to "
        "the training images, so that a copy's is tiny; 100/D times the reference images' negative "
        "log-likelihood, less that under one half of the training images fitted to the other. As many new "
        "images as that half has score 0, more images less, copies of training images thousands. Variances "
        "are fitted by EM (the paper: gradient descent) and are at least 10⁻⁴ of the training features' own.",
    ),
)


SMALLEST_VARIANCE = 1e-4
"""Variances are at least this, in units of the training features' own: a copy's would otherwise be 0."""

_STEPS = 200  # most steps of EM
_TOLERANCE = 1e-6  # gain in log-likelihood per image and feature at which EM ends
_ENTRIES = 2**22  # entries of a matrix of distances held at a time: 32 MB
_KEPT_ENTRIES = 2**25  # entries of all distances of a fit that are kept between its steps: 256 MB
_LOST = 1e-290  # a centre with responsibilities below this is too far from every image for float64


def fld(generated: FeatureMatrix, real: FeatureMatrix, train: FeatureMatrix, *, seed: int = 0) -> Estimate:
    """Return the feature likelihood divergence: 0 for images as good as training images are, large for copies of these.

    Around each generated image lies a Gaussian with one variance for all features. The variances are those under which
    the training images are likeliest; a copy of a training image gets a tiny one, so that it says nothing of any other
    image. Then

        FLD = 100/D · (NLL of the reference images under this mixture − NLL under that of one half of the training
        images, its variances fitted to the other half).

    Features are first shifted and scaled to mean 0 and variance 1 over the training images. The paper fits the
    variances by gradient descent; here EM does, which needs no step size: σⱼ² = Σᵢ rᵢⱼ‖xᵢ−cⱼ‖²/(D·Σᵢ rᵢⱼ) with the
    responsibilities rᵢⱼ, at least `SMALLEST_VARIANCE`.

    Args:
        generated: Features M×D.
        real: Features N×D of real images that nobody trained on.
        train: Features T×D of the training images.
        seed: Seed of the halves.

    Returns:
        A number, in hundredths of nats per feature. Standard error and interval over drawing generated and reference
        images again, the training images as they are, by the jackknife; the variances are kept while an image is left
        out. Undefined without generated or with fewer than 2 reference images, below 4
        training images, and where all of these are the same.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Jiralerspong et al. 2023 (arXiv 2302.04440).
    """
    x, y = pair(generated, real)
    t = matrix(train, "training features")
    check_widths(x.shape[1], t.shape[1], "training")
    define = partial(Estimate, name="fld", n_generated=len(x), n_reference=len(y), n_train=len(t))
    if reason := _reason(x, y, t):
        return define(undefined=reason)

    # Standardise. Features in which no training image differs have no scale and are left out.
    scale = t.std(axis=0)
    varying = scale > 0.0
    x, y, t = ((z[:, varying] - t[:, varying].mean(axis=0)) / scale[varying] for z in (x, y, t))

    # The mixture of the generated images, and that of one half of the training images.
    order = np.random.default_rng(seed).permutation(len(t))
    half = len(t) // 2
    made, ideal = _MixtureFit(x, t), _MixtureFit(t[order[:half]], t[order[half:]])
    unit = 100.0 / t.shape[1]
    densities, without = made.log_densities(y)
    gaps = unit * (ideal.log_densities(y)[0] - densities)
    value = float(gaps.mean())
    if len(x) < 2:
        return define(value=value)

    # Of reference images it is a mean; generated ones are left out one by one.
    error = float(np.sqrt(gaps.var(ddof=1) / len(y) + unit**2 * jackknife_variance(without)))
    bounds = student_bounds(value, error, min(len(x), len(y)) - 1)
    return define(value=value, standard_error=error, interval=bounds, method="jackknife, variances kept")


def _reason(x: Array, y: Array, t: Array) -> str:
    """Return why FLD is undefined; "" where it is not."""
    if reason := too_few(1, len(x), None, "FLD"):
        return reason
    if len(y) < 2:
        return f"FLD needs at least 2 reference images; found {len(y)}"
    if len(t) < 4:
        return f"FLD needs at least 4 training images, two in each half; found {len(t)}"
    return "" if (t != t[0]).any() else "all training images have the same features, which have no scale"


class _MixtureFit:
    """An equal mixture of Gaussians around centres, with the variances at which images are likeliest, found by EM.

    Attributes:
        centres: M×D.
        images: T×D.
        variances: M numbers, each at least `SMALLEST_VARIANCE`.
    """

    def __init__(self, centres: Array, images: Array) -> None:
        self.centres, self.images, self._width = centres, images, centres.shape[1]
        kept = len(centres) * len(images) <= _KEPT_ENTRIES
        self._distances = list(_distances(images, centres)) if kept else None
        sums = sum((d2.sum(axis=0) for d2 in self._blocks()), np.zeros(len(centres)))
        self.variances = np.maximum(sums / (len(images) * self._width), SMALLEST_VARIANCE)
        before = -np.inf
        for _ in range(_STEPS):
            likelihood = self._step() / (len(images) * self._width)
            if likelihood - before < _TOLERANCE:
                break
            before = likelihood

    def _blocks(self) -> Iterator[Array]:
        """Yield squared distances of all images, some at a time, to the centres."""
        return iter(self._distances) if self._distances is not None else _distances(self.images, self.centres)

    def _step(self) -> float:
        """Take a step of EM; return the images' log-likelihood before it."""
        shape = len(self.centres)
        likelihood, weights, sums, least = 0.0, np.zeros(shape), np.zeros(shape), np.full(shape, np.inf)
        for d2 in self._blocks():
            logs, shares = _shares(d2, self.variances, self._width)
            likelihood += float(logs.sum())
            weights += shares.sum(axis=0)
            sums += np.einsum("ij,ij->j", shares, d2)
            np.minimum(least, d2.min(axis=0), out=least)
        # A centre that is far from every image is left with the nearest one.
        far = weights < _LOST
        means = np.where(far, least, sums / np.where(far, 1.0, weights))
        self.variances = np.maximum(means / self._width, SMALLEST_VARIANCE)
        return likelihood

    def log_densities(self, images: Array) -> tuple[Array, Array]:
        """Return log p of images N×D, N numbers, and the mean of log p without each centre, M; variances as they are.

        Without centre j, log p changes by log(1 − share of j in p) + log(M/(M − 1)). The largest share may be 1 but
        for rounding, so what remains without it is summed anew.
        """
        count = len(self.centres)
        logs, changes = [], np.zeros(count)
        for d2 in _distances(images, self.centres):
            each, shares = _shares(d2, self.variances, self._width)
            logs.append(each)
            if count > 1:
                rows, first = np.arange(len(shares)), shares.argmax(axis=1)
                shares[rows, first] = 0.0
                changes += np.log1p(-shares).sum(axis=0)
                np.add.at(changes, first, self._log_without(d2, first) - each - np.log(count))
        return np.concatenate(logs), np.concatenate(logs).mean() + changes / len(images) + np.log(
            count / max(count - 1, 1)
        )

    def _log_without(self, d2: Array, left_out: NDArray[np.intp]) -> Array:
        """Return the logarithm of the sum of all Gaussians but one at images, by their squared distances N×M."""
        logs = _log_gaussians(d2, self.variances, self._width)
        logs[np.arange(len(logs)), left_out] = -np.inf
        highest = logs.max(axis=1)
        return highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))


def _distances(images: Array, centres: Array) -> Iterator[Array]:
    """Yield squared distances of images, as many as memory should hold at a time, to all centres."""
    rows = max(1, _ENTRIES // len(centres))
    for start in range(0, len(images), rows):
        yield squared_distances(images[start : start + rows], centres)


def _shares(d2: Array, variances: Array, width: int) -> tuple[Array, Array]:
    """Return log p of images under an equal mixture, and each centre's share in p, from squared distances N×M."""
    logs = _log_gaussians(d2, variances, width)
    highest = logs.max(axis=1, keepdims=True)
    logs -= highest
    shares = np.exp(logs, out=logs)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    return (highest + np.log(total))[:, 0] - np.log(len(variances)), shares


def _log_gaussians(d2: Array, variances: Array, width: int) -> Array:
    """Return log N(x; c, σ²I) for squared distances N×M."""
    logs = d2 * (-0.5 / variances)
    logs -= 0.5 * width * np.log(2.0 * np.pi * variances)
    return logs


def compute(sides: Sides) -> list[Estimate]:
    """Return FLD."""
    return [fld(sides.x, sides.y, sides.t, seed=sides.seed)]
