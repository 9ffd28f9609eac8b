"""CIFAR-100: small colour photographs of a hundred kinds of things."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class Cifar100(TorchvisionDomain):
    """60,000 colour photographs of 32×32 pixels in a hundred fine classes of 600 (`cifar100:aquarium-fish`)."""

    name = "cifar100"
    title = "CIFAR-100"
    description = "60,000 photographs of 32×32 pixels in a hundred classes of 600."
    license = "not stated by its authors (not checked); the pictures are of Tiny Images"
    attribution = "CIFAR by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton."
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    loader = "CIFAR100"
    folder = "cifar-100-python"
    count = 60_000
    size = "169 MB"
    paper = Reference(
        authors="Krizhevsky",
        title="Learning Multiple Layers of Features from Tiny Images",
        venue="Technical report, University of Toronto",
        year=2009,
    )
