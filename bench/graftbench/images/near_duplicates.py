"""Images that show the same thing twice: found by a perceptual hash, confirmed on coarse thumbnails.

The hash has a bit for each of 8×8 neighbours in a grid of 8×9 cells: whether the brightness rises by more than one
level of 255 from left to right (the difference hash of N. Krawetz, "Kind of Like That", 2013, with a dead zone: without
it the sign of the noise in flat areas is half of the hash). Pairs whose hashes differ in at most `BITS` places are
candidates. A candidate counts where the mean absolute difference of the 16×16 thumbnails is below `SHARE` of their
contrast (the mean absolute deviation from each channel's mean, the larger of both images, at least `LEAST_CONTRAST`).

Not all pairs are compared. Of hashes cut into four bands, two that differ in at most seven places have a band in which
they differ in at most one (two in each would be eight), so each band is looked up as it is and with each of its sixteen
bits turned. Sums are of whole numbers throughout: every machine finds the same pairs.

Pairs alone make no groups: where pictures are aligned (faces, drawings after one template) each is near to some others,
and those to others again, until half of the set hangs together. So the nearest pairs are joined first, and two groups
only if at least `LINKED` of the pairs between them are near. Of three pictures in a row, A near to B and B near to C,
two are joined. Flat pictures, which have no content to tell them apart, are joined by a single pair.

docs/data-preparation.md has what was measured: which changes are found, and how many distinct images are joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VERSION = 2
"""Raised when other groups are made: prepared images of domains without curated groups are then made again."""

BITS = 7
"""Places of 64 in which two hashes may differ; the lookup finds no more surely."""

SHARE = 0.15
"""Largest difference of two near-duplicates' thumbnails, as a share of their contrast."""

LEAST_CONTRAST = 10
"""Levels of 255 taken for the contrast of flatter images: noise is no content."""

LINKED = 0.6
"""Share of the pairs between two groups that are near where the groups are joined: 1 would be complete linkage, which
loses copies of a picture whenever one pair of them is missed; any single pair was enough in version 1."""

MOST_PARTNERS = 128
"""Candidates looked at per image, band and turned bit: those nearest in brightness. More are there only where many
images have one hash (blank ones), and those are then joined through their neighbours."""

_SIDE = 16
_COLUMNS = 9
_DEAD_ZONE = 1
_GREY = np.array([299, 587, 114])
"""Thousandths of red, green and blue in the brightness (ITU-R BT.601)."""

_BANDS, _BAND_BITS = 4, 16
_CHUNK = 4096


class Sketch(NamedTuple):
    """The hash and the thumbnail by which an image is compared.

    Attributes:
        hash: 64 bits.
        thumbnail: uint8 3·16·16, the means over cells of whole pixels, rounded.
    """

    hash: int
    thumbnail: NDArray[np.uint8]


