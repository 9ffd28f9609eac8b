"""Features to scores, and the cache of reference features.

A cell extracts once and scores here:

    extractor = make_extractor(…)
    key = reference_key(…)
    reference = cached_features(cache_folder, key, lambda: extract(extractor, reference_images))
    scores = evaluate_features(extract(extractor, samples), reference, protocol.label)
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import to_numpy
from graftbench.metrics.frechet import fid
from graftbench.metrics.inception import inception_score
from graftbench.metrics.kernel import kid
from graftbench.record import Score, content_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix
    from graftbench.metrics.estimate import Estimate
    from graftbench.metrics.networks import Extractor

FORMAT = 1
"""Version of what the cached features are. Part of their key: raise it when the extraction changes its numbers."""


@dataclass(frozen=True)
class Features:
    """What an extractor saw in a set of images.

    Attributes:
        pooled: float32 N×D.
        logits: float32 N×K.
    """

    pooled: NDArray[np.float32]
    logits: NDArray[np.float32]

    @classmethod
    def of(cls, pooled: FeatureMatrix, logits: FeatureMatrix) -> Features:
        """Features from tensors or arrays.

        Raises:
            GraftbenchError: They are no two matrices of equally many rows.
        """
        first, second = (to_numpy(values).astype(np.float32) for values in (pooled, logits))
        if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
            raise GraftbenchError(
                "Pooled features N×D and logits N×K must have one row per image; "
                f"found the shapes {first.shape} and {second.shape}."
            )
        return cls(first, second)

    def save(self, path: Path) -> None:
        """Write an .npz file; the path holds a whole file or none, also when the process is killed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, pooled=self.pooled, logits=self.logits)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> Features:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            GraftbenchError: The file is missing, damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls.of(file["pooled"], file["logits"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise GraftbenchError(f"'{path}' holds no features ({error}); delete it to extract them again.") from error


def extract(extractor: Extractor, images: torch.Tensor) -> Features:
    """Features of uint8 images N×3×H×W."""
    return Features.of(*extractor.features(images))


def reference_key(
    *, manifest: str, split: str, extractor: str, weights_sha256: str, size: int | None, resize: str
) -> str:
    """32 hexadecimal digits over all that reference features depend on.

    Args:
        manifest: Hash over the domain's ids, splits and pixels at its resolution.
        split: `reference`, `validation`, …
        extractor: Name of the extractor.
        weights_sha256: Hash of its weights.
        size: Side to which images are resized for it.
        resize: Name of the resize rule.
    """
    return content_hash(
        {
            "format": FORMAT,
            "manifest": manifest,
            "split": split,
            "extractor": extractor,
            "weights_sha256": weights_sha256,
            "size": size,
            "resize": resize,
        }
    )[:32]


def cached_features(folder: Path, key: str, make: Callable[[], Features]) -> Features:
    """The features stored under `key` in `folder`, or those that `make` returns, which are stored then.

    An unreadable file is made anew: a cache is never a reason to fail. Processes may do this side by side.
    """
    path = folder / f"{key}.npz"
    if path.exists():
        try:
            return Features.load(path)
        except GraftbenchError:
            pass  # damaged: replaced below
    features = make()
    features.save(path)
    return features


def evaluate_features(generated: Features, reference: Features, protocol_label: str) -> list[Score]:
    """The scores `fid`, `kid` and `inception_score` of generated features.

    Args:
        generated: Of the generated images.
        reference: Of the reference split, from the same extractor.
        protocol_label: `lite0@96`.

    Raises:
        GraftbenchError: The widths differ, or entries are NaN or infinite.
    """
    estimates = (
        fid(generated.pooled, reference.pooled),
        kid(generated.pooled, reference.pooled),
        inception_score(generated.logits),
    )
    return [as_score(estimate, protocol_label) for estimate in estimates]


def as_score(estimate: Estimate, protocol_label: str) -> Score:
    """An estimate as the record keeps it."""
    return Score(
        name=estimate.name,
        value=estimate.value,
        undefined=estimate.undefined,
        standard_error=estimate.standard_error,
        n_generated=estimate.n_generated,
        n_reference=estimate.n_reference,
        protocol=protocol_label,
    )
