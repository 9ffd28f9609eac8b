"""Kinds of task beyond plain generation: what a method is given to start from, and what it should have become.

`stylize` starts from source images, `colorize` from the target's images in grey, `superres4` from the target's images
reduced by four. Training pairs come from the cell's data budget. What is scored are translations of inputs that belong
to the reference split; their truths are known to the scorer alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.contracts import TranslatingSampler
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Kind

FACTOR = 4
"""How many times smaller than the truth each side of a `superres4` input is."""


def in_grey(images: Tensor) -> Tensor:
    """Return luma in all three channels: uint8 n×3×H×W -> the same shape.

    ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B) in 16-bit fixed point, as Pillow's mode L has it: exact on every machine.
    Others weigh by BT.709, or keep the L of CIELAB (Zhang et al., arXiv 1603.08511), from which the truth's lightness
    can be restored; from luma it cannot quite.
    """
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).view(1, 3, 1, 1)
    luma = ((images.int() * weights).sum(dim=1, keepdim=True) + 0x8000) >> 16
    return luma.to(torch.uint8).expand_as(images).contiguous()


def reduced(images: Tensor) -> Tensor:
    """Return the means of 4×4 blocks, halves up: uint8 n×3×H×W -> n×3×H/4×W/4. Integers, exact on every machine.

    Papers on super-resolution reduce by an antialiased bicubic filter (MATLAB's imresize) instead: numbers do not
    compare with theirs.
    """
    n, channels, height, width = images.shape
    blocks = images.int().view(n, channels, height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    return ((blocks.sum(dim=(3, 5)) + FACTOR**2 // 2) // FACTOR**2).to(torch.uint8)


DEGRADATIONS = {"colorize": in_grey, "superres4": reduced}
"""Kind -> from truths to inputs, where inputs are made of truths."""


def training_pairs(
    kind: Kind, source: ImageSet | None, target: ImageSet, chosen: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return inputs and truths of a cell's training images, row by row.

    Args:
        kind: Not `generate`.
        source: The source domain, which `stylize` takes its inputs from.
        target: The target domain.
        chosen: Positions of the data budget's images in it.

    Raises:
        GraftbenchError: The kind has no pairs, or no chosen image has a source image of the same id in the source's
            training split.
    """
    positions = sorted(chosen)
    if kind in DEGRADATIONS:
        truths = _tensor(target, positions)
        return DEGRADATIONS[kind](truths), truths
    if kind != "stylize" or source is None:
        raise GraftbenchError(f"A task of the kind '{kind}' has no pairs of input and truth.")
    position_of = _positions(source, "train")
    paired = [i for i in positions if target.ids[i] in position_of]
    if not paired:
        raise GraftbenchError(
            f"None of the {len(positions)} training images of {target.domain} has an image of the same id in the "
            f"training split of {source.domain}: this method learns from pairs, and there are none."
        )
    return _tensor(source, [position_of[target.ids[i]] for i in paired]), _tensor(target, paired)


@dataclass(frozen=True, eq=False)
class Exam:
    """What a method is scored on.

    Attributes:
        inputs: uint8 n×3×h×w.
        positions: Of each input's truth in the target domain, n; None where the domains share no ids.
        truths: The truths, uint8 n×3×H×W; None likewise.
    """

    inputs: Tensor
    positions: NDArray[np.int64] | None
    truths: Tensor | None


def exam_of(kind: Kind, source: ImageSet | None, target: ImageSet, split: str, n: int) -> Exam:
    """Return at most n inputs of a split, in an order that is the same for every cell and mixes the domain's.

    For `stylize` they are the source images whose ids lie in that split of both domains; where there are none, the
    source's images of that split, without truths.

    Args:
        kind: Not `generate`.
        source: The source domain; None where there is none.
        target: The target domain.
        split: The protocol's reference split.
        n: How many images the protocol generates.
    """
    order = np.random.default_rng(0).permutation
    if kind in DEGRADATIONS:
        positions = order(target.positions(split))[:n]
        truths = _tensor(target, positions)
        return Exam(DEGRADATIONS[kind](truths), positions, truths)
    assert source is not None
    contents, position_of = source.positions(split), _positions(target, split)
    shared = np.array([i for i in contents if source.ids[i] in position_of], dtype=np.int64)
    if not len(shared):
        return Exam(_tensor(source, order(contents)[:n]), None, None)
    shared = order(shared)[:n]
    positions = np.array([position_of[source.ids[i]] for i in shared], dtype=np.int64)
    return Exam(_tensor(source, shared), positions, _tensor(target, positions))


def translated(sampler: Sampler, exam: Exam, side: int, generator: torch.Generator) -> Tensor:
    """Return the sampler's answers to an exam's inputs: uint8 n×3×side×side.

    Raises:
        GraftbenchError: The sampler cannot translate, or returned something else.
    """
    if not isinstance(sampler, TranslatingSampler):
        raise GraftbenchError(
            f"A task of this kind needs a sampler that translates (contracts.TranslatingSampler); "
            f"the method left a {type(sampler).__name__}."
        )
    images = sampler.translate(exam.inputs, generator)
    expected = (len(exam.inputs), 3, side, side)
    if images.dtype != torch.uint8 or images.shape != expected or images.device.type != "cpu":
        raise GraftbenchError(
            f"The sampler's translate must return uint8 {'×'.join(map(str, expected))} on the CPU; "
            f"found {images.dtype} {'×'.join(map(str, images.shape))} on {images.device}."
        )
    return images


def _positions(images: ImageSet, split: str) -> dict[str, int]:
    """Return id -> position, of one split."""
    return {images.ids[i]: int(i) for i in images.positions(split)}


def _tensor(images: ImageSet, positions: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """Return a copy of the images at some positions: uint8 n×3×H×W."""
    return torch.from_numpy(np.array(images.pixels[np.asarray(positions, dtype=np.int64)]))
