"""The pictures that a cell leaves: samples, nearest training images, interpolations in the latent space.

Each is a sheet of 8×4 tiles without seams, white where there is nothing to show. They are made when the scores are
known, from random generators of their own: neither a score nor a random stream depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graftbench.contracts import LatentSampler
from graftbench.errors import GraftbenchError
from graftbench.scoring.neighbors import COLUMNS, ROWS, Neighbors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.contracts import Sampler


DISTANCES = "distances"
"""Keyword of the PNG's text that holds the distances of a sheet of neighbours, as JSON."""


# ----------------------------------------------------------------------------------------------------------- tiles


def tiled(images: torch.Tensor) -> Image.Image:
    """Tile the first 8×4 images, uint8 n×3×R×R, as one picture, row by row; white where there are fewer."""
    side = images.shape[-1]
    tiles = torch.full((COLUMNS * ROWS, 3, side, side), 255, dtype=torch.uint8)
    count = min(len(images), len(tiles))
    tiles[:count] = images[:count]
    rows = tiles.unflatten(0, (ROWS, COLUMNS)).permute(0, 3, 1, 4, 2)
    return Image.fromarray(rows.reshape(ROWS * side, COLUMNS * side, 3).numpy())


def answers(inputs: torch.Tensor, images: torch.Tensor, truths: torch.Tensor | None) -> Image.Image:
    """Draw eight inputs in a row, below them the outputs, and below those the truths, if there are any.

    Args:
        inputs: uint8 n×3×h×w; h divides R, and pixels are repeated to fill a tile.
        images: uint8 n×3×R×R.
        truths: Likewise, or None.
    """
    side = images.shape[-1]
    times = side // inputs.shape[-1]
    contents = [inputs[:COLUMNS].repeat_interleave(times, 2).repeat_interleave(times, 3), images[:COLUMNS]]
    contents += [] if truths is None else [truths[:COLUMNS]]
    rows = torch.full((len(contents), COLUMNS, 3, side, side), 255, dtype=torch.uint8)
    for row, tiles in zip(rows, contents, strict=True):
        row[: len(tiles)] = tiles
    return Image.fromarray(rows.permute(0, 3, 1, 4, 2).reshape(len(contents) * side, COLUMNS * side, 3).numpy())


# ----------------------------------------------------------------------------------------- nearest training images


def neighbor_sheet(neighbors: Neighbors, generated: torch.Tensor, pixels: NDArray[np.uint8]) -> Image.Image:
    """Draw generated images in the first row, below each its nearest training images, the nearest first.

    Args:
        neighbors: Positions of the nearest training images, and their distances.
        generated: uint8 M×3×R×R, in the order of the features.
        pixels: The domain's images: uint8 N×3×R×R.
    """
    count, k = neighbors.positions.shape
    side = generated.shape[-1]
    tiles = torch.full((ROWS, COLUMNS, 3, side, side), 255, dtype=torch.uint8)
    tiles[0, :count] = generated[:count]
    for rank in range(k):
        tiles[rank + 1, :count] = torch.from_numpy(np.asarray(pixels[neighbors.positions[:, rank]]))
    return tiled(tiles.flatten(0, 1))


def save_neighbors(neighbors: Neighbors, sheet: Image.Image, path: Path) -> None:
    """Write the sheet as PNG with the distances in its text: n lists of k numbers, four significant digits."""
    text = PngInfo()
    rows = [[float(f"{value:.4g}") for value in row] for row in neighbors.distances]
    text.add_text(DISTANCES, msgspec.json.encode(rows).decode())
    sheet.save(path, pnginfo=text)


# --------------------------------------------------------------------------------------------------- latent space


_ONE_LINE = 1e-6
"""Sine of an angle that counts as none: acos has no more digits than that near 1."""


def slerp(start: torch.Tensor, end: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Interpolate on the sphere: sin((1−t)ω)/sin ω · start + sin(tω)/sin ω · end, ω the angle between the two.

    The straight way between two draws from N(0, I) leads through vectors that are shorter than nearly all draws, and a
    generator has seen none like them. Where the two lie on one line, as all do in one dimension, it is the straight way
    nevertheless.

    Args:
        start: One latent, of any shape.
        end: Another one of that shape.
        shares: t from 0 to 1, T.

    Returns:
        T×…, in the dtype of `start`; computed in float64.

    References:
        Shoemake 1985; for latents White 2016 (arXiv 1609.04468), section 2.1, which likewise takes the angle between
        the directions and leaves the lengths as they are.
    """
    a, b, t = (x.double().flatten() for x in (start, end, shares))
    lengths = a.norm() * b.norm()
    angle = (a @ b / lengths).clamp(-1, 1).acos() if lengths > 0 else torch.zeros_like(lengths)
    of_start, of_end = 1 - t, t
    if angle.sin() > _ONE_LINE:
        of_start, of_end = ((share * angle).sin() / angle.sin() for share in (of_start, of_end))
    return (of_start[:, None] * a + of_end[:, None] * b).unflatten(1, start.shape).to(start.dtype)


def interpolated(sampler: Sampler, seed: int) -> torch.Tensor | None:
    """Return four ways of eight steps between pairs of latents, both ends included: uint8 32×3×R×R, row by row.

    Samplers whose latents have the same shape get the same latents from the same seed.

    Args:
        sampler: Any; None comes back where it has no latent space.
        seed: Of the latents.

    Raises:
        GraftbenchError: `decode` returned something other than 32 square images.
    """
    if not isinstance(sampler, LatentSampler):
        return None
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randn(ROWS, 2, *sampler.latent_shape, generator=generator)
    shares = torch.linspace(0, 1, COLUMNS, dtype=torch.float64)
    images = sampler.decode(torch.cat([slerp(start, end, shares) for start, end in ends]))
    expected = (COLUMNS * ROWS, 3, images.shape[-1], images.shape[-1])
    if images.dtype != torch.uint8 or images.shape != expected or images.device.type != "cpu":
        raise GraftbenchError(
            f"The sampler's decode must return uint8 {COLUMNS * ROWS}×3×R×R on the CPU; "
            f"found {images.dtype} {'×'.join(map(str, images.shape))} on {images.device}."
        )
    return images
