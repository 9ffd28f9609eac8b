"""FFHQ: photographs of faces, aligned."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._recipe import RecipeDomain


class Ffhq(RecipeDomain):
    """70,000 photographs of faces, aligned and cropped, 1024×1024 (or the 128×128 thumbnails under the same name)."""

    name = "ffhq"
    title = "Flickr-Faces-HQ"
    description = "70,000 photographs of faces from Flickr, aligned and cropped."
    license = "CC-BY-NC-SA-4.0 for the set; each photograph has a licence of its own that allows non-commercial use"
    attribution = (
        "FFHQ by Tero Karras, Samuli Laine and Timo Aila, NVIDIA; the authors of the photographs are in its JSON."
    )
    source = "https://github.com/NVlabs/ffhq-dataset"
    folder = "ffhq"
    how = (
        "Fetch the folder images1024x1024 (89 GB) or thumbnails128x128 (2 GB, enough up to 128 pixels) with the "
        "script of https://github.com/NVlabs/ffhq-dataset and put its contents there."
    )
    count = 70_000
    paper = Reference(
        authors="Karras, Laine, Aila",
        title="A Style-Based Generator Architecture for Generative Adversarial Networks",
        venue="CVPR",
        year=2019,
        arxiv="1812.04948",
    )
