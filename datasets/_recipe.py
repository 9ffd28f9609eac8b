"""Published sets of images that have no download code: where to get them, and what folder is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.errors import unknown
from graftbench.images.decoding import FolderListing, list_images
from graftbench.images.preparation import gathered

from ._counts import warn_of_count
from ._places import FOLDER_VARIABLE, absent, data_folder
from .folder import Folder, items_of

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.contracts import DomainImages, Item, Reference
    from graftbench.errors import GraftbenchError


class RecipeDomain(Folder):
    """A folder of images that the user fetches, under its published name in the data folder.

    It is read as `folder:` reads any folder: by relative path, with a fingerprint over the contents of all files. The
    number of images found is compared with the published one; another number is warned of and not refused, because
    such sets go round in several versions.

    Attributes:
        folder: Name of the folder that its own archive unpacks to, relative to the data folder.
        how: Where to get it and what to do, as a sentence.
        count: Images, as its authors state.
        about: Whether they state it roughly.
        paper: Where the set was published.
        kinds: Sub-folders that can be asked for by themselves; their images keep id and split of the whole.
    """

    takes_argument = ""
    folder: ClassVar[str]
    how: ClassVar[str]
    count: ClassVar[int]
    about: ClassVar[bool] = False
    paper: ClassVar[Reference]
    kinds: ClassVar[tuple[str, ...]] = ()

    def images(self, resolution: int) -> DomainImages:
        """Return all readable images: upright, on white, centre-cropped, Lanczos-resized; sorted by relative path.

        Raises:
            GraftbenchError: As `items`; or none of the images can be used.
        """
        return gathered(self.items(resolution), resolution, f"images of '{self.name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return the image files, sorted by relative path; each is opened when it is decoded.

        Raises:
            GraftbenchError: The folder is not there, with what to fetch and where to put it; or holds no images; or
                there is no such kind.
        """
        del resolution
        listing = self._listing()
        if not self.argument:
            warn_of_count(self.name, len(listing.files), self.count, about=self.about)
        return items_of(listing)

    def _listing(self) -> FolderListing:
        if self.argument and self.argument not in self.kinds:
            raise unknown(f"kind of {self.name}", self.argument, self.kinds)
        root = data_folder() / self.folder / self.argument
        if not root.is_dir():
            raise self._absent(root)
        below = f"{self.argument}/" if self.argument else ""
        files, left_out = list_images(root)
        return FolderListing(
            {f"{below}{name}": file for name, file in files.items()},
            {f"{below}{name}": why for name, why in left_out.items()},
        )

    def _absent(self, root: Path) -> GraftbenchError:
        number = f"about {self.count:,}" if self.about else f"{self.count:,}"
        what = f"the folder '{root.relative_to(data_folder())}'" + ("" if self.argument else f" with {number} images")
        how = f"{self.how} Or set {FOLDER_VARIABLE} to the folder that holds it."
        return absent(self.name, data_folder(), what, how)
