"""CIFAR-10: small colour photographs of ten kinds of things."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Cifar10(TorchvisionDomain):
    """60,000 colour photographs of 32×32 pixels in ten classes of 6,000 (`cifar10:cat`)."""

    name = "cifar10"
    title = "CIFAR-10"
    description = (
        "60,000 photographs of 32×32 pixels in ten classes: airplane, automobile, bird, cat, deer, dog, "
        "frog, horse, ship, truck."
    )
    license = "not stated by its authors (not checked); the pictures are of Tiny Images"
    attribution = "CIFAR by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton."
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    loader = "CIFAR10"
    folder = "cifar-10-batches-py"
    count = 60_000
    size = "170 MB"
    paper = Reference(
        authors="Krizhevsky",
        title="Learning Multiple Layers of Features from Tiny Images",
        venue="Technical report, University of Toronto",
        year=2009,
    )
