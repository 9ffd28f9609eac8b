"""A sampler -> its scores under a protocol: sample, features once, every metric from them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graftbench.metrics.evaluate import cached_features, evaluate_features, extract, reference_key
from graftbench.metrics.extractors import make_extractor

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.imageset import ImageSet
    from graftbench.metrics.evaluate import Features
    from graftbench.metrics.networks import Extractor
    from graftbench.record import Protocol, Score


@dataclass(frozen=True)
class Scored:
    """Scores, the images that were scored (uint8 n×3×H×W), and the seconds that sampling them took."""

    scores: list[Score]
    images: torch.Tensor
    sampling_seconds: float


def score_sampler(
    sampler: Sampler,
    target: ImageSet,
    protocol: Protocol,
    generator: torch.Generator,
    *,
    cache: Path,
    device: str = "cpu",
) -> Scored:
    """Score `protocol.n_generated` samples against the protocol's split of the target domain.

    The reference's features are computed once and cached by content.
    """
    start = time.perf_counter()
    images = sampler.sample(protocol.n_generated, generator)
    seconds = time.perf_counter() - start
    extractor = extractor_of(protocol, device)
    reference = reference_features(extractor, target, protocol, cache)
    scores = evaluate_features(extract(extractor, images), reference, protocol.label)
    return Scored(scores, images, seconds)


def extractor_of(protocol: Protocol, device: str) -> Extractor:
    """The protocol's extractor, its weights loaded.

    Raises:
        GraftbenchError: The weights are missing, cannot be downloaded, or are others.
    """
    return make_extractor(
        protocol.extractor, size=protocol.size, resize=protocol.resize, weights=protocol.weights, device=device
    )


def reference_features(extractor: Extractor, target: ImageSet, protocol: Protocol, cache: Path) -> Features:
    """Features of the protocol's split of the target domain: from the cache, else extracted and cached."""
    key = reference_key(
        manifest=target.manifest,
        split=protocol.reference,
        extractor=protocol.extractor,
        weights_sha256=protocol.weights_sha256,
        size=protocol.size,
        resize=protocol.resize,
    )
    return cached_features(
        cache / "features", key, lambda: extract(extractor, torch.from_numpy(target.images(protocol.reference)))
    )
