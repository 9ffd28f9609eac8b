"""Write the tables of docs/metrics.md that say from which share of copies on scores tell them, and what smears read.

    python docs/copies.py

Takes three minutes. Avatars (`toon-head`, 32 px): real images that were not trained on, of which a share is replaced by
copies. A share is told where the score is 1.645 standard deviations of 20 clean sets worse than their mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from page_parts import fill
from PIL import Image
from scipy.ndimage import gaussian_filter

from graftbench.cache import cache_folder
from graftbench.images.prepared import load
from graftbench.images.sources import open_images
from graftbench.metrics.copying import copy_distances, copy_threshold, share_of_copies
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.plugins import registry
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.features import FeatureReader
from graftbench.scoring.protocol import resolve_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Rows = NDArray[np.intp]

PAGE = Path(__file__).parent / "metrics.md"
DOMAIN = "avatars:toon-head"
N_GENERATED, N_REFERENCE, CLEAN, DRAWS = 300, 600, 20, 8
SHARES = (0.01, 0.05, 0.1, 0.5)
WORSE = {"copies": 1, "authpct": -1, "copying_z": -1, "mifid": 1, "train_distance_ratio": -1}
"""Score -> +1 where copies make it higher, -1 where lower."""
LABELS = {"copies": "copies", "authpct": "AuthPct", "copying_z": "C_T", "mifid": "MiFID"}
LABELS["train_distance_ratio"] = "train distance"
NEEDED = 0.8
INTERVAL_SIZES, INTERVALS = (50, 200, 600), 5000
SMEARED_DOMAINS, SMEARED_TRAIN, SMEARED_DRAWS, N_SMEARED = ("avatars:toon-head", "openmoji"), (25, 100), 4, 150


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Take 1 to 3 pixels off each length, anywhere."""
    side = image.width - int(rng.integers(1, 4))
    left, top = rng.integers(0, image.width - side + 1, 2).tolist()
    return image.crop((left, top, left + side, top + side)).resize(image.size, Image.Resampling.LANCZOS)


def recoloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turn all hues by an angle from a sixteenth of the circle on."""
    by = int(rng.integers(16, 240))
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + by) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


KINDS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "plain": lambda image, _: image,
    "cropped by 1 to 3 px": cropped,
    "mirrored": lambda image, _: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "recoloured": recoloured,
}


def blurred(images: Pixels, pixels: float) -> Pixels:
    """Blur by a Gaussian."""
    return gaussian_filter(images.astype(np.float64), (0, 0, pixels, pixels), mode="nearest").round().astype(np.uint8)


def softened(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Crop, blur by 0.7 pixel and take a fifth of the contrast, as a decoder's copy."""
    soft = blurred(np.stack([_array(cropped(_image(image), rng)) for image in images]), 0.7)
    means = soft.mean(axis=(1, 2, 3), keepdims=True)
    return (means + 0.8 * (soft - means)).round().astype(np.uint8)


def averaged(images: Pixels, of: int, rng: np.random.Generator) -> Pixels:
    """Average images, each N_SMEARED times with others, with random weights."""
    rows, weights = rng.integers(0, len(images), (N_SMEARED, of)), rng.dirichlet(np.full(of, 8.0), N_SMEARED)
    parts = (weights[:, i, None, None, None] * images[rows[:, i]] for i in range(of))
    return sum(parts, np.zeros((1, 1, 1, 1))).round().astype(np.uint8)


def greyed(images: Pixels) -> Pixels:
    """Take the colours away."""
    return np.stack([_array(_image(image).convert("L").convert("RGB")) for image in images])


def turned(images: Pixels, degrees: float) -> Pixels:
    """Turn about the middle; the corners get the colour of the upper left one."""
    bicubic = Image.Resampling.BICUBIC
    pictures = (_image(image) for image in images)
    return np.stack([_array(p.rotate(degrees, bicubic, fillcolor=p.getpixel((0, 0)))) for p in pictures])


