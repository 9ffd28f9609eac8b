"""Measure the distance of a task's two domains: numbers behind the words near, middle and far.

The source domain's training images are scored against the target's reference images as if a generator had made them:
that is where a perfect copy of the source would stand before any transfer. Two more sets give the number its scale: the
target's own training images (the floor), and a Gaussian in pixel space that was fitted to them (which has the target's
mean colours and second-order statistics, and no object in it). All three have equally many images, for FID depends on
that number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.metrics.frechet import fid
from graftbench.metrics.kernel import kid
from graftbench.plugins.code_hash import code_hash
from graftbench.records.cell_spec import NO_SOURCE, content_hash
from graftbench.scoring.features import FeatureReader, split_of
from graftbench.scoring.protocol import Extraction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Protocol, TaskSpec

MOST = 2000
"""Images a side at most: beyond, the standard error is small beside any distance between domains."""

COMPONENTS = 64
"""Principal components of the Gaussian: as many as the reference row `gaussian` keeps by default."""

NEAR, FAR = 0.25, 0.75
"""Bounds of the share up to which a task is near, and from which it is far. A convention of this project."""


class Gap(msgspec.Struct, frozen=True):
    """Distance of a set of images from the target's reference images.

    Attributes:
        kid: Kernel distance, unbiased; None below two images a side.
        kid_standard_error: Of the U-statistic; None below four images a side.
        fid: Fréchet distance, biased upwards at few images; None below two images a side.
        cosine: 1 − the cosine of the two mean feature vectors, 0 to 2; None where one of them is 0.
    """

    kid: float | None
    kid_standard_error: float | None
    fid: float | None
    cosine: float | None


class TaskDistance(msgspec.Struct, frozen=True, kw_only=True):
    """A task in numbers.

    Attributes:
        task: `source->target@resolution`.
        n_source: Images of the source domain; 0 where there is none.
        n_source_train: Its training split, on which source models learn.
        n_target: Images of the target domain.
        n_target_train: Its training split: the largest data budget.
        n_reference: The split that is measured against.
        n: Images in each of the three sets that are measured.
        protocol: Label of the extraction, `lite0@96`.
        source: Of source training images; None where there is no source domain.
        floor: Of target training images.
        gaussian: Of draws from the Gaussian.
    """

    task: str
    n_source: int
    n_source_train: int
    n_target: int
    n_target_train: int
    n_reference: int
    n: int
    protocol: str
    source: Gap | None
    floor: Gap
    gaussian: Gap

    @property
    def share(self) -> float | None:
        """Return how far the source is on the way from floor to Gaussian, by KID; 0: as the target's own images.

        Above 1 the source is farther from the target than images without any object are. None where there is no source
        or the Gaussian is no farther than the floor.
        """
        if self.source is None or self.source.kid is None or self.floor.kid is None or self.gaussian.kid is None:
            return None
        whole = self.gaussian.kid - self.floor.kid
        return (self.source.kid - self.floor.kid) / whole if whole > 0 else None

    @property
    def word(self) -> str:
        """Return `near`, `middle` or `far`; empty where there is no share."""
        if self.share is None:
            return ""
        return "near" if self.share <= NEAR else "far" if self.share >= FAR else "middle"


def measure(
    task: TaskSpec, images: Mapping[tuple[str, int], ImageSet], protocol: Protocol, *, cache: Path, device: str = "cpu"
) -> TaskDistance:
    """Measure a task, or read from the cache what was measured of the same images under the same protocol.

    Args:
        task: The task.
        images: Name and resolution -> images of at least the task's domains.
        protocol: Resolved; its extraction and its reference split count.
        cache: Cache folder.
        device: Where the extractor computes.

    Raises:
        GraftbenchError: The extractor's weights are missing, or a split has no images.
    """
    target = images[task.target, task.resolution]
    source = None if task.source == NO_SOURCE else images[task.source, task.resolution]
    work = _Work(task, source, target, protocol, cache, device)
    path = cache / "distances" / f"{work.key}.json"
    distance = _read(path)
    if distance is None:
        distance = work.measured()
        with atomic_file(path) as part:
            part.write_bytes(msgspec.json.encode(distance))
    return msgspec.structs.replace(distance, task=str(task))  # paths of domains differ between machines


@dataclass(frozen=True)
class _Work:
    """One task's measurement."""

    task: TaskSpec
    source: ImageSet | None
    target: ImageSet
    protocol: Protocol
    cache: Path
    device: str

    @cached_property
    def reader(self) -> FeatureReader:
        return FeatureReader(self.protocol, self.cache, device=self.device)

    @cached_property
    def n(self) -> int:
        """Return as many images as each of the sets has."""
        sides = [side for side in (self.source, self.target) if side is not None]
        return min(MOST, *(len(side.positions("train")) for side in sides))

    @property
    def key(self) -> str:
        """Return a hash over the images, the extraction and this code."""
        manifests = ["" if self.source is None else self.source.manifest, self.target.manifest]
        extraction = msgspec.to_builtins(Extraction.of(self.protocol))
        settings = [self.protocol.reference, MOST, COMPONENTS, code_hash([Path(__file__)])]
        return content_hash([manifests, extraction, *settings])[:32]

    def measured(self) -> TaskDistance:
        """Compute all of it."""
        reference = self._real(self.target, self.protocol.reference)
        if not len(reference) or not self.n:
            raise GraftbenchError(
                f"The distance of {self.task} cannot be measured: its splits have {self.n} training images and "
                f"{len(reference)} of '{self.protocol.reference}'; expected at least one of each."
            )
        sides = (self.source, self.target)
        gaps = [None if side is None else gap(self._drawn(self._real(side, "train")), reference) for side in sides]
        assert gaps[1] is not None
        return TaskDistance(
            task=str(self.task),
            n_source=0 if self.source is None else len(self.source.ids),
            n_source_train=0 if self.source is None else len(self.source.positions("train")),
            n_target=len(self.target.ids),
            n_target_train=len(self.target.positions("train")),
            n_reference=len(reference),
            n=self.n,
            protocol=self.protocol.label,
            source=gaps[0],
            floor=gaps[1],
            gaussian=gap(self._gaussian(), reference),
        )

    def _real(self, images: ImageSet, split: str) -> NDArray[np.float32]:
        return self.reader.cached(split_of(images, split)).pooled

    def _drawn(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw as many rows as are measured, without replacement, the same every time."""
        return features[np.sort(np.random.default_rng(0).permutation(len(features))[: self.n])]

    def _gaussian(self) -> NDArray[np.float32]:
        """Return the features of n draws from the Gaussian that was fitted to the target's training images."""
        import torch  # noqa: PLC0415 - what is cached must not cost the import of torch

        from graftbench.training.samplers import PcaGaussianSampler, principal_components  # noqa: PLC0415

        train = torch.from_numpy(self.target.images("train"))
        mean, components, coordinates = principal_components(train, COMPONENTS)
        scales = coordinates.norm(dim=0) / max(1, len(coordinates) - 1) ** 0.5
        drawn = PcaGaussianSampler(mean, components, scales).sample(self.n, torch.Generator().manual_seed(0))
        return np.asarray(self.reader.extractor.features(drawn)[0])


def gap(images: NDArray[np.float32], reference: NDArray[np.float32]) -> Gap:
    """Measure the distances of one set of features (N×D) from another (M×D)."""
    kernel = kid(images, reference)
    return Gap(kernel.value, kernel.standard_error, fid(images, reference).value, mean_cosine(images, reference))


def mean_cosine(images: NDArray[np.float32], reference: NDArray[np.float32]) -> float | None:
    """Return 1 − the cosine of the mean rows, in float64; None where one of them is 0."""
    a, b = images.mean(axis=0, dtype=np.float64), reference.mean(axis=0, dtype=np.float64)
    lengths = math.sqrt(float(a @ a) * float(b @ b))
    return 1 - float(a @ b) / lengths if lengths > 0 else None


def _read(path: Path) -> TaskDistance | None:
    """Read what is cached; None if nothing is, or nothing readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TaskDistance)
    except (OSError, msgspec.MsgspecError):
        return None
