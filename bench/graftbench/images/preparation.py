"""Many pictures become one file of uint8 pixels: decoded and resized in threads, written in order, never all in memory.

Pillow lets go of Python's lock while it decodes and resizes, so that threads serve; processes would have to send the
pixels to each other. Rows are appended to a NumPy file whose header is made good at the end, when it is known how many
pictures could be used: a mapped array would count as the process's memory until the disk has caught up.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from graftbench.contracts import DomainImages
from graftbench.errors import GraftbenchError
from graftbench.images.decoding import DAMAGE, reason
from graftbench.images.near_duplicates import Sketch, sketch
from graftbench.images.resizing import DEFAULT, square
from graftbench.resources.environment import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.contracts import Item

T = TypeVar("T")
R = TypeVar("R")

REPORT_SECONDS = 5.0

_AHEAD_PER_WORKER = 8


class Decoded(NamedTuple):
    """A picture after decoding: its pixels, or why it cannot be used.

    Attributes:
        id: Its id.
        group: Its group.
        pixels: uint8 3×R×R, or None if the picture cannot be used.
        excluded: Why not; empty if it can.
        digest: SHA-256 of the pixels.
        sketch: For near-duplicates, if it was asked for.
        factors: Factor -> variant, where they are files.
        split: The split that the domain states; empty where it states none.
    """

    id: str
    group: str
    pixels: NDArray[np.uint8] | None
    excluded: str = ""
    digest: bytes = b""
    sketch: Sketch | None = None
    factors: Mapping[str, str] = {}
    split: str = ""


@dataclass
class PreparedFiles:
    """The facts about the pictures in a written file, in the file's order.

    Attributes:
        ids: One a picture.
        groups: The domain's groups.
        digests: SHA-256 of the pixels.
        sketches: For near-duplicates; empty where none were asked for.
        excluded: Id -> why a picture is not in the file.
        factors: Factor -> variant, of each picture.
        splits: The split that the domain states for each picture, or "".
    """

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    sketches: list[Sketch] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    factors: list[Mapping[str, str]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)

    def add(self, picture: Decoded) -> None:
        """Enter what is known of the next picture, or why it is left out."""
        if picture.pixels is None:
            self.excluded[picture.id] = picture.excluded
            return
        self.ids.append(picture.id)
        self.groups.append(picture.group)
        self.digests.append(picture.digest)
        self.factors.append(picture.factors)
        self.splits.append(picture.split)
        self.sketches += [picture.sketch] if picture.sketch else []


def decoded(
    items: Sequence[Item],
    resolution: int,
    rule: str = DEFAULT,
    *,
    sketched: bool = False,
    workers: int | None = None,
) -> Generator[Decoded]:
    """Yield the pictures of a domain in the order given, decoded ahead of the reader.

    Args:
        items: The pictures.
        resolution: Side in pixels.
        rule: How they are resized, one of `resizing.RULES`.
        sketched: Whether hashes and thumbnails for near-duplicates are made.
        workers: Threads; None for as many as this process has cores.
    """
    work = partial(_decode, resolution=resolution, rule=rule, sketched=sketched)
    return in_order(work, items, workers or cores())


def given(images: DomainImages, *, sketched: bool) -> Generator[Decoded]:
    """Yield the images that a domain gave whole, in order of their ids."""

    def one(position: int) -> Decoded:
        factors = {factor: variants[position] for factor, variants in images.factors.items() if variants[position]}
        split = images.splits[position] if images.splits else ""
        picture = Decoded(images.ids[position], images.groups[position], None, factors=factors, split=split)
        return _measured(picture, images.pixels[position], sketched=sketched)

    return in_order(one, sorted(range(len(images.ids)), key=images.ids.__getitem__), cores())


def gathered(items: Sequence[Item], resolution: int, where: str) -> DomainImages:
    """Return all usable pictures in memory, for `Domain.images` of a domain that offers items.

    Args:
        items: The pictures.
        resolution: Side in pixels.
        where: The items in words ("image files in 'cats'").

    Raises:
        GraftbenchError: None of the pictures can be used.
    """
    pixels = np.empty((len(items), 3, resolution, resolution), np.uint8)
    files = PreparedFiles()
    for picture in decoded(items, resolution):
        if picture.pixels is not None:
            pixels[len(files.ids)] = picture.pixels
        files.add(picture)
    count = len(files.ids)
    check_some(count, files.excluded, where)
    splits = files.splits if any(files.splits) else ()
    return DomainImages(files.ids, files.groups, pixels[:count], files.excluded, by_factor(files.factors), splits)


def by_factor(images: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Turn the factors of each image into the variants of each factor, sorted; "" where an image lacks the factor.

    A factor of which all images have the same variant is left out: there is nothing to tell apart.

    Args:
        images: Factor -> variant, image by image.
    """
    names = sorted({factor for factors in images for factor in factors})
    columns = {name: [factors.get(name, "") for factors in images] for name in names}
    return {name: variants for name, variants in columns.items() if len(set(variants)) > 1}