SMEARS: dict[str, Callable[[Pixels, Pixels, np.random.Generator], Pixels]] = {
    "copies, cropped and softened": lambda train, _, rng: softened(train, rng),
    "copies, blurred by 1 px": lambda train, *_: blurred(train, 1.0),
    "copies, blurred by 1.5 px": lambda train, *_: blurred(train, 1.5),
    "copies, blurred by 3 px": lambda train, *_: blurred(train, 3.0),
    "copies, grey": lambda train, *_: greyed(train),
    "copies, turned by 2°": lambda train, *_: turned(train, 2.0),
    "copies, turned by 5°": lambda train, *_: turned(train, 5.0),
    "copies, turned by 10°": lambda train, *_: turned(train, 10.0),
    "averages of 2 training images": lambda train, _, rng: averaged(train, 2, rng),
    "averages of 4 training images": lambda train, _, rng: averaged(train, 4, rng),
    "averages of 8 training images": lambda train, _, rng: averaged(train, 8, rng),
    "averages of 6 training images, blurred by 1 px": lambda train, _, rng: blurred(averaged(train, 6, rng), 1.0),
    "new images, as they are": lambda _, new, __: new,
    "new images, blurred by 1.5 px": lambda _, new, __: blurred(new, 1.5),
    "new images, blurred by 3 px": lambda _, new, __: blurred(new, 3.0),
    "averages of 8 new images": lambda _, new, rng: averaged(new, 8, rng),
}
"""Images -> how they are made of training and of new images; the upper ones are copies, the lower ones are smears."""


def smears() -> list[str]:
    """Return a table: the share of copies that sets of soft copies and of smears read, of several training sets."""
    columns = [(domain, n) for domain in SMEARED_DOMAINS for n in SMEARED_TRAIN]
    read = {
        column: np.mean([smear_shares(*column, seed) for seed in range(SMEARED_DRAWS)], axis=0) for column in columns
    }
    lines = [
        f"| images | {' | '.join(f'`{domain}`, {n}' for domain, n in columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for row, kind in enumerate(SMEARS):
        lines.append(f"| {kind} | {' | '.join(f'{100 * read[column][row]:.1f}' for column in columns)} |")
    return lines


def smear_shares(name: str, n_train: int, seed: int) -> list[float]:
    """Return the share of copies that each kind of smears reads, against one set of training images."""
    domain, rng = load(registry.make_domain(name, ()), name, 32), np.random.default_rng(seed)
    sizes = {"train": n_train, "validation": N_SMEARED, "reference": N_REFERENCE}  # splits part near-duplicates
    drawn = (domain.pixels[rng.permutation(domain.positions(split))[:size]] for split, size in sizes.items())
    train, new, reference = drawn
    threshold, rank = copy_threshold(copy_distances(reference, train))
    shares = []
    for make in SMEARS.values():
        made = make(train, new, rng)
        near = int((copy_distances(made, train) < threshold).sum())
        shares.append(share_of_copies(near, len(made), rank, len(reference))[0])
    return shares


def changed(images: Pixels, kind: str) -> Pixels:
    """Make a copy of each image."""
    rng, change = np.random.default_rng(0), KINDS[kind]
    return np.stack([_array(change(_image(image), rng)) for image in images])


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels.transpose(1, 2, 0))


def _array(image: Image.Image) -> Pixels:
    return np.asarray(image).transpose(2, 0, 1)


class Trial:
    """Sets of images with a share of copies, for one set of training images.

    Args:
        pixels: Of all images of the domain.
        reader: Of the protocol.
        train: Positions of the training images.
        reference: Of the reference images.
        new: Of other real images.
    """

    def __init__(self, pixels: Pixels, reader: FeatureReader, train: Rows, reference: Rows, new: Rows) -> None:
        of = lambda images: reader.cached(open_images(images))  # noqa: E731 - five times
        self.train, self.reference, self.new = of(pixels[train]), of(pixels[reference]), of(pixels[new])
        made = {kind: changed(pixels[np.unique(train)], kind) for kind in KINDS}
        self.copied = {kind: of(images) for kind, images in made.items()}
        seen = pixels[train]
        self.threshold, self.rank = copy_threshold(copy_distances(pixels[reference], seen))
        self.distances = {kind: copy_distances(images, seen) for kind, images in made.items()}
        self.distances["new"] = copy_distances(pixels[new], seen)

    def values(self, kind: str, share: float, draw: int) -> dict[str, float]:
        """Return score -> value of a set with a share of copies."""
        rng = np.random.default_rng((list(KINDS).index(kind), round(1000 * share), draw))
        n_copies = round(share * N_GENERATED)
        real = rng.choice(len(self.new), N_GENERATED - n_copies, replace=False)
        rows = rng.integers(0, len(self.copied[kind]), n_copies)
        parts = (self.new.rows(real), self.copied[kind].rows(rows))
        made = Features(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("pooled", "logits")))
        others = [name for name in WORSE if name != "copies"]
        scores = evaluate_features(made, self.reference, metrics=others, train=self.train, intervals=False)
        near = np.concatenate((self.distances["new"][real], self.distances[kind][rows])) < self.threshold
        value, _, _ = share_of_copies(int(near.sum()), N_GENERATED, self.rank, N_REFERENCE)
        return {"copies": value} | {score.name: np.nan if score.value is None else score.value for score in scores}


