"""Whether generated images hold the very images that they are scored against.

Two rules, neither of which looks at features of the extractor:

- **Equal.** A generated image has the pixels of a reference image that is not of one colour. One is enough.
- **Nearly equal.** A generated image is as near to a reference image as no real image outside the reference split is,
  by a factor: its distance is at most `NEAREST` of that of the nearest real one, and at most `FARTHEST` at all. Fewer
  than `SHARE` of the images (and fewer than two) are chance, and are noted; more are refused.

The distance is √(2 − 2ρ), ρ the correlation of the pixels of both, the largest over shifts by up to two pixels and the
mirror image, at 32 px or less: brightness, contrast, small shifts, mirroring and compression hardly change it. An image
of little contrast is near to nothing. A copy of a training image is no leak: by the triangle inequality an image that
is nearer to a training image than to the reference image is never counted. The memorisation metrics measure those.

Not all pairs are compared: of 8×8 thumbnails the `CANDIDATES` nearest are, which lost one copy in 300 at most.

Measured (docs/bring-samples.md has the tables): see there for which changes of a copy are found, and how many images
of honest generators are counted.
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
from graftbench.imageset import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from graftbench.imageset import ImageSet

NEAREST = 0.5
"""Share of the distance from a reference image to the nearest real image outside the reference split."""

FARTHEST = 0.4
"""A distance of 0.4 is a correlation of 0.92."""

SHARE = 0.005
"""Of the generated images: so many near ones are chance."""

CANDIDATES = 8
"""Reference images that a generated image is compared with, nearest thumbnails first; and likewise mirrored."""

LEAST_CONTRAST = 8.0
"""Levels of 255 taken for the standard deviation of flatter images: noise is no content."""

_SIDE = 32
_THUMBNAIL = 8
_SHIFT = 2
_CHUNK = 1024
_NAMED = 3


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
    near = near_copies(images, _at(target, against), _at(target, others))
    ids = [target.ids[against[i]] for i in near.values()]
    if len(near) >= max(2, math.ceil(SHARE * len(pixels))):
        raise GraftbenchError(_refusal(len(near), len(pixels), "nearly equal to", ids))
    notes = []
    if near:
        which = "1 image is" if len(near) == 1 else f"{len(near)} images are"
        notes.append(f"{which} nearly equal to a reference image ({_named(ids)}): so few may be chance.")
    outside = _equal(pixels, target, np.setdiff1d(others, np.asarray(train, dtype=np.int64)))
    if outside:
        known = _named([target.ids[i] for i in outside.values()])
        notes.append(
            f"{len(outside)} of the {len(pixels)} images are real images of the domain outside the data budget ({known})."
        )
    return notes


def _refusal(count: int, total: int, how: str, ids: Sequence[str]) -> str:
    return (
        f"{count} of the {total} images are {how} images of the reference split, which they would be scored against "
        f"({_named(ids)}). Nothing was scored: a generator must not have seen these images."
    )


def _named(ids: Sequence[str]) -> str:
    """Up to three ids, each once."""
    distinct = list(dict.fromkeys(ids))
    return ", ".join(distinct[:_NAMED]) + (", …" if len(distinct) > _NAMED else "")


def _at(target: ImageSet, positions: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(target.pixels[positions]))


# ---------------------------------------------------------------------------------------------------------- equal


def _equal(pixels: np.ndarray, target: ImageSet, positions: np.ndarray) -> dict[int, int]:
    """Image -> position in the domain of one of equal pixels among `positions`; images of one colour left out."""
    known = {_digest(target.pixels[i]): int(i) for i in positions if _has_content(target.pixels[i])}
    found = ((n, known.get(_digest(image))) for n, image in enumerate(pixels))
    return {n: position for n, position in found if position is not None}


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


def _has_content(image: np.ndarray) -> bool:
    return bool((image != image[:, :1, :1]).any())


# ----------------------------------------------------------------------------------------------------- nearly equal


def near_copies(images: Tensor, reference: Tensor, others: Tensor) -> dict[int, int]:
    """Image -> reference image that it is nearly equal to, by the second rule of this file.

    Args:
        images: Generated ones, uint8 n×3×H×W.
        reference: uint8 m×3×H×W.
        others: Real images outside the reference split, uint8 k×3×H×W.
    """
    if not len(reference):
        return {}
    distances, nearest = _nearest(_Sight.of(images), _Sight.of(reference))
    suspects = torch.nonzero(distances <= FARTHEST).flatten()
    if not len(suspects) or not len(others):
        return dict(zip(suspects.tolist(), nearest[suspects].tolist(), strict=True))
    asked = nearest[suspects].unique()
    real, _ = _nearest(_Sight.of(reference[asked]), _Sight.of(others))
    limit = dict(zip(asked.tolist(), (NEAREST * real).tolist(), strict=True))
    pairs = zip(suspects.tolist(), nearest[suspects].tolist(), distances[suspects].tolist(), strict=True)
    return {image: copied for image, copied, distance in pairs if distance <= limit[copied]}


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
    def of(cls, images: Tensor) -> _Sight:
        side = min(_SIDE, images.shape[-1])
        small = torch.cat([functional.adaptive_avg_pool2d(part.float(), side) for part in images.split(_CHUNK)])
        coarse = functional.adaptive_avg_pool2d(small, min(_THUMBNAIL, side))
        return cls(small, _direction(coarse.flatten(1)), _direction(coarse.flip(-1).flatten(1)))


def _direction(pixels: Tensor) -> Tensor:
    """Rows without their mean, of length 1; shorter where the image has little contrast."""
    centred = pixels - pixels.mean(dim=-1, keepdim=True)
    least = LEAST_CONTRAST * math.sqrt(pixels.shape[-1])
    return centred / centred.norm(dim=-1, keepdim=True).clamp_min(least)


def _nearest(images: _Sight, among: _Sight) -> tuple[Tensor, Tensor]:
    """Distance of each image to the nearest of others, and which that is, among its candidates."""
    shift = _SHIFT if images.small.shape[-1] >= _SIDE else 1
    cores = _direction(_window(among.small, shift, 0, 0).flatten(1))
    distances, nearest = [], []
    for at in _chunks(len(images.small)):
        candidates = _candidates(images, among, at)
        best = torch.stack([_correlations(v, cores, candidates) for v in _views(images.small[at], shift)]).amax(0)
        found, which = best.max(dim=1)
        distances.append((2 - 2 * found).clamp_min(0).sqrt())
        nearest.append(candidates.gather(1, which[:, None]).flatten())
    return torch.cat(distances), torch.cat(nearest)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def _candidates(images: _Sight, among: _Sight, at: slice) -> Tensor:
    """Whose thumbnails are nearest, as they are or mirrored: n×c."""
    k = min(CANDIDATES, len(among.small))
    plain = (images.thumbnails[at] @ among.thumbnails.T).topk(k, dim=1).indices
    mirrored = (images.mirrored[at] @ among.thumbnails.T).topk(k, dim=1).indices
    return torch.cat([plain, mirrored], dim=1)


def _views(small: Tensor, shift: int) -> Iterator[Tensor]:
    """The images shifted and mirrored, each in a window that all shifts stay in: n×d, of length 1."""
    shifts = range(-shift, shift + 1)
    for images in (small, small.flip(-1)):
        for down in shifts:
            for right in shifts:
                yield _direction(_window(images, shift, down, right).flatten(1))


def _window(images: Tensor, margin: int, down: int, right: int) -> Tensor:
    side = images.shape[-1] - 2 * margin
    return images[:, :, margin + down : margin + down + side, margin + right : margin + right + side]


def _correlations(views: Tensor, cores: Tensor, candidates: Tensor) -> Tensor:
    """n×c."""
    return torch.einsum("nd,ncd->nc", views, cores[candidates])
