"""Interface of images to be scored: their number, their pixels in batches, a key of their contents."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"

_FORMAT = 1
"""Version of what a manifest is made of."""


class Images(ABC):
    """Images in a fixed order, which can be read any number of times.

    Attributes:
        name: What to print: the last component of the path, or the domain's spec. Nothing private to a machine.
        count: Number of images.
        skipped: Name -> why this file of a folder (or of a domain's folder) is not among the images.
    """

    def __init__(self, name: str, count: int, skipped: Mapping[str, str]) -> None:
        self.name = name
        self.count = count
        self.skipped = dict(skipped)

    @cached_property
    def manifest(self) -> str:
        """SHA-256 (hex) over the contents in order: a key for what is computed from the images.

        Names and places do not enter. A folder's is over the bytes of its files and the rule that decodes them; an
        array's over shape and pixels, whichever layout, file or device they come in; a domain's over the manifest of
        the domain and the positions in it. Equal pixels from two kinds of sources have different manifests. Computed
        when first asked for, by reading everything once.

        Raises:
            GraftbenchError: The files can no longer be read.
        """
        return self._manifest()

    @property
    def remark(self) -> str:
        """Return what is odd about the pixels, once all are read; empty for nothing."""
        return ""

    @property
    @abstractmethod
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The distinct (H, W) in order of appearance.

        Of a folder those of the batches read so far: all after the last batch, none after `manifest` alone.
        """

    def batches(self, size: int) -> Iterator[Pixels]:
        """Yield the images in order: uint8 B×3×H×W, RGB, 0 to 255, writable, B ≤ size.

        A batch has one size of images: where a folder changes sizes, the batch before ends early. Batches of a folder
        are decoded ahead in threads, so that up to three batches and what the caller keeps are in memory; the threads
        end with the iteration, also when it is abandoned.

        Args:
            size: Images in a batch.

        Raises:
            GraftbenchError: `size` is not positive; during the iteration also: a file is damaged or was changed.
        """
        if size < 1:
            raise GraftbenchError(f"A batch must have at least 1 image; found {size}.")
        return self._batches(size)

    @abstractmethod
    def _manifest(self) -> str: ...

    @abstractmethod
    def _batches(self, size: int) -> Iterator[Pixels]: ...


def digest_of(*parts: object) -> hashlib._Hash:
    """Return a SHA-256 that has read the parts as JSON and a zero byte, to be fed further."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts], separators=(",", ":")).encode("ascii") + b"\0")
