"""Folders and zip files of images to be scored: decoded when they are read, ahead of the reader, in threads.

A domain lists what it cannot read and goes on. Here a damaged file is an error, unless the caller asks to skip: a score
over fewer images than the folder has is another score.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.images.archives import LABELS, is_hidden, member_of, open_zip
from graftbench.images.base import Images, digest_of
from graftbench.images.decoding import (
    DAMAGE,
    RULE,
    SUFFIXES,
    list_images,
    other_kind,
    printable,
    reason,
    to_rgb,
    upright,
)
from graftbench.images.preparation import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from graftbench.images.base import Pixels

_BATCHES_AHEAD = 2
_CHECKED_AHEAD = 64
_MOST_WORKERS = 4


def open_folder(root: Path, name: str, *, skip_damaged: bool) -> Images:
    """Open the images of a folder and of the folders in it.

    Args:
        root: The folder.
        name: What to print for it.
        skip_damaged: Decode every file once now and leave out those that cannot be decoded.

    Raises:
        GraftbenchError: There are no image files, none that can be decoded, or a folder may not be listed.
    """
    listing = list_images(root, unlisted=_refuse_unlisted)
    files = {path: file.read_bytes for path, file in listing.files.items()}
    folder = _Pictures(name, files, {printable(path): why for path, why in listing.left_out.items()})
    return folder.without_damaged() if skip_damaged else folder


def open_zip_file(path: Path, name: str, *, skip_damaged: bool) -> Images:
    """Open the pictures in a zip file, by name, in any layout: of StyleGAN's and EDM's dataset_tool, or a folder's.

    Nothing is unpacked to the disk. Hidden members and `dataset.json` are not looked at; those of other kinds are left
    out by name.

    Args:
        path: The file; it stays open as long as the images are kept.
        name: What to print for it.
        skip_damaged: As for a folder.

    Raises:
        GraftbenchError: It is damaged, is refused (`archives`), holds no images, or one name twice.
    """
    archive = open_zip(path)
    shown = sorted(member for member in archive.namelist() if not is_hidden(member) and member != LABELS)
    members = [member for member in shown if not other_kind(member)]
    files = {printable(member): partial(member_of, archive, member) for member in members}
    if not files:
        raise GraftbenchError(
            f"The zip file '{name}' holds no images, and {len(archive.namelist())} members of other kinds; expected "
            f"files that end in {', '.join(SUFFIXES)}."
        )
    if len(files) < len(members):
        raise GraftbenchError(f"The zip file '{name}' holds {len(members)} images of {len(files)} names: one twice.")
    pictures = _Pictures(name, files, {printable(member): why for member in shown if (why := other_kind(member))})
    return pictures.without_damaged() if skip_damaged else pictures


def _refuse_unlisted(error: OSError) -> None:
    """Refuse a folder that may not be listed: its images would be missing from the score."""
    raise GraftbenchError(
        f"The folder '{printable(str(error.filename))}' cannot be read ({error.strerror})."
    ) from error


class _Pictures(Images):
    """Image files, or members of an archive, decoded when they are read: name -> what reads its bytes."""

    def __init__(self, name: str, files: Mapping[str, Callable[[], bytes]], skipped: Mapping[str, str]) -> None:
        super().__init__(name, len(files), skipped)
        self._files = list(files.items())
        self._workers = min(_MOST_WORKERS, os.cpu_count() or 1, len(files))
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
        with closing(in_order(self._decoded, range(self.count), self._workers, ahead=_BATCHES_AHEAD * size)) as decoded:
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

    def without_damaged(self) -> _Pictures:
        """Return these pictures without the files that cannot be decoded, which are in its `skipped`.

        Raises:
            GraftbenchError: No file is left.
        """
        reasons = list(in_order(self._damage, range(self.count), self._workers, ahead=_CHECKED_AHEAD))
        damaged = {printable(name): why for (name, _), why in zip(self._files, reasons, strict=True) if why}
        if len(damaged) == self.count:
            name, why = next(iter(damaged.items()))
            raise GraftbenchError(
                f"None of the {self.count} image files in '{self.name}' can be used; the first is {name}: {why}."
            )
        sound = [position for position, why in enumerate(reasons) if not why]
        sound_ones = _Pictures(self.name, dict(self._files[position] for position in sound), damaged | self.skipped)
        sound_ones._digests = [self._digests[position] for position in sound]
        return sound_ones

    def _damage(self, position: int) -> str:
        """Say why a file cannot be decoded; empty if it can."""
        try:
            _decode(self._content(position))
        except DAMAGE as error:
            return reason(error)
        return ""

    def _decoded(self, position: int) -> Pixels:
        """Read an image: uint8 3×H×W."""
        with self._damage_named(position):
            return _decode(self._content(position))

    def _content(self, position: int) -> bytes:
        """Read a file's bytes; note their digest, or compare it with what was noted before."""
        name, read = self._files[position]
        content = read()
        digest, before = hashlib.sha256(content).digest(), self._digests[position]
        if before not in (None, digest):
            raise GraftbenchError(
                f"'{printable(name)}' in '{self.name}' changed while the images were read; "
                "score images when nothing writes to them any more."
            )
        self._digests[position] = digest
        return content

    @contextmanager
    def _damage_named(self, position: int) -> Iterator[None]:
        """Turn what is raised on damaged files into a sentence with the file's name."""
        try:
            yield
        except DAMAGE as error:
            raise GraftbenchError(
                f"'{printable(self._files[position][0])}' in '{self.name}' cannot be used: {reason(error)}. "
                "Repair it or remove it."
            ) from error


def _decode(content: bytes) -> Pixels:
    """Decode an image file's bytes to uint8 3×H×W. Raises one of `DAMAGE`."""
    return np.ascontiguousarray(np.asarray(to_rgb(upright(content))).transpose(2, 0, 1))
