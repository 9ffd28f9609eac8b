"""Features of a domain's images: each set that scores need is read once, and no image beside it."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from graftbench.images.base import Images
from graftbench.images.prepared import SPLITS, ImageSet, Split
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.features import FeatureReader, split_of
from graftbench.scoring.protocol import resolve_protocol


class _Means:
    """An extractor whose features are the mean colours of an image's quarters."""

    batch_size, width, classes = 8, 12, 0

    def features(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = torch.nn.functional.avg_pool2d(images.float(), 8).flatten(1)
        return pooled, torch.zeros(len(images), 0)


def _domain(count: int) -> ImageSet:
    ids = tuple(map(str, range(count)))
    splits = cast("tuple[Split, ...]", tuple(SPLITS[i % 3] for i in range(count)))
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 16, 16), np.uint8)
    return ImageSet("noise", 16, ids, ids, splits, pixels, "noise")


def test_a_domains_floor_reads_the_images_drawn_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 images outside the reference as many are read as are generated, 20; the floor is their score."""
    protocol = resolve_protocol(Protocol(extractor="lite0", n_generated=20, metrics=["fid", "kid"]))
    reader, domain = FeatureReader(protocol, tmp_path), _domain(90)
    monkeypatch.setattr(FeatureReader, "extractor", _Means())
    read: list[Images] = []
    extract = FeatureReader.features

    def counted(self: FeatureReader, images: Images) -> Features:
        read.append(images)
        return extract(self, images)

    monkeypatch.setattr(FeatureReader, "features", counted)
    floors = reader.floors_of_domain(domain)
    assert [images.count for images in read] == [30, 20]
    reference = extract(reader, split_of(domain, "reference"))
    direct = evaluate_features(extract(reader, read[1]), reference, metrics=("fid", "kid"), intervals=False)
    assert {name: floor.value for name, floor in floors.items()} == {each.name: each.value for each in direct}
