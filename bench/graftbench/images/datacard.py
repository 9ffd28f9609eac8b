"""A domain's card: whose images these are, how many, how they are split, what was left out, and what they look like."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from graftbench.images.prepared import SPLITS

if TYPE_CHECKING:
    from PIL import Image

    from graftbench.contracts import Domain
    from graftbench.images.prepared import ImageSet

COLUMNS, ROWS = 16, 8
"""Tiles of a contact sheet."""

LEAST_SIDE = 64
"""Pixels of a tile at least: smaller images are enlarged by a whole factor, each pixel a square."""


LARGEST_SHARE = 0.05
"""Share of a set that one group may hold before the datacard remarks on it."""

_SMALLEST_GROUP = 3
_SWITCH = "if they are not the same, write ?near_duplicates=keep behind the name"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a domain that one should know before its images are used or shown.

    Attributes:
        name: Of the domain; of a path the last part alone.
        title: Its title.
        description: What the images are.
        license: Their licence.
        attribution: Who must be named.
        source: Where they come from.
        resolution: Side in pixels at which it was prepared.
        images: Their number.
        groups: Number of groups; the images of one are always on one side of the split.
        largest_group: Images of the largest group.
        grouped_images: Images that share their group with another one: near-duplicates by the domain's word or by
            comparison, and images with equal pixels.
        equal_images: Images whose pixels at this resolution are those of another one.
        near_duplicates: Ids of images that comparison found nearly equal, set by set; empty for a domain that says that
            its groups are complete.
        splits: Split -> number of images.
        excluded: Id -> why the image could not be used.
        manifest: SHA-256 over ids, groups, splits and pixels.
        notes: Sentences on groups that are large, or that put images on another side than their folders say.
    """

    name: str
    title: str
    description: str
    license: str
    attribution: str
    source: str
    resolution: int
    images: int
    groups: int
    largest_group: int
    grouped_images: int
    equal_images: int
    near_duplicates: list[list[str]]
    splits: dict[str, int]
    excluded: dict[str, str]
    manifest: str
    notes: list[str]


def card_of(domain: Domain, images: ImageSet) -> Card:
    """Make the card of prepared images."""
    groups = Counter(images.groups)
    equal = Counter(hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images.pixels)
    splits = Counter(images.splits)
    return Card(
        name=images.domain,
        title=domain.title,
        description=domain.description,
        license=domain.license,
        attribution=domain.attribution,
        source=domain.source,
        resolution=images.resolution,
        images=len(images.ids),
        groups=len(groups),
        largest_group=max(groups.values()),
        grouped_images=sum(count for count in groups.values() if count > 1),
        equal_images=sum(count for count in equal.values() if count > 1),
        near_duplicates=[list(ids) for ids in images.near_duplicates],
        splits={split: splits[split] for split in SPLITS},
        excluded=dict(images.excluded),
        manifest=images.manifest,
        notes=notes_on_groups(images),
    )


def notes_on_groups(images: ImageSet) -> list[str]:
    """Say whether a group holds more than `LARGEST_SHARE` of a set, and which images were moved for their group."""
    return [note for note in (_large_group(images), _moved(images)) if note]


def _large_group(images: ImageSet) -> str:
    """Say that one group holds more than `LARGEST_SHARE` of a set; empty if none does."""
    largest, count = images.largest_group, len(images.ids)
    if largest < _SMALLEST_GROUP or largest <= LARGEST_SHARE * count:
        return ""
    switch = f"; {_SWITCH}" if images.near_duplicates else ""
    share = f"{largest:,} of {count:,} images ({largest / count:.0%})"
    return f"one group holds {share}, all on one side of the splits{switch}"


def _moved(images: ImageSet) -> str:
    """Say which images stand on another side than their folders say; empty if none does."""
    if not images.moved:
        return ""
    first = ", ".join(images.moved[:2]) + (", …" if len(images.moved) > 2 else "")
    count = "1 image is" if len(images.moved) == 1 else f"{len(images.moved):,} images are"
    return f"{count} nearly the same as images in the folder of another split, and count there ({first}); {_SWITCH}"


def contact_sheet(images: ImageSet) -> Image.Image:
    """Draw 16×8 images of a domain in the order of their ids, fewer where there are fewer; grey where there are none.

    Which ones is decided by the hash of the id: a sheet shows all parts of a domain, and the same ones every time.
    """
    from PIL import Image  # noqa: PLC0415 - a card alone needs no pictures

    ranked = sorted(
        range(len(images.ids)), key=lambda i: hashlib.sha256(images.ids[i].encode("utf-8", "surrogateescape")).digest()
    )
    shown = sorted(ranked[: COLUMNS * ROWS])
    side = images.resolution
    rows = min(ROWS, -(-len(shown) // COLUMNS))
    tiles = np.full((rows * COLUMNS, 3, side, side), 160, dtype=np.uint8)
    tiles[: len(shown)] = images.pixels[np.asarray(shown, dtype=np.intp)]
    grid = tiles.reshape(rows, COLUMNS, 3, side, side).transpose(0, 3, 1, 4, 2)
    sheet = Image.fromarray(np.ascontiguousarray(grid.reshape(rows * side, COLUMNS * side, 3)))
    factor = max(1, -(-LEAST_SIDE // side))
    return sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST)
