"""Base of the emoji domains: one drawing an emoji, in one design."""

from __future__ import annotations

from abc import abstractmethod
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np

from graftbench.contracts import Domain, DomainImages

from ._decode import RECIPE, package_files
from ._emoji import canonical, group_of, is_taken, of_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Drawing = TypeVar("Drawing")


class EmojiDomain(Domain, Generic[Drawing]):
    """The emoji of one design, or those of one kind, with the ids, groups and splits that they have in the whole."""

    takes_argument = "[KIND]"

    def fingerprint(self) -> str:
        """Return the versions of the package with the images and of what decodes them; the kind and its count.

        Raises:
            GraftbenchError: There is no such kind of emoji, or the package is not installed.
        """
        kind = f", {self.argument}" if self.argument else ""
        return f"{self.distribution()}, {len(self._of_kind())} files, {self.recipe()}{kind}"

    def images(self, resolution: int) -> DomainImages:
        """Return all emoji, or those of one kind, on white, sorted by id.

        Raises:
            GraftbenchError: There is no such kind of emoji, or the package is not installed.
        """
        drawings = self._of_kind()
        pixels = np.empty((len(drawings), 3, resolution, resolution), np.uint8)
        for position, drawing in enumerate(drawings.values()):
            pixels[position] = self.picture(drawing, resolution)
        return DomainImages(list(drawings), [group_of(emoji) for emoji in drawings], pixels)

    @abstractmethod
    def distribution(self) -> str:
        """Return the package that brings the drawings, with its version."""

    @abstractmethod
    def drawings(self) -> Mapping[str, Drawing]:
        """Return code points, spelt as the package does, -> drawing; also of what is not taken."""

    @abstractmethod
    def picture(self, drawing: Drawing, resolution: int) -> NDArray[np.uint8]:
        """Draw one: uint8 3×resolution×resolution."""

    def recipe(self) -> str:
        """Return what makes pixels of a drawing, with versions."""
        return RECIPE

    def _of_kind(self) -> dict[str, Drawing]:
        """Return id -> drawing of the emoji that are asked for, sorted by id."""
        taken = {canonical(spelt): drawing for spelt, drawing in self.drawings().items() if is_taken(spelt)}
        return of_kind(dict(sorted(taken.items())), self.argument)


class EmojiFiles(EmojiDomain[Path]):
    """Emoji of which an installed Python package brings a file each, named by code points.

    Attributes:
        package: Name of the package in Python.
        files: Folder in the package, and pattern of the names of its picture files.
    """

    package: ClassVar[str]
    files: ClassVar[tuple[str, str]]

    def distribution(self) -> str:
        """Return the package and its version."""
        return f"{self.package.replace('_', '-')} {version(self.package)}"

    def drawings(self) -> dict[str, Path]:
        """Return the file of each emoji."""
        return {file.stem: file for file in package_files(self.package, *self.files)}
