"""Preparing a folder of images, beside a plain Pillow loop that decodes, crops and resizes and keeps nothing."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage import data

from graftbench.images import prepared
from graftbench.images.preparation import cores
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.long

IMAGES = int(os.environ.get("GRAFTBENCH_BENCHMARK_IMAGES", "2000"))
"""Also run by hand with 20,000."""

SIDE = 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of photographs, 320×288: seven JPEG of quality 85 to one PNG."""
    root = tmp_path_factory.mktemp("pictures")
    pictures = [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        picture = pictures[rng.integers(len(pictures))]
        side = int(rng.integers(160, min(picture.size) + 1))
        x, y = int(rng.integers(picture.width - side + 1)), int(rng.integers(picture.height - side + 1))
        crop = picture.resize((320, 288), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))
        crop.save(root / (f"{i:06}.png" if i % 8 == 0 else f"{i:06}.jpg"), quality=85, compress_level=1)
    return root


def _plain(folder: Path) -> int:
    """The same pixels, one by one, in the way of a script."""
    seen = 0
    for file in sorted(folder.iterdir()):
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        crop = picture.crop((left, top, left + side, top + side))
        seen += np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).shape[2] // 3
    return seen


def test_prepare_a_folder(versus: Callable[..., dict[str, float]], folder: Path, tmp_path: Path) -> None:
    """Digests, near-duplicates and manifest included, it stays below four times a plain loop (2 on two busy cores)."""

    def ours() -> prepared.ImageSet:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        return prepared.load(make_domain(f"folder:{folder}"), f"folder:{folder}", SIDE, tmp_path / "cache")

    seconds = versus("preparation", ours, {"Pillow loop": lambda: _plain(folder)}, rounds=3)
    print({who: f"{IMAGES / value:.0f} images/s" for who, value in seconds.items()}, f"{cores()} cores")
    assert seconds["graftbench"] < 4 * seconds["Pillow loop"]
