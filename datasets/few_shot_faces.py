"""The target domains of few-shot adaptation from FFHQ: babies, people with sunglasses, sketches.

Ojha et al. train on ten images of each (`…_real_train`) and take the rest (`…_real_test`) as the reference. Here the
whole set is one domain: a data budget of 10 and graftbench's own splits take the place of theirs.
"""

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


class FfhqBabies(RecipeDomain):
    """About 2,500 faces of babies, chosen from FFHQ: a domain with `ffhq` as its source shares photographs with it."""

    name = "ffhq-babies"
    title = "FFHQ-Babies"
    description = "About 2,500 photographs of babies' faces, chosen from FFHQ."
    license = "not stated; FFHQ's photographs allow non-commercial use"
    attribution = "Chosen from FFHQ (NVIDIA Corporation) by Utkarsh Ojha and others."
    source = "https://github.com/WisconsinAIVision/few-shot-gan-adaptation"
    folder = "ffhq-babies"
    how = _HOW
    count = 2_500
    about = True
    paper = _PAPER


class FfhqSunglasses(RecipeDomain):
    """About 2,700 faces with sunglasses, chosen from FFHQ: with `ffhq` as its source the two share photographs."""

    name = "ffhq-sunglasses"
    title = "FFHQ-Sunglasses"
    description = "About 2,700 photographs of faces with sunglasses, chosen from FFHQ."
    license = "not stated; FFHQ's photographs allow non-commercial use"
    attribution = "Chosen from FFHQ (NVIDIA Corporation) by Utkarsh Ojha and others."
    source = "https://github.com/WisconsinAIVision/few-shot-gan-adaptation"
    folder = "ffhq-sunglasses"
    how = _HOW
    count = 2_700
    about = True
    paper = _PAPER


class Sketches(RecipeDomain):
    """About 300 drawings of faces from the CUHK face sketch database (Wang and Tang, TPAMI 2009)."""

    name = "sketches"
    title = "Face sketches"
    description = "About 300 pencil drawings of faces, from the CUHK face sketch database."
    license = "not stated"
    attribution = "CUHK face sketch database by Xiaogang Wang and Xiaoou Tang; chosen by Utkarsh Ojha and others."
    source = "https://github.com/WisconsinAIVision/few-shot-gan-adaptation"
    folder = "sketches"
    how = _HOW
    count = 300
    about = True
    paper = _PAPER
