"""Copies: the share of generated images that are training images, also cropped, moved, mirrored or recoloured.

No features of a network are compared but the images themselves, at 32×32 pixels (`thumbnails`): colours, and edges,
which a turn of the hues leaves where they are. What counts as a copy is not set by hand: real images that nobody
trained on, the reference images, say how near to the training images an image comes by chance. A smear has the outlines
of many images: so a copy also has to have two fifths of the training image's edges, or a little less.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, too_few
from graftbench.metrics.estimate import LEVEL, Bounds, Estimate, wilson_bounds
from graftbench.metrics.thumbnail import SIDE, averaging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Maps = NDArray[np.float32]
    Rows = NDArray[np.intp]

CHANCE = 0.01
"""Share of new real images that may count as copies."""

LEAST_HELD_OUT = 19
"""Fewer held-out images than this would let more than one new image in twenty count."""

MOST_CROPPED, MOST_MOVED = 6, 2
"""Pixels of the 32 that a crop may take from a side's length, and by which an image may be moved."""

EDGES_KEPT = 0.4
"""Share of a training image's edges that a copy has; with less, its distance is at least what is missing of it.

Of emoji at 32 pixels half of the edges are there after a blur of 0.7 pixel that has also taken a fifth of the contrast,
a third after one of 1.5 pixels, a tenth in the smears of a VAE that was hardly trained."""

_COARSE, _FINE, _PATCHES = 8, 16, 8
_CANDIDATES = 4
_LEAST_CONTRAST = 4.0  # levels of 255 taken for the standard deviation of flatter images: noise is no content
_SAME = 1e-3  # residuals up to this are rounding
_AT_ONCE = 4096
_CONTROLS = 50


