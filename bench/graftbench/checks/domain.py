"""The contract of domains."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ImageFile

from graftbench.checks.check import Check, Fault
from graftbench.checks.method_text import words
from graftbench.checks.targets import plugin_sources
from graftbench.contracts import Domain
from graftbench.images import prepared as prepared_images
from graftbench.images.preparation import gathered
from graftbench.plugins import registry
from graftbench.plugins.variants import NAME
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graftbench.contracts import DomainImages, Item

SIDES = (32, 16)
"""Sides in pixels at which the images are asked for."""

_FINGERPRINT = "import sys; from graftbench.checks.domain import tell_fingerprint; tell_fingerprint(*sys.argv[1:])"


class DomainSubject:
    """A domain, and its images, which several checks look at.

    Args:
        cls: The domain.
        argument: Its argument, for one that takes one.
        folder: For files of the checks.
        plugin: What it was found in, as `targets.plugin_sources` takes it; empty for a registered one.
    """

    def __init__(self, cls: type[Domain], argument: str, folder: Path, plugin: str = "") -> None:
        self.cls, self.argument, self.folder, self.plugin = cls, argument, folder, plugin

    @property
    def name(self) -> str:
        """Return the name as a suite writes it."""
        return f"{self.cls.name}:{self.argument}" if self.argument else self.cls.name

    def made(self) -> Domain:
        """Make the domain anew."""
        return self.cls(self.argument)

    @cached_property
    def large(self) -> DomainImages:
        """Return the images at the first of `SIDES`."""
        return self.made().images(SIDES[0])

    @cached_property
    def small(self) -> DomainImages:
        """Return the images at the second, from another instance."""
        return self.made().images(SIDES[1])

    @cached_property
    def items(self) -> Sequence[Item] | None:
        """Return the items, if the domain offers any."""
        return self.made().items(SIDES[0])


def metadata(subject: DomainSubject) -> Iterator[Fault]:
    """Name, title, description, licence, attribution and source are stated: images are somebody's."""
    cls = subject.cls
    if not NAME.fullmatch(cls.name) or cls.name == "none":
        yield Fault(
            f"name = {cls.name!r}",
            "lower-case letters, digits and . _ + -, and not 'none': it stands in tasks, twemoji->NAME@32",
            'write name = "my-domain"',
        )
    for name in ("title", "description", "license", "attribution", "source"):
        yield from words(cls, name, period=True)
    if not cls.__doc__:
        yield Fault(f"class {cls.__name__} has no docstring", "what its images and groups are", "write one")


def fingerprint(subject: DomainSubject) -> Iterator[Fault]:
    """The fingerprint is a text that is the same each time, and nothing is decoded for it."""
    with _decoded() as files:
        fingerprint_text = subject.made().fingerprint()
    if not isinstance(fingerprint_text, str) or not fingerprint_text:
        yield Fault(
            f"fingerprint() = {fingerprint_text!r}", "a text that is not empty", "return versions and hashes as a text"
        )
    elif subject.made().fingerprint() != fingerprint_text:
        yield Fault(
            "two fingerprints of unchanged images differ",
            "the same text until the pixels change",
            "leave out times, addresses in memory, and the order of sets and of folder listings",
        )
    if files:
        yield Fault(
            f"{files[0]} pictures were decoded for the fingerprint",
            "names, versions and hashes of files: it is asked for at every start of a run",
            "hash files with self.file_digest(path), which remembers the digests of files that did not change",
        )


@contextmanager
def _decoded() -> Iterator[list[int]]:
    """Count the picture files that Pillow decodes: an empty list, or the count."""
    whole, count = ImageFile.ImageFile.load, []

    def load(self: ImageFile.ImageFile) -> Any:  # noqa: ANN401 - as Pillow has it
        count[:] = [sum(count) + 1]
        return whole(self)

    ImageFile.ImageFile.load = load  # put back below
    try:
        yield count
    finally:
        ImageFile.ImageFile.load = whole


