"""Diversity of generated images, and how they gather around training images; all in float64."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, matrix, pair, too_few, unit_rows, zero_rows
from graftbench.metrics.catalogue import Metric
from graftbench.metrics.distances import nearest, squared_distances
from graftbench.metrics.estimate import Estimate, jackknife_variance, student_bounds, wilson_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "vendi_2",
        "Vendi (order 2)",
        "effective number of different generated images in which rare kinds count less; garbage counts too",
        better=1,
        needs=(),
        paper="2310.12952",
        sets=("effective",),
        panel="Fidelity and diversity",
        text="**Vendi of other orders** (Pasarkar & Dieng 2024). (Σ λ^q)^(1/(1−q)) of the same eigenvalues; of order ∞ "
        "1/max λ. The higher the order, the less rare kinds of images count. `vendi(features, order=q)` takes any q.",
    ),
    Metric(
        "vendi_inf",
        "Vendi (order ∞)",
        "one over the share of the largest kind of generated images; garbage counts too",
        better=1,
        needs=(),
        paper="2310.12952",
        sets=("effective",),
        panel="Fidelity and diversity",
    ),
)
"""The orders beside 1; that one, `vendi_score`, stands in the catalogue."""


_BLOCK = 1024  # rows of a distance matrix held at a time: 82 MB against 10,000 images


_JACKKNIFE = 100  # most images that are left out one by one: 0.1 s


# ------------------------------------------------------------------------------------------------------- Vendi


def vendi_score(generated: FeatureMatrix) -> Estimate:
    """Return the Vendi score, `vendi` of order 1: exp of the entropy of the eigenvalues of K/n."""
    return vendi(generated, order=1.0)


def vendi(generated: FeatureMatrix, *, order: float = 1.0) -> Estimate:
    """Return the effective number of different images: the Hill number of the eigenvalues λ of K/n, of any order.

    Of order q it is (Σ λ^q)^(1/(1−q)); of order 1 the limit exp(−Σ λ·log λ), the Vendi score; of order ∞ 1/max λ. The
    higher the order, the less rare kinds of images count. K holds the cosine similarities of the features (not centred,
    as in the paper), so K/n has trace 1. n identical images score 1, n orthogonal ones n. It rises with n as long as
    new images differ: two values compare only at equal n. It knows nothing of the reference: a set of garbage is
    diverse, so read it beside a score of fidelity. Of the n×n matrix K/n and the D×D matrix with the same nonzero
    eigenvalues the smaller is decomposed.

    Args:
        generated: Features N×D.
        order: q, above 0; `math.inf` too.

    Returns:
        A value from 1 to N, named `vendi_score` for order 1, and `vendi_2`, `vendi_0.5`, `vendi_inf`. Standard error
        from 3 images on: by the jackknife up to 100 images, by the infinitesimal jackknife (see `_influence`) beyond,
        which needs no further decomposition but is up to a third too small at 10 images. Interval on the logarithmic
        scale; at 10 to 30 images it covers less than it should (0.86 instead of 0.95 at worst) where the sample is
        likely to miss rare groups of images. Undefined without images, and where a feature vector is 0.

    Raises:
        GraftbenchError: The order is not above 0, or entries are NaN or infinite.

    References:
        Friedman & Dieng 2022 (arXiv 2210.02410), equation 2; Pasarkar & Dieng 2024 (arXiv 2310.12952) for other orders;
        Jaeckel 1972 for the standard error.
    """
    if not order > 0.0:
        raise GraftbenchError(f"The order of a Vendi score is above 0, or infinite; found {order}.")
    name = "vendi_score" if order == 1.0 else f"vendi_{order:g}"
    x = matrix(generated, "generated features")
    n = len(x)
    if reason := too_few(1, n, None, "a Vendi score") or zero_rows(x, "generated"):
        return Estimate(name=name, undefined=reason, n_generated=n)
    x = unit_rows(x)
    entropy, influence = _influence(x, order)
    value = min(max(float(np.exp(entropy)), 1.0), float(n))  # beyond by rounding only
    if n < 3:  # without one of two images the score is 1, whatever the other
        return Estimate(name=name, value=value, n_generated=n)
    infinitesimal = n > _JACKKNIFE
    relative = float(influence.std(ddof=1) / np.sqrt(n)) if infinitesimal else _jackknife_error(x, order)
    low, high = student_bounds(entropy, relative, n - 1, low=0.0, high=float(np.log(n)))
    return Estimate(
        name=name,
        value=value,
        standard_error=value * relative,
        interval=(min(float(np.exp(low)), value), max(float(np.exp(high)), value)),
        method="infinitesimal jackknife" if infinitesimal else "jackknife",
        n_generated=n,
    )


def _entropy(values: NDArray[np.floating], order: float = 1.0) -> float:
    """Return Rényi's entropy of eigenvalues in ascending order; those that are 0 up to rounding add nothing.

    Of order 1 it is −Σ λ·log λ, of order ∞ −log max λ, else log(Σ λ^q)/(1−q).
    """
    some = _above_rounding(values)
    if order == 1.0:
        return -float(some @ np.log(some))
    if math.isinf(order):
        return -float(np.log(some[-1]))
    relative = some / some[-1]  # no power of these overflows
    return (order * float(np.log(some[-1])) + float(np.log(np.power(relative, order).sum()))) / (1.0 - order)


def _above_rounding(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values[values > values.size * np.finfo(np.float64).eps * values[-1]]


def _jackknife_error(u: Array, order: float = 1.0) -> float:
    """Return the standard error of the entropy for unit rows u, each image left out in turn.

    It takes one decomposition for each image.
    """
    n, gram = len(u), u @ u.T
    grams = [np.delete(np.delete(gram, i, axis=0), i, axis=1) / (n - 1) for i in range(n)]
    entropies = np.array([_entropy(np.linalg.eigvalsh(part), order) for part in grams])
    return float(np.sqrt(jackknife_variance(entropies)))


def _influence(u: Array, order: float = 1.0) -> tuple[float, Array]:
    """Return the entropy of the eigenvalues of K/n for unit rows u (N×D), and its derivative by each image's weight.

    With weights w that sum to 1 the eigenvalues are those of Σ wᵢuᵢuᵢᵀ, with dλ/dwᵢ = (uᵢ·v)² for the eigenvector v,
    and Σ_m (uᵢ·v_m)² = 1. So dH/dwᵢ = Σ_m s_m·(uᵢ·v_m)² up to a constant, with the slope s = dH/dλ: −log λ for order 1,
    −1/λ of the largest for order ∞, else q·λ^(q−1)/((1−q)·Σ λ^q). On the N×N side (uᵢ·v)² = nλeᵢ² for the eigenvector e
    of K/n. Where λ = 0, u·v = 0 for every image, and the term is left out.
    """
    n, width = u.shape
    if n <= width:
        values, vectors = np.linalg.eigh(u @ u.T / n)
        projections = n * values.clip(min=0.0) * np.square(vectors)
    else:
        values, vectors = np.linalg.eigh(u.T @ u / n)
        projections = np.square(u @ vectors)
    some = _above_rounding(values)
    if order == 1.0:
        slopes = -np.log(some)
    elif math.isinf(order):
        slopes = np.where(np.arange(some.size) == some.size - 1, -1.0 / some, 0.0)
    else:
        relative = some / some[-1]
        slopes = order / (1.0 - order) * np.power(relative, order - 1.0) / np.power(relative, order).sum() / some[-1]
    return _entropy(values, order), projections[:, values.size - some.size :] @ slopes


# ----------------------------------------------------------------------------------------- clusters of training images


def _assign(generated: FeatureMatrix, train: FeatureMatrix) -> tuple[Array, int, NDArray[np.intp] | None]:
    """Return generated features, the number of training images, and each one's nearest row (None without either)."""
    x, t = pair(generated, train, "training")
    return x, len(t), nearest(x, t)[1][:, 0] if len(x) and len(t) else None


