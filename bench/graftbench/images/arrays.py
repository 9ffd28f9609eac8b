"""Arrays of images to be scored: how their axes lie, and their pixels in batches."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.images.base import Images, digest_of
from graftbench.images.decoding import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.images.base import Pixels


_HASHED_AT_ONCE = 64

_LOOKED_AT = 2**24
"""Bytes of an array of another type that are looked at to say how it is converted."""

DARK = 1
"""Levels of 255: where no value is higher, the array held 0 to 1 before it was made uint8."""


class ArrayImages(Images):
    """Images of one size from blocks of pixels."""

    def __init__(
        self,
        name: str,
        layout: ArrayLayout,
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
        self._brightest = -1

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
            pixels = np.array(block.transpose(0, 3, 1, 2) if self._layout.channels_last else block, np.uint8, order="C")
            self._brightest = max(self._brightest, int(pixels.max(initial=0)))
            yield pixels

    @property
    def remark(self) -> str:
        """Say that no value is above 1 of 255, once all batches are read; else empty."""
        return dark_remark(self.name, self._brightest) if self._brightest >= 0 else ""


class ArrayLayout(NamedTuple):
    """The number and size of the images in an array, and where their channels lie."""

    images: int
    height: int
    width: int
    channels_last: bool


def dark_remark(name: str, brightest: int) -> str:
    """Say that an array of images is all but black, as one of 0 to 1 is that was made uint8; empty if it is not."""
    if brightest > DARK:
        return ""
    return f"no value in {name} is above {brightest} of 255: images of 0 to 1 are multiplied by 255 before uint8"


def layout_of(
    shape: tuple[int, ...], dtype: np.dtype[Any], what: str, values: Callable[[], NDArray[Any]]
) -> ArrayLayout:
    """Return how an array of this shape and type holds images.

    Args:
        shape: Its shape.
        dtype: Its type.
        what: The array in words.
        values: Some of its values, to say how an array of another type is converted.

    Raises:
        GraftbenchError: It holds none, or one cannot tell.
    """
    expected = f"{what} must be uint8 of shape N×3×H×W or N×H×W×3; found {dtype}"
    if dtype != np.uint8:
        some = values() if dtype.kind in "fiu" else np.empty(0)
        ends = (float(some.min()), float(some.max())) if some.size and np.isfinite(some).all() else None
        span = f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else ""
        raise GraftbenchError(f"{expected}{span} of shape {shape}. Convert it: {_conversion(dtype, ends)}.")
    expected += f" of shape {shape}"
    if len(shape) != 4:
        raise GraftbenchError(f"{expected}.{_missing_axes(shape)}")
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
    return ArrayLayout(count, height, width, channels_last=last)


def _missing_axes(shape: tuple[int, ...]) -> str:
    """Say how an array that does not have four axes gets them; empty where nobody can tell."""
    grey = " Grey images need three equal channels: np.stack([x] * 3, axis=1)."
    if len(shape) == 3:
        return " One image needs a first axis of length 1: x[None]." if 3 in (shape[0], shape[2]) else grey
    return f"{grey[:-1]}, of x[None] for one image." if len(shape) == 2 else ""


def _conversion(dtype: np.dtype[Any], ends: tuple[float, float] | None) -> str:
    """Say how values of a type and range become uint8, 0 to 255."""
    if dtype.kind == "b":
        return "x.astype('uint8') * 255"
    low, high = ends or (0.0, 0.0)
    whole = ".clip(0, 255).astype('uint8')"
    scales = {
        "values from 0 to 1": ("(x * 255).round()", low >= 0 and high <= 1),
        "-1 to 1": ("((x + 1) * 127.5).round()", -1 <= low < 0 and high <= 1),
        "0 to 255": ("x.round()" if dtype.kind == "f" else "x", low >= 0 and 1 < high <= 255),
        "0 to 65535": ("(x / 257).round()", low >= 0 and 255 < high <= 65535),
    }
    fitting = [recipe for recipe, fits in scales.values() if fits] if ends else []
    if fitting:
        return f"{fitting[0]}{whole}"
    each = ", for ".join(f"{span} {recipe}" for span, (recipe, _) in scales.items())
    return f"for {each}, then {whole}"


def sliced(array: NDArray[Any]) -> Callable[[int], Iterator[NDArray[Any]]]:
    """Return a function that yields the blocks of an array that can be read anywhere."""
    return lambda size: (array[start : start + size] for start in range(0, len(array), size))


ARRAY_SUFFIXES = (".npy", ".npz")
"""Endings of the names of array files, in lower case."""


_BAD_ARRAY_FILE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    RuntimeError,  # an encrypted zip member; NotImplementedError (a compression this Python lacks) is one
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    TokenError,  # numpy parses a header as Python
)
"""Exceptions that zipfile and NumPy raise on damaged files."""


_LONGEST_HEADER = 2**16
"""Bytes of an .npy header: shape and type of images take a hundred."""

_UNPACKED_AT_MOST = 2**28
"""Bytes up to which an array in an .npz file may be packed in any way."""

_MOST_PACKED = 500
"""Bytes that one stored byte of a longer array may stand for; images that are all black have twice as many."""


_ARRAY_NAMES = ("arr_0", "images")
"""Names of the images in an .npz file: what `np.savez(path, images)` calls them (also ADM's sample files), and ours."""


def open_array_file(path: Path, name: str) -> Images:
    """Open the images in an .npy or .npz file.

    Args:
        path: The file; the ending of its name tells which kind it is.
        name: What to print for it.

    Raises:
        GraftbenchError: It is damaged, or does not hold one array of images.
    """
    try:
        return _open_npy(path, name) if path.suffix.lower() == ".npy" else _open_npz(path, name)
    except _BAD_ARRAY_FILE as error:
        raise _bad_file(name, error) from error


def _bad_file(name: str, error: Exception) -> GraftbenchError:
    return GraftbenchError(f"'{name}' cannot be read as an array of images ({reason(error)}).")


class _Header(NamedTuple):
    """The header of an .npy file."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def _header(stream: IO[bytes]) -> _Header:
    """Read an .npy header; the stream is left at the first number. Raises one of `_BAD_ARRAY_FILE`."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return _Header(*np.lib.format.read_array_header_1_0(stream))
    if version == (2, 0):
        begins, length = stream.tell(), int.from_bytes(stream.read(4), "little")
        if length > _LONGEST_HEADER:  # NumPy would read it whole before it looks
            raise ValueError(f"its header declares {length:,} bytes of itself; one has {_LONGEST_HEADER:,} at most")
        stream.seek(begins)
        return _Header(*np.lib.format.read_array_header_2_0(stream))
    raise ValueError(f"version {version} of the npy format is for tables with named columns")


def _open_npy(path: Path, name: str) -> Images:
    """Map an .npy file into memory: the system reads what is asked for."""
    with path.open("rb") as stream:
        header = _header(stream)
    layout = layout_of(
        header.shape, header.dtype, f"The array in '{name}'", lambda: _some(np.load(path, mmap_mode="r"))
    )
    return ArrayImages(name, layout, sliced(np.load(path, mmap_mode="r", allow_pickle=False)))


def _open_npz(path: Path, name: str) -> Images:
    """Open an .npz file, of which one array is unpacked as it is read."""
    with zipfile.ZipFile(path) as archive:
        arrays = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
        array = next((usual for usual in _ARRAY_NAMES if usual in arrays), arrays[0] if len(arrays) == 1 else None)
        if array is None:
            raise GraftbenchError(_no_images(name, arrays))
        with archive.open(f"{array}.npy") as stream:
            header, begins = _header(stream), stream.tell()
            layout = layout_of(
                header.shape, header.dtype, f"The array '{array}' in '{name}'", lambda: _read_some(stream, header)
            )
            _check_size(header, archive.getinfo(f"{array}.npy"), begins)
    if header.fortran_order:  # the last axis varies slowest: no block of images lies in one piece
        with np.load(path, allow_pickle=False) as file:
            return ArrayImages(name, layout, sliced(file[array]))

    def blocks(size: int) -> Iterator[NDArray[Any]]:
        try:
            yield from _unpacked(path, f"{array}.npy", header, size)
        except _BAD_ARRAY_FILE as error:
            raise _bad_file(name, error) from error

    return ArrayImages(name, layout, blocks)


def _check_size(header: _Header, member: zipfile.ZipInfo, begins: int) -> None:
    """Refuse an array that is not as long as its header says, or that was packed as no images are.

    Raises:
        ValueError: It says what was found. DEFLATE makes 1,032 bytes of one at most, of a single value repeated.
    """
    declared = math.prod(header.shape) * header.dtype.itemsize
    if declared != member.file_size - begins:
        raise ValueError(f"its header declares {declared:,} bytes, and {member.file_size - begins:,} are stored")
    if declared > _UNPACKED_AT_MOST and declared > _MOST_PACKED * member.compress_size:
        raise ValueError(
            f"{member.compress_size:,} stored bytes unpack to {declared:,}: more than {_MOST_PACKED} times as many, as "
            "no images do"
        )


def _some(array: NDArray[Any]) -> NDArray[Any]:
    """Return the first values of an array, few enough to be read for a message."""
    return array.reshape(-1)[: _LOOKED_AT // array.itemsize] if array.flags.c_contiguous else array[:1]


def _read_some(stream: IO[bytes], header: _Header) -> NDArray[Any]:
    """Read the first values behind an .npy header, few enough to be read for a message."""
    size = header.dtype.itemsize
    content = stream.read(_LOOKED_AT // size * size)
    return np.frombuffer(content[: len(content) // size * size], header.dtype)


def _unpacked(path: Path, member: str, header: _Header, size: int) -> Iterator[Pixels]:
    """Yield blocks of a zip file's array; zipfile compares the checksum last. Raises one of `_BAD_ARRAY_FILE`."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        if _header(stream) != header:
            raise ValueError("the file changed while it was read")
        count, *image = header.shape
        each = int(np.prod(image))
        for start in range(0, count, size):
            block = min(size, count - start)
            content = stream.read(block * each)
            if len(content) < block * each:
                raise EOFError(f"the array ends within image {start + len(content) // each} of {count}")
            yield np.frombuffer(content, np.uint8).reshape(block, *image)


def _no_images(name: str, arrays: Sequence[str]) -> str:
    """Say why an .npz file without one array of a usual name is no source of images."""
    if {"mu", "sigma"} <= set(arrays):
        return (
            f"'{name}' holds `mu` and `sigma`: pytorch-fid's statistics of features, without the protocol (extractor, "
            "resizing) that they were made under, and no images. Give the images themselves."
        )
    content = f"the arrays {', '.join(sorted(arrays))}" if arrays else "no arrays"
    return f"'{name}' holds {content}; expected images under the name {' or '.join(_ARRAY_NAMES)}, or one array alone."
