"""Oxford 102 Flower: photographs of flowers."""

from __future__ import annotations

from typing import ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Flowers102(TorchvisionDomain):
    """8,189 photographs in 102 classes of 40 to 258 (`flowers102:water-lily`)."""

    name = "flowers102"
    title = "Oxford 102 Flower"
    description = "8,189 photographs of flowers common in the United Kingdom, in 102 classes."
    license = "not stated by its authors (not checked); the pictures were collected from the web"
    attribution = "Oxford 102 Flower by Maria-Elena Nilsback and Andrew Zisserman."
    source = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    loader = "Flowers102"
    parts: ClassVar = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}
    folder = "flowers-102"
    count = 8_189
    numbers = "_labels"
    size = "345 MB"
    paper = Reference(
        authors="Nilsback, Zisserman",
        title="Automated Flower Classification over a Large Number of Classes",
        venue="ICVGIP",
        year=2008,
    )
