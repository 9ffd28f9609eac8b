"""DTD: photographs of textures that have a name."""

from __future__ import annotations

from typing import ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Dtd(TorchvisionDomain):
    """5,640 photographs in 47 classes of 120 (`dtd:striped`)."""

    name = "dtd"
    title = "Describable Textures"
    description = "5,640 photographs of textures in 47 classes, from banded to zigzagged."
    license = "for research, as its page says (not checked); the pictures were collected from the web"
    attribution = "DTD by Mircea Cimpoi, Subhransu Maji, Iasonas Kokkinos, Sammy Mohamed and Andrea Vedaldi."
    source = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
    loader = "DTD"
    parts: ClassVar = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}
    folder = "dtd"
    count = 5_640
    numbers = "_labels"
    size = "625 MB"
    paper = Reference(
        authors="Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi",
        title="Describing Textures in the Wild",
        venue="CVPR",
        year=2014,
        arxiv="1311.3618",
    )