def fingerprint_elsewhere(subject: DomainSubject) -> Iterator[Fault]:
    """Another process, with another hash seed, has the same fingerprint; else nothing is ever found in the cache."""
    command = [*processes.PYTHON, "-c", _FINGERPRINT, subject.plugin, subject.name]
    environment = os.environ | {"PYTHONHASHSEED": "1234", "TZ": "Pacific/Kiritimati"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603 - this Python
    elsewhere = done.stdout.rpartition("fingerprint: ")[2].rstrip("\n")
    if done.returncode or elsewhere != ascii(subject.made().fingerprint()):
        yield Fault(
            f"another process said {elsewhere or done.stderr[-300:]!r}",
            f"{subject.made().fingerprint()!a}",
            "leave out hash(…) of texts, times, and the order of sets",
        )


def tell_fingerprint(plugin: str, name: str) -> None:
    """Print the fingerprint of a domain of a plugin file: the other side of `fingerprint_elsewhere`."""
    domain = registry.make_domain(name, plugin_sources(plugin))
    print(f"fingerprint: {domain.fingerprint()!a}")  # noqa: T201 - it is what is asked for


# ---------------------------------------------------------------------------------------------------------- images


def images(subject: DomainSubject) -> Iterator[Fault]:
    """Images are uint8 N×3×R×R, RGB, at every resolution that is asked for."""
    for side, domain_images in zip(SIDES, (subject.large, subject.small), strict=True):
        yield from _pixels(domain_images, side)


def _pixels(domain_images: DomainImages, side: int) -> Iterator[Fault]:
    expected = (len(domain_images.ids), 3, side, side)
    if not isinstance(domain_images.pixels, np.ndarray):
        yield Fault(f"pixels are a {type(domain_images.pixels).__name__}", "a NumPy array", "np.stack the images")
        return
    if domain_images.pixels.dtype != np.uint8 or domain_images.pixels.shape != expected:
        yield Fault(
            f"images({side}) has {domain_images.pixels.dtype} pixels of shape {domain_images.pixels.shape}",
            f"uint8 of shape {expected}: N×3×H×W, with one image for each id",
            "graftbench.images.resizing.square(picture, resolution) makes such an image of a Pillow picture",
        )
    elif len(domain_images.ids) and domain_images.pixels.max(initial=0) <= 1:
        yield Fault(
            f"images({side}) has no value above {domain_images.pixels.max(initial=0)}",
            "0 to 255",
            "multiply by 255 and round before the cast to uint8",
        )


def ids(subject: DomainSubject) -> Iterator[Fault]:
    """Ids are distinct, printable texts, the same at every load and every resolution."""
    image_ids = list(subject.large.ids)
    if not image_ids:
        yield Fault("there are no images", "one at least", "look at where `images` searches")
    wrong = [name for name in image_ids if not isinstance(name, str) or not name or not name.isprintable()]
    if wrong:
        yield Fault(f"id {wrong[0]!r}", "a printable text", "graftbench.images.decoding.printable writes odd names so")
    twice = sorted({str(name) for name, after in pairwise(sorted(map(str, image_ids))) if name == after})
    if twice:
        yield Fault(f"id {twice[0]!r} twice", "distinct ids", "put what tells the images apart into the id")
    if set(image_ids) != set(subject.small.ids):
        other = sorted(map(str, set(image_ids) ^ set(subject.small.ids)))
        yield Fault(
            f"{len(other)} ids ({other[0]!r}, …) at one of {SIDES[0]} and {SIDES[1]} px only",
            "the same images at every load and every size: splits follow from them",
            "make ids of file names or contents, and neither of positions nor of chances",
        )
    both = sorted(set(image_ids) & set(subject.large.excluded))
    if both:
        yield Fault(f"{both[0]!r} is among the images and among the excluded", "one of both", "leave one out")


def groups(subject: DomainSubject) -> Iterator[Fault]:
    """There is one group for each image, the same at every load."""
    large, small = subject.large, subject.small
    if len(large.groups) != len(large.ids):
        yield Fault(f"{len(large.groups)} groups of {len(large.ids)} images", "one each", "return a group for each id")
        return
    wrong = [group for group in large.groups if not isinstance(group, str) or not group or not group.isprintable()]
    if wrong:
        yield Fault(f"group {wrong[0]!r}", "a printable text", "name the group; the id where an image stands alone")
    group_of = dict(zip(small.ids, small.groups, strict=False))
    moved = [name for name, group in zip(large.ids, large.groups, strict=True) if group_of.get(name, group) != group]
    if moved:
        yield Fault(f"{moved[0]!r} is in another group at {SIDES[1]} px", "one group at all times", "use no positions")


def excluded(subject: DomainSubject) -> Iterator[Fault]:
    """Images that cannot be used are named with the reason."""
    silent = [name for name, why in subject.large.excluded.items() if not isinstance(why, str) or not why.strip()]
    if silent:
        yield Fault(f"{silent[0]!r} is excluded without a reason", "why it cannot be used", "say what is wrong with it")


def same_as_items(subject: DomainSubject) -> Iterator[Fault]:
    """`images` gives the very pixels of `items`, resized by the default rule."""
    if subject.items is None:
        return
    items = gathered(subject.items, SIDES[0], "items")
    mend = "let `images` return graftbench.images.preparation.gathered(self.items(resolution), resolution, …)"
    if list(items.ids) != list(subject.large.ids) or list(items.groups) != list(subject.large.groups):
        yield Fault("`items` has other ids, groups or order than `images`", "the same", mend)
    elif not np.array_equal(items.pixels, subject.large.pixels):
        yield Fault("pixels of `items` differ from those of `images`", "the same, to the bit", mend)


def prepared(subject: DomainSubject) -> Iterator[Fault]:
    """The suite can prepare the images, and no split is empty."""
    prepared_set = prepared_images.load(subject.made(), subject.name, SIDES[0], subject.folder / "cache")
    empty = [split for split in prepared_images.SPLITS if split not in prepared_set.splits]
    if empty:
        count = len(set(prepared_set.groups))
        yield Fault(
            f"no image in the split {' and in '.join(empty)}: {len(prepared_set.ids)} images in {count} group"
            f"{'s' if count != 1 else ''}",
            "images on every side: a group's hash puts it into train (50 %), validation (15 %) or reference (35 %)",
            "group only what is nearly the same, or give more images: of 40 groups one in 660 times a split is empty",
        )


# ------------------------------------------------------------------------------------------------------- all of them


_IMAGES = ("images",)


def _without_items(cls: type[Domain]) -> str:
    return "the domain gives its images whole" if cls.items is Domain.items else ""


CHECKS: tuple[Check[DomainSubject], ...] = (
    Check("metadata", metadata),
    Check("fingerprint", fingerprint),
    Check("fingerprint elsewhere", fingerprint_elsewhere, ("fingerprint",)),
    Check("images", images),
    Check("ids", ids, _IMAGES),
    Check("groups", groups, _IMAGES),
    Check("excluded", excluded, _IMAGES),
    Check("items", same_as_items, _IMAGES, _without_items),
    Check("prepared", prepared, ("images", "ids", "groups")),
)
