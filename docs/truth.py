"""Write the tables of docs/truth.md: how well factors are read, and what planted failures score.

    python docs/truth.py

Takes some minutes: four styles are drawn and their classifiers trained, where the cache lacks them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from page_parts import fill
from scipy.ndimage import uniform_filter

from graftbench.cache import cache_folder
from graftbench.images.prepared import load
from graftbench.metrics.variants import factor_kl, modes, pair_labels, variant_pairs, variant_shares
from graftbench.plugins.registry import make_domain
from graftbench.scoring.factor_classifier import factor_classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.estimate import Estimate
    from graftbench.scoring.factor_classifier import FactorClassifier

PAGE = Path(__file__).with_suffix(".md")
STYLES = ("micah", "toon-head", "pixel-art", "open-peeps")
RESOLUTION, N = 32, 600


def main() -> None:
    """Write both tables between their markers."""
    accuracy = ["| style | read (share read rightly) | left out |", "| --- | --- | --- |"]
    failures = [
        "| style | planted failure | shown | modes | of true labels | pairs | factor KL | of true labels |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for style in STYLES:
        name = f"avatars:{style}"
        target = load(make_domain(name), name, RESOLUTION)
        classifier = factor_classifier(target, cache_folder())
        accuracy.append(_accuracy(style, classifier))
        failures += _failures(style, target, classifier)
    fill(PAGE, {"accuracy": "\n".join(accuracy), "failures": "\n".join(failures)})


def planted(target: ImageSet, classifier: FactorClassifier) -> dict[str, NDArray[np.int64]]:
    """Return failure -> positions of the N images that a generator with it would make, all of the validation split."""
    rng = np.random.default_rng(0)
    pool = target.positions("validation")

    # The factor of the most variants that is read, and its commonest variant.
    factor = max(classifier.variants, key=lambda name: len(classifier.variants[name]))
    column = np.array(target.factors[factor])
    common = max(classifier.variants[factor], key=lambda variant: int(np.sum(column[pool] == variant)))
    has = column[pool] == common

    def drawn(positions: NDArray[np.int64], count: int = N) -> NDArray[np.int64]:
        return rng.choice(positions, count, replace=len(positions) < count)

    one, *others = rng.choice(pool, 3, replace=False)
    return {
        "none": drawn(pool),
        f"no {factor} = {common or 'none'}": drawn(pool[~has]),
        f"{factor} = {common or 'none'} alone": drawn(pool[has]),
        "10 % copies of one image": np.concatenate([drawn(pool, N - N // 10), np.repeat(one, N // 10)]),
        "50 % copies of one image": np.concatenate([drawn(pool, N - N // 2), np.repeat(one, N // 2)]),
        "three images alone": np.resize([one, *others], N),
    }


def smeared(target: ImageSet) -> dict[str, NDArray[np.uint8]]:
    """Return failure -> N images that are no avatar any more, or hardly: uint8 N×3×H×W."""
    rng = np.random.default_rng(1)
    real = target.images("validation")[:N].astype(np.float64)
    average = {k: np.mean([real[rng.permutation(len(real))] for _ in range(k)], axis=0) for k in (2, 4)}
    images = {
        "blurred by 3 × 3 pixels": uniform_filter(real, 3, axes=(2, 3)),
        "blurred by 5 × 5 pixels": uniform_filter(real, 5, axes=(2, 3)),
        "averages of two images": average[2],
        "averages of four images": average[4],
        "blank": np.full_like(real, 255),
    }
    return {failure: each.round().astype(np.uint8) for failure, each in images.items()}


def _failures(style: str, target: ImageSet, classifier: FactorClassifier) -> list[str]:
    positions = target.positions("reference")
    reference = classifier.labels(target, positions), classifier.read(_images(target.pixels[positions]))
    rows = []
    for failure, planted_positions in planted(target, classifier).items():
        true = classifier.labels(target, planted_positions)
        known = true[(true >= 0).all(axis=1)]
        of_labels = f"{modes(known, reference[0]).value:.0f}", f"{factor_kl(known, reference[0]).value:.3f}"
        generated = classifier.read(_images(target.pixels[planted_positions]))
        rows.append(_row(style, failure, generated, reference, of_labels))
    for failure, images in smeared(target).items():
        rows.append(_row(style, failure, classifier.read(_images(images)), reference, ("—", "—")))
    return rows


def _images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(pixels))


def _row(
    style: str,
    failure: str,
    generated: NDArray[np.int64],
    reference: tuple[NDArray[np.int64], NDArray[np.int64]],
    of_labels: tuple[str, str],
) -> str:
    """Score labels against the reference's true labels (coverage) and its read ones (frequencies)."""
    true, read = reference
    count, covered = len(variant_shares(generated, true)), variant_pairs(generated, true).value
    of_pairs = "—"  # of one factor
    if covered is not None:
        of_pairs = f"{covered:.0f} of {len(variant_shares(*pair_labels(generated, true)))}"
    return (
        f"| `{style}` | {failure} | {100 * np.mean(generated >= 0):.0f} % | "
        f"{_printed(modes(generated, true), 0)} of {count} | {of_labels[0]} | {of_pairs} | "
        f"{_printed(factor_kl(generated, read), 3)} | {of_labels[1]} |"
    )


def _printed(estimate: Estimate, places: int) -> str:
    assert estimate.value is not None
    assert estimate.interval is not None
    low, high = estimate.interval
    return f"{estimate.value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def _accuracy(style: str, classifier: FactorClassifier) -> str:
    read = ", ".join(f"{name} {share:.3f}" for name, share in classifier.accuracy.items())
    left_out = ", ".join(
        f"{name} {why.removeprefix('read rightly in ').removesuffix(' of held-out images')}"
        for name, why in classifier.left_out.items()
    )
    return f"| `{style}` | {read or 'none'} | {left_out} |"


if __name__ == "__main__":
    main()
