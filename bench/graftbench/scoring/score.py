"""A sampler -> its scores under a protocol: sample, features once, every metric from them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.images.domains import images_at
from graftbench.metrics.catalogue import METRICS, of_factors, resolve
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.metrics.fidelity import fidelity
from graftbench.metrics.spectrum import band_powers
from graftbench.metrics.thumbnail import thumbnails
from graftbench.records.record import Score
from graftbench.scoring.features import FeatureReader, split_of
from graftbench.scoring.floors import training_floors
from graftbench.scoring.neighbors import neighbors_of
from graftbench.scoring.task_kinds import translated
from graftbench.scoring.truth import truth_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.estimate import Estimate
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Truth
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
        truth: What the scores against known factors rest on; None where the target has none, or none was asked for.
    """

    scores: list[Score]
    images: torch.Tensor
    sampling_seconds: float
    neighbors: Neighbors | None = None
    truth: Truth | None = None


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
    # Sample, or translate the inputs of the exam.
    start = time.perf_counter()
    if exam is None:
        images = sampler.sample(protocol.n_generated, generator)
    else:
        images = translated(sampler, exam, target.resolution, generator)
    seconds = time.perf_counter() - start

    # Extract features, those of real images at most once.
    reader = FeatureReader(protocol, cache, device=device)
    real = split_of(target, protocol.reference)
    reference = reader.cached(real)
    train_features = reader.cached(images_at(target, sorted(train))) if train else None
    generated = Features.of(*reader.extractor.features(images), band_powers(images), thumbnails(images))

    # Compute every metric from them.
    asked = resolve(protocol.metrics)
    known_truth = of_factors(asked)
    metrics = [name for name in asked if name not in known_truth and (train or "train" not in METRICS[name].needs)]
    estimates = []
    if metrics:
        estimates = evaluate_features(generated, reference, metrics=metrics, train=train_features, seed=seed)
    if exam is not None and exam.positions is not None and exam.truths is not None:
        true = reference.rows(np.searchsorted(target.positions(protocol.reference), exam.positions))
        estimates += fidelity(images, exam.truths, generated.pooled, true.pooled)

    # Fewer inputs than the protocol generates have no floor: it is that of n_generated images.
    floors = reader.floors_of_domain(target) if len(images) == protocol.n_generated else {}
    floors |= {} if train_features is None else training_floors(reference, train_features, metrics)
    truth: Truth | None = None
    if known_truth and target.factors:
        against = truth_scores(images, target, known_truth, reference=protocol.reference, cache=cache, seed=seed)
        estimates, floors, truth = estimates + against.estimates, floors | against.floors, against.truth
    scores = [_score(estimate, floors.get(estimate.name), protocol.label) for estimate in estimates]
    near = None if train_features is None else neighbors_of(generated.pooled, train_features.pooled, sorted(train))
    return Scored(scores, images, seconds, near, truth)


def _score(estimate: Estimate, floor: Estimate | None, protocol_label: str) -> Score:
    """Return an estimate as the record keeps it."""
    shared = {name: getattr(estimate, name) for name in Score.__struct_fields__ if name not in ("floor", "protocol")}
    return Score(**shared, floor=None if floor is None else floor.value, protocol=protocol_label)
