"""What a transfer forgot, of small generators and the real extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch

from graftbench.metrics.drift import drift
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.mapping import LatentGaussian, MappedGenerator
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.drift import SCRATCH, Before, forgetting_scores, why_not_paired
from graftbench.scoring.features import FeatureReader
from graftbench.scoring.protocol import resolve_protocol
from graftbench.training.autoencoding import VaeSampler
from graftbench.training.samplers import GeneratorSampler, ImageBankSampler, PcaGaussianSampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.records.record import Score

PROTOCOL = resolve_protocol(Protocol(size=32, n_generated=6, metrics=["forgetting"]))


def generator(seed: int, latent: int = 16) -> Generator:
    """A small generator of 32 px from random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(GeneratorSpec(resolution=32, latent=latent, channels=8))


def scored(after: Sampler, before: Sampler | None, cache: Path, protocol: Protocol = PROTOCOL) -> dict[str, Score]:
    """Scores by name, of images as a cell draws them from seed 3."""
    images = after.sample(6, torch.Generator().manual_seed(3))
    found = forgetting_scores(images, after, Before(before, None), protocol, cache=cache, seed=3)
    return {score.name: score for score in found}


def test_the_untransferred_source_has_forgotten_nothing(tmp_path: Path) -> None:
    """Exactly 0; without a source domain there is no distance to it."""
    found = scored(GeneratorSampler(generator(0)), GeneratorSampler(generator(0)), tmp_path)
    assert found["drift"].value == 0
    assert found["drift"].interval == (0, 0)
    assert found["source_kid"].undefined == "the task has no source domain"


def test_drift_is_of_the_same_latents(tmp_path: Path) -> None:
    """It is that of the features of both generators' images of one z, drawn by hand."""
    after, before = (GeneratorSampler(generator(seed)) for seed in (1, 0))
    z = torch.randn(6, 16, generator=torch.Generator().manual_seed(3))
    features = FeatureReader(PROTOCOL, tmp_path).extractor.features
    expected = drift(features(before.decode(z))[0], features(after.decode(z))[0])
    found = scored(after, before, tmp_path)["drift"]
    assert found.value == expected.value
    assert found.value is not None
    assert 0 < found.value < 0.5
    assert found.protocol == PROTOCOL.label


def test_what_was_not_asked_for_is_not_scored(tmp_path: Path) -> None:
    """Neither of both, or one alone."""
    sampler = GeneratorSampler(generator(0))
    assert not scored(sampler, sampler, tmp_path, msgspec.structs.replace(PROTOCOL, metrics=["kid"]))
    only = scored(sampler, sampler, tmp_path, msgspec.structs.replace(PROTOCOL, metrics=["kid", "drift"]))
    assert list(only) == ["drift"]


def test_who_starts_from_nothing_has_nothing_to_forget(tmp_path: Path) -> None:
    """Both scores say so."""
    found = scored(GeneratorSampler(generator(0)), None, tmp_path)
    assert [score.undefined for score in found.values()] == [SCRATCH, SCRATCH]


def mapped(shift: float) -> VaeSampler:
    """A generator behind a Gaussian of latents."""
    gaussian = LatentGaussian(16)
    gaussian.mean += shift
    return VaeSampler(MappedGenerator(gaussian, generator(0)))


@pytest.mark.parametrize(
    ("after", "before", "reason"),
    [
        (mapped(0.0), mapped(0.0), ""),
        (mapped(1.0), mapped(0.0), "its latent is mapped otherwise than the source's"),
        (mapped(0.0), GeneratorSampler(generator(0)), "its latent is mapped otherwise than the source's"),
        (
            GeneratorSampler(generator(0, latent=8)),
            GeneratorSampler(generator(0)),
            r"its latent has the shape (8,), that of the source model (16,)",
        ),
        (
            ImageBankSampler(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)),
            GeneratorSampler(generator(0)),
            "its latent is another than the source model's: ImageBankSampler, not GeneratorSampler",
        ),
    ],
)
def test_other_latents_are_told(after: Sampler, before: Sampler, reason: str) -> None:
    """What makes the images of two samplers no pairs is said; a mapping that both have is none."""
    assert why_not_paired(after, before) == reason


def test_another_latent_leaves_drift_undefined(tmp_path: Path) -> None:
    """With the reason of `why_not_paired`, and the number of images."""
    gaussian = PcaGaussianSampler(torch.zeros(3, 32, 32), torch.from_numpy(np.eye(4, 3072, dtype="f4")), torch.ones(4))
    found = scored(gaussian, GeneratorSampler(generator(0)), tmp_path)["drift"]
    assert found.value is None
    assert found.undefined == "its latent has the shape (4,), that of the source model (16,)"
    assert found.n_generated == 6
