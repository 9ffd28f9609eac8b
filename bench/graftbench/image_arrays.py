"""Arrays of images to be scored: how their axes lie, and their pixels in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.image_batches import Images, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from graftbench.image_batches import Pixels

_HASHED_AT_ONCE = 64

_AS_UINT8 = "for values from 0 to 1 (x * 255).round(), for -1 to 1 ((x + 1) * 127.5).round(), then clip to 0…255"


class ArrayImages(Images):
    """Images of one size from blocks of pixels."""

    def __init__(
        self,
        name: str,
        layout: Layout,
        blocks: Callable[[int], Iterator[NDArray[Any]]],
        *,
        manifest: str = "",
        skipped: Mapping[str, str] | None = None,
    ) -> None:
        """Take in a source of pixels.

        Args:
            name: As in `Images`.
            layout: Shape of the whole.
            blocks: Size -> blocks of at most so many images, in order and in that layout.
            manifest: Known already; empty to make it from shape and pixels.
            skipped: As in `Images`.
        """
        super().__init__(name, layout.images, skipped or {})
        self._layout, self._blocks, self._known = layout, blocks, manifest

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The one (H, W) of all images."""
        return ((self._layout.height, self._layout.width),)

    def _manifest(self) -> str:
        if self._known:
            return self._known
        digest = digest_of("array", self.count, *self.sizes)
        for batch in self._batches(_HASHED_AT_ONCE):
            digest.update(batch.data)
        return digest.hexdigest()

    def _batches(self, size: int) -> Iterator[Pixels]:
        for block in self._blocks(size):
            yield np.array(block.transpose(0, 3, 1, 2) if self._layout.channels_last else block, np.uint8, order="C")


class Layout(NamedTuple):
    """How an array holds images."""

    images: int
    height: int
    width: int
    channels_last: bool


def layout_of(shape: tuple[int, ...], dtype: np.dtype[Any], what: str, found: str = "") -> Layout:
    """How an array of this shape and type holds images.

    Raises:
        GraftbenchError: It holds none, or one cannot tell.
    """
    expected = f"{what} must be uint8 of shape N×3×H×W or N×H×W×3; found {dtype}{found} of shape {shape}"
    if dtype != np.uint8:
        raise GraftbenchError(f"{expected}. Convert it: {_AS_UINT8}, then to uint8.")
    if len(shape) != 4:
        raise GraftbenchError(
            f"{expected}." + (" One image needs a first axis of length 1." if len(shape) == 3 else "")
        )
    first, last = shape[1] == 3, shape[3] == 3
    if first and last:
        raise GraftbenchError(f"{expected}, which can be read either way.")
    if not (first or last):
        hint = " Grey images: repeat the channel three times." if 1 in (shape[1], shape[3]) else ""
        hint = " Transparent images: lay them on white first." if 4 in (shape[1], shape[3]) else hint
        raise GraftbenchError(f"{expected}.{hint}")
    count, height, width = (shape[0], *shape[2:]) if first else shape[:3]
    if not count * height * width:
        raise GraftbenchError(f"{what} holds no images: its shape is {shape}.")
    return Layout(count, height, width, channels_last=last)


def sliced(array: NDArray[Any]) -> Callable[[int], Iterator[NDArray[Any]]]:
    """The blocks of an array that can be read anywhere."""
    return lambda size: (array[start : start + size] for start in range(0, len(array), size))
