"""A domain decoded at one resolution: ids, splits and pixels, cached on disk, known by a manifest hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from graftbench.cache import locked, new_file
from graftbench.errors import GraftbenchError, unknown
from graftbench.record import content_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.contracts import Domain, DomainImages

Split = Literal["train", "validation", "reference"]

FORMAT = 1
"""Raised when the cached form or the split rule changes."""

BOUNDS: tuple[tuple[Split, float], ...] = (("train", 0.5), ("validation", 0.65), ("reference", 1.0))
"""Upper ends of the three splits in the space of hashes."""


def split_of(group: str) -> Split:
    """The split of a group of images, by the SHA-256 of its name: 50 % train, 15 % validation, 35 % reference.

    It depends on nothing else, so an image keeps its side whatever is added to its domain.
    """
    place = int.from_bytes(hashlib.sha256(f"split/{group}".encode()).digest()[:8], "big") / 2**64
    return next(split for split, end in BOUNDS if place < end)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored beside the pixels. `sha256` is over all the rest and the pixels."""

    domain: str
    resolution: int
    ids: list[str]
    groups: list[str]
    splits: list[str]
    excluded: dict[str, str]
    sha256: str


@dataclass(frozen=True)
class ImageSet:
    """A domain's images at one resolution.

    Attributes:
        domain: Name, without any path.
        resolution: Side in pixels.
        ids: One stable id per image, in the order of `pixels`.
        groups: Near-duplicates share one.
        splits: `train`, `validation` or `reference` per image.
        pixels: uint8 N×3×H×W, read-only, mapped from the cache.
        manifest: SHA-256 over domain, resolution, ids, groups, splits and pixels.
        excluded: Id -> why an image could not be used.
    """

    domain: str
    resolution: int
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    pixels: NDArray[np.uint8]
    manifest: str
    excluded: Mapping[str, str]

    def positions(self, split: str) -> list[int]:
        """Positions of the images of a split."""
        if split not in dict(BOUNDS):
            raise unknown("split", split, dict(BOUNDS))
        return [i for i, name in enumerate(self.splits) if name == split]

    def images(self, split: str) -> NDArray[np.uint8]:
        """The images of a split: uint8 n×3×H×W, a copy."""
        return np.array(self.pixels[self.positions(split)])


def load(domain: Domain, name: str, resolution: int, cache: Path) -> ImageSet:
    """The domain at a resolution: from the cache, else decoded, once even if several processes ask at once.

    Args:
        domain: The domain.
        name: As the suite writes it (`twemoji`, `folder:PATH`).
        resolution: Side in pixels.
        cache: Cache folder.

    Raises:
        GraftbenchError: The domain's images cannot be had.
    """
    title = public_name(name)
    key = content_hash([title, domain.fingerprint(), resolution, FORMAT])[:32]
    folder = cache / "domains" / key
    found = _read(folder)
    if found is None:
        with locked(cache / "domains" / f"{key}.lock"):
            found = _read(folder)
            if found is None:
                _prepare(domain.images(resolution), title, resolution, folder)
                found = _read(folder)
    if found is None:
        raise GraftbenchError(f"{name}@{resolution} was prepared but cannot be read back from '{folder}'.")
    return found


def public_name(name: str) -> str:
    """`folder:/home/me/cats` -> `folder:cats`: a manifest says nothing of where things lie."""
    base, colon, argument = name.partition(":")
    return base + colon + argument.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _read(folder: Path) -> ImageSet | None:
    """The cached set, or None if it is missing or damaged."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    side = manifest.resolution
    if pixels.shape != (len(manifest.ids), 3, side, side) or pixels.dtype != np.uint8:
        return None
    if _digest(manifest, pixels) != manifest.sha256:
        return None
    return ImageSet(
        domain=manifest.domain,
        resolution=side,
        ids=tuple(manifest.ids),
        groups=tuple(manifest.groups),
        splits=tuple(manifest.splits),
        pixels=pixels,
        manifest=manifest.sha256,
        excluded=manifest.excluded,
    )


def _prepare(images: DomainImages, title: str, resolution: int, folder: Path) -> None:
    order = sorted(range(len(images.ids)), key=lambda i: images.ids[i])
    pixels = np.ascontiguousarray(images.pixels[order])
    if len({*images.ids}) < len(images.ids):
        raise GraftbenchError(f"{title}: two images have the same id.")
    groups = _merge_duplicates([images.groups[i] for i in order], pixels)
    draft = Manifest(
        domain=title,
        resolution=resolution,
        ids=[images.ids[i] for i in order],
        groups=groups,
        splits=[split_of(group) for group in groups],
        excluded=dict(images.excluded),
        sha256="",
    )
    manifest = msgspec.structs.replace(draft, sha256=_digest(draft, pixels))
    with new_file(folder / "pixels.npy") as path, path.open("wb") as file:
        np.save(file, pixels)
    with new_file(folder / "manifest.json") as path:
        path.write_bytes(msgspec.json.encode(manifest))


def _digest(manifest: Manifest, pixels: NDArray[np.uint8]) -> str:
    facts = [manifest.domain, manifest.resolution, manifest.ids, manifest.groups, manifest.splits]
    digest = hashlib.sha256(content_hash(facts).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _merge_duplicates(groups: Sequence[str], pixels: NDArray[np.uint8]) -> list[str]:
    """Join groups that share an image, pixel for pixel: a copy must not lie on both sides of a split.

    A joined group is named by the smallest of its names.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    first: dict[bytes, str] = {}
    for group, image in zip(groups, pixels, strict=True):
        digest = hashlib.sha256(image.tobytes()).digest()
        a, b = sorted((root(group), root(first.setdefault(digest, group))))
        parent[b] = a
    return [root(group) for group in groups]
