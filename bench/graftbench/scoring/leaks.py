"""Detect generated images that are the very images they are scored against.

Two rules, neither of which looks at features of an extractor:

- **Equal.** A generated image has the pixels of a reference image that is not of one colour. One is enough.
- **Nearly equal.** A generated image is so near to a reference image that no real image outside the reference split is
  within twice that distance of it (`NEAREST`), and no farther than `FARTHEST`. One such image, and fewer than `SHARE`
  of all, may be chance and are noted; more are refused.

The distance is √(2 − 2ρ), ρ the correlation of the pixels of two images, the largest over shifts of up to two pixels
and the mirror image, at 32 px or less: brightness, contrast, small shifts, mirroring and compression change it little.
An image of little contrast is near to nothing. A copy of a training image is no leak: by the triangle inequality an
image that is nearer to a training image than to the reference image is not counted. The metrics of memorisation measure
those. The validation split is no reference and no training data: images equal to real ones outside the data budget are
noted, for whoever may score real images scores as well as they do.

Not all pairs are compared: of 8×8 thumbnails the `CANDIDATES` nearest are, which loses one copy in 150 at most.

Measured on 600 copies each of reference images (fewer where there are fewer), found among them: unchanged, mirrored or
moved by a pixel 99 to 100 % (89 % moved by half a pixel of the 32), brighter by 5 % 98 to 100 %, with noise of 3 levels
88 to 100 %, as JPEG of quality 75 90 % (openmoji), 72 % (photos), 98 % (twemoji at 64 px), 100 % (digits); reduced to
half the side and enlarged again only 10 % of openmoji's. 6 copies among 600 images, as JPEG, are refused in 94 to 100 %
of cases. Of 82,400 images of 20 fits on twemoji->openmoji@32 none was counted; of 36,000 mixtures, halves and moved
copies of training images of four domains none; of 877 real validation images one. docs/bring-samples.md has the tables.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from graftbench.errors import GraftbenchError
from graftbench.images.prepared import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from graftbench.images.prepared import ImageSet

NEAREST = 0.5
"""Share of the distance from a reference image to the nearest real image outside the reference split."""

FARTHEST = 0.4
"""A distance of 0.4 is a correlation of 0.92."""

SHARE = 0.005
"""Share of the generated images that may be near a reference image by chance."""

CANDIDATES = 8
"""Reference images that a generated image is compared with, nearest thumbnails first; and likewise mirrored."""

LEAST_CONTRAST = 8.0
"""Levels of 255 taken for the standard deviation of flatter images: noise is no content."""

_SIDE = 32
_THUMBNAIL = 8
_SHIFT = 2
_AT_ONCE = 64
_NAMED = 3
_FITS = 128
"""So many levels of 255 add up to less than 2¹⁵; 16-bit sums take a third of the time."""


def check_leaks(images: Tensor, target: ImageSet, train: Sequence[int], reference: str) -> list[str]:
    """Refuse images among which are those of the reference split.

    Args:
        images: uint8 n×3×H×W.
        target: The target domain.
        train: Positions of the training images.
        reference: The split that scores are against.

    Returns:
        Sentences for the record: images that are near to reference images by chance, and images of the domain that are
        neither training nor reference images.

    Raises:
        GraftbenchError: Reference images are among them; how many, and which.
    """
    against = target.positions(reference)
    others = np.concatenate([target.positions(split) for split in SPLITS if split != reference])
    pixels = images.numpy()
    equal = _equal(pixels, target, against)
    if equal:
        raise GraftbenchError(_refusal(len(equal), len(pixels), "equal to", [target.ids[i] for i in equal.values()]))
    near = _near_copies(_Sight.of(images.split(_AT_ONCE)), target, against, others)
    ids = [target.ids[against[i]] for i in near.values()]
    if len(near) >= max(2, math.ceil(SHARE * len(pixels))):
        raise GraftbenchError(_refusal(len(near), len(pixels), "nearly equal to", ids))
    notes = []
    if near:
        which = "1 image is" if len(near) == 1 else f"{len(near)} images are"
        notes.append(f"{which} nearly equal to a reference image ({_named(ids)}): so few may be chance.")
    outside = _equal(pixels, target, np.setdiff1d(others, np.asarray(train, dtype=np.int64)))
    if outside:
        names, count = _named([target.ids[i] for i in outside.values()]), f"{len(outside)} of the {len(pixels)}"
        notes.append(f"{count} images are real images of the domain outside the data budget ({names}).")
    return notes


def _refusal(count: int, total: int, how: str, ids: Sequence[str]) -> str:
    return (
        f"{count} of the {total} images are {how} images of the reference split, which they would be scored against "
        f"({_named(ids)}). Nothing was scored: a generator must not have seen these images."
    )


def _named(ids: Sequence[str]) -> str:
    """Write up to three ids, each once."""
    distinct = list(dict.fromkeys(ids))
    return ", ".join(distinct[:_NAMED]) + (", …" if len(distinct) > _NAMED else "")


def _in_parts(target: ImageSet, positions: np.ndarray) -> Iterator[Tensor]:
    """Yield the images at some positions of a domain, few at once: it may be larger than the memory."""
    parts = (positions[start : start + _AT_ONCE] for start in range(0, len(positions), _AT_ONCE))
    return (torch.from_numpy(np.array(target.pixels[part])) for part in parts)


# ---------------------------------------------------------------------------------------------------------- equal


def _equal(pixels: np.ndarray, target: ImageSet, positions: np.ndarray) -> dict[int, int]:
    """Return image -> position in the domain of one of equal pixels among `positions`, but for images of one colour."""
    position_of = {_digest(target.pixels[i]): int(i) for i in positions if _has_content(target.pixels[i])}
    matches = ((n, position_of.get(_digest(image))) for n, image in enumerate(pixels))
    return {n: position for n, position in matches if position is not None}


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


def _has_content(image: np.ndarray) -> bool:
    return bool((image != image[:, :1, :1]).any())


# ----------------------------------------------------------------------------------------------------- nearly equal


def _near_copies(images: _Sight, target: ImageSet, reference: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """Return image -> which of the reference images it is nearly equal to, by the second rule of this file.

    Args:
        images: Generated ones.
        target: The domain.
        reference: Positions in it of the images that must not be among them.
        others: Positions of the real images beside those.
    """
    if not len(reference):
        return {}
    seen = _Sight.of(_in_parts(target, reference))
    distances, nearest = _nearest(images, seen)
    suspects = torch.nonzero(distances <= FARTHEST).flatten()
    pairs = list(zip(suspects.tolist(), nearest[suspects].tolist(), strict=True))
    if not pairs or not len(others):
        return dict(pairs)
    copied_images = nearest[suspects].unique()
    real, _ = _nearest(seen.at(copied_images), _Sight.of(_in_parts(target, others)))
    limit = dict(zip(copied_images.tolist(), (NEAREST * real).tolist(), strict=True))
    return {image: copied for image, copied in pairs if float(distances[image]) <= limit[copied]}


@dataclass(frozen=True)
class _Sight:
    """Images as they are compared.

    Attributes:
        small: At 32 px or less: float32 n×3×s×s.
        thumbnails: Of length 1, 8×8 pixels: n×192.
        mirrored: Those of the mirror images.
    """

    small: Tensor
    thumbnails: Tensor
    mirrored: Tensor

    @classmethod
    def of(cls, parts: Iterable[Tensor]) -> _Sight:
        """Make it of images in parts, uint8 n×3×H×W."""
        small = torch.cat([_reduced(part) for part in parts])
        coarse = functional.adaptive_avg_pool2d(small, min(_THUMBNAIL, small.shape[-1]))
        return cls(small, _direction(coarse.flatten(1)), _direction(coarse.flip(-1).flatten(1)))

    def at(self, positions: Tensor) -> _Sight:
        """Return the same of some of the images, by their positions."""
        return _Sight(self.small[positions], self.thumbnails[positions], self.mirrored[positions])


def _reduced(images: Tensor) -> Tensor:
    """Average over whole pixels to 32 px; leave smaller images as they are: float32 n×3×s×s, s a power of two."""
    side = min(_SIDE, images.shape[-1])
    times = images.shape[-1] // side
    rows = images.unflatten(2, (side, times)).sum(dim=3, dtype=torch.int16 if times <= _FITS else torch.int32)
    return rows.unflatten(3, (side, times)).sum(dim=4, dtype=torch.int32).float() / times**2


def _direction(pixels: Tensor) -> Tensor:
    """Return rows without their mean, of length 1; shorter where the image has little contrast."""
    centred = pixels - pixels.mean(dim=-1, keepdim=True)
    least = LEAST_CONTRAST * math.sqrt(pixels.shape[-1])
    return centred / centred.norm(dim=-1, keepdim=True).clamp_min(least)


def _nearest(images: _Sight, among: _Sight) -> tuple[Tensor, Tensor]:
    """Return the distance of each image to the nearest of others, and which that is, among its candidates."""
    shift = _SHIFT if images.small.shape[-1] >= _SIDE else 1
    cores = torch.stack([_core(among.small, shift), _core(among.small.flip(-1), shift)])
    distances, nearest = [], []
    for at in range(0, len(images.small), _AT_ONCE):
        candidates = torch.stack([  # mirror images of the generated ones are compared as mirror images of the others
            (thumbnails[at : at + _AT_ONCE] @ among.thumbnails.T).topk(min(CANDIDATES, len(among.small)), dim=1).indices
            for thumbnails in (images.thumbnails, images.mirrored)
        ])  # fmt: skip
        compared = torch.cat([cores[0, candidates[0]], cores[1, candidates[1]]], dim=1)
        correlations, which = _correlations(images.small[at : at + _AT_ONCE], compared, shift).max(dim=1)
        distances.append((2 - 2 * correlations).clamp_min(0).sqrt())
        nearest.append(torch.cat([*candidates], dim=1).gather(1, which[:, None]).flatten())
    return torch.cat(distances), torch.cat(nearest)


def _core(small: Tensor, shift: int) -> Tensor:
    """Return what of each image is left in view by every shift, of length 1: n×d."""
    side = small.shape[-1]
    return _direction(small[:, :, shift : side - shift, shift : side - shift].flatten(1))


def _correlations(small: Tensor, cores: Tensor, shift: int) -> Tensor:
    """Return the largest correlation over shifts of each of n images with each of its own c cores: n×c.

    Args:
        small: n×3×s×s.
        cores: n×c×d.
        shift: By how many pixels at most.
    """
    centred = small - small.mean(dim=(1, 2, 3), keepdim=True)  # else the squares below lose digits
    side = small.shape[-1] - 2 * shift
    windows = centred.unfold(2, side, 1).unfold(3, side, 1)  # n×3×shifts×shifts×side×side
    windows = windows.permute(0, 2, 3, 1, 4, 5).reshape(len(small), (2 * shift + 1) ** 2, -1)
    products = windows @ cores.mT  # a core has mean 0, so the windows need not
    size = windows.shape[-1]
    spread = windows.square().sum(dim=-1) - windows.sum(dim=-1).square() / size
    norms = spread.clamp_min(size * LEAST_CONTRAST**2).sqrt()
    return (products / norms[..., None]).amax(dim=1)
