"""Images of a domain's splits, written `domain:NAME@RESOLUTION/SPLIT`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graftbench.errors import GraftbenchError, unknown
from graftbench.images.arrays import ArrayImages, ArrayLayout
from graftbench.images.base import digest_of
from graftbench.images.decoding import printable
from graftbench.images.prepared import SPLITS, load
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.images.base import Images
    from graftbench.images.prepared import ImageSet
    from graftbench.plugins.registry import PluginSource

PREFIX = "domain:"
SPEC_FORM = "domain:NAME@RESOLUTION or domain:NAME@RESOLUTION/SPLIT (domain:openmoji@32/reference)"

_SPEC = re.compile(r"(?P<name>.+)@(?P<side>[1-9][0-9]{0,3})(/(?P<splits>.*))?", re.ASCII)


class _Spec(NamedTuple):
    """`domain:NAME@RESOLUTION/SPLIT+SPLIT`; no splits are all of them."""

    name: str
    resolution: int
    splits: tuple[str, ...]


def _parse(text: str) -> _Spec:
    """Read a domain's spec.

    Raises:
        GraftbenchError: Another form, or an unknown split.
    """
    parts = _SPEC.fullmatch(text.removeprefix(PREFIX))
    if parts is None:
        lacks = "" if "@" in text else " The resolution is missing."
        raise GraftbenchError(f"A domain's images are written {SPEC_FORM}; found '{printable(text)}'.{lacks}")
    splits = () if parts["splits"] is None else tuple(parts["splits"].split("+"))
    for split in splits:
        if split not in SPLITS:
            raise unknown("split", split, SPLITS, where=f"in '{printable(text)}'")
    return _Spec(parts["name"], int(parts["side"]), splits)


def open_domain(text: str, cache: Path | None, plugins: Sequence[PluginSource]) -> Images:
    """Open the images of the splits that a spec names.

    Args:
        text: The spec, `domain:` included.
        cache: Cache folder of the domains; None for the user's.
        plugins: Files or folders with more domains.

    Raises:
        GraftbenchError: The spec is written wrongly, there is no such domain, or the splits are empty.
    """
    spec = _parse(text)
    images = _images(spec, cache, plugins)
    if images is None:
        raise GraftbenchError(f"The domain '{spec.name}' has no images in {' or '.join(spec.splits)}.")
    return images


def other_splits(text: str, cache: Path | None, plugins: Sequence[PluginSource]) -> Images | None:
    """Open the images of the splits that a spec does not name; None if it names none, or if the others have no images.

    Args:
        text: The spec, `domain:` included.
        cache: Cache folder of the domains; None for the user's.
        plugins: Files or folders with more domains.

    Raises:
        GraftbenchError: The spec is written wrongly, or there is no such domain.
    """
    spec = _parse(text)
    others = tuple(split for split in SPLITS if split not in spec.splits)
    return _images(spec._replace(splits=others), cache, plugins) if spec.splits and others else None


def _images(spec: _Spec, cache: Path | None, plugins: Sequence[PluginSource]) -> Images | None:
    """Open the images of a domain's splits in the domain's order; None if these splits are empty."""
    domain = load(make_domain(spec.name, plugins), spec.name, spec.resolution, cache)
    splits = [split for split in SPLITS if split in spec.splits]
    chosen = [position for position, split in enumerate(domain.splits) if not splits or split in splits]
    if not chosen:
        return None
    suffix = "/" + "+".join(splits) if splits else ""
    return images_at(domain, chosen, f"domain:{domain.domain}@{domain.resolution}{suffix}")


def images_at(domain: ImageSet, positions: Sequence[int], name: str = "") -> Images:
    """Return the images at some positions of a domain, read from the disk when they are asked for."""
    chosen = np.asarray(positions, dtype=np.intp)
    return ArrayImages(
        name or f"domain:{domain.domain}@{domain.resolution}",
        ArrayLayout(len(chosen), domain.resolution, domain.resolution, channels_last=False),
        lambda size: (domain.pixels[chosen[start : start + size]] for start in range(0, len(chosen), size)),
        manifest=digest_of("domain", domain.manifest, chosen.tolist()).hexdigest(),
        skipped=domain.excluded,
    )
