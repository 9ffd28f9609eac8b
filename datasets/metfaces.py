"""MetFaces: faces in works of art, aligned."""

from __future__ import annotations

from graftbench.contracts import Reference

from ._recipe import RecipeDomain


class MetFaces(RecipeDomain):
    """1,336 faces from works of the Metropolitan Museum of Art, aligned as FFHQ's, 1024×1024.

    Several are of one work or one sitter: near-duplicates are found by their looks alone.
    """

    name = "metfaces"
    title = "MetFaces"
    description = "1,336 faces from paintings, drawings and sculptures, aligned and cropped."
    license = "CC-BY-NC-2.0 for the set; CC0 for the museum's pictures"
    attribution = "MetFaces by NVIDIA Corporation, from pictures of The Metropolitan Museum of Art."
    source = "https://github.com/NVlabs/metfaces-dataset"
    folder = "metfaces"
    how = (
        "Fetch the folder `images` (1.6 GB) from the drive that https://github.com/NVlabs/metfaces-dataset names and "
        "put its contents there; leave `unprocessed` out."
    )
    count = 1_336
    paper = Reference(
        authors="Karras, Aittala, Hellsten, Laine, Lehtinen, Aila",
        title="Training Generative Adversarial Networks with Limited Data",
        venue="NeurIPS",
        year=2020,
        arxiv="2006.06676",
    )
