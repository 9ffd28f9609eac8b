"""Which source models there are: shipped, cached, and those of packages that are known here. It imports no torch."""

from __future__ import annotations

import importlib.metadata
import json
import struct
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from graftbench.errors import GraftbenchError, unknown
from graftbench.training.source import PARTS, Recipe, SourceModelSpec, shipped_provenance

OWN_PARTS: tuple[str, ...] = tuple(PARTS)
"""What a source model of this suite's own networks offers: every `SourcePart`."""


class KnownSource(NamedTuple):
    """A generator of a package that is known here.

    Attributes:
        kind: Kind of source model.
        resolution: Side of its images in pixels.
        title: What it makes, in a line.
        distribution: The package's name on PyPI.
        source: Where it is from.
        install: What installs it.
        spec: How it is read.
    """

    kind: str
    resolution: int
    title: str
    distribution: str
    source: str
    install: str
    spec: SourceModelSpec


KNOWN = {
    "gan-face-generate": KnownSource(
        kind="gan",
        resolution=64,
        title="faces of 64 px, a DCGAN of 3.6 million weights trained on DigiFace-1M",
        distribution="gan-face-generate",
        source="https://pypi.org/project/gan-face-generate/",
        install="pip install --no-deps gan-face-generate==1.1.1",
        spec=SourceModelSpec(
            builder="gan_face_generate.models:Generator",
            weights="gan_face_generate:weights.tar",
            key="netG_state_dict",
            arguments={"ngpu": 1, "nc": 3, "nz": 100, "ngf": 64},
            latent=[100, 1, 1],
            license="MIT (package and weights); trained on DigiFace-1M, which has terms of its own",
        ),
    )
}


@dataclass(frozen=True)
class SourceEntry:
    """A source model that there is, or could be.

    Attributes:
        name: Its id, or its known name.
        kind: Kind of source model.
        domain: What it was trained on, or what it is.
        resolution: Side of its images in pixels.
        kimg: Thousands of images of its training; of one from elsewhere those of its discriminator's; None for a
            package.
        place: `shipped`, `cached`, `installed` or `not installed`.
        file: Where it lies; None for a package.
    """

    name: str
    kind: str
    domain: str
    resolution: int
    kimg: float | None
    place: str
    file: Path | None = None


def source_entries(cache: Path) -> list[SourceEntry]:
    """Return the source models that are shipped, cached, and known by name, in this order, each sorted by name.

    Files of the cache that are damaged, or only imported and not yet used, are left out.
    """
    folder = Path(str(files("graftbench.training.source_models")))
    shipped = [
        _entry(msgspec.convert(facts["recipe"], Recipe), "shipped", folder / f"{facts['id']}.safetensors")
        for facts in shipped_provenance()
    ]
    cached = []
    for file in sorted((cache / "source_models").glob("*.safetensors")):
        text = file_metadata(file).get("recipe")
        if text and not file.name.startswith("imported-"):
            cached.append(_entry(msgspec.json.decode(text, type=Recipe), "cached", file))
    return [*shipped, *cached, *(_known(name) for name in KNOWN)]


def _entry(recipe: Recipe, place: str, file: Path) -> SourceEntry:
    return SourceEntry(recipe.id, recipe.kind, recipe.domain, recipe.resolution, recipe.kimg, place, file)


def _known(name: str) -> SourceEntry:
    package = KNOWN[name]
    try:
        state = f"installed ({importlib.metadata.version(package.distribution)})"
    except importlib.metadata.PackageNotFoundError:
        state = "not installed"
    return SourceEntry(name, package.kind, package.title, package.resolution, None, state)


def find_entry(name: str, cache: Path) -> SourceEntry:
    """Return a source model by its name, or by the beginning of its id.

    Raises:
        GraftbenchError: There is none, or several begin so.
    """
    entries = source_entries(cache)
    exact = [entry for entry in entries if entry.name == name]
    fitting = exact or [entry for entry in entries if entry.name.startswith(name)]
    names = list(dict.fromkeys(entry.name for entry in fitting))
    if len(names) > 1:
        raise GraftbenchError(f"Several source models begin with '{name}': {', '.join(names)}.")
    if not fitting:
        raise unknown("source model", name, [entry.name for entry in entries], where="(graftbench source ls)")
    return fitting[0]


def file_metadata(file: Path) -> dict[str, str]:
    """Return the text that a safetensors file holds beside its tensors; nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            header: Any = json.loads(stream.read(min(size, MOST_HEADER)))
    except (OSError, ValueError, struct.error):
        return {}
    return header.get("__metadata__", {}) if isinstance(header, dict) else {}


MOST_HEADER = 100_000_000
"""Bytes of a header that are read at most: the format's own limit."""
