"""The features of a set of images, cached on disk under a key made of everything that they depend on."""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import to_numpy
from graftbench.metrics.covariance import Moments
from graftbench.metrics.thumbnail import SIDE
from graftbench.records.cell_spec import content_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

T = TypeVar("T")

FORMAT = 4
"""Version of the cached features. Part of their key: raise it when the extraction changes or adds numbers."""

_DAMAGE = (
    *(OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, struct.error),
    TypeError,  # one bare array instead of an archive of several
    *(SyntaxError, TokenError),  # NumPy parses a header as Python
    RuntimeError,  # an encrypted member, or a compression that this Python lacks
)
"""The errors of zipfile and NumPy on damaged files."""


@dataclass(frozen=True, eq=False)
class Features:
    """The numbers that an extractor gave for a set of images.

    Attributes:
        pooled: float32 N×D.
        logits: float32 N×K; K = 0 for an extractor without classes.
        powers: float64 N×3, of the pixels themselves (`spectrum.band_powers`); None where they were not computed.
        thumbnails: uint8 N×3×32×32, the images themselves (`thumbnail.thumbnails`); None where they were not made.
    """

    pooled: NDArray[np.float32]
    logits: NDArray[np.float32]
    powers: NDArray[np.float64] | None = None
    thumbnails: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.pooled)

    @classmethod
    def of(
        cls,
        pooled: FeatureMatrix,
        logits: FeatureMatrix,
        powers: FeatureMatrix | None = None,
        thumbnails: NDArray[np.uint8] | None = None,
    ) -> Features:
        """Return features made of tensors or arrays.

        Raises:
            GraftbenchError: They are no matrices of equally many rows, or the powers are not N×3, or
                the thumbnails not uint8 N×3×32×32.
        """
        first, second = (to_numpy(values).astype(np.float32) for values in (pooled, logits))
        if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
            raise GraftbenchError(
                "Pooled features N×D and logits N×K must have one row per image; "
                f"found the shapes {first.shape} and {second.shape}."
            )
        third = None if powers is None else to_numpy(powers).astype(np.float64)
        if third is not None and third.shape != (len(first), 3):
            raise GraftbenchError(f"Powers must be {len(first)}×3, one row per image; found the shape {third.shape}.")
        expected = (len(first), 3, SIDE, SIDE)
        if thumbnails is not None and (thumbnails.dtype != np.uint8 or thumbnails.shape != expected):
            raise GraftbenchError(
                f"Thumbnails must be uint8 of the shape {expected}; found {thumbnails.dtype}, {thumbnails.shape}."
            )
        return cls(first, second, third, thumbnails)

    def rows(self, positions: NDArray[np.intp]) -> Features:
        """Return the features of some of the images."""
        powers = None if self.powers is None else self.powers[positions]
        thumbnails = None if self.thumbnails is None else self.thumbnails[positions]
        return Features(self.pooled[positions], self.logits[positions], powers, thumbnails)

    def save(self, path: Path) -> None:
        """Write an .npz file; the path holds a whole file or none, also when the process is killed.

        Raises:
            GraftbenchError: The file cannot be written.
        """
        # All are always written: a file without one of them is damaged.
        powers = np.empty((0, 3)) if self.powers is None else self.powers
        thumbnails = np.empty((0, 3, SIDE, SIDE), np.uint8) if self.thumbnails is None else self.thumbnails
        _write(path, {"pooled": self.pooled, "logits": self.logits, "powers": powers, "thumbnails": thumbnails})

    @classmethod
    def load(cls, path: Path) -> Features:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            GraftbenchError: The file is missing, damaged or something else.
        """
        pooled, logits, powers, thumbnails = _read(path, "pooled", "logits", "powers", "thumbnails")
        return cls.of(pooled, logits, powers if len(powers) else None, thumbnails if len(thumbnails) else None)


def features_key(
    *,
    images: str,
    extractor: str,
    weights_sha256: str,
    size: int | None,
    resize: str,
    blur: float = 0,
    dither: float = 0,
) -> str:
    """Return 32 hexadecimal digits over all that features depend on.

    Args:
        images: Content hash of the images, in their order.
        extractor: Name of the extractor.
        weights_sha256: Hash of its weights.
        size: Side to which images are resized for it.
        resize: Name of the resize rule.
        blur: Standard deviation of the blur before it, in pixels.
        dither: Standard deviation of the noise after the blur, in levels of 255.
    """
    settings: dict[str, object] = {
        "format": FORMAT,
        "images": images,
        "extractor": extractor,
        "weights_sha256": weights_sha256,
        "size": size,
        "resize": resize,
        "dtype": "float32",
    }
    softening = {"blur": blur, "dither": dither} if blur or dither else {}
    return content_hash(settings | softening)[:32]


def cached_features(folder: Path, key: str, make: Callable[[], Features]) -> Features:
    """Return the features stored under `key` in `folder`, or make and store them.

    An unreadable file is made anew: a cache is never a reason to fail. Processes may do this side by side.
    """
    return _cached(folder / f"{key}.npz", Features.load, make, Features.save)


def cached_moments(folder: Path, key: str, make: Callable[[], Moments]) -> Moments:
    """Return the mean and covariance stored under `key` in `folder`, or make and store them, as `cached_features`."""

    def load(path: Path) -> Moments:
        mean, root, n = _read(path, "mean", "root", "n")
        return Moments(mean, root, int(n))

    def save(moments: Moments, path: Path) -> None:
        _write(path, {"mean": moments.mean, "root": moments.root, "n": moments.n})

    return _cached(folder / f"{key}.npz", load, make, save)


def _cached(path: Path, load: Callable[[Path], T], make: Callable[[], T], save: Callable[[T, Path], None]) -> T:
    if path.exists():
        with suppress(GraftbenchError):  # damaged: replaced below
            return load(path)
    value = make()
    save(value, path)
    return value


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_file(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def _read(path: Path, *names: str) -> list[NDArray[Any]]:
    """Return arrays of an .npz file. The file is opened here: NumPy leaves it open where it is no archive."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return [file[name] for name in names]
    except _DAMAGE as error:
        raise GraftbenchError(f"'{path}' holds no features ({error}); delete it to extract them again.") from error