def copies(generated: Images, held_out: Images, train: Images) -> Estimate:
    """Return the share of generated images that are nearer copies of training images than real images are by chance.

    An image counts where its distance to the training images (`copy_distances`) is less than that of the j-th nearest
    of N held-out images, j = ⌊(N + 1)/100⌋, or 1. A new real image then counts with the chance f = j/(N + 1), whatever
    the distribution is (the N + 1 images are exchangeable), and of a share p that counts (p − f)/(1 − f) are copies.

    A training image that is there twice hides no copy, for none is compared with another. A copy of which many real
    images are as near a match (recoloured, where real images differ in colours alone) cannot be told and does not
    count; the note says which share of cropped training images does.

    Args:
        generated: Thumbnails of generated images, uint8 M×3×32×32.
        held_out: Of real images that were not trained on, N×3×32×32.
        train: Of the training images, T×3×32×32.

    Returns:
        A share from 0 to 1. The interval joins Wilson's of p with that of f, whose true value given the N images is
        distributed as Beta(j, N + 1 − j), by the method of variance estimates recovery. Undefined without generated or
        training images, below 19 held-out images, and where so many held-out images are training images that nothing
        is nearer.

    Raises:
        GraftbenchError: The thumbnails are not uint8 and ×3×32×32.

    References:
        Wilks 1941 for f; Zou & Donner 2008 for the interval. The distance and the threshold are ours.
    """
    for images, what in ((generated, "generated"), (held_out, "held-out"), (train, "training")):
        _check(images, what)
    m, n = len(generated), len(held_out)
    define = partial(Estimate, name="copies", n_generated=m, n_reference=n, n_train=len(train))
    few_real = f"a threshold needs at least {LEAST_HELD_OUT} reference images; found {n}" if n < LEAST_HELD_OUT else ""
    no_train = "" if len(train) else "there are no training images to copy"
    if reason := too_few(1, m, None, "a share of images") or few_real or no_train:
        return define(undefined=reason)

    # All distances at once: most of their time goes into crops of the training images.
    controls = _cropped(train[:: max(1, len(train) // _CONTROLS)][:_CONTROLS])
    distances = copy_distances(np.concatenate((held_out, generated, controls)), train)
    of_held_out, of_generated, of_controls = np.split(distances, (n, n + m))

    # The threshold, from real images that nobody trained on.
    threshold, j = copy_threshold(of_held_out)
    if threshold <= _SAME:
        return define(undefined=f"{j} of {n} reference images are training images: no image is nearer to these")

    # The share below it, less what counts by chance; and the share of known copies below it.
    count = int((of_generated < threshold).sum())
    seen = float((of_controls < threshold).mean())
    value, error, bounds = share_of_copies(count, m, j, n)
    note = f"Of training images cropped by a pixel {seen:.0%} count as copies, of new real images {j / (n + 1):.1%}."
    return define(value=value, standard_error=error, interval=bounds, method="Wilson, less chance", note=note)


def copy_threshold(held_out_distances: Array) -> tuple[float, int]:
    """Return the distance below which an image counts as a copy, and which of the held-out images' it is, from 1 on.

    Args:
        held_out_distances: `copy_distances` of N ≥ 1 real images that were not trained on.
    """
    j = max(1, math.floor(CHANCE * (len(held_out_distances) + 1)))
    return float(np.partition(held_out_distances, j - 1)[j - 1]), j


def share_of_copies(count: int, m: int, j: int, n: int) -> tuple[float, float, Bounds]:
    """Return the share of copies, its standard error and its 95 % interval.

    Args:
        count: How many of the generated images are nearer to the training images than the threshold.
        m: Number of generated images, at least 1.
        j: The threshold is the j-th least distance of held-out images.
        n: Number of held-out images.
    """
    p, f = count / m, j / (n + 1)
    share = (p - f) / (1.0 - f)
    low_p, high_p = wilson_bounds(count, m)
    low_f, high_f = (float(betaincinv(j, n + 1 - j, tail)) for tail in ((1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0))
    slope_p, slope_f = 1.0 / (1.0 - f), (1.0 - p) / (1.0 - f) ** 2  # of the share, by p and by f
    error = math.hypot(slope_p * math.sqrt(p * (1.0 - p) / m), slope_f * math.sqrt(f * (1.0 - f) / (n + 2)))
    # Each end from those of p and of f. Fewer than chance would give say 0, and no less doubt than 0 has.
    low = share - math.hypot(slope_p * (p - low_p), slope_f * (high_f - f))
    high = max(share, 0.0) + math.hypot(slope_p * (high_p - p), slope_f * (f - low_f))
    return max(share, 0.0), error, (max(low, 0.0), min(high, 1.0))


def copy_distances(images: Images, train: Images) -> Array:
    """Return how unlike its training image each image is: 0 for a copy, about 1 for another image.

    Candidates are the four training images, and four of their mirror images, of which 8×8 pixels correlate most. Each
    is cropped and moved in 164 ways (squares of 26 to 32 pixels of the 32); at 16×16 pixels the crop is taken of which
    the pixels correlate most with the image's. The distance is the root of the largest sum of squared differences in
    one of 49 overlapping windows, a quarter as wide as the image, with both images less their mean and of length 1:
    another mouth in an equal face is one window, resampling is a little of every window. This is done for colours and
    for edges, and the lesser counts.

    Lengths of 1 hide contrast: a blurred patch has the direction of some training image, at a fraction of its strength.
    So the distance is at least 1 − β/`EDGES_KEPT`, where β·(crop's edges) is the part of the image's edges along those
    of the crop: 1 for a copy, 0.8 at 80 % of its contrast.

    Args:
        images: uint8 n×3×32×32.
        train: uint8 T×3×32×32, T ≥ 1.

    Returns:
        float64 n.

    Raises:
        GraftbenchError: They are not uint8 and ×3×32×32.
    """
    _check(images, "compared")
    _check(train, "training")
    parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
    train_maps = _colours_and_edges(train)
    found = []
    for part in parts:
        maps = _colours_and_edges(part)
        found.append(np.minimum(_residuals(maps, train_maps, slice(0, 3)), _residuals(maps, train_maps, slice(3, 4))))
    distances = np.concatenate([*found, np.empty(0)])
    return np.where(distances <= _SAME, 0.0, distances)


def _check(images: Images, what: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (3, SIDE, SIDE):
        shape = " × ".join(map(str, images.shape))
        raise GraftbenchError(f"The {what} thumbnails must be uint8 N×3×{SIDE}×{SIDE}; found {images.dtype} {shape}.")


# ----------------------------------------------------------------------------------------------- what is compared


def _colours(images: Images) -> Maps:
    return images.astype(np.float32)


def _colours_and_edges(images: Images) -> Maps:
    """Return four maps of each image, of its colours and of its edges: n×4×32×32."""
    return np.concatenate((_colours(images), _edges(images)), axis=1)


def _edges(images: Images) -> Maps:
    """Return the lengths of the gradients, of the colour in which they are longest: n×1×32×32."""
    across, down = np.zeros(images.shape, np.float32), np.zeros(images.shape, np.float32)
    values = images.astype(np.float32)
    across[..., 1:-1] = values[..., 2:] - values[..., :-2]
    down[..., 1:-1, :] = values[..., 2:, :] - values[..., :-2, :]
    return np.sqrt(across**2 + down**2).max(axis=1, keepdims=True)


def _reduced(maps: Maps, side: int) -> Maps:
    averages = averaging(0, SIDE, side, SIDE)
    return (averages @ maps @ averages.T).astype(np.float32, copy=False)


def _centred(maps: Maps) -> Maps:
    """Return each map as a vector without its mean."""
    rows = maps.reshape(len(maps), -1)
    return (rows - rows.mean(axis=1, keepdims=True)).astype(np.float32, copy=False)


def _direction(maps: Maps) -> Maps:
    """Return each map as a vector without its mean, of length 1; shorter where it has little contrast."""
    centred = _centred(maps)
    lengths: Maps = np.linalg.norm(centred, axis=1, keepdims=True)
    least = _LEAST_CONTRAST * math.sqrt(centred.shape[1])
    return np.divide(centred, lengths.clip(min=least), dtype=np.float32)


# ------------------------------------------------------------------------------------------------------ comparison


def _residuals(maps: Maps, train: Maps, compared: slice) -> Array:
    """Return each image's largest residual in a window, against the best crop of the best training image.

    Args:
        maps: n×4×32×32, of which the last are edges.
        train: T×4×32×32.
        compared: Which of the four maps the residual is of.
    """
    coarse, fine = (_direction(_reduced(maps[:, compared], side)) for side in (_COARSE, _FINE))
    edges = _centred(_reduced(maps[:, 3:], _FINE))
    best, residuals = np.full(len(maps), -2.0), np.full(len(maps), np.inf)
    for seen in (train, train[..., ::-1]):
        for which, rows in _candidates(coarse, _direction(_reduced(seen[:, compared], _COARSE))):
            cropped = _crops(seen[which, compared.start :])
            crops = _direction(cropped[:, : compared.stop - compared.start])
            correlations = fine[rows] @ crops.T
            chosen = correlations.argmax(axis=1)
            highest = correlations[np.arange(len(rows)), chosen]
            better = np.flatnonzero(highest > best[rows])
            if better.size:
                best[rows[better]] = highest[better]
                missing = 1.0 - _edges_there(edges[rows[better]], cropped[chosen[better], -1:]) / EDGES_KEPT
                unlike = _largest_window(fine[rows[better]] - crops[chosen[better]])
                residuals[rows[better]] = np.maximum(unlike, missing)
    return residuals


def _edges_there(edges: Maps, crops: Maps) -> Array:
    """Return which share of crops' edges images have; 1 for flat crops.

    Args:
        edges: Of the images, n×256, less their mean.
        crops: Edges of a crop for each, n×1×16×16.
    """
    of_crops = _centred(crops)
    noise = _LEAST_CONTRAST**2 * edges.shape[1]
    along, own = np.einsum("ij,ij->i", edges, of_crops), np.einsum("ij,ij->i", of_crops, of_crops)
    return ((along + noise) / (own + noise)).astype(np.float64)


def _candidates(images: Maps, train: Maps) -> Iterator[tuple[int, Rows]]:
    """Yield training image -> rows of the images that are compared with it."""
    k = min(_CANDIDATES, len(train))
    nearest = np.argpartition(-(images @ train.T), k - 1, axis=1)[:, :k].ravel()
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(len(train) + 1))
    for which in range(len(train)):
        rows = order[starts[which] : starts[which + 1]] // k
        if rows.size:
            yield which, rows


@lru_cache(maxsize=1)
def _intervals() -> dict[int, Maps]:
    """Return length -> averaging matrices of all intervals of that length, k×16×32."""
    starts = {SIDE: range(-MOST_MOVED, MOST_MOVED + 1)}
    starts |= {length: range(SIDE - length + 1) for length in range(SIDE - MOST_CROPPED, SIDE)}
    return {
        length: np.stack([averaging(start, length, _FINE, SIDE) for start in of_length])
        for length, of_length in starts.items()
    }


def _crops(image: Maps) -> Maps:
    """Return all crops of a map, C×32×32 to n×C×16×16: squares, one interval a side."""
    parts = []
    for matrices in _intervals().values():
        rows = matrices[:, None] @ image  # k×C×16×32
        both = rows[:, None] @ matrices[:, None].mT  # k×k×C×16×16
        parts.append(both.reshape(-1, *both.shape[2:]))
    return np.concatenate(parts)


def _largest_window(residuals: Maps) -> Array:
    """Return the root of the largest sum of squares in a window of 2×2 of the 8×8 patches, over all channels."""
    width = _FINE // _PATCHES
    squares = np.square(residuals).reshape(len(residuals), -1, _PATCHES, width, _PATCHES, width).sum(axis=(1, 3, 5))
    rows = squares[:, 1:] + squares[:, :-1]
    windows = rows[:, :, 1:] + rows[:, :, :-1]
    return np.sqrt(windows.max(axis=(1, 2), initial=0.0).astype(np.float64))


def _cropped(images: Images) -> Images:
    """Crop thumbnails by a pixel a side."""
    averages = averaging(1, SIDE - 2, SIDE, SIDE)
    return np.rint(averages @ _colours(images) @ averages.T).astype(np.uint8)
