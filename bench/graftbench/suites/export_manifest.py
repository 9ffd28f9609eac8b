"""`manifest.json` of exported training images: which cell they are of, and what each of them is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import ComputeBudget
from graftbench.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 1
"""Version of the file's form. A reader refuses a newer one."""

MANIFEST = "manifest.json"


class ExportedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image.

    Attributes:
        file: Relative to the manifest; of a member of a zip file `images.zip!00000/img00000000.png`.
        id: Of the image in its domain.
        sha256: Of the pixels: uint8, 3×H×W, row by row.
    """

    file: str
    id: str
    sha256: str


class ExportedDomain(msgspec.Struct, frozen=True, kw_only=True):
    """A domain that images were written of.

    Attributes:
        name: Of a path the last part alone.
        manifest: Hash over the ids, splits and pixels of the whole domain at this resolution.
        license: Of the images.
        attribution: Who must be named.
        source: Where they come from.
        images: Those that were written, in their order.
    """

    name: str
    manifest: str
    license: str
    attribution: str
    source: str
    images: list[ExportedImage]


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `manifest.json`, which lies beside exported images.

    Attributes:
        format: Version of this form.
        graftbench: Version that wrote it.
        task: The task, without paths.
        data_budget: Number of target training images.
        seed: Which draw.
        resolution: Side of the images in pixels.
        resize: The rule by which pictures became squares of that side.
        suite: Name of the suite.
        compute_budgets: What one fit of the suite's methods may spend.
        protocol: Label of the protocol.
        n_generated: How many images it scores.
        target: The target domain and its images.
        source_images: Likewise of the source domain, where they were asked for.
    """

    format: int = FORMAT
    graftbench: str = __version__
    task: str
    data_budget: int
    seed: int
    resolution: int
    resize: str
    suite: str
    compute_budgets: list[ComputeBudget]
    protocol: str
    n_generated: int
    target: ExportedDomain
    source_images: ExportedDomain | None = None


def read_manifest(path: Path) -> ExportManifest:
    """Read a `manifest.json`.

    Raises:
        GraftbenchError: It cannot be read, or is no manifest of an export.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=ExportManifest)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise GraftbenchError(f"'{path}' is no manifest of `graftbench export-task` ({error}).") from error


def pixels_sha256(image: NDArray[np.uint8]) -> str:
    """Return the SHA-256 (hex) of an image's pixels, uint8 3×H×W, row by row."""
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
