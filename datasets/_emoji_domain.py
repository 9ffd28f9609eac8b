"""What the two emoji domains share: one picture file an emoji, which an installed package brings."""

from __future__ import annotations

from abc import abstractmethod
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graftbench.contracts import Domain, DomainImages

from ._decode import RECIPE, package_files
from ._emoji import canonical, group_of, is_taken, of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class EmojiDomain(Domain):
    """The emoji of one design, or those of one kind: these keep the ids, groups and splits that they have in the whole.

    Attributes:
        package: Name of the package in Python.
        files: Folder in the package, and pattern of the names of its picture files.
    """

    takes_argument = "[KIND]"
    package: ClassVar[str]
    files: ClassVar[tuple[str, str]]

    def fingerprint(self) -> str:
        """Return the versions of the package with the images and of what decodes them; the kind and its count.

        Raises:
            GraftbenchError: There is no such kind of emoji.
        """
        kind = f", {self.argument}" if self.argument else ""
        distribution = f"{self.package.replace('_', '-')} {version(self.package)}"
        return f"{distribution}, {len(self._files())} files, {self.recipe()}{kind}"

    def images(self, resolution: int) -> DomainImages:
        """Return all emoji, or those of one kind, on white, sorted by id.

        Raises:
            GraftbenchError: There is no such kind of emoji.
        """
        files = self._files()
        pixels = np.empty((len(files), 3, resolution, resolution), np.uint8)
        for position, file in enumerate(files.values()):
            pixels[position] = self.picture(file, resolution)
        return DomainImages(list(files), [group_of(emoji) for emoji in files], pixels)

    @abstractmethod
    def picture(self, file: Path, resolution: int) -> NDArray[np.uint8]:
        """Return the picture in a file: uint8 3×resolution×resolution."""

    def recipe(self) -> str:
        """Return what makes pixels of a file, with versions."""
        return RECIPE

    def _files(self) -> dict[str, Path]:
        """Return id -> file of the emoji that are asked for, sorted by id."""
        files = {canonical(f.stem): f for f in package_files(self.package, *self.files) if is_taken(f.stem)}
        return of_kind(dict(sorted(files.items())), self.argument)
