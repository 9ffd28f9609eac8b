"""What the target domains of few-shot adaptation from FFHQ share: paper, page, where their archive is."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._recipe import RecipeDomain

_PAPER = Reference(
    authors="Ojha, Li, Lu, Efros, Lee, Shechtman, Zhang",
    title="Few-shot Image Generation via Cross-domain Correspondence",
    venue="CVPR",
    year=2021,
    arxiv="2104.06820",
    code="https://github.com/utkarshojha/few-shot-gan-adaptation",
    code_license="Adobe Research License (non-commercial)",
)

_HOW = (
    "Its page, https://github.com/WisconsinAIVision/few-shot-gan-adaptation, links an archive of all real images "
    "(under its evaluation of the FID); unpack that, not the ten training images, which are among them."
)


class FewShotFaces(RecipeDomain):
    """A set of faces of which its authors state the number roughly."""

    source = "https://github.com/WisconsinAIVision/few-shot-gan-adaptation"
    how = _HOW
    about = True
    paper = _PAPER
