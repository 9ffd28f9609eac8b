"""Features of images under one protocol, from the cache where they are: what every score is computed from.

Cells (`score`), `graftbench.evaluate`, floors and distances of tasks read their images through this one class.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from graftbench.extractors.load import make_extractor
from graftbench.images.domains import images_at
from graftbench.images.prepared import SPLITS
from graftbench.metrics.catalogue import of_factors, resolve
from graftbench.metrics.covariance import StreamingMoments, moments
from graftbench.metrics.features import Features, cached_features, cached_moments
from graftbench.metrics.spectrum import band_powers
from graftbench.metrics.thumbnail import SIDE, thumbnails
from graftbench.scoring.floors import HeldOut, floors_of
from graftbench.scoring.protocol import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.extractors.base import Extractor
    from graftbench.images.base import Images, Pixels
    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.covariance import Moments
    from graftbench.metrics.estimate import Estimate
    from graftbench.records.cell_spec import Protocol


class FeatureReader:
    """Reads sets of images under one protocol; the network is loaded when the first of them is not in the cache.

    Args:
        protocol: How to extract, resolved.
        cache: Cache folder.
        device: Where the extractor computes.
        batch_size: Images per forward pass; None for the extractor's own.
        progress: Called with the name of the images, how many are done and how many there are.

    Attributes:
        extract_seconds: Seconds of decoding, resizing and the network so far.
        forward_seconds: The network's share of them.
    """

    def __init__(
        self,
        protocol: Protocol,
        cache: Path,
        *,
        device: str = "cpu",
        batch_size: int | None = None,
        progress: Callable[[str, int, int], None] = lambda _name, _done, _count: None,
    ) -> None:
        self.protocol, self.cache = protocol, cache
        self._device, self._batch_size, self._progress = device, batch_size, progress
        self.extract_seconds = self.forward_seconds = 0.0

    @cached_property
    def extractor(self) -> Extractor:
        """Return the protocol's extractor, its weights loaded.

        Raises:
            GraftbenchError: The weights are missing, cannot be downloaded, or are others.
        """
        return make_extractor(
            self.protocol.extractor,
            size=self.protocol.size,
            resize=self.protocol.resize,
            weights=self.protocol.weights,
            blur=self.protocol.blur or 0,
            dither=self.protocol.dither or 0,
            device=self._device,
            batch_size=self._batch_size,
        )

    def key(self, images: Images) -> str:
        """Return the key of images' features: over their contents and the protocol."""
        return key_of(self.protocol, images.manifest)

    def features(self, images: Images) -> Features:
        """Extract the features of images; nothing is cached."""
        parts = [
            (pooled, logits, band_powers(batch), thumbnails(batch)) for batch, pooled, logits in self._batches(images)
        ]
        if not parts:
            width, classes = self.extractor.width, self.extractor.classes
            pooled, logits = (np.empty((0, columns), np.float32) for columns in (width, classes))
            return Features(pooled, logits, np.empty((0, 3)), np.empty((0, 3, SIDE, SIDE), np.uint8))
        return Features(*(np.concatenate(of_batches) for of_batches in zip(*parts, strict=True)))

    def cached(self, images: Images) -> Features:
        """Return the features of images from the cache, else extract and cache them."""
        return cached_features(self.cache / "features", self.key(images), lambda: self.features(images))

    def moments(self, images: Images) -> Moments:
        """Extract mean and covariance of images' features, of which few are in memory at a time."""
        running = StreamingMoments()
        for _, pooled, _ in self._batches(images):
            running.add(pooled)
        return running.moments()

    def cached_moments(self, images: Images) -> Moments:
        """Return the moments of images from the cache, of their moments or features, else extract and cache them."""
        key = self.key(images)
        if (self.cache / "features" / f"{key}.npz").exists():
            return moments(self.cached(images).pooled)
        return cached_moments(self.cache / "moments", key, lambda: self.moments(images))

    def floors(
        self,
        reference: Features | Moments,
        reference_key: str,
        held_out: Images,
        metrics: Sequence[str],
        *,
        n: int,
        seed: int = 0,
    ) -> dict[str, Estimate]:
        """Return metric -> the score of n held-out real images, as `floors_of` does."""
        real = HeldOut(self.key(held_out), held_out.count, lambda chosen: self.cached(held_out).rows(chosen))
        return floors_of(reference, reference_key, real, metrics, n, cache=self.cache, seed=seed)

    def floors_of_domain(self, domain: ImageSet) -> dict[str, Estimate]:
        """Return the floors under the protocol's reference split: scores of images of the domain's other splits.

        Features are extracted of the images drawn alone, and not kept: the others of these splits are many.
        """
        split = self.protocol.reference
        reference, others = split_of(domain, split), _positions(domain, *(each for each in SPLITS if each != split))
        held_out = HeldOut(
            self.key(images_at(domain, others)),
            len(others),
            lambda chosen: self.features(images_at(domain, [others[i] for i in chosen])),
        )
        names, n = resolve(self.protocol.metrics), self.protocol.n_generated
        return floors_of(self.cached(reference), self.key(reference), held_out, names, n, cache=self.cache)

    def prepare(self, domain: ImageSet) -> None:
        """Put into the cache what every score against a domain needs: features, floors, the reader of its factors."""
        self.floors_of_domain(domain)
        if domain.factors and of_factors(self.protocol.metrics):
            from graftbench.scoring.factor_classifier import factor_classifier  # noqa: PLC0415 - imports torch

            factor_classifier(domain, self.cache)

    def _batches(self, images: Images) -> Iterator[tuple[Pixels, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield the images, their features and their logits, batch by batch."""
        import torch  # noqa: PLC0415 - `graftbench evaluate` may find all in the cache

        extractor = self.extractor
        start, done = time.perf_counter(), 0
        self._progress(images.name, 0, images.count)
        for batch in images.batches(extractor.batch_size):
            before = time.perf_counter()
            pooled, logits = extractor.features(torch.from_numpy(batch))
            self.forward_seconds += time.perf_counter() - before
            done += len(batch)
            self._progress(images.name, done, images.count)
            yield batch, pooled.numpy(), logits.numpy()
        self.extract_seconds += time.perf_counter() - start


def split_of(domain: ImageSet, *splits: str) -> Images:
    """Return the images of some splits of a domain, in the domain's order."""
    return images_at(domain, _positions(domain, *splits))


def _positions(domain: ImageSet, *splits: str) -> list[int]:
    return sorted(int(i) for split in splits for i in domain.positions(split))