def row(trial: Trial, kind: str, clean: dict[str, NDArray[np.float64]]) -> tuple[list[str], list[float]]:
    """Return the smallest told share of each score, and the mean of `copies` at each share."""
    told: dict[str, list[float]] = {name: [] for name in WORSE}
    read = []
    for share in SHARES:
        drawn = [trial.values(kind, share, draw) for draw in range(DRAWS)]
        read.append(float(np.mean([values["copies"] for values in drawn])))
        for name, sign in WORSE.items():
            z = np.array([sign * (values[name] - clean[name].mean()) for values in drawn])
            told[name].append(float((z > 1.645 * clean[name].std(ddof=1)).mean()))
    return [smallest(told[name]) for name in WORSE], read


def intervals() -> list[str]:
    """Return a table: how often the interval holds the true share, where copies are nearer than all real images.

    Distances of new and of held-out images are then of one distribution, and which one it is makes no difference.
    """
    lines = [
        f"| share | {' | '.join(f'{n} images' for n in INTERVAL_SIZES)} |",
        "| --- |" + " --- |" * len(INTERVAL_SIZES),
    ]
    for share in (0.0, *SHARES):
        held = (100 * covered(share, n) for n in INTERVAL_SIZES)
        lines.append(f"| {100 * share:g} % | {' | '.join(f'{part:.1f}' for part in held)} |")
    return lines


def covered(share: float, n: int) -> float:
    """Return the part of intervals that hold the share, of n generated against n held-out images."""
    rng = np.random.default_rng((n, round(1000 * share)))
    held = 0
    for _ in range(INTERVALS):
        threshold, rank = copy_threshold(rng.random(n))
        near = (rng.random(n) < threshold) | (rng.random(n) < share)
        low, high = share_of_copies(int(near.sum()), n, rank, n)[2]
        held += low <= share <= high
    return held / INTERVALS


def smallest(told: list[float]) -> str:
    """Return the smallest share from which on all are told, `–` if none is."""
    enough = [all(part >= NEEDED for part in told[i:]) for i in range(len(SHARES))]
    return f"{100 * SHARES[enough.index(True)]:g} %" if any(enough) else "–"


def main() -> None:
    """Write the table between its markers."""
    domain = load(registry.make_domain(DOMAIN, ()), DOMAIN, 32)
    reader = FeatureReader(resolve_protocol(Protocol(size=96)), cache_folder())
    order = np.random.default_rng(0).permutation(len(domain.ids))
    reference, new, rest = np.split(order, [N_REFERENCE, N_REFERENCE + 1000])
    sets = {str(n): rest[:n] for n in (25, 100, 400)} | {"100, all twice": np.repeat(rest[:100], 2)}
    labels = " | ".join(LABELS[name] for name in WORSE)
    lines = [
        f"| training images | kind | {labels} | `copies` reads at 1, 5, 10, 50 % |",
        "| --- | --- |" + " --- |" * (len(WORSE) + 1),
    ]
    pixels = np.asarray(domain.pixels)
    false = []
    for name, train in sets.items():
        trial = Trial(pixels, reader, train, reference, new)
        drawn = [trial.values("plain", 0.0, draw) for draw in range(CLEAN)]
        clean = {score: np.array([values[score] for values in drawn]) for score in WORSE}
        false.append(f"{100 * clean['copies'].mean():.1f} % ({name})")
        for kind in KINDS:
            told, read = row(trial, kind, clean)
            shares = ", ".join(f"{100 * share:.1f}" for share in read)
            lines.append(f"| {name} | {kind} | {' | '.join(told)} | {shares} |")
    lines += ["", f"Without copies `copies` reads, on average, {', '.join(false)}.", ""]
    lines += [
        f"Percentages of {INTERVALS:,} intervals that hold the true share, as many generated as reference images:",
        "",
    ]
    fill(PAGE, {"copies": "\n".join([*lines, *intervals()]), "smears": "\n".join(smears())})


if __name__ == "__main__":
    main()