def check_some(count: int, excluded: dict[str, str], where: str) -> None:
    """Refuse pictures of which none can be used.

    Raises:
        GraftbenchError: How many there are, and what is wrong with the first.
    """
    if not count and excluded:
        name, why = next(iter(excluded.items()))
        raise GraftbenchError(f"None of the {len(excluded)} {where} can be used; the first is {name}: {why}.")


def write(
    path: Path,
    pictures: Iterable[Decoded],
    resolution: int,
    *,
    expected: int,
    report: Callable[[int, float], None] = lambda _done, _rate: None,
) -> PreparedFiles:
    """Write pictures as one array, uint8 N×3×R×R, to a `.npy` file, as they come.

    Args:
        path: The file; made anew.
        pictures: In the order in which the file has them.
        resolution: Their side, R.
        expected: How many come at most.
        report: Called every few seconds with pictures done and pictures a second.
    """
    files = PreparedFiles()
    began = last = time.monotonic()
    with path.open("wb") as file:
        file.write(_header(expected, resolution))
        for done, picture in enumerate(pictures, start=1):
            if picture.pixels is not None:
                file.write(picture.pixels.data)
            files.add(picture)
            now = time.monotonic()
            if now - last >= REPORT_SECONDS:
                report(done, done / (now - began))
                last = now
        file.seek(0)
        file.write(_header(len(files.ids), resolution))
    return files


def cores() -> int:
    """Return how many cores this process may use."""
    return int(usable_cores()["cores_usable"])


def in_order(work: Callable[[T], R], values: Sequence[T], workers: int, *, ahead: int | None = None) -> Generator[R]:
    """Yield work(values[0]), work(values[1]), … in order, computed in threads.

    An exception is raised when its turn comes. When the iteration ends, however it ends, no thread is left. Pillow's
    warnings, of odd metadata and of pictures beyond its limit, are not printed: what is wrong is said with the name.

    Args:
        work: What is done with each value.
        values: Its arguments.
        workers: Threads.
        ahead: Values that are begun before their turn; None for a few for each thread.
    """
    pending: deque[Future[R]] = deque()
    ahead = _AHEAD_PER_WORKER * workers if ahead is None else ahead
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, thread_name_prefix="images") as pool:
        warnings.simplefilter("ignore")  # here, for the filters belong to the process and the work is done in threads
        try:
            for value in values:
                pending.append(pool.submit(work, value))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # `with` then waits for what has begun


def _decode(item: Item, *, resolution: int, rule: str, sketched: bool) -> Decoded:
    try:
        pixels = square(item.open(), resolution, rule)
    except DAMAGE as error:
        return Decoded(item.id, item.group, None, reason(error))
    picture = Decoded(item.id, item.group, None, factors=item.factors, split=item.split)
    return _measured(picture, pixels, sketched=sketched)


def _measured(picture: Decoded, pixels: NDArray[np.uint8], *, sketched: bool) -> Decoded:
    row = np.ascontiguousarray(pixels)
    digest = hashlib.sha256(row.data).digest()
    return picture._replace(pixels=row, digest=digest, sketch=sketch(row) if sketched else None)


def _header(count: int, resolution: int) -> bytes:
    """Return what `numpy.save` writes before the pixels; as long for every count: NumPy leaves room for digits."""
    stream = BytesIO()
    shape = (count, 3, resolution, resolution)
    np.lib.format.write_array_header_1_0(
        stream, {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()
