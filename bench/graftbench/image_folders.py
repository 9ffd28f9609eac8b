"""Folders of images to be scored: decoded when they are read, ahead of the reader, in threads.

A domain lists what it cannot read and goes on. Here a damaged file is an error, unless the caller asks to skip: a score
over fewer images than the folder has is another score.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from graftbench.decoding import DAMAGE, RULE, reason, to_rgb, upright
from graftbench.errors import GraftbenchError
from graftbench.image_batches import Images, digest_of
from graftbench.image_files import image_files, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from graftbench.image_batches import Pixels

T = TypeVar("T")

_BATCHES_AHEAD = 2
_CHECKED_AHEAD = 64
_MOST_WORKERS = 4


def open_folder(root: Path, name: str, *, skip_damaged: bool) -> Images:
    """The images of a folder and of the folders in it.

    Args:
        root: The folder.
        name: What to print for it.
        skip_damaged: Decode every file once now and leave out those that cannot be decoded.

    Raises:
        GraftbenchError: There are no image files, none that can be decoded, or a folder may not be listed.
    """
    folder = _Folder(name, image_files(root, unlisted=_unlisted), {})
    return folder.without_damaged() if skip_damaged else folder


def _unlisted(error: OSError) -> None:
    """The images of a folder that may not be listed would be missing from the score."""
    raise GraftbenchError(
        f"The folder '{printable(str(error.filename))}' cannot be read ({error.strerror})."
    ) from error


class _Folder(Images):
    """Image files, decoded when they are read."""

    def __init__(self, name: str, files: Mapping[str, Path], skipped: Mapping[str, str]) -> None:
        super().__init__(name, len(files), skipped)
        self._files = list(files.items())
        self._digests: list[bytes | None] = [None] * len(files)
        self._sizes: dict[tuple[int, int], None] = {}

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple(self._sizes)

    def _manifest(self) -> str:
        for position, digest in enumerate(self._digests):
            if digest is None:  # else reading the pixels has come by already
                with self._damage_named(position):
                    self._content(position)
        digests = [cast("bytes", digest).hex() for digest in self._digests]
        return digest_of("folder", RULE, digests).hexdigest()

    def _batches(self, size: int) -> Iterator[Pixels]:
        batch: list[Pixels] = []
        with closing(_in_threads(self._decoded, self.count, ahead=_BATCHES_AHEAD * size)) as decoded:
            for pixels in decoded:
                self._sizes[pixels.shape[1], pixels.shape[2]] = None
                if batch and pixels.shape != batch[0].shape:
                    yield np.stack(batch)
                    batch = []
                batch.append(pixels)
                if len(batch) == size:
                    yield np.stack(batch)
                    batch = []
        if batch:
            yield np.stack(batch)

    def without_damaged(self) -> _Folder:
        """The folder without the files that cannot be decoded, which are in its `skipped`.

        Raises:
            GraftbenchError: No file is left.
        """
        reasons = list(_in_threads(self._damage, self.count, ahead=_CHECKED_AHEAD))
        skipped = {printable(name): why for (name, _), why in zip(self._files, reasons, strict=True) if why}
        if len(skipped) == self.count:
            name, why = next(iter(skipped.items()))
            raise GraftbenchError(
                f"None of the {self.count} image files in '{self.name}' can be used; the first is {name}: {why}."
            )
        sound = [position for position, why in enumerate(reasons) if not why]
        folder = _Folder(self.name, dict(self._files[position] for position in sound), skipped)
        folder._digests = [self._digests[position] for position in sound]
        return folder

    def _damage(self, position: int) -> str:
        """Why a file cannot be decoded, or the empty string."""
        try:
            _decode(self._content(position))
        except DAMAGE as error:
            return reason(error)
        return ""

    def _decoded(self, position: int) -> Pixels:
        """One image: uint8 3×H×W."""
        with self._damage_named(position):
            return _decode(self._content(position))

    def _content(self, position: int) -> bytes:
        """A file's bytes. Their digest is noted, or compared with what was noted before."""
        name, file = self._files[position]
        content = file.read_bytes()
        digest, before = hashlib.sha256(content).digest(), self._digests[position]
        if before not in (None, digest):
            raise GraftbenchError(
                f"'{printable(name)}' in '{self.name}' changed while the images were read; "
                "score a folder when nothing writes to it any more."
            )
        self._digests[position] = digest
        return content

    @contextmanager
    def _damage_named(self, position: int) -> Iterator[None]:
        """What is raised on damaged files becomes a sentence with the file's name."""
        try:
            yield
        except DAMAGE as error:
            raise GraftbenchError(
                f"'{printable(self._files[position][0])}' in '{self.name}' cannot be used: {reason(error)}. "
                "Repair it or remove it."
            ) from error


def _decode(content: bytes) -> Pixels:
    """An image file's bytes: uint8 3×H×W. Raises one of `DAMAGE`."""
    return np.ascontiguousarray(np.asarray(to_rgb(upright(content))).transpose(2, 0, 1))


def _in_threads(work: Callable[[int], T], count: int, *, ahead: int) -> Generator[T]:
    """work(0), work(1), … work(count - 1) in order, computed in threads, up to `ahead` of them beforehand.

    An exception is raised when its turn comes. When the iteration ends, however it ends, no thread is left.
    """
    pending: deque[Future[T]] = deque()
    workers = min(_MOST_WORKERS, os.cpu_count() or 1, count)
    with ThreadPoolExecutor(workers, thread_name_prefix="images") as pool:
        try:
            for position in range(count):
                pending.append(pool.submit(work, position))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # `with` then waits for what has begun
