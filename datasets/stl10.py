"""STL-10: colour photographs of ten kinds of things."""

from __future__ import annotations

from typing import ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Stl10(TorchvisionDomain):
    """13,000 colour photographs of 96×96 pixels in ten classes of 1,300 (`stl10:ship`); the unlabelled are left out."""

    name = "stl10"
    title = "STL-10"
    description = (
        "13,000 labelled photographs of 96×96 pixels in ten classes: airplane, bird, car, cat, deer, dog, "
        "horse, monkey, ship, truck."
    )
    license = (
        "not stated by its authors, says a mirror; "
        "the pictures are of ImageNet (for non-commercial research and education)"
    )
    attribution = "STL-10 by Adam Coates, Honglak Lee and Andrew Ng."
    source = "https://cs.stanford.edu/~acoates/stl10/"
    loader = "STL10"
    parts: ClassVar = {"train": {"split": "train"}, "test": {"split": "test"}}
    folder = "stl10_binary"
    count = 13_000
    numbers = "labels"
    size = "2.6 GB"
    paper = Reference(
        authors="Coates, Lee, Ng",
        title="An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
        venue="AISTATS",
        year=2011,
    )
