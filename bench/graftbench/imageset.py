"""The images of a domain at one resolution: decoded once, split for good, kept in the cache.

Splits follow from a hash of each image's group, so that they depend neither on the order nor on the number of images:
adding images to a domain moves no other image to another side.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from graftbench.cache import atomic_folder, cache_folder, locked
from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from graftbench.contracts import Domain, DomainImages

FORMAT = 1
"""Version of the cached form; raised when the files or the rule of the splits change."""

Split = Literal["train", "validation", "reference"]
SPLITS: tuple[Split, ...] = get_args(Split)

_TRAIN_PERCENT = 50
_VALIDATION_PERCENT = 15


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A domain at one resolution.

    Attributes:
        domain: Name of the domain; of a path, only the last component.
        resolution: Side of the images in pixels.
        ids: One stable id per image.
        groups: One group per image; images of one group are on one side of every split.
        splits: One split per image.
        pixels: uint8, N×3×H×W, RGB, 0 to 255; read-only, mapped from the cache.
        manifest: SHA-256 over name, resolution, ids, groups, splits and pixels; equal on every machine for equal
            images.
        excluded: Id -> why the image could not be used.
        entry: The folder in the cache that they are read from.
    """

    domain: str
    resolution: int
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[Split, ...]
    pixels: NDArray[np.uint8]
    manifest: str
    excluded: Mapping[str, str] = field(default_factory=dict)
    entry: Path | None = None

    def positions(self, split: str) -> NDArray[np.int64]:
        """Where a split's images stand: int64, ascending; empty if the split has none.

        Raises:
            GraftbenchError: There is no such split.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return np.flatnonzero(np.array(self.splits) == split).astype(np.int64)

    def images(self, split: str) -> NDArray[np.uint8]:
        """A copy of a split's images in order: uint8 n×3×H×W.

        Raises:
            GraftbenchError: There is no such split.
        """
        return np.array(self.pixels[self.positions(split)])


def split_of(group: str) -> Split:
    """The split of a group: the SHA-256 of its name cuts it to 50 % train, 15 % validation, 35 % reference."""
    share = int.from_bytes(hashlib.sha256(_bytes(group)).digest()[:8], "big")
    percent = share * 100 >> 64
    if percent < _TRAIN_PERCENT:
        return "train"
    return "validation" if percent < _TRAIN_PERCENT + _VALIDATION_PERCENT else "reference"


def load(domain: Domain, name: str, resolution: int, cache: Path | None = None) -> ImageSet:
    """The images of a domain, from the cache if they are there, else decoded and put there.

    Processes that ask for the same images at once decode them once. What was cached is checked in full against its
    manifest; a damaged entry is made again.

    Args:
        domain: The domain.
        name: As a suite writes it, argument included (`folder:photos/cats`).
        resolution: Side in pixels.
        cache: Cache folder; None for the user's (`cache_folder`).

    Raises:
        GraftbenchError: The images are not there or not usable, or the cache cannot be written.
    """
    if resolution < 1:
        raise GraftbenchError(f"The resolution of '{name}' is {resolution}; expected a positive number of pixels.")
    public = public_name(domain, name)
    key = _digest([public, domain.fingerprint(), resolution, FORMAT])
    entry = (cache_folder() if cache is None else cache) / "domains" / key
    found = _read(entry, public, resolution)
    if found is not None:  # without the lock: a cache that is read-only but full serves as well
        return found
    with locked(entry.with_name(f"{key}.lock")):
        found = _read(entry, public, resolution)
        if found is None:
            _write(entry, _assemble(public, resolution, domain.images(resolution)))
            found = _read(entry, public, resolution)
    if found is None:
        raise GraftbenchError(
            f"The cache entry {entry} reads differently from what was just written to it; "
            "set GRAFTBENCH_CACHE to a folder on a sound disk."
        )
    return found


def reopen(entry: Path, manifest: str) -> ImageSet:
    """The images of a cache entry that is known to be there, whatever has become of what they were made from.

    Raises:
        GraftbenchError: It is not there any more, is damaged, or holds other images.
    """
    try:
        found = json.loads((entry / "manifest.json").read_text("ascii"))
        images = _read(entry, found["domain"], found["resolution"])
    except (OSError, ValueError, KeyError, TypeError):
        images = None
    if images is None or images.manifest != manifest:
        raise GraftbenchError(
            f"The prepared images at {entry} are gone, damaged or others than when the run was planned; "
            "run the same command again."
        )
    return images


def public_name(domain: Domain, name: str) -> str:
    """The name without what is private to a machine: a path is cut to its last component."""
    base, colon, argument = name.partition(":")
    if colon and "PATH" in domain.takes_argument:
        return f"{base}:{Path(argument).expanduser().resolve().name}"
    return name


def _assemble(name: str, resolution: int, decoded: DomainImages) -> ImageSet:
    """Check what a domain gave, order it by id, keep equal images together, split."""
    _check(name, resolution, decoded)
    order = sorted(range(len(decoded.ids)), key=decoded.ids.__getitem__)
    ids = tuple(decoded.ids[i] for i in order)
    pixels = np.ascontiguousarray(decoded.pixels[order])
    groups = merge_duplicates([decoded.groups[i] for i in order], pixels)
    splits: tuple[Split, ...] = tuple(split_of(group) for group in groups)
    manifest = _manifest(name, ids, groups=groups, splits=splits, pixels=pixels)
    return ImageSet(name, resolution, ids, groups, splits, pixels, manifest, dict(decoded.excluded))


def _check(name: str, resolution: int, decoded: DomainImages) -> None:
    count, pixels = len(decoded.ids), decoded.pixels
    expected = (count, 3, resolution, resolution)
    if count == 0:
        raise GraftbenchError(f"Domain '{name}' has no images.")
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise GraftbenchError(
            f"Domain '{name}' gave {pixels.dtype} pixels of shape {pixels.shape}; expected uint8 of shape {expected}."
        )
    if len(decoded.groups) != count or len(set(decoded.ids)) != count:
        raise GraftbenchError(
            f"Domain '{name}' gave {count} ids, {len(set(decoded.ids))} of them distinct, and {len(decoded.groups)} "
            "groups; expected distinct ids and one group for each."
        )


def merge_duplicates(groups: Sequence[str], pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    """Groups such that images with equal pixels share one: the first name (in order of text) of all that are joined.

    Args:
        groups: One group per image.
        pixels: uint8 N×3×H×W.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    first: dict[bytes, str] = {}
    for group, image in zip(groups, pixels, strict=True):
        one, other = root(group), root(first.setdefault(hashlib.sha256(image.data).digest(), group))
        parent[max(one, other)] = min(one, other)
    return tuple(root(group) for group in groups)