def sketch(image: NDArray[np.uint8]) -> Sketch:
    """Return hash and thumbnail of an image, uint8 3×R×R."""
    side = image.shape[-1]
    if side < _SIDE:
        times = -(-_SIDE // side)
        return sketch(image.repeat(times, axis=1).repeat(times, axis=2))
    sixteenths, ninths = _edges(side, _SIDE), _edges(side, _COLUMNS)
    rows = np.add.reduceat(image, sixteenths, axis=1, dtype=np.int64)
    cells = np.add.reduceat(rows, sixteenths, axis=2)
    area = np.outer(np.diff(sixteenths, append=side), np.diff(sixteenths, append=side))
    thumbnail = ((2 * cells + area) // (2 * area)).astype(np.uint8)
    grey = np.tensordot(_GREY, rows[:, ::2] + rows[:, 1::2], 1)
    heights, widths = np.diff(sixteenths[::2], append=side), np.diff(ninths, append=side)
    means = np.add.reduceat(grey, ninths, axis=1) / np.outer(heights, widths)
    rises = means[:, 1:] - means[:, :-1] > _DEAD_ZONE * _GREY.sum()
    # Each band has every fourth place: blank upper rows, which many images share, must not fill a band alone.
    return Sketch(int.from_bytes(np.packbits(rises.reshape(-1, _BANDS).T).tobytes(), "big"), thumbnail.ravel())


def _edges(side: int, parts: int) -> NDArray[np.int64]:
    """Return where each of `parts` parts of a side begins, to whole pixels."""
    return np.arange(parts) * side // parts


def pairs(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the images that are nearly the same.

    Args:
        hashes: N.
        thumbnails: N×768.

    Returns:
        P×2 positions, the smaller first, each pair once, in order.
    """
    return _near_pairs(hashes, thumbnails).positions


class _NearPairs(NamedTuple):
    """Pairs that are nearly the same, the smaller position first, in order.

    Attributes:
        positions: int64 P×2.
        distances: Their thumbnails' mean absolute difference over the larger contrast, float64 P.
        flat: Whether both images are flatter than `LEAST_CONTRAST`, bool P.
    """

    positions: NDArray[np.int64]
    distances: NDArray[np.float64]
    flat: NDArray[np.bool_]


def _near_pairs(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> _NearPairs:
    codes = [np.zeros(0, np.int64)]
    codes += [one * len(hashes) + other for one, other in _candidates(hashes, thumbnails)]
    one, other = np.divmod(np.unique(np.concatenate(codes)), max(len(hashes), 1))
    contrasts = _contrasts(thumbnails)
    distances = np.concatenate(
        [np.zeros(0), *(_distances(thumbnails, contrasts, one[at], other[at]) for at in _chunks(len(one)))]
    )
    near = distances < SHARE
    one, other = one[near], other[near]
    flat = np.maximum(contrasts[one], contrasts[other]) <= LEAST_CONTRAST
    return _NearPairs(np.stack([one, other], axis=1), distances[near], flat)


def grouped(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Join images that are nearly the same into groups that do not chain, the nearest first.

    Args:
        hashes: N.
        thumbnails: N×768.

    Returns:
        For each image that is joined with others and is not the first of its group: the first's position and its own.
    """
    near = _near_pairs(hashes, thumbnails)
    order = np.lexsort((near.distances, ~near.flat))
    groups = _Groups(len(hashes), near.positions)
    for (one, other), flat in zip(near.positions[order].tolist(), near.flat[order].tolist(), strict=True):
        groups.join(one, other, least=0.0 if flat else LINKED)
    return groups.members()


class _Groups:
    """Groups of images, joined two by two, that know how many near pairs lie between any two of them."""

    def __init__(self, count: int, pairs: NDArray[np.int64]) -> None:
        self._parent = list(range(count))
        self._size = [1] * count
        self._links: dict[int, dict[int, int]] = {}
        for one, other in pairs.tolist():
            self._links.setdefault(one, {})[other] = 1
            self._links.setdefault(other, {})[one] = 1

    def _root(self, image: int) -> int:
        parent = self._parent
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    def join(self, one: int, other: int, *, least: float) -> None:
        """Join the groups of two images if at least this share of the pairs between the groups is near."""
        one, other = self._root(one), self._root(other)
        if one == other or self._links[one].get(other, 0) < least * self._size[one] * self._size[other]:
            return
        # The group with fewer neighbours hands its own to the other.
        if len(self._links[one]) < len(self._links[other]):
            one, other = other, one
        self._parent[other] = one
        self._size[one] += self._size[other]
        merged = self._links[one]
        for neighbour, links in self._links.pop(other).items():
            del self._links[neighbour][other]
            if neighbour != one:
                merged[neighbour] = self._links[neighbour][one] = merged.get(neighbour, 0) + links

    def members(self) -> list[tuple[int, int]]:
        """Return the first image and another one of its group, for each image that is not the first."""
        first: dict[int, int] = {}
        pairs = ((first.setdefault(self._root(image), image), image) for image in range(len(self._parent)))
        return [(leader, image) for leader, image in pairs if leader != image]


def _candidates(
    hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of images, the smaller first, whose hashes differ in at most `BITS` places; some more than once."""
    brightness = thumbnails.astype(np.uint64).sum(axis=1) // np.uint64(4)  # at most 48,960: 16 bits
    for band in range(_BANDS):
        values = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64(0xFFFF)
        keys = (values << np.uint64(16)) | brightness
        order = np.argsort(keys, kind="stable")
        for turned in (0, *(1 << bit for bit in range(_BAND_BITS))):
            for at in _chunks(len(hashes)):
                one, other = _partners(keys[order], values[at] ^ np.uint64(turned), brightness[at])
                one, other = one + at.start, order[other]
                near = (one != other) & (np.bitwise_count(hashes[one] ^ hashes[other]) <= BITS)
                yield np.minimum(one, other)[near], np.maximum(one, other)[near]


def _partners(
    keys: NDArray[np.uint64], values: NDArray[np.uint64], brightness: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return query and index of every key with the query's value, of those nearest in brightness; keys are sorted."""
    lowest = values << np.uint64(16)
    first = np.searchsorted(keys, lowest)
    last = np.searchsorted(keys, lowest | np.uint64(0xFFFF), side="right")
    middle = np.searchsorted(keys, lowest | brightness)
    first = np.maximum(first, np.minimum(middle, last) - MOST_PARTNERS // 2)
    last = np.minimum(last, first + MOST_PARTNERS)
    counts = last - first
    query = np.repeat(np.arange(len(values)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    return query, first[query] + within


def _distances(
    thumbnails: NDArray[np.uint8], contrasts: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean absolute difference of the thumbnails of pairs, in shares of the larger contrast."""
    differences = np.abs(thumbnails[one].astype(np.int16) - thumbnails[other]).sum(axis=1, dtype=np.int64)
    return differences / (thumbnails.shape[1] * np.maximum(contrasts[one], contrasts[other]))


def _contrasts(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean absolute deviation from each channel's mean, in levels, at least `LEAST_CONTRAST`: N."""
    cells = _SIDE * _SIDE
    contrasts = [np.zeros(0)]
    for at in _chunks(len(thumbnails)):
        channels = thumbnails[at].reshape(-1, 3, cells).astype(np.int32)
        deviations = np.abs(channels * cells - channels.sum(axis=2, keepdims=True, dtype=np.int32))
        contrasts.append(deviations.sum(axis=(1, 2), dtype=np.int64) / (3 * cells * cells))
    return np.maximum(np.concatenate(contrasts), LEAST_CONTRAST)


def _chunks(count: int) -> Iterator[slice]:
    """Return slices that cover `count` positions, so that no step needs memory for all of them."""
    return (slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
