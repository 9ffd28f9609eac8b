"""What a transfer forgot: each latent's image before and after it, and the distance to the source domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graftbench.contracts import LatentSampler, TranslatingSampler
from graftbench.metrics.drift import METRICS, drift, source_kid
from graftbench.metrics.estimate import Estimate
from graftbench.scoring.estimates import score_of
from graftbench.scoring.features import FeatureReader, split_of
from graftbench.training.samplers import MappedSampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Score

SCRATCH = "the method starts from no source model, so there was nothing to forget"


@dataclass(frozen=True)
class Before:
    """What a fit started from.

    Attributes:
        sampler: Draws from the untransferred source model; None for a method from scratch.
        domain: The source domain; None where the task has none.
    """

    sampler: Sampler | None
    domain: ImageSet | None


def forgetting_scores(
    images: torch.Tensor,
    sampler: Sampler,
    before: Before,
    protocol: Protocol,
    *,
    cache: Path,
    device: str = "cpu",
    seed: int = 0,
) -> list[Score]:
    """Return what the protocol asks for of `drift` and `source_kid`.

    Args:
        images: Those that were scored, of the adapted generator: uint8 n×3×H×W on the CPU.
        sampler: The adapted generator.
        before: What it was before.
        protocol: How to score, resolved.
        cache: Cache folder.
        device: Where the extractor computes.
        seed: From which the images were drawn: the source model draws from it too.
    """
    asked, n = [metric.name for metric in METRICS if metric.name in protocol.metrics], len(images)
    if not asked or before.sampler is None:
        return [score_of(Estimate(name=name, undefined=SCRATCH, n_generated=n), protocol.label) for name in asked]
    reader = FeatureReader(protocol, cache, device=device)
    after = reader.extractor.features(images)[0]
    estimates = []

    # The same latents before and after.
    if "drift" in asked and (reason := why_not_paired(sampler, before.sampler)):
        estimates.append(Estimate(name="drift", undefined=reason, n_generated=n))
    elif "drift" in asked:
        untransferred = before.sampler.sample(n, torch.Generator().manual_seed(seed))
        estimates.append(drift(reader.extractor.features(untransferred)[0], after))

    # The distance to the source domain.
    if "source_kid" in asked and before.domain is None:
        reason = "the task has no source domain"
        estimates.append(Estimate(name="source_kid", undefined=reason, n_generated=n))
    elif "source_kid" in asked and before.domain is not None:
        real = reader.cached(split_of(before.domain, protocol.reference))
        estimates.append(source_kid(after, real.pooled))
    return [score_of(estimate, protocol.label) for estimate in estimates]


def why_not_paired(after: Sampler, before: Sampler) -> str:
    """Return why two samplers do not make their images of the same latents; empty where they do.

    With the same state of their generator, samplers of one class draw the same noise, if they draw in the same way; of
    two with a latent z ~ N(0, I) of one shape z is the same, unless one maps it before its generator.
    """
    if isinstance(after, TranslatingSampler):
        return "its images are made of given ones, not of latents"
    latents = isinstance(after, LatentSampler), isinstance(before, LatentSampler)
    if all(latents):
        shapes = [sampler.latent_shape for sampler in (after, before) if isinstance(sampler, LatentSampler)]
        if shapes[0] != shapes[1]:
            return f"its latent has the shape {shapes[0]}, that of the source model {shapes[1]}"
        return "" if _mapping_of(after) == _mapping_of(before) else "its latent is mapped otherwise than the source's"
    if any(latents) or type(after) is not type(before):
        return f"its latent is another than the source model's: {type(after).__name__}, not {type(before).__name__}"
    ways = [{name: value for name, value in each.state()[1].items() if name != "spec"} for each in (after, before)]
    return "" if ways[0] == ways[1] else f"it is sampled otherwise than the source model: {ways[0]}, not {ways[1]}"


def _mapping_of(sampler: Sampler) -> dict[str, list[float]]:
    """Return the numbers that map a latent before the generator; empty without a mapping."""
    if not isinstance(sampler, MappedSampler):
        return {}
    tensors = sampler.network.state_dict()
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items() if not name.startswith("generator.")}
