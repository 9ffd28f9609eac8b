"""LMDB databases of image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._lmdb import database_file, database_items
from ._user_files import UserFiles

if TYPE_CHECKING:
    from graftbench.contracts import DomainImages, Item


class LmdbDatabase(UserFiles):
    """The image files that are values of an LMDB database, as LSUN's are: `lmdb:PATH`, a folder or a file.

    Every value that can be decoded is an image; others (a key `length`) are excluded with the reason. Needs the extra
    `lmdb`.
    """

    name = "lmdb"
    title = "An LMDB database of image files"
    description = "An LMDB database whose values are image files (JPEG, PNG, WebP), as LSUN's are."

    def fingerprint(self) -> str:
        """Return the SHA-256 over the database's file, and what decodes the images.

        Raises:
            GraftbenchError: The database is not there.
        """
        return f"{self.file_digest(database_file(self._path())).hex()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all readable images, upright, on white, cropped and resized, in order of key.

        Raises:
            GraftbenchError: The package lmdb or the database is not there, or no image can be used.
        """
        return gathered(self.items(resolution), resolution, f"values of '{self._path().name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return the values, in order of key.

        Raises:
            GraftbenchError: The package lmdb or the database is not there, or the database is damaged.
        """
        del resolution
        return database_items(self._path())

    def _path(self) -> Path:
        return Path(self.argument).expanduser()
