"""What real images score that no generator made and the reference does not hold: the floor under every score.

A generator that drew from the target distribution itself would score this at the same numbers of images. It is computed
once for a reference set and a number of images, and cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import FILES, METRICS
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.metrics.memorization import authpct
from graftbench.plugins.code_hash import code_hash
from graftbench.records.cell_spec import content_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from graftbench.metrics.covariance import Moments


@dataclass(frozen=True)
class HeldOut:
    """Real images outside the reference.

    Attributes:
        key: Key of their features: over their content and the protocol.
        count: Their number.
        features_at: Positions among them, in ascending order -> their features; called when they are needed.
    """

    key: str
    count: int
    features_at: Callable[[NDArray[np.intp]], Features]


def training_floors(reference: Features, train: Features, metrics: Sequence[str]) -> dict[str, Estimate]:
    """Return the floors that depend on the training images: AuthPct of the reference images, which nobody trained on.

    The other metrics of memorisation hold the reference images as their own measure: train distance is 1 and C_T is 0
    for images like these.
    """
    return {"authpct": authpct(reference.pooled, train.pooled)} if "authpct" in metrics else {}


def has_floor(metric: str) -> bool:
    """Return whether `floors_of` has one: not where a score depends on training images, or on more than features."""
    return not {"train", "factors"}.intersection(METRICS[metric].needs)


def floors_of(
    reference: Features | Moments,
    reference_key: str,
    held_out: HeldOut,
    metrics: Sequence[str],
    n: int,
    *,
    cache: Path,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return metric -> the score of n held-out images, drawn without replacement.

    Args:
        reference: Features of the reference images, or their moments: then FID alone has a floor.
        reference_key: Key of these features.
        held_out: Real images outside the reference.
        metrics: Names; those without a floor are left out.
        n: How many images: as many as are generated.
        cache: Cache folder.
        seed: Of the draw, and of what the metrics draw.

    Returns:
        Nothing where fewer than n images are held out: most metrics of fewer images are no floor for those of n.
    """
    names = [metric for metric in metrics if has_floor(metric)]
    if held_out.count < n or not names:
        return {}
    whole = isinstance(reference, Features)
    key = content_hash([reference_key, whole, held_out.key, names, n, seed, _code(names)])[:32]
    path = cache / "floors" / f"{key}.json"
    floors = _read(path)
    if floors is None or floors.keys() != set(names):
        chosen = np.sort(np.random.default_rng(seed).permutation(held_out.count)[:n])
        drawn = held_out.features_at(chosen)
        estimates = evaluate_features(drawn, reference, metrics=names, intervals=False, seed=seed)
        floors = {estimate.name: estimate for estimate in estimates}
        with atomic_file(path) as part:
            part.write_bytes(msgspec.json.encode(_CachedFloors(floors=floors, sha256=content_hash(floors))))
    return floors


class _CachedFloors(msgspec.Struct):
    """The file of floors, with a digest over them: a digit that a disk changed would be read as another floor."""

    floors: dict[str, Estimate]
    sha256: str


def _code(names: Sequence[str]) -> str:
    """Return the hash of this code: a floor of other code may be another number."""
    return code_hash([Path(__file__), *(FILES[name].path for name in names if name in FILES)])


def _read(path: Path) -> dict[str, Estimate] | None:
    """Read what is cached; None if nothing is, or nothing sound: a cache is never a reason to fail."""
    try:
        cached = msgspec.json.decode(path.read_bytes(), type=_CachedFloors)
    except (OSError, msgspec.MsgspecError, GraftbenchError):  # the last: neither a value nor a reason
        return None
    return cached.floors if content_hash(cached.floors) == cached.sha256 else None