def intra_cluster_distance(generated: FeatureMatrix, train: FeatureMatrix) -> Estimate:
    """Return the mean distance of generated images that gather around the same training image.

    Each generated image joins the cluster of its nearest training image; the mean over pairs inside each cluster is
    averaged over all training images. The paper measures LPIPS between pictures; this measures the Euclidean distance
    of features, so numbers do not compare with published ones. A cluster of fewer than 2 images contributes 0: nothing
    varies there. Others' code drops it, so that a generator which collapses to one training image can win.

    Args:
        generated: Features N×D.
        train: Features T×D of the training images (the shots).

    Returns:
        A distance ≥ 0, in units of the features. Standard error and interval over drawing the generated images again,
        the training set fixed: see `_cluster_variance`; conservative below about 5 images per training image, None
        where no cluster has 3. Undefined below 2 generated images per training image, where not even an even assignment
        puts 2 into each cluster.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Ojha et al. 2021 (arXiv 2104.06820), section 4.1.
    """
    x, shots, rows = _assign(generated, train)
    n = len(x)
    define = partial(Estimate, name="intra_cluster_distance", n_generated=n, n_train=shots)
    reason = (
        "a mean over training images needs at least 1 training image; found 0"
        if shots == 0
        else too_few(2 * shots, n, None, f"two images for each of {shots} training images")
    )
    if reason or rows is None:
        return define(undefined=reason)
    means, within = np.zeros(shots), np.zeros(shots)
    for shot in np.unique(rows):
        means[shot], without = _mean_pair_distance(x[rows == shot])
        within[shot] = jackknife_variance(without)
    value = float(means.mean())
    variance = _cluster_variance(np.bincount(rows, minlength=shots), means, within)
    if variance is None:
        return define(value=value)
    error = float(np.sqrt(variance))
    bounds = student_bounds(value, error, n - 1, low=0.0)
    method = "jackknife within clusters, Poisson counts"
    return define(value=value, standard_error=error, interval=bounds, method=method)


