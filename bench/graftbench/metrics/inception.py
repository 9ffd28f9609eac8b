"""Inception Score."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, matrix, too_few
from graftbench.metrics.estimate import Estimate, student_bounds

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix


def inception_score(logits: FeatureMatrix, splits: int = 10, shuffle_seed: int | None = 2020) -> Estimate:
    """Return the Inception Score: exp of the mean KL(p(y|x) ‖ p(y)), averaged over disjoint splits.

    The defaults are torch-fidelity's (10 splits after a shuffle seeded with 2020), and so is the number for the same
    logits. The score rises with the number of images per split, so it compares only at equal n and splits.
    It says nothing about the target domain: what counts as diverse are the classes of the extractor's training data.

    Args:
        logits: N×K class scores before the softmax.
        splits: Number of disjoint parts. The score is the mean over the parts.
        shuffle_seed: Seed of the permutation that precedes splitting; None keeps the order of the images.

    Returns:
        A value from 1 to K with the standard error of the mean over splits (parts share no image, so it is a valid one;
        None for a single split) and Student's interval for it. Undefined below 2 images a split: an image alone is its
        own average and scores 1.

    Raises:
        GraftbenchError: splits < 1, or unusable logits.

    References:
        Salimans et al. 2016 (arXiv 1606.03498), section 4.
    """
    if splits < 1:
        raise GraftbenchError(f"The number of splits must be at least 1; found {splits}.")
    array = matrix(logits, "logits")
    n = array.shape[0]
    define = partial(Estimate, name="inception_score", n_generated=n)
    if reason := too_few(2 * splits, n, None, f"an Inception Score over {splits} splits"):
        return define(undefined=reason)
    if shuffle_seed is not None:
        # torch-fidelity's generator, so that both tools split alike.
        array = array[np.random.RandomState(shuffle_seed).permutation(n)]
    p, negative_entropy = _probabilities(array)
    bounds = [i * n // splits for i in range(splits + 1)]
    scores = np.array([_score(p[a:b], negative_entropy[a:b]) for a, b in pairwise(bounds)])
    value = float(scores.mean())
    if splits == 1:
        return define(value=value)
    error = float(scores.std(ddof=1) / np.sqrt(splits))
    bounds = student_bounds(value, error, splits - 1, low=1.0, high=float(p.shape[1]))
    return define(value=value, standard_error=error, interval=bounds, method="splits", spread=float(scores.std()))


def _probabilities(logits: Array) -> tuple[Array, Array]:
    """Return the softmax N×K, and each image's Σ p log p: one exponential per entry serves both."""
    logits -= logits.max(axis=1, keepdims=True)  # its own copy; no exponential overflows
    p = np.exp(logits)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    return p, np.einsum("ij,ij->i", p, logits) - np.log(total[:, 0])


def _score(p: Array, negative_entropy: Array) -> float:
    """Return the score of one split: exp of the mean of Σ p log p less Σ q log q, q the mean of p (0 log 0 = 0)."""
    q = p.mean(axis=0)
    return float(np.exp(max(0.0, negative_entropy.mean() - xlogy(q, q).sum())))
