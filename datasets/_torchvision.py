"""torchvision's data sets as domains: read by torchvision's own classes, fetched by its own code when asked for.

All labelled images of a set are used, torchvision's training, validation and test parts together: graftbench splits by
a hash of each image's group, so that an image is on the same side in a whole set and in one class of it, and the
three sides are drawn from one distribution, which the official parts are not always (for SVHN see arXiv 2312.02168).
Scores on these splits do not compare with published ones on the official parts.

Where torchvision knows MD5 sums of a set's own files (CIFAR, STL-10, SVHN, the lists of CelebA and Flowers-102) it
refuses other files. CIFAR's are Python pickles, the only ones that graftbench ever lets be unpickled: torchvision does
it after that check alone, and making another file of a given MD5 sum is beyond what is known to be feasible.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.cache import locked
from graftbench.contracts import Domain, DomainImages, Item, Reference
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.preparation import gathered

from ._counts import warn_of_count
from ._decode import RECIPE
from ._places import DOWNLOAD_VARIABLE, FOLDER_VARIABLE, absent, contents, data_folder, may_download

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL import Image

_NOT_READ = (RuntimeError, OSError, ValueError, LookupError, AssertionError, EOFError, TypeError)
"""Exceptions that torchvision raises where files are missing, of another checksum, truncated or of another layout."""

_NOT_FETCHED = (*_NOT_READ, ImportError)
"""And where a download fails: no network (an OSError), a page in place of a file, the package gdown not installed."""


class TorchvisionDomain(Domain):
    """A data set of torchvision, or one class of it.

    Attributes:
        loader: Name of the class in `torchvision.datasets`.
        parts: Part -> the arguments with which torchvision opens it.
        numbers: Name of torchvision's list of the number of each image's class.
        folder: Folder, relative to the data folder, that the files lie in.
        below: Folder, relative to the data folder, that torchvision takes as its root.
        count: Images of all parts together, as its authors state.
        size: What a download transfers, in words.
        paper: Where the set was published.
    """

    takes_argument = "[CLASS]"
    curated_groups = False
    loader: ClassVar[str]
    parts: ClassVar[Mapping[str, Mapping[str, Any]]] = {"train": {"train": True}, "test": {"train": False}}
    numbers: ClassVar[str] = "targets"
    folder: ClassVar[str]
    below: ClassVar[str] = "."
    count: ClassVar[int]
    size: ClassVar[str]
    paper: ClassVar[Reference]

    def fingerprint(self) -> str:
        """Return the SHA-256 over names and contents of the set's files, the class asked for, and what decodes them.

        Raises:
            GraftbenchError: The files are not there.
        """
        files = self._files()
        return f"{self.name}:{self.argument}, {contents(self, self.location(), files)}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all images, or those of one class; ids are torchvision's part and position in it.

        Cropped to the centre square and Lanczos-resized, also where that enlarges them (28 to 32 pixels).

        Raises:
            GraftbenchError: The files are not there or are damaged, or there is no such class.
        """
        return gathered(self.items(resolution), resolution, f"images of '{self.name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return all images, or those of one class, in the order of torchvision's parts; arrays are held in memory.

        Raises:
            GraftbenchError: The files are not there or are damaged, or there is no such class.
        """
        del resolution
        self._files()
        chosen, seen, items = slug(self.argument), set[str](), list[Item]()
        for part in self.parts:
            data, labels = self._read(part)
            for position, names in enumerate(labels):
                seen |= names
                if chosen in names or not chosen:
                    group = self.group(data, part, position)
                    items.append(Item(_id(part, position), group, partial(_picture, data, position)))
        if not items:
            raise unknown(f"class of {self.name}", self.argument, seen)
        if not self.argument:
            warn_of_count(self.name, len(items), self.count)
        return items

    def fetch(self) -> None:
        """Download with torchvision's own code what is not there yet, or not whole; one process at a time.

        Raises:
            GraftbenchError: The download failed, or what it left cannot be read.
        """
        with locked(data_folder() / f"{self.name}.lock"):
            try:
                for part in self.parts:
                    self._open(part, download=True)
            except _NOT_FETCHED as error:
                why = f"torchvision could not fetch and read them ({error or type(error).__name__}). "
                raise self._absent(why) from error

    def location(self) -> Path:
        """Return the folder that the set's files lie in, or would."""
        return data_folder() / self.folder

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's classes share no type for this
        """Return the names that each image of an opened part can be asked for by; `slug` is applied to them."""
        return [(data.classes[int(number)],) for number in getattr(data, self.numbers)]

    def group(self, data: Any, part: str, position: int) -> str:  # noqa: ANN401 - as above
        """Return what stays on one side with an image; by default it stands alone."""
        del data
        return _id(part, position)

    def _files(self) -> list[Path]:
        """Return all files of the set; what lacks is fetched first where the user asked for that."""
        if may_download():
            self.fetch()
        files = [file for file in self.location().rglob("*") if file.is_file()]
        if not files:
            raise self._absent("")
        return files

    def _open(self, part: str, *, download: bool) -> Any:  # noqa: ANN401 - torchvision's classes share no useful type
        from torchvision import datasets  # noqa: PLC0415 - slow; listing domains does without it

        root = data_folder() / self.below
        if download:
            root.mkdir(parents=True, exist_ok=True)
        return getattr(datasets, self.loader)(str(root), **self.parts[part], download=download)

    def _read(self, part: str) -> tuple[Any, list[set[str]]]:
        """Read a part of the set, and for each image the names that it can be asked for by."""
        try:
            data = self._open(part, download=False)
            return data, [{slug(name) for name in names} for names in self.labels(data)]
        except _NOT_READ as error:
            why = f"torchvision cannot read the part '{part}' ({error or type(error).__name__}). "
            raise self._absent(why) from error

    def _absent(self, why: str) -> GraftbenchError:
        how = (
            f"{why}To let torchvision fetch them ({self.size}), set {DOWNLOAD_VARIABLE}=1 and run the same command "
            f"again; or fetch them elsewhere and put them there, or set {FOLDER_VARIABLE} to the folder that holds "
            f"'{self.folder}'. They come from {self.source}."
        )
        return absent(self.name, data_folder(), f"the folder '{self.folder}' with the files of the data set", how)


def slug(name: str) -> str:
    """Return a class's name as a suite writes it: "T-shirt/top" is `t-shirt-top`, "aquarium_fish" `aquarium-fish`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _picture(data: Any, position: int) -> Image.Image:  # noqa: ANN401 - torchvision's sets are indexed, and share no type
    """Read one picture and decode it in full. Raises one of `graftbench.images.decoding.DAMAGE`."""
    picture = data[position][0]
    picture.load()  # CelebA's are not yet read
    return picture


def _id(part: str, position: int) -> str:
    return f"{part}/{position:06d}"
