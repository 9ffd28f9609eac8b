"""Any folder of images."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.contracts import DomainImages, Item
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.decoding import FolderListing, list_images, printable, unreadable, upright
from graftbench.images.preparation import gathered
from graftbench.images.splitting import SPLITS
from graftbench.plugins.split_options import SPLIT_OPTIONS

from ._decode import RECIPE
from ._user_files import UserFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from PIL import Image


class Folder(UserFiles):
    """The images in a folder and its folders, by relative path.

    Hidden files and folders (names that begin with a dot) are not looked at; links are followed
    (`graftbench.images.decoding.list_images`). Where the folder holds folders `train` and `reference`, the images in
    them, and in a folder `validation`, are those splits; what lies beside them is left out by name. Each image is a
    group of its own, joined with those that are nearly the same (`graftbench.images.near_duplicates`): the same
    picture in another size, format or compression, moved or cropped by a little. Other crops and frames of one scene
    are not found.
    """

    name = "folder"
    title = "A folder of images"
    description = (
        "Any folder of PNG, JPEG, WebP, AVIF, BMP, GIF (first frame), TIFF or PPM files, centre-cropped to squares."
    )

    def fingerprint(self) -> str:
        """Return the SHA-256 over relative paths and contents of all image files, and what decodes them.

        Raises:
            GraftbenchError: The path is no folder or holds no image files.
        """
        listing = self._listing()
        digest = hashlib.sha256()
        for name, file in listing.files.items():
            digest.update(os.fsencode(name) + b"\0" + self.file_digest(file))
        for name, why in listing.left_out.items():
            digest.update(os.fsencode(name) + b"\0" + why.encode())
        return f"{digest.hexdigest()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all readable images: upright by EXIF, on white, centre-cropped, Lanczos-resized; sorted by path.

        What cannot be read, or is smaller than 2×2 pixels, is in `excluded` with the reason.

        Raises:
            GraftbenchError: The path is no folder, holds no image files, or none that can be read.
        """
        return gathered(self.items(resolution), resolution, f"image files in '{self.argument}'")

    def items(self, resolution: int) -> list[Item]:
        """Return the image files, sorted by relative path; each is opened when it is decoded.

        Files that are left out stand behind them, so that they are excluded by name.

        Raises:
            GraftbenchError: The path is no folder or holds no image files.
        """
        del resolution
        return items_of(self._listing())

    def _listing(self) -> FolderListing:
        """List what the folder holds; where folders state the splits, what lies beside them is left out."""
        root = Path(self.argument).expanduser()
        path, _, options = self.argument.partition("?")
        if options and not root.is_dir() and Path(path).expanduser().is_dir():
            raise unknown("option", options.partition("=")[0], SPLIT_OPTIONS, where=f"in 'folder:{self.argument}'")
        if not root.is_dir():
            state = "is a file" if root.exists() else "does not exist"
            raise GraftbenchError(f"The image folder '{self.argument}' {state}; expected a folder of images.")
        listing = list_images(root)
        if not _states_splits(listing.files):
            return listing
        used = {name: file for name, file in listing.files.items() if name.partition("/")[0] in SPLITS}
        beside = dict.fromkeys(
            listing.files.keys() - used.keys(), f"files beside the folders {', '.join(SPLITS)} are not used"
        )
        return FolderListing(used, dict(sorted({**listing.left_out, **beside}.items())))


def items_of(listing: FolderListing) -> list[Item]:
    """Return an item for each image file, then one that is excluded with the reason for each file that is left out."""
    stated = _states_splits(listing.files)
    return [
        *(
            _item(name, partial(_open, file), name.partition("/")[0] if stated else "")
            for name, file in listing.files.items()
        ),
        *(_item(name, partial(unreadable, why)) for name, why in listing.left_out.items()),
    ]


def _states_splits(names: Iterable[str]) -> bool:
    """Return whether there are folders of training and of reference images, by relative paths of files."""
    return {"train", "reference"} <= {name.partition("/")[0] for name in names if "/" in name}


def _item(name: str, opens: Callable[[], Image.Image], split: str = "") -> Item:
    return Item(printable(name), printable(name), opens, split=split)


def _open(file: Path) -> Image.Image:
    """Open the picture in a file. Raises one of `graftbench.images.decoding.DAMAGE`."""
    return upright(file.read_bytes())
