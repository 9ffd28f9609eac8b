"""What the low-shot sets of DiffAugment share: paper, licence, where their archives are."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._recipe import RecipeDomain

_PAPER = Reference(
    authors="Zhao, Liu, Lin, Zhu, Han",
    title="Differentiable Augmentation for Data-Efficient GAN Training",
    venue="NeurIPS",
    year=2020,
    arxiv="2006.10738",
    code="https://github.com/mit-han-lab/data-efficient-gans",
    code_license="BSD-2-Clause",
)

_SOURCE = "https://hanlab.mit.edu/projects/data-efficient-gans/datasets/"


class LowShot(RecipeDomain):
    """A set of a hundred images of 256×256, if it does not say otherwise."""

    license = "not stated"
    attribution = "Collected by Shengyu Zhao, Zhijian Liu, Ji Lin, Jun-Yan Zhu and Song Han."
    source = _SOURCE
    count = 100
    paper = _PAPER

    def __init_subclass__(cls) -> None:
        """Say where the set's archive is."""
        super().__init_subclass__()
        cls.how = f"Fetch {_SOURCE}{cls.folder}.zip and unpack it to the folder '{cls.folder}'."
