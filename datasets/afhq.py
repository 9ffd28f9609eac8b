"""AFHQ: photographs of animals' faces, aligned."""

from __future__ import annotations

from typing import ClassVar

from graftbench.contracts import Reference

from ._recipe import RecipeDomain


class Afhq(RecipeDomain):
    """About 15,000 faces of cats, dogs and wild animals at 512×512 (`afhq:cat`, `afhq:dog`, `afhq:wild`).

    There are two versions. The archives split each kind into train and test (or val); here they lie together, and
    graftbench splits.
    """

    name = "afhq"
    title = "Animal Faces-HQ"
    description = "About 15,000 photographs of faces of cats, dogs and wild animals, about 5,000 each, aligned."
    license = "CC-BY-NC-4.0"
    attribution = "AFHQ by Yunjey Choi, Youngjung Uh, Jaejun Yoo and Jung-Woo Ha, NAVER Corporation."
    source = "https://github.com/clovaai/stargan-v2"
    takes_argument = "[KIND]"
    folder = "afhq"
    how = (
        "Fetch it with `bash download.sh afhq-v2-dataset` (or afhq-dataset, the first version) of "
        "https://github.com/clovaai/stargan-v2 and put the images of train and test together into the sub-folders "
        "cat, dog and wild."
    )
    count = 15_000
    about = True
    kinds: ClassVar = ("cat", "dog", "wild")
    paper = Reference(
        authors="Choi, Uh, Yoo, Ha",
        title="StarGAN v2: Diverse Image Synthesis for Multiple Domains",
        venue="CVPR",
        year=2020,
        arxiv="1912.01865",
    )
