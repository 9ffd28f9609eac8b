"""A sampler -> its scores under a protocol: sample, features once, every metric from them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.extractors.load import make_extractor
from graftbench.images.prepared import SPLITS
from graftbench.metrics.catalogue import METRICS, resolve
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features, cached_features
from graftbench.metrics.fidelity import fidelity
from graftbench.metrics.spectrum import band_powers
from graftbench.records.cell_spec import content_hash
from graftbench.records.record import Score
from graftbench.scoring.floors import HeldOut, floors_of, training_floors
from graftbench.scoring.neighbors import neighbors_of
from graftbench.scoring.protocol import key_of
from graftbench.scoring.task_kinds import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.extractors.base import Extractor
    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.estimate import Estimate
    from graftbench.records.cell_spec import Protocol
    from graftbench.scoring.neighbors import Neighbors
    from graftbench.scoring.task_kinds import Exam


@dataclass(frozen=True)
class Scored:
    """What scoring left.

    Attributes:
        scores: One a metric.
        images: Those that were scored: uint8 n×3×H×W.
        sampling_seconds: What sampling them took.
        neighbors: The training images nearest to the first of them; None where none were named.
    """

    scores: list[Score]
    images: torch.Tensor
    sampling_seconds: float
    neighbors: Neighbors | None = None


def score_sampler(
    sampler: Sampler,
    target: ImageSet,
    protocol: Protocol,
    generator: torch.Generator,
    *,
    cache: Path,
    train: Sequence[int] = (),
    device: str = "cpu",
    seed: int = 0,
    exam: Exam | None = None,
) -> Scored:
    """Score `protocol.n_generated` samples, or the translations of an exam, against the protocol's split of the target.

    Features of real images, and the floors, are computed once and cached by content.

    Args:
        sampler: The generator.
        target: The target domain.
        protocol: How to score.
        generator: Of the samples.
        cache: Cache folder.
        train: Positions in the target domain of the images that the generator was trained on; none for a generator of
            another domain, which cannot have copied any.
        device: Where the extractor computes.
        seed: Of subsets, directions and splits, where a metric draws any.
        exam: Inputs to translate, and their truths: the metrics of fidelity are then added. None to draw samples.
    """
    start = time.perf_counter()
    if exam is None:
        images = sampler.sample(protocol.n_generated, generator)
    else:
        images = translated(sampler, exam, target.resolution, generator)
    seconds = time.perf_counter() - start
    extractor = extractor_of(protocol, device)
    real = RealFeatures(lambda: extractor, target, protocol, cache)
    metrics = [name for name in resolve(protocol.metrics) if train or "train" not in METRICS[name].needs]
    reference, shown = real.split(protocol.reference), real.at(sorted(train)) if train else None
    generated = Features.of(*extractor.features(images), band_powers(images))
    estimates = evaluate_features(generated, reference, metrics=metrics, train=shown, seed=seed)
    if exam is not None and exam.positions is not None and exam.truths is not None:
        true = reference.rows(np.searchsorted(target.positions(protocol.reference), exam.positions))
        estimates += fidelity(images, exam.truths, generated.pooled, true.pooled)
    # Fewer inputs than the protocol generates have no floor: it is that of n_generated images.
    floors = real.floors() if len(images) == protocol.n_generated else {}
    floors |= {} if shown is None else training_floors(reference, shown, metrics)
    scores = [_score(estimate, floors.get(estimate.name), protocol.label) for estimate in estimates]
    near = None if shown is None else neighbors_of(generated.pooled, shown.pooled, sorted(train))
    return Scored(scores, images, seconds, near)


def _score(estimate: Estimate, floor: Estimate | None, protocol_label: str) -> Score:
    """Return an estimate as the record keeps it."""
    return Score(
        name=estimate.name,
        value=estimate.value,
        undefined=estimate.undefined,
        standard_error=estimate.standard_error,
        interval=estimate.interval,
        method=estimate.method,
        floor=None if floor is None else floor.value,
        note=estimate.note,
        n_generated=estimate.n_generated,
        n_reference=estimate.n_reference,
        n_train=estimate.n_train,
        protocol=protocol_label,
    )


def extractor_of(protocol: Protocol, device: str, batch_size: int | None = None) -> Extractor:
    """Make the protocol's extractor, its weights loaded.

    Raises:
        GraftbenchError: The weights are missing, cannot be downloaded, or are others.
    """
    return make_extractor(
        protocol.extractor,
        size=protocol.size,
        resize=protocol.resize,
        weights=protocol.weights,
        device=device,
        batch_size=batch_size,
    )


@dataclass(frozen=True)
class RealFeatures:
    """Features of a domain's real images: from the cache, else extracted and cached.

    Attributes:
        extractor: Makes the extractor when something is not in the cache: importing it and its weights takes seconds.
        images: The domain.
        protocol: How to extract, and which split is the reference.
        cache: Cache folder.
    """

    extractor: Callable[[], Extractor]
    images: ImageSet
    protocol: Protocol
    cache: Path

    def split(self, *splits: str) -> Features:
        """Of the images of some splits, in the domain's order."""
        return self.at(self._positions(*splits))

    def at(self, positions: Sequence[int]) -> Features:
        """Of the images at some positions."""
        return cached_features(self.cache / "features", self._key(positions), lambda: self._extract(positions))

    def floors(self) -> dict[str, Estimate]:
        """Metric -> what as many real images score that are in no way the reference's."""
        others = self._positions(*(split for split in SPLITS if split != self.protocol.reference))
        reference = self._positions(self.protocol.reference)
        return floors_of(
            self.at(reference),
            self._key(reference),
            HeldOut(self._key(others), len(others), lambda: self.at(others)),
            resolve(self.protocol.metrics),
            self.protocol.n_generated,
            cache=self.cache,
        )

    def _positions(self, *splits: str) -> list[int]:
        return sorted(int(i) for split in splits for i in self.images.positions(split))

    def _key(self, positions: Sequence[int]) -> str:
        return key_of(self.protocol, content_hash([self.images.manifest, [int(i) for i in positions]]))

    def _extract(self, positions: Sequence[int]) -> Features:
        pixels = np.asarray(self.images.pixels[np.asarray(positions, dtype=np.intp)])
        return Features.of(*self.extractor().features(torch.from_numpy(pixels)), band_powers(pixels))
