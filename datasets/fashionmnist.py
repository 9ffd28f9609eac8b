"""Fashion-MNIST: small grey pictures of clothes."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain


class FashionMnist(TorchvisionDomain):
    """70,000 grey articles of 28×28 pixels on black (`fashionmnist:t-shirt-top`)."""

    name = "fashionmnist"
    title = "Fashion-MNIST"
    description = "70,000 articles of clothing of 28×28 pixels, grey on black, in ten classes."
    license = "MIT"
    attribution = "Fashion-MNIST, copyright 2017 Zalando SE."
    source = "https://github.com/zalandoresearch/fashion-mnist"
    loader = "FashionMNIST"
    folder = "FashionMNIST"
    count = 70_000
    size = "30 MB"
    # Drawings that are alike differ less than copies of one photograph: joined, they chain into whole classes.
    curated_groups = True
    paper = Reference(
        authors="Xiao, Rasul, Vollgraf",
        title="Fashion-MNIST: A Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        venue="arXiv",
        year=2017,
        arxiv="1708.07747",
    )