def _manifest(
    name: str, ids: Sequence[str], groups: Sequence[str], splits: Sequence[str], *, pixels: NDArray[np.uint8]
) -> str:
    """SHA-256 over name, resolution, ids, groups and splits as JSON, a zero byte, and the pixels in order."""
    text = json.dumps([name, pixels.shape[-1], list(ids), list(groups), list(splits)], separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii") + b"\0")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _write(entry: Path, images: ImageSet) -> None:
    with atomic_folder(entry) as folder:
        np.save(folder / "pixels.npy", images.pixels)
        manifest = {
            "format": FORMAT,
            "domain": images.domain,
            "resolution": images.resolution,
            "manifest": images.manifest,
            "ids": images.ids,
            "groups": images.groups,
            "splits": images.splits,
            "excluded": dict(images.excluded),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "ascii")


def _read(entry: Path, name: str, resolution: int) -> ImageSet | None:
    """A cache entry, or None if it is missing or not what its manifest says."""
    try:
        found = json.loads((entry / "manifest.json").read_text("ascii"))
        pixels = cast("NDArray[np.uint8]", np.asarray(np.load(entry / "pixels.npy", mmap_mode="r")))
        ids, groups = tuple(found["ids"]), tuple(found["groups"])
        splits = cast("tuple[Split, ...]", tuple(found["splits"]))
        sound = (
            pixels.dtype == np.uint8
            and pixels.shape == (len(ids), 3, resolution, resolution)
            and pixels.flags.c_contiguous
            and found["manifest"] == _manifest(name, ids, groups=groups, splits=splits, pixels=pixels)
        )
        excluded = dict(found["excluded"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, TokenError):  # numpy parses a header as Python
        return None
    if not sound:
        return None
    return ImageSet(
        domain=name,
        resolution=resolution,
        ids=ids,
        groups=groups,
        splits=splits,
        pixels=pixels,
        manifest=found["manifest"],
        excluded=excluded,
        entry=entry,
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode("ascii")).hexdigest()


def _bytes(text: str) -> bytes:
    """UTF-8; a file name that is no UTF-8 keeps its own bytes."""
    return text.encode("utf-8", "surrogateescape")
