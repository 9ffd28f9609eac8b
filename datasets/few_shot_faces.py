"""The target domains of few-shot adaptation from FFHQ: babies, people with sunglasses, sketches.

Ojha et al. train on ten images of each (`…_real_train`) and take the rest (`…_real_test`) as the reference. Here the
whole set is one domain: a data budget of 10 and graftbench's own splits take the place of theirs.
"""

from __future__ import annotations

from ._few_shot_faces import FewShotFaces


class FfhqBabies(FewShotFaces):
    """About 2,500 faces of babies, chosen from FFHQ: a domain with `ffhq` as its source shares photographs with it."""

    name = "ffhq-babies"
    title = "FFHQ-Babies"
    description = "About 2,500 photographs of babies' faces, chosen from FFHQ."
    license = "not stated; FFHQ's photographs allow non-commercial use"
    attribution = "Chosen from FFHQ (NVIDIA Corporation) by Utkarsh Ojha and others."
    folder = "ffhq-babies"
    count = 2_500


class FfhqSunglasses(FewShotFaces):
    """About 2,700 faces with sunglasses, chosen from FFHQ: with `ffhq` as its source the two share photographs."""

    name = "ffhq-sunglasses"
    title = "FFHQ-Sunglasses"
    description = "About 2,700 photographs of faces with sunglasses, chosen from FFHQ."
    license = "not stated; FFHQ's photographs allow non-commercial use"
    attribution = "Chosen from FFHQ (NVIDIA Corporation) by Utkarsh Ojha and others."
    folder = "ffhq-sunglasses"
    count = 2_700


class Sketches(FewShotFaces):
    """About 300 drawings of faces from the CUHK face sketch database (Wang and Tang, TPAMI 2009)."""

    name = "sketches"
    title = "Face sketches"
    description = "About 300 pencil drawings of faces, from the CUHK face sketch database."
    license = "not stated"
    attribution = "CUHK face sketch database by Xiaogang Wang and Xiaoou Tang; chosen by Utkarsh Ojha and others."
    folder = "sketches"
    count = 300
