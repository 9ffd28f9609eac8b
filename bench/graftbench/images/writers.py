"""Images as files that other people's code reads: a folder of PNG files, or the zip file of StyleGAN and EDM."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_png_folder(pixels: NDArray[np.uint8], folder: Path) -> list[str]:
    """Write images as `00000.png`, `00001.png`, … into a folder, which is made.

    Args:
        pixels: uint8 N×3×H×W, RGB.
        folder: Where; files of these names are replaced.

    Returns:
        The files' names in the images' order, which is that of the names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(5, len(str(len(pixels) - 1)))
    names = [f"{position:0{digits}d}.png" for position in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        (folder / name).write_bytes(png_of(image))
    return names


def write_edm_zip(pixels: NDArray[np.uint8], file: Path) -> list[str]:
    """Write images as a zip file in the layout of `dataset_tool.py` of StyleGAN2-ADA, StyleGAN3 and EDM.

    Members `00000/img00000000.png`, … in folders of a thousand, stored, and a `dataset.json` without labels. Times and
    modes are fixed: the same images give the same bytes (under one version of Pillow, which packs the PNG files).

    Args:
        pixels: uint8 N×3×H×W, RGB.
        file: Where; a file there is replaced. Its folder is made.

    Returns:
        The members' names in the images' order, which is that of the names.
    """
    names = [f"{position // 1000:05d}/img{position:08d}.png" for position in range(len(pixels))]
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, image in zip(names, pixels, strict=True):
            archive.writestr(_member(name), png_of(image))
        archive.writestr(_member("dataset.json"), json.dumps({"labels": None}))
    return names


def png_of(image: NDArray[np.uint8]) -> bytes:
    """Return an image, uint8 3×H×W, as the bytes of a PNG file without metadata."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(stream, "PNG")
    return stream.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """Make a member that says nothing of when and where it was written."""
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o644 << 16
    return member
