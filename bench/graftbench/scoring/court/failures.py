"""Planted failures: sets of avatars of which a known share is bad in a known way, and what every score makes of them.

All images are made, and their features computed, once; a set with a failure is a draw of their rows. A dose is the
share of a set's images that have the failure, the others are real images that the reference does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from graftbench.images.domains import images_at
from graftbench.images.sources import open_images
from graftbench.metrics.catalogue import METRICS
from graftbench.metrics.features import Features
from graftbench.scoring.court.values import role_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from graftbench.images.prepared import ImageSet
    from graftbench.scoring.features import FeatureReader

    Pixels = NDArray[np.uint8]

FAILURES = {
    "factor dropped": "all have the commonest variant of the factor with the most variants, and are real otherwise",
    "copies": "training images as they are, cropped by a pixel a side, or with hues turned by an eighth",
    "blur": "blurred by a pixel",
    "colour shift": "opposite hues",
    "garbage": "the sixteen 8-pixel tiles of an image in random order",
    "collapse": "five images again and again",
    "factor fixed": "all have the commonest variant of the factor that features tell best, of those with even "
    "variants, and are real otherwise",
}
"""Failure -> what its images are."""

KEEPING = ("factor dropped", "factor fixed")
"""Failures whose images are real ones that have one variant."""

EVEN = 1.2
"""Variants of a factor are even where the commonest is at most so many times as frequent as if all were alike."""

DOSES = (0.02, 0.05, 0.1, 0.25, 0.5)

ONE_SIDED, TWO_SIDED = 1.645, 1.96
"""A set is told from a clean one where its score is so many standard deviations of clean sets' scores worse than their
mean; of a score without a better direction, so many away."""

N_TRAIN, N_SPOILT, MOST_REFERENCE = 100, 1000, 1500
_SEEDS_LEFT = 5


@dataclass(frozen=True, eq=False)
class PlantedPool:
    """Features of all images that sets are drawn from.

    Attributes:
        real: Of real images, for reference and clean images.
        train: Of the training images that `copies` copies.
        spoilt: Failure -> features of its images, none of them in `real`.
        kept: Failure that keeps a variant -> which of the real images have it, N booleans. Those that a draw needs for
            nothing else are images of the failure too.
    """

    real: Features
    train: Features
    spoilt: dict[str, Features]
    kept: dict[str, NDArray[np.bool_]]

    @property
    def kept_shares(self) -> dict[str, float]:
        """Return failure that keeps a variant -> share of the real images that have it."""
        return {name: float(has.mean()) for name, has in self.kept.items()}


def planted_pool(domain: ImageSet, reader: FeatureReader, *, seed: int = 0, limit: int = 0) -> PlantedPool:
    """Make all images and read their features, of real ones from the cache where they are there.

    Args:
        domain: A domain that knows its factors.
        reader: Of the protocol.
        seed: Of what is drawn.
        limit: Take so many images of the domain; 0 for all.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(domain.ids))[: limit or None]
    n_spoilt = min(N_SPOILT, len(order) // 4)
    train, bases, real = np.split(order, [N_TRAIN, N_TRAIN + n_spoilt])
    of_images = lambda positions: reader.cached(images_at(domain, positions.tolist()))  # noqa: E731 - three times
    real_features = of_images(real)

    # The commonest variant of the factor that has the most, and of an even one.
    columns = {name: np.array(values)[real] for name, values in domain.factors.items()}
    most = max(columns, key=lambda name: len(set(domain.factors[name])))
    fixed = even_factor(columns, real_features.pooled)
    variants = {
        failure: (name, _commonest(columns[name])) for failure, name in zip(KEEPING, (most, fixed), strict=True)
    }

    changed = {
        "copies": np.concatenate([change(domain.pixels[np.sort(train)]) for change in (np.array, _cropped, _turned)]),
        "blur": _each(domain.pixels[bases], lambda image: image.filter(ImageFilter.GaussianBlur(1))),
        "colour shift": _each(domain.pixels[bases], lambda image: _hues_turned(image, 128)),
        "garbage": _shuffled(domain.pixels[bases], rng),
    }
    spoilt = {name: reader.cached(open_images(pixels)) for name, pixels in changed.items()}
    for failure, (name, variant) in variants.items():
        spoilt[failure] = of_images(bases[np.array(domain.factors[name])[bases] == variant])
    spoilt["collapse"] = of_images(bases[:_SEEDS_LEFT])
    kept = {failure: columns[name] == variant for failure, (name, variant) in variants.items()}
    return PlantedPool(real_features, of_images(train), spoilt, kept)


def _commonest(column: NDArray[Any]) -> str:
    """Return the commonest variant."""
    variants, counts = np.unique(column, return_counts=True)
    return str(variants[counts.argmax()])


def even_factor(columns: Mapping[str, NDArray[Any]], features: NDArray[Any]) -> str:
    """Return the factor that features tell best, of those with even variants; of all where there is none.

    Args:
        columns: Factor -> each image's variant.
        features: Of the images.
    """
    frequencies = {name: np.unique(column, return_counts=True)[1] for name, column in columns.items()}
    even = [name for name, counts in frequencies.items() if counts.max() <= EVEN * counts.mean()]
    return max(even or columns, key=lambda name: f_ratio(features, columns[name]))


def f_ratio(features: NDArray[Any], column: NDArray[Any]) -> float:
    """Return the variance between the means of a factor's variants over that within them, of all features together.

    Both are by degree of freedom: more variants alone do not make it larger. A factor with one variant has 0.
    """
    centred = features - features.mean(axis=0)
    groups = [centred[column == variant] for variant in np.unique(column)]
    if len(groups) == 1:
        return 0.0
    between = sum(len(group) * float(np.square(group.mean(axis=0)).sum()) for group in groups)
    within = max(float(np.square(centred).sum()) - between, 1e-300)
    return between / (len(groups) - 1) / within * (len(centred) - len(groups))


def truth_of(metric: str, failure: str, dose: float, kept_shares: dict[str, float]) -> float | None:
    """Return what a share of realism, of variety or of copies should read; None for other scores.

    Realism: the share of images that are real ones. Variety: the share that are new images of the whole distribution.
    """
    if metric == "copies":
        return dose if failure == "copies" else 0.0
    role = role_of(metric)
    if role == "fidelity":
        return 1.0 - dose if failure in ("blur", "colour shift", "garbage") else 1.0
    if role == "diversity":
        return 1.0 - dose * (1.0 - kept_shares.get(failure, 0.0))
    return None


def drawn_values(
    pool: PlantedPool,
    n: int,
    draws: int,
    metrics: Sequence[str],
    *,
    failure: str = "",
    dose: float = 0.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Return metric -> its values for sets of n images; without a failure for clean ones.

    Args:
        pool: All images.
        n: Images of a set; the reference has as many, at most `MOST_REFERENCE`.
        draws: Number of sets.
        metrics: Names.
        failure: What a part of the images has.
        dose: That part.
        seed: Of the draws.
    """
    values: dict[str, list[float]] = {name: [] for name in metrics}
    code = list(FAILURES).index(failure) + 1 if failure else 0
    n_bad, n_reference = round(dose * n), min(n, MOST_REFERENCE)
    for draw in range(draws):
        rng = np.random.default_rng((seed, n, code, round(1000 * dose), draw))
        reference_rows, made_rows, rest = np.split(
            rng.permutation(len(pool.real)), [n_reference, n_reference + n - n_bad]
        )
        made, reference = pool.real.rows(made_rows), pool.real.rows(reference_rows)
        if n_bad:
            bad = pool.spoilt[failure]
            if failure in pool.kept:  # none that are in the reference: those would be copies of it
                bad = _joined(bad, pool.real.rows(rest[pool.kept[failure][rest]]))
            rows = rng.choice(len(bad), n_bad, replace=len(bad) < n_bad or failure == "copies")
            made = _joined(made, bad.rows(rows))
        for name, value in values_of(made, reference, pool.train, metrics).items():
            values[name].append(value)
    return values


def _joined(one: Features, other: Features) -> Features:
    assert one.powers is not None
    assert other.powers is not None
    assert one.thumbnails is not None
    assert other.thumbnails is not None
    return Features(
        np.concatenate((one.pooled, other.pooled)),
        np.concatenate((one.logits, other.logits)),
        np.concatenate((one.powers, other.powers)),
        np.concatenate((one.thumbnails, other.thumbnails)),
    )


@dataclass(frozen=True)
class DoseReading:
    """What a score made of sets with a dose of a failure.

    Attributes:
        mean: Mean of its values.
        told: Share of draws in which it is told from a clean set, as worse.
        praised: Share of draws in which it reads better than a clean set, by as much.
    """

    mean: float
    told: float
    praised: float


def reading_of(metric: str, clean: Sequence[float], dosed: Sequence[float]) -> DoseReading | None:
    """Compare the values of sets with a failure with those of clean sets; None where a value is undefined."""
    null, values = np.asarray(clean), np.asarray(dosed)
    if np.isnan(null).any() or np.isnan(values).any():
        return None
    better = METRICS[metric].better
    spread = max(float(null.std(ddof=1)), 1e-12)
    z = (values - null.mean()) / spread
    if better == 0:
        return DoseReading(float(values.mean()), float((np.abs(z) > TWO_SIDED).mean()), 0.0)
    told, praised = (-better * z > ONE_SIDED).mean(), (better * z > ONE_SIDED).mean()
    return DoseReading(float(values.mean()), float(told), float(praised))


# -------------------------------------------------------------------------------------------------------------- images


def _each(images: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    return np.stack([np.asarray(change(Image.fromarray(x.transpose(1, 2, 0)))).transpose(2, 0, 1) for x in images])


def _cropped(images: Pixels) -> Pixels:
    side = images.shape[-1]
    return _each(
        images, lambda image: image.crop((1, 1, side - 1, side - 1)).resize((side, side), Image.Resampling.LANCZOS)
    )


def _turned(images: Pixels) -> Pixels:
    return _each(images, lambda image: _hues_turned(image, 32))


def _hues_turned(image: Image.Image, by: int) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + by) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _shuffled(images: Pixels, rng: np.random.Generator) -> Pixels:
    n, channels, side, _ = images.shape
    tile = side // 4
    tiles = images[:, :, : 4 * tile, : 4 * tile].reshape(n, channels, 4, tile, 4, tile).transpose(0, 2, 4, 1, 3, 5)
    tiles = tiles.reshape(n, 16, channels, tile, tile)
    tiles = np.stack([each[rng.permutation(16)] for each in tiles])
    return tiles.reshape(n, 4, 4, channels, tile, tile).transpose(0, 3, 1, 4, 2, 5).reshape(n, channels, 4 * tile, -1)