def _cluster_variance(sizes: NDArray[np.intp], means: Array, within: Array) -> float | None:
    """Return the variance of the mean over clusters of 1[size ≥ 2]·(mean pair distance).

    For a cluster with the probability q of fewer than 2 images, the variance v of its mean distance and the expectation
    μ of that, the variance is (1−q)·v + q(1−q)·μ². Counts of different clusters are negatively dependent, so the sum
    over clusters is at least the whole. A plain jackknife over images sees v, but of q only what removing one image
    shows: nothing for clusters of 3, nearly everything for clusters of 2.

    q is that of a Poisson count with the expectation size + ½, so that no cluster is taken to be certain. What clusters
    are too small to tell is taken from the others: v below 3 images, μ below 2. None where no cluster has 3.

    Args:
        sizes: Images in each cluster.
        means: Mean pair distance in each, 0 where there is no pair.
        within: Jackknife variance of each mean; used where there are 3 images or more.
    """
    three, two = sizes >= 3, sizes >= 2
    if not three.any():
        return None
    squares = np.square(means[three]).sum()
    # v of one image, relative to μ²: v falls about as 1/size.
    relative = float((within[three] * sizes[three]).sum() / squares) if squares else 0.0
    expected = np.where(two, means, means[two].mean())
    variance = np.where(three, within, relative * np.square(expected) / 2.0)
    counts = sizes + 0.5
    q = np.exp(-counts) * (1.0 + counts)
    return float(((1.0 - q) * variance + q * (1.0 - q) * np.square(expected)).sum()) / sizes.size**2


def _mean_pair_distance(x: Array) -> tuple[float, Array]:
    """Return the mean distance over the pairs of rows of x, and the same without each row; 0 where there is no pair."""
    size = len(x)
    if size < 2:
        return 0.0, np.zeros(size)
    centred = x - x.mean(axis=0)  # distances do not change, and lose fewer digits
    sums = np.empty(size)
    for start in range(0, size, _BLOCK):
        d2 = squared_distances(centred[start : start + _BLOCK], centred)
        np.fill_diagonal(d2[:, start:], 0.0)
        sums[start : start + _BLOCK] = np.sqrt(d2).sum(axis=1)
    total = sums.sum() / 2.0
    without = (total - sums) / ((size - 1) * (size - 2) / 2.0) if size > 2 else np.zeros(size)
    return float(total / (size * (size - 1) / 2.0)), without


def cluster_occupancy(generated: FeatureMatrix, train: FeatureMatrix) -> Estimate:
    """Return the share of the training images that are the nearest one of at least one generated image.

    Args:
        generated: Features N×D.
        train: Features T×D of the training images (the shots).

    Returns:
        A share from 0 to 1. Standard error by the jackknife over generated images, the training set fixed: only images
        alone in their cluster count in it. Its square is on average at least the true variance. The interval is the
        common part of two, each too wide where the other is needed: Wilson's for a share of the training images
        (whether each is occupied varies less than tosses of one coin), and ±1.96·√(f₁+1)/T with f₁ the number of images
        alone in their cluster (the jackknife's variance, and 1 for the clusters it has not seen). It is conservative.
        Undefined without generated or training images.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.
    """
    x, shots, rows = _assign(generated, train)
    n = len(x)
    define = partial(Estimate, name="cluster_occupancy", n_generated=n, n_train=shots)
    reason = (
        "a share of training images needs at least 1 training image; found 0"
        if shots == 0
        else too_few(1, n, None, "a share of training images")
    )
    if reason or rows is None:
        return define(undefined=reason)
    counts = np.bincount(rows, minlength=shots)
    occupied, once = int((counts > 0).sum()), int((counts == 1).sum())
    share = occupied / shots
    wilson = wilson_bounds(occupied, shots)
    singles = student_bounds(share, float(np.sqrt(once + 1.0)) / shots)
    return define(
        value=share,
        standard_error=float(np.sqrt((n - 1.0) / n * once * (1.0 - once / n))) / shots,
        interval=(max(wilson[0], singles[0]), min(wilson[1], singles[1])),
        method="Wilson and jackknife",
    )


def compute(sides: Sides) -> list[Estimate]:
    """Return the Vendi scores of the orders 2 and ∞."""
    return [vendi(sides.x, order=2.0), vendi(sides.x, order=math.inf)]
