"""Kuzushiji-MNIST: handwritten Japanese syllables."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Kmnist(TorchvisionDomain):
    """70,000 grey characters of 28×28 pixels, white on black (`kmnist:tsu`)."""

    name = "kmnist"
    title = "Kuzushiji-MNIST"
    description = "70,000 cursive hiragana of 28×28 pixels in ten classes: o, ki, su, tsu, na, ha, ma, ya, re, wo."
    license = "CC-BY-SA-4.0"
    attribution = (
        "KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by NIJL and others), "
        "doi:10.20676/00000341."
    )
    source = "https://github.com/rois-codh/kmnist"
    loader = "KMNIST"
    folder = "KMNIST"
    count = 70_000
    size = "21 MB"
    # Drawings that are alike differ less than copies of one photograph: joined, they chain into whole classes.
    curated_groups = True
    paper = Reference(
        authors="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto, Ha",
        title="Deep Learning for Classical Japanese Literature",
        venue="NeurIPS Workshops",
        year=2018,
        arxiv="1812.01718",
    )
